"""The panel of django-debug-toolbar, with the toolbar itself around it."""

from __future__ import annotations

import asyncio
import contextvars
import json
import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from asgiref.sync import sync_to_async
from django.core.checks.registry import registry
from django.core.files.base import ContentFile
from django.http import HttpResponse
from django.test import AsyncClient, Client
from django.urls import include, path
from fakes import RecordingStorage

from fallback_storage import signals
from fallback_storage.storage import FallbackStorage

if os.environ.get("CI", "").lower() in {"", "0", "false"}:
    pytest.importorskip("debug_toolbar")

PANEL = "fallback_storage.panels.FallbackStoragePanel"
TOOLBAR = "debug_toolbar.panels."
SECRET = "hunter2-topsecret"
SIGNALS = {
    "resolved": signals.resolved,
    "called": signals.called,
    "backend_failed": signals.backend_failed,
    "promoted": signals.promoted,
}


class Local(RecordingStorage):
    """Its class is the backend's name."""


class Production(RecordingStorage):
    """The same."""

    def url(self, name):
        return f"{super().url(name)}?Signature={SECRET}"


class Site:
    """A site with the toolbar. ``visit`` runs a function as a view."""

    def __init__(self, created):
        self.pages = {}
        self.client = Client()
        self.toolbars = []
        created.connect(self.keep_toolbar)
        self.urlpatterns = [
            path("<slug:key>/", self.view),
            path("async/<slug:key>/", self.async_view),
            path("__debug__/", include("debug_toolbar.urls")),
        ]

    def keep_toolbar(self, toolbar, **_):
        self.toolbars.append(toolbar)

    def view(self, request, key):
        self.pages[key]()
        return HttpResponse("<html><body>A page</body></html>")

    async def async_view(self, request, key):
        await self.pages[key]()
        return HttpResponse("<html><body>A page</body></html>")

    def visit(self, function, key="page", **given):
        self.pages[key] = function
        self.html = self.client.get(f"/{key}/", **given).content.decode()
        return self.panel.get_stats()

    @property
    def panel(self):
        return self.toolbars[-1].get_panel_by_id("FallbackStoragePanel")


@pytest.fixture
def site(settings):
    checks = set(registry.registered_checks)
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "debug_toolbar"]
    settings.MIDDLEWARE = ["debug_toolbar.middleware.DebugToolbarMiddleware"]
    settings.DEBUG = True
    settings.DEBUG_TOOLBAR_PANELS = [f"{TOOLBAR}history.HistoryPanel", PANEL]
    settings.DEBUG_TOOLBAR_CONFIG = {
        "SHOW_TOOLBAR_CALLBACK": lambda request: True,
        "RENDER_PANELS": True,
    }
    from debug_toolbar.toolbar import DebugToolbar

    site = Site(DebugToolbar._created)
    settings.ROOT_URLCONF = site
    yield site
    assert not any(signal.receivers for signal in SIGNALS.values())
    # The toolbar's own would complain of the settings of other tests.
    registry.registered_checks &= checks


def photos(count):
    return {f"photos/{number:03}.jpg": b"1" for number in range(count)}


@pytest.fixture
def local():
    return Local("local")


@pytest.fixture
def production():
    return Production("production", photos(3))


@pytest.fixture
def chain(local, production):
    return FallbackStorage([local, production])


def only_line(stats):
    (line,) = stats["lines"]
    return line


def said(line):
    return [(s["backend"], s["outcome"], s["how"]) for s in line["steps"]]


def figures(stats, *keys):
    return tuple(stats[key] for key in keys)


# A page


def test_a_cold_page_and_a_warm_one(site, chain, local):
    def page():
        for name in photos(3):
            chain.url(name)

    cold = site.visit(page)
    assert figures(cold, "names", "look_ups", "calls", "saved") == (3, 3, 3, 0)
    assert local.count("exists") == 3
    line = only_line(cold)
    assert figures(line, "operation", "backend", "number") == ("url", "Production", 3)
    assert line["known"] == "asked"
    assert said(line) == [
        ("Local", "absent", "asked"),
        ("Production", "", "not asked"),
    ]
    assert re.search(r"3 calls in \d+\.\dms$", site.panel.nav_subtitle)

    warm = site.visit(page)
    assert figures(warm, "names", "look_ups", "calls", "saved") == (3, 3, 0, 3)
    assert local.count("exists") == 3
    assert only_line(warm)["known"] == "memo"
    assert site.panel.nav_subtitle == "0 calls in 0.0ms, 3 saved"


