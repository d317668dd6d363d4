"""The whole story without a browser, claim by claim."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agreement import show_agreement
from pictures import Picture, draw_picture
from s3server import BUCKET, Bucket
from supervise import key
from table import Table
from visitor import Page, RefusedError, Visitor

SAMPLE = 5
WRITES = ("PUT", "POST", "DELETE")
# To the memo, for any number of names: look up, take leases, fill.
COLD_TRIPS = 3
# From so many names on the bucket is listed.
WORTH_LISTING = 25


class Story:
    """One visit, from the cold page to the last delete."""

    def __init__(
        self, url: str, data: Path, bucket: Bucket, site: dict[str, Any]
    ) -> None:
        self.visitor = Visitor(url)
        self.local = data / "media"
        self.bucket = bucket
        self.site = site
        self.table = Table()
        self.production = f"{bucket.endpoint}/{BUCKET}/"

    def requests(self) -> int:
        """S3 requests so far, by the server's own count."""
        return sum(self.bucket.server_counts().values())

    def local_files(self) -> int:
        # Beside this folder are the package's own: whiteouts, for one.
        return sum(path.is_file() for path in (self.local / "photos").rglob("*"))

    def pages(self, pictures: Sequence[Picture]) -> Page:
        """A cold page, a warm one, and what they cost otherwise."""
        claim, count = self.table.claim, len(pictures)
        claim("files in the local directory", 0, self.local_files())
        for state in ("cold", "warm"):
            before = self.requests()
            page = self.visitor.look("?plain")
            text = f"{state} page of {count}: S3 requests, by the server's count"
            claim(text, 0, self.requests() - before)
        from_production = [
            url for url in page.pictures.values() if url.startswith(self.production)
        ]
        claim("URLs that lead to production's bucket", count, len(from_production))
        # The newest row is first on the page; the rows are the pictures in reverse.
        sample = list(zip(page.pictures.values(), pictures, strict=True))[:SAMPLE]
        same = sum(self.visitor.bytes_of(url) == it.jpeg for url, it in sample)
        claim("pictures fetched by their URL, bytes as drawn", len(sample), same)
        return page

    def costs(self, count: int) -> None:
        """The figures of the panel: of a page made cold, then of a warm one."""
        claim, note = self.table.claim, self.table.note
        # The redirect leads to the gallery: that is the cold page. Its badges ask
        # where every picture is, which is what the next one remembers.
        cold = self.visitor.send("forget/").figures
        page, badges = cold["page"], cold["badges"]
        claim("cold page: S3 requests", 0, page["requests"])
        claim("  names in the memo", 0, count - cold["look_ups"]["misses"])
        # Its path of the pictures, and of what hides them; each once for all names.
        claim("  calls of the local storage", 2, _asked(page))
        trips = COLD_TRIPS if self.site["redis"] else 0
        claim(
            f"  round trips to the memo for {count} names", trips, page["round_trips"]
        )
        listings = 1 if count >= WORTH_LISTING else count
        text = "resolve_many() of every picture, cold: S3 requests"
        claim(text, listings, badges["requests"])

        figures = self.visitor.look().figures
        page, off = figures["page"], figures["memo_off"]
        naive, warm = figures["version_one"], figures["exists"]
        calls = page["calls"] - page["calls_by_kind"].get("local.listdir", 0)
        claim("warm page: backend calls, all of them url()", count, calls)
        claim(
            "  the same with the memo off (exists, whiteout, url)",
            3 * count,
            off["calls"],
        )
        claim("  the same by the rule of 1.x, emulated", 3 * count, naive["calls"])
        claim("warm page: S3 requests", 0, page["requests"])
        claim("  the same with the memo off", 0, off["requests"])
        claim("  the same by the rule of 1.x, emulated", count, naive["requests"])
        claim("exists() of every picture: held", count, warm["held"])
        claim("exists() of every picture, warm: S3 requests", 0, warm["requests"])
        off_exists = figures["exists_memo_off"]
        claim("  the same with the memo off", count, off_exists["requests"])
        self.round_trips(figures, count)
        note("time to make the page", f"{page['ms']:.1f} ms")
        note("  of that its view: query, prefetch", f"{page['view_ms']:.1f} ms")
        note("  the same with the memo off", f"{off['ms']:.1f} ms")
        note("  the same by the rule of 1.x, emulated", f"{naive['ms']:.1f} ms")
        note("exists() of every picture, warm", f"{warm['ms']:.1f} ms")
        note("  the same with the memo off", f"{off_exists['ms']:.1f} ms")

    def round_trips(self, figures: dict[str, Any], count: int) -> None:
        """What a warm page costs at the memo's server."""
        claim, note, made = self.table.claim, self.table.note, figures["page"]
        if not self.site["redis"]:
            claim("warm page: round trips to the memo", 0, made["round_trips"])
            return
        # None if all names are in the near tier of this worker.
        claim("warm page: round trips, 1 or none", True, made["round_trips"] <= 1)
        together, alone = figures["prefetched"], figures["one_by_one"]
        text = f"Redis alone, no near tier: round trips for {count} names"
        claim(text, 1, together["round_trips"])
        claim("  the same without prefetch()", count, alone["round_trips"])
        note("  time to render it", f"{together['ms']:.1f} ms")
        note("  the same without prefetch()", f"{alone['ms']:.1f} ms")

    def upload_and_delete(self, count: int) -> None:
        """A picture that production never had."""
        claim, mine = self.table.claim, draw_picture(10_001).jpeg
        known = set(self.visitor.look("?plain").pictures)
        page = self.visitor.send("upload/", mine, title="Mine")
        self.said(page, "upload")
        (pk,) = set(page.pictures) - known or {0}
        url = page.pictures.get(pk, "")
        claim("upload: pictures on the page", count + 1, len(page.pictures))
        claim("upload: its URL", "/media/photos/", url[: len("/media/photos/")])
        claim("upload: files in the local directory", 1, self.local_files())
        claim("upload: bytes served as sent", True, self.visitor.bytes_of(url) == mine)
        page = self.visitor.send(f"photo/{pk}/delete/")
        self.said(page, "delete of the upload")
        claim("delete of the upload: pictures on the page", count, len(page.pictures))
        claim("delete of the upload: local files", 0, self.local_files())
        claim("delete of the upload: its URL answers", 404, self.status(url))

    def replace_and_delete(self, pk: int, original: bytes) -> None:
        """A picture that production has, and keeps."""
        claim, other = self.table.claim, draw_picture(10_002).jpeg
        path = f"photo/{pk}/"
        self.visitor.look(path)
        page = self.visitor.send(f"{path}replace/", other)
        self.said(page, "replace")
        url = page.pictures.get(pk, "")
        claim("replace: its URL", "/media/photos/", url[: len("/media/photos/")])
        served = self.visitor.bytes_of(url)
        claim("replace: bytes served are the new ones", True, served == other)
        listed = self.visitor.look("?plain").pictures.get(pk)
        claim("replace: the gallery shows the local copy", True, listed == url)

        page = self.visitor.send(f"{path}delete/")
        self.said(page, "delete of the local copy", "hidden")
        claim("delete of the local copy: local files", 0, self.local_files())
        claim("  production's does not show instead", False, pk in page.pictures)
        self.undo(pk, original)

    def hide_and_undo(self, pk: int, original: bytes) -> None:
        """A picture that only production has is deleted, and brought back."""
        claim, path, kept = self.table.claim, f"photo/{pk}/", self.digest()
        shown = self.visitor.look("?plain").pictures
        answers = self.visitor.look(path).figures
        told = (answers["exists"], answers["listed"])
        claim("picture of production's: exists, in listdir", (True, True), told)
        page = self.visitor.send(f"{path}delete/")
        self.said(page, "delete of production's", "hidden")
        claim(
            "delete of production's: pictures shown", len(shown) - 1, len(page.pictures)
        )
        claim("  hidden ones, with an Undo button", [pk], list(page.hidden))
        answers = self.visitor.look(path).figures
        claim("  exists() of it", False, answers["exists"])
        claim("  listdir() of its directory names it", False, answers["listed"])
        url = page.hidden.get(pk, "")
        claim("  its URL", "/media/photos/", url[: len("/media/photos/")])
        claim("  its URL answers", 404, self.status(url))
        untouched = self.visitor.bytes_of(shown[pk]) == original
        claim("  production still has its bytes", True, untouched)
        claim("  digest of production's listing", kept, self.digest())
        self.undo(pk, original)
        claim("  digest of production's listing", kept, self.digest())

    def undo(self, pk: int, original: bytes) -> None:
        """Bring back what was hidden."""
        page = self.visitor.send(f"photo/{pk}/undo/")
        self.said(page, "undo", "is back")
        url = page.pictures.get(pk, "")
        shown = url.startswith(self.production)
        self.table.claim("undo: production's shows", True, shown)
        again = shown and self.visitor.bytes_of(url) == original
        self.table.claim("  with the bytes it always had", True, again)
        self.table.claim("  and nothing is hidden", {}, page.hidden)

    def digest(self) -> str:
        return self.bucket.listing_digest()[0][:12]

    def said(self, page: Page, what: str, text: str = "unchanged") -> None:
        """The page says what happened, and that production is unchanged."""
        told = any(text in each and "unchanged" in each for each in page.messages)
        self.table.claim(f"{what}: the page says '{text}'", True, told)

    def status(self, url: str) -> int:
        try:
            self.visitor.bytes_of(url)
        except RefusedError as error:
            return error.status
        return 200

    def production_unchanged(self, before: str) -> None:
        """The bucket, byte for byte, and what its server was sent."""
        claim = self.table.claim
        now, then = self.bucket.listing_digest()[0], self.site["digest"]
        claim("production: digest of the listing", then[:12], now[:12])
        now = self.bucket.bytes_digest()
        claim("production: digest of every byte", before[:12], now[:12])
        counts, first = self.bucket.server_counts(), self.site["server_counts"]
        writes = sum(counts.get(kind, 0) - first.get(kind, 0) for kind in WRITES)
        claim("production: writes, by the server's count", 0, writes)


