"""One visit to the gallery, told in the terminal, from the cold page to the last undo."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bucket import Bucket
from pictures import Picture, draw_picture
from visitor import Visitor
from website import Website


class Story:
    """What the visitor does, and whether it goes as it should."""

    def __init__(
        self, url: str, bucket: Bucket | Website, pictures: Sequence[Picture]
    ) -> None:
        self.visitor = Visitor(url)
        self.bucket = bucket
        self.pictures = pictures
        self.held = True

    def tell(self) -> int:
        """Tell it; 0 only if all of it held."""
        digest, writes = self.bucket.digest(), self.bucket.writes()
        for chapter in self.chapters():
            chapter()
        unchanged = (digest, writes) == (self.bucket.digest(), self.bucket.writes())
        self.claim(unchanged, "After all this production is what it was.")
        print("All of it held." if self.held else "NOT all of it held.")
        return 0 if self.held else 1

    def chapters(self) -> Sequence[Callable[[], None]]:
        """What happens, in its order."""
        return self.looks, self.uploads, self.deletes

    def claim(self, held: bool, text: str) -> None:
        """One line of the story."""
        self.held &= held
        print(f"  {'ok' if held else 'NO':4}{text}")

    def looks(self) -> None:
        """A cold page, and a warm one."""
        count, before = len(self.pictures), self.bucket.requests()
        urls = list(self.visitor.look("?plain").pictures.values())
        asked = self.bucket.requests() - before
        theirs = sum(url.startswith(self.bucket.endpoint) for url in urls)
        text = f"{theirs} pictures are on the page, by their URLs in production"
        self.claim(
            (asked, theirs) == (0, count), f"{text}; S3 was asked {asked} times."
        )
        # The newest row is first on the page; the rows are the pictures in reverse.
        same = self.visitor.fetch(urls[0]) == self.pictures[0].jpeg
        self.claim(same, "Such a URL leads to the picture.")
        self.visitor.look()
        figures = self.visitor.look().figures()
        made, naive = figures["page"]["requests"], figures["version_one"]["requests"]
        known = (figures["misses"], made, naive) == (0, 0, count)
        text = f"The memo knew all of the next page: {made} requests to S3"
        self.claim(known, f"{text}, where version 1.x, emulated, makes {naive}.")

    def uploads(self) -> None:
        """A picture that production never had."""
        mine = draw_picture(10_001).jpeg
        before = self.visitor.look("?plain").pictures
        after = self.visitor.send("upload/", mine, title="Mine").pictures
        (pk,) = after.keys() - before.keys() or {"0"}
        url = after.get(pk, "/")
        local = url.startswith("/media/") and self.visitor.fetch(url) == mine
        self.claim(local, "A new picture is saved in the local directory.")
        after = self.visitor.send(f"photo/{pk}/delete/").pictures
        gone = after.keys() == before.keys() and self.visitor.fetch(url) is None
        self.claim(gone, "Deleted, it is gone.")

    def deletes(self) -> None:
        """A picture that only production has is deleted, and brought back."""
        pk, url = list(self.visitor.look("?plain").pictures.items())[-1]
        page = self.visitor.send(f"photo/{pk}/delete/")
        kept = self.visitor.fetch(url) == self.pictures[-1].jpeg
        hidden = self.visitor.fetch(page.hidden.get(pk, "/")) is None
        self.claim(hidden and kept, "One of production's is deleted: hidden, and kept.")
        page = self.visitor.send(f"photo/{pk}/undo/")
        back = self.visitor.fetch(page.pictures.get(pk, "/"))
        shown = back == self.pictures[-1].jpeg and not page.hidden
        self.claim(shown, "The delete is undone: it shows again.")