def test_what_the_page_says(site, chain):
    chain.exists("photos/000.jpg")

    def page():
        for name in photos(3):
            chain.url(name)
        chain.exists("nowhere.jpg")

    site.visit(page)
    text = re.sub(r"\s+", " ", re.sub(r"<style.*?</style>|<[^>]*>", " ", site.html))
    assert "4 names" in text
    assert "4 backend calls" in text
    assert "1 call saved by the memo" in text
    assert "url 2 names Production asked Local: absent → Production not asked" in text
    assert "url photos/000.jpg Production memo Local: absent memo" in text
    assert "nobody asked Local: absent → Production: absent" in text
    for name in photos(3):
        assert name in text


def test_the_same_question_again_is_counted(site, chain):
    stats = site.visit(lambda: [chain.exists("photos/000.jpg") for _ in range(5)])
    assert figures(stats, "names", "look_ups", "calls", "saved") == (1, 5, 2, 8)
    asked, remembered = sorted(stats["lines"], key=lambda line: line["count"])
    assert figures(asked, "known", "count") == ("asked", 1)
    assert figures(remembered, "known", "count") == ("memo", 4)
    assert remembered["names"] == [{"name": "photos/000.jpg", "count": 4, "ms": 0.0}]


def test_a_read_of_which_the_memo_knew_the_holder(site, chain):
    chain.exists("photos/000.jpg")
    line = only_line(site.visit(lambda: chain.open("photos/000.jpg").close()))
    assert figures(line, "operation", "known") == ("open", "memo + asked")
    assert said(line) == [("Local", "absent", "memo"), ("Production", "held", "asked")]


def test_what_is_known_by_grace(site, local, production, clock, monkeypatch):
    """The backend was asked, which saved nothing; and the memo answered."""
    monkeypatch.setattr(FallbackStorage, "clock", clock)
    entry = {
        "BACKEND": "typing.cast",
        "OPTIONS": {"typ": Production, "val": production},
        "READ_ONLY": True,
    }
    chain = FallbackStorage([local, {**entry, "NAME": "Production"}])
    chain.exists("photos/000.jpg")
    clock.tick(301)
    production.fail("exists", ConnectionError(SECRET))
    stats = site.visit(lambda: chain.exists("photos/000.jpg"))
    assert figures(stats, "calls", "saved", "failed") == (2, 0, 1)
    line = only_line(stats)
    assert figures(line, "backend", "known") == ("Production", "grace + asked")
    assert said(line) == [("Local", "absent", "asked"), ("Production", "held", "grace")]
    assert SECRET not in site.html


def test_many_names_in_one_line(site, local):
    chain = FallbackStorage([local, Production("production", photos(250))])
    stats = site.visit(lambda: [chain.url(name) for name in photos(250)])
    line = only_line(stats)
    assert figures(line, "number", "more") == (250, 50)
    assert len(line["names"]) == 200
    assert "and 50 more" in site.html


def test_a_prefetch(site, chain, local):
    """It does not ask the last backend, and the URLs cost nothing after it."""

    def page():
        chain.prefetch(photos(3))
        for name in photos(3):
            chain.url(name)

    stats = site.visit(page)
    prefetch, url = stats["lines"]
    assert figures(prefetch, "operation", "number") == ("prefetch", 3)
    assert prefetch["state"] == "Production or nobody"
    assert figures(url, "operation", "number", "known") == ("url", 3, "memo")
    assert figures(stats, "calls", "saved") == (local.count("exists"), 3)
    # What the memo answers to a prefetch is not saved twice.
    assert figures(site.visit(page), "calls", "saved") == (0, 3)


def test_one_call_for_many_names(site, tmp_path):
    """A directory that is not there holds none of its names; see ``exists_many``."""
    from django.core.files.storage import FileSystemStorage

    chain = FallbackStorage([FileSystemStorage(tmp_path), Production()])
    stats = site.visit(lambda: chain.prefetch(photos(100)))
    assert figures(stats, "names", "calls") == (100, 1)


def test_calls_that_are_no_look_ups(site, chain):
    def page():
        chain.listdir("photos")

    stats = site.visit(page)
    assert figures(stats, "names", "calls") == (0, 2)
    assert site.panel.nav_subtitle.startswith("2 calls in ")
    assert {backend["name"] for backend in stats["backends"]} == {"Local", "Production"}


def test_a_page_without_files(site):
    stats = site.visit(lambda: None)
    assert figures(stats, "names", "calls", "failed") == (0, 0, 0)
    assert site.panel.nav_subtitle == "Not used"
    assert "No storage was asked" in site.html


# What went wrong, what was copied, what is hidden


def test_a_failure_is_shown_by_its_type(site, chain, production, local):
    production.fail("exists", PermissionError(f"403 for {SECRET}"))
    local.fail("_save", OSError(f"disk of {SECRET} is full"))

    def page():
        chain.exists("photos/000.jpg")
        chain.save("new.jpg", ContentFile(b"1"))

    stats = site.visit(page)
    shown = {(f["backend"], f["operation"], f["error"]) for f in stats["failures"]}
    assert shown == {
        ("Production", "exists", "PermissionError"),
        ("Local", "save", "OSError"),
    }
    assert stats["failed"] == sum(f["count"] for f in stats["failures"])
    line = stats["lines"][0]
    assert line["state"] == "not known"
    assert line["steps"][1]["error"] == "PermissionError"
    assert site.panel.nav_subtitle.endswith(f"{stats['failed']} failed")
    assert "PermissionError" in site.html
    assert SECRET not in site.html + json.dumps(stats)