def _asked(page: dict[str, Any]) -> int:
    """How often a page asked the local storage for a file or a path."""
    calls = page["calls_by_kind"]
    return sum(calls.get(f"local.{method}", 0) for method in ("exists", "path"))


def tell(
    url: str,
    data: Path,
    bucket: Bucket,
    site: dict[str, Any],
    pictures: Sequence[Picture],
) -> int:
    """Tell the story and print it; 0 only if every claim held."""
    story = Story(url, data, bucket, site)
    before = bucket.bytes_digest()
    try:
        if site["redis"] and site["workers"] > 1:
            show_agreement(story.table, url, site, key(pictures[0]), len(pictures))
        page = story.pages(pictures)
        story.costs(len(pictures))
        story.upload_and_delete(len(pictures))
        # Newest first: the page shows the pictures in the order they were drawn.
        rows = list(page.pictures)
        story.replace_and_delete(rows[0], pictures[0].jpeg)
        story.hide_and_undo(rows[-1], pictures[-1].jpeg)
        story.production_unchanged(before)
    finally:
        # Also of a story that broke off: how far it came says where to look.
        print(f"\n{story.table}\n", flush=True)
    claims = sum(1 for row in story.table.rows if row[3])
    if story.table.failed:
        text = f"{story.table.failed} of {claims} claims did NOT hold."
    else:
        text = f"All {claims} claims held."
    print(text, flush=True)
    return 1 if story.table.failed else 0
