"""One visit without credentials: what was seen still shows when production is gone."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence

from django.conf import settings
from story import Story
from website import FILM

# More names at once would be a visitor that no site bears.
SEEN = 100


class Train(Story):
    """The same visitor, on a laptop that only knows production's URLs."""

    def chapters(self) -> Sequence[Callable[[], None]]:
        """What happens, in its order."""
        return self.looks, self.sees, self.leaves, self.uploads

    def looks(self) -> None:
        """A page that links to this site alone; some of it hard-coded."""
        before, page = self.bucket.requests(), self.visitor.look()
        asked = self.bucket.requests() - before
        urls = list(page.pictures.values())
        links = set(re.findall(r'src="(/media/[^"]*)"', page.html)) - set(urls)
        self.urls = [*urls[:SEEN], *sorted(links)]
        home = len(urls) == len(self.pictures) and len(links) == 2
        home &= all(url.startswith("/media/") for url in urls)
        text = (
            f"{len(urls)} pictures are on the page, and {len(links)} hard-coded links"
        )
        self.claim(home and not asked, f"{text}; production was asked {asked} times.")

    def sees(self) -> None:
        """What comes from production is kept."""
        before = self.bucket.requests()
        self.claim(self.all_show(), "All of it comes, byte for byte, from production.")
        # The last one is kept a moment after it has come.
        deadline = time.monotonic() + 30
        while not self.all_are_kept() and time.monotonic() < deadline:
            time.sleep(0.05)
        first = self.bucket.requests() - before
        shown = self.all_show() and self.seeks()
        again = self.bucket.requests() - before - first
        text = f"It took {first} requests, and {again} when all was looked at again"
        self.claim(shown and not again, f"{text}, with a seek in the film.")
        missing = self.visitor.fetch("/media/photos/nobody.jpg") is None
        self.claim(missing, "What nobody has is 404.")

    def leaves(self) -> None:
        """The train leaves the station."""
        self.visitor.send("outage/")
        gone = not self.bucket.takes_requests()
        shown = bool(self.visitor.look().pictures) and self.all_show() and self.seeks()
        self.claim(
            gone and shown, "Production is gone: everything that was seen shows."
        )
        status, _ = self.visitor.ask("/media/photos/never-seen.jpg")
        self.claim(status == 503, f"What was never seen is {status}, not missing.")

    def all_show(self) -> bool:
        """Whether all links lead to what production's files are."""
        return all(self.visitor.fetch(url) == self.original(url) for url in self.urls)

    def all_are_kept(self) -> bool:
        """Whether all of it is in the local directory."""
        folder = settings.MEDIA_ROOT.parent
        return all((folder / url.lstrip("/")).exists() for url in self.urls)

    def seeks(self) -> bool:
        """Whether a part of the film comes."""
        url = f"/media/{FILM}"
        answer = self.visitor.ask(url, Range="bytes=30000-49999")
        return answer == (206, self.original(url)[30_000:50_000])

    def original(self, url: str) -> bytes:
        """The file of production that a link is meant for."""
        return (self.bucket.folder / url.lstrip("/")).read_bytes()