def test_an_outage_is_shown(site, chain, production):
    """Who fails without a call is said to be left alone."""
    production.fail("exists", ConnectionError())

    def page():
        for number in range(10):
            chain.exists(f"new{number}")

    stats = site.visit(page)
    [shown] = [each for each in stats["backends"] if each["name"] == "Production"]
    assert (shown["calls"], shown["failures"], shown["left_alone"]) == (3, 10, 7)
    assert "7 left alone" in site.html


def test_no_url_and_no_option_is_shown(site, settings):
    settings.STORAGES = {
        **settings.STORAGES,
        "production": {
            "BACKEND": f"{__name__}.Production",
            "OPTIONS": {"label": SECRET},
        },
    }
    chain = FallbackStorage([Local(), "production"])

    def page():
        assert SECRET in chain.url("photos/000.jpg")

    stats = site.visit(page)
    assert "production" in site.html
    assert SECRET not in site.html + json.dumps(stats)


def test_a_copy_to_the_first_backend(site, tmp_path, production):
    from django.core.files.storage import FileSystemStorage

    chain = FallbackStorage([FileSystemStorage(tmp_path), production], promote=True)
    stats = site.visit(lambda: chain.open("photos/000.jpg").close())
    assert stats["promoted"] == 1
    (copy,) = stats["promotions"]
    assert figures(copy, "name", "source", "target") == (
        "photos/000.jpg",
        "Production",
        "FileSystemStorage",
    )
    assert "Copied to the first writable backend" in site.html


def test_a_hidden_file(site, settings, local):
    settings.STORAGES = {
        **settings.STORAGES,
        "production": {
            "BACKEND": f"{__name__}.Production",
            "OPTIONS": {"files": photos(1)},
        },
    }
    entries = [local, {"ALIAS": "production", "READ_ONLY": True}]
    chain = FallbackStorage(entries, on_delete="whiteout", cache=False)
    chain.delete("photos/000.jpg")
    line = only_line(site.visit(lambda: chain.exists("photos/000.jpg")))
    assert figures(line, "backend", "state") == ("", "hidden")
    assert said(line)[-1] == ("production", "hidden", "not asked")


class WithoutExists(Local):
    """Its class has no such method, so it is not called."""

    @property
    def exists(self):
        raise AttributeError("exists")


@pytest.mark.parametrize(
    ("storage", "how", "calls"),
    [
        (Local(unsupported=["exists"]), "asked", 2),
        (WithoutExists(), "not asked", 1),
    ],
    ids=["raises", "has-no-method"],
)
def test_a_backend_that_cannot_tell(site, production, storage, how, calls):
    chain = FallbackStorage([storage, production])
    stats = site.visit(lambda: chain.exists("photos/000.jpg"))
    line = only_line(stats)
    assert said(line)[0][1:] == ("unsupported", how)
    assert figures(line, "backend", "known") == ("Production", "asked")
    assert stats["calls"] == calls


@pytest.mark.parametrize(
    ("name", "html"),
    [
        ("<script>alert(1)<x>.jpg", "&lt;script&gt;alert(1)&lt;x&gt;.jpg"),
        ("caf\udce9.jpg", "caf\\udce9.jpg"),
    ],
    ids=["markup", "undecodable"],
)
def test_names_as_a_page_can_hold_them(site, chain, name, html):
    site.visit(lambda: chain.exists(name))
    assert html in site.html
    assert name not in site.html


# Whose request it is


def test_two_requests_at_once_do_not_mix(site, chain):
    barrier = threading.Barrier(2, timeout=30)

    def page(name):
        barrier.wait()
        chain.exists(name)
        barrier.wait()
        chain.exists(f"{name}-2")
        barrier.wait()

    def visit(name):
        site.pages[name] = lambda: page(name)
        assert Client().get(f"/{name}/").status_code == 200

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(visit, ["a", "b"]))
    names = [
        [row["name"] for line in panel.get_stats()["lines"] for row in line["names"]]
        for panel in (t.get_panel_by_id("FallbackStoragePanel") for t in site.toolbars)
    ]
    assert sorted(map(sorted, names)) == [["a", "a-2"], ["b", "b-2"]]


def test_receivers_stay_until_the_last_request_ends(site, chain):
    """And a request that ends leaves those of others alone."""
    inside, leave = threading.Event(), threading.Event()

    def slow():
        inside.set()
        leave.wait(30)
        chain.exists("late")

    site.pages["slow"] = slow
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(lambda: Client().get("/slow/"))
        try:
            assert inside.wait(30)
            slow_toolbar = site.toolbars[-1]
            site.visit(lambda: chain.exists("early"))
            assert all(signal.receivers for signal in SIGNALS.values())
        finally:
            leave.set()
        running.result()
    stats = slow_toolbar.get_panel_by_id("FallbackStoragePanel").get_stats()
    assert [row["name"] for row in only_line(stats)["names"]] == ["late"]
    assert not any(signal.receivers for signal in SIGNALS.values())


def test_a_view_that_raises_leaves_nothing_connected(site):
    def page():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        site.visit(page)
    assert not any(signal.receivers for signal in SIGNALS.values())


def test_a_panel_that_is_switched_off(site, chain):
    site.client.cookies["djdtFallbackStoragePanel"] = "off"

    def page():
        assert not any(signal.receivers for signal in SIGNALS.values())
        chain.exists("a")

    assert site.visit(page) == {}
    assert site.panel.nav_subtitle == "Not used"


def test_a_request_within_a_request_is_recorded_alone(site, chain):
    site.pages["inner"] = lambda: chain.exists("inner")

    def page():
        Client().get("/inner/")
        chain.exists("outer")

    site.visit(page)
    names = [
        only_line(t.get_panel_by_id("FallbackStoragePanel").get_stats())["names"]
        for t in site.toolbars
    ]
    assert [[row["name"] for row in rows] for rows in names] == [["outer"], ["inner"]]


def test_enabling_and_disabling_are_idempotent(site, chain):
    def page():
        panel = site.panel
        panel.enable_instrumentation()
        chain.exists("a")
        panel.disable_instrumentation()
        panel.disable_instrumentation()
        assert not any(signal.receivers for signal in SIGNALS.values())
        chain.exists("b")

    assert site.visit(page)["names"] == 1


def test_threads_that_take_the_context_along(site, chain):
    """As the package's own do; other threads are nobody's."""

    def page():
        with ThreadPoolExecutor(1) as pool:
            pool.submit(contextvars.copy_context().run, chain.exists, "a").result()
        stranger = threading.Thread(target=chain.exists, args=("b",))
        stranger.start()
        stranger.join()

    stats = site.visit(page)
    assert [row["name"] for row in only_line(stats)["names"]] == ["a"]


def test_async_views(site, chain):
    """Two at once, and what they hand to threads."""

    async def page(name, both):
        await both.wait()
        await sync_to_async(chain.exists, thread_sensitive=False)(name)
        await both.wait()

    async def visit():
        from debug_toolbar.middleware import DebugToolbarMiddleware

        # Toolbars before 5.0 let one request pass at a time.
        at_once = getattr(DebugToolbarMiddleware, "async_capable", False)
        both = Meeting(2 if at_once else 1)
        client = AsyncClient()
        for name in ("a", "b"):
            site.pages[name] = lambda name=name: page(name, both)
        await asyncio.gather(*(client.get(f"/async/{name}/") for name in ("a", "b")))

    asyncio.run(visit())
    names = [
        [row["name"] for row in only_line(panel.get_stats())["names"]]
        for panel in (t.get_panel_by_id("FallbackStoragePanel") for t in site.toolbars)
    ]
    assert sorted(names) == [["a"], ["b"]]


class Meeting:
    """A barrier for tasks (``asyncio.Barrier`` needs no help, but a time limit)."""

    def __init__(self, parties):
        self._barrier = asyncio.Barrier(parties)

    async def wait(self):
        await asyncio.wait_for(self._barrier.wait(), 30)


# The toolbar


def test_the_panel_is_loaded_when_it_is_opened(site, settings, chain):
    """From the toolbar's store, into which only JSON goes."""
    settings.DEBUG_TOOLBAR_CONFIG = {
        "SHOW_TOOLBAR_CALLBACK": lambda request: True,
        "RENDER_PANELS": False,
    }
    stats = site.visit(lambda: chain.exists("photos/000.jpg"))
    assert json.loads(json.dumps(stats)) == {**stats, "lines": list(stats["lines"])}
    assert "photos/000.jpg" not in site.html
    key, value = re.search(r'data-(request|store)-id="(\w+)"', site.html).groups()
    given = {f"{key}_id": value, "panel_id": "FallbackStoragePanel"}
    answer = site.client.get("/__debug__/render_panel/", given).json()
    assert "photos/000.jpg" in answer["content"]


def test_the_app_need_not_be_installed(site, settings, chain):
    settings.INSTALLED_APPS = [
        app for app in settings.INSTALLED_APPS if app != "fallback_storage"
    ]
    site.visit(lambda: chain.exists("photos/000.jpg"))
    assert "What each backend said" in site.html
