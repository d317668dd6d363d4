"""The media view, over a local directory and a site behind it."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.http import Http404
from django.middleware.gzip import GZipMiddleware
from django.test import AsyncRequestFactory, RequestFactory
from django.urls import get_script_prefix, include, path, set_script_prefix
from interrupts import at_every_moment
from origins import BODY, STAMP, origin, reply

from fallback_storage import urls, views
from fallback_storage.conf.media_checks import check_media
from fallback_storage.storage import FallbackStorage
from fallback_storage.utils import room
from fallback_storage.utils.logs import warner
from fallback_storage.views import limits

pytestmark = pytest.mark.usefixtures("closing_ends_no_request")

LOCAL = "django.core.files.storage.FileSystemStorage"
FAR = bytes(range(256)) * 1000


@pytest.fixture(scope="module", autouse=True)
def swift_collector():
    """Each test has a collection, which takes 0.3 s with all that the whole suite has."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def site():
    with origin({"/media/far.jpg": FAR, "/media/p/b.png": BODY}) as site:
        yield site


@pytest.fixture
def configure(site, settings, media_root):
    def configure(*backends, **options):
        production = {
            "BACKEND": "fallback_storage.http.HTTPStorage",
            "OPTIONS": {"base_url": site.base_url, "timeout": 5},
            "NAME": "production",
        }
        settings.STORAGES = {
            "default": {
                "BACKEND": "fallback_storage.storage.FallbackStorage",
                "OPTIONS": {
                    "backends": [*(backends or (LOCAL, production))],
                    **options,
                },
            },
            "plain": {"BACKEND": LOCAL},
            "staticfiles": {"BACKEND": LOCAL},
        }
        return storages["default"]

    yield configure
    chain = storages["default"]
    for backend in getattr(chain, "backends", ()):
        made = vars(backend.storage).get("_origin")
        if made is not None:
            made.close()
    gc.collect()


@pytest.fixture
def chain(configure, media_root):
    (media_root / "a.jpg").write_bytes(BODY)
    return configure()


def ask(name, method="get", headers=None, **options):
    request = getattr(RequestFactory(), method)(f"/media/{name}", headers=headers or {})
    options.setdefault("prefixes", [""])
    return views.media(request, name, **options)


def body(response):
    try:
        return b"".join(response) if response.streaming else response.content
    finally:
        response.close()


@pytest.mark.parametrize("name", ["a.jpg", "far.jpg"])
def test_a_file_is_served_wherever_it_is(chain, name):
    content = BODY if name == "a.jpg" else FAR
    response = ask(name)
    assert response.status_code == 200
    assert response["Content-Length"] == str(len(content))
    assert response["Content-Type"] == "image/jpeg"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Accept-Ranges"] == "bytes"
    assert response["ETag"].startswith('"')
    assert response["Last-Modified"].endswith("GMT")
    assert body(response) == content


@pytest.mark.parametrize("name", ["a.jpg", "far.jpg"])
def test_head_says_the_same_without_a_body(chain, site, name):
    whole, head = ask(name), ask(name, "head")
    body(whole)
    assert head.headers == whole.headers
    assert body(head) == b""
    assert [each.method for each in site.requests].count("GET") == (name == "far.jpg")


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch", "options"])
def test_nothing_else_is_allowed(chain, method):
    response = ask("a.jpg", method)
    assert response.status_code == 405
    assert response["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("name", ["a.jpg", "far.jpg"])
def test_a_part_is_served(chain, name):
    content = BODY if name == "a.jpg" else FAR
    response = ask(name, headers={"Range": "bytes=3-9"})
    assert response.status_code == 206
    assert response["Content-Range"] == f"bytes 3-9/{len(content)}"
    assert response["Content-Length"] == "7"
    assert body(response) == content[3:10]
    response = ask(name, headers={"Range": f"bytes={len(content)}-"})
    assert response.status_code == 416
    assert response["Content-Range"] == f"bytes */{len(content)}"
    assert body(response) == b""
    response = ask(name, headers={"Range": "bytes=3-9", "If-Range": '"other"'})
    assert response.status_code == 200
    assert body(response) == content


@pytest.mark.parametrize("name", ["a.jpg", "far.jpg"])
def test_a_part_is_not_compressed_on_the_way(chain, name):
    content = BODY if name == "a.jpg" else FAR
    headers = {"Range": "bytes=3-", "Accept-Encoding": "gzip"}
    request = RequestFactory().get(f"/media/{name}", headers=headers)
    serve = GZipMiddleware(lambda request: views.media(request, name, prefixes=[""]))
    response = serve(request)
    assert response["Content-Length"] == str(len(content) - 3)
    assert body(response) == content[3:]


@pytest.mark.parametrize("name", ["a.jpg", "far.jpg"])
def test_what_a_browser_has_already_is_not_sent_again(chain, site, name):
    first = ask(name)
    body(first)
    asked = len([each for each in site.requests if each.method == "GET"])
    for headers in (
        {"If-None-Match": first["ETag"]},
        {"If-None-Match": f'"x", W/{first["ETag"]}'},
        {"If-None-Match": "*"},
        {"If-Modified-Since": first["Last-Modified"]},
        {"If-None-Match": first["ETag"], "Range": "bytes=0-1"},
    ):
        response = ask(name, headers=headers)
        assert response.status_code == 304, headers
        assert response["ETag"] == first["ETag"]
        assert body(response) == b""
    assert ask(name, headers={"If-Match": '"other"'}).status_code == 412
    changed = {"If-None-Match": '"other"', "If-Modified-Since": first["Last-Modified"]}
    response = ask(name, headers=changed)
    assert response.status_code == 200
    response.close()
    assert len([each for each in site.requests if each.method == "GET"]) == asked


def test_a_local_file_that_changes_is_another(chain, media_root):
    before = ask("a.jpg")
    before.close()
    (media_root / "a.jpg").write_bytes(b"changed")
    after = ask("a.jpg", headers={"If-None-Match": before["ETag"]})
    assert body(after) == b"changed"


# What is not served.


def test_a_file_that_is_put_there_by_hand_is_served_at_once(chain, site, media_root):
    """Whatever is remembered of its name; and it is opened, not asked for first."""
    assert chain.exists("far.jpg")
    (media_root / "far.jpg").write_bytes(BODY)
    asked, calls = len(site.requests), chain.backends[0].calls
    assert body(ask("far.jpg")) == BODY
    assert (len(site.requests), chain.backends[0].calls) == (asked, calls + 1)


def test_missing_is_404_and_silent_is_503(chain, site, caplog):
    with pytest.raises(Http404):
        ask("gone.jpg")
    site.answer = lambda request: reply(500, b"", request=request)
    response = ask("other.jpg")
    assert response.status_code == 503
    assert response["Retry-After"]
    assert response["Cache-Control"] == "no-store"
    assert body(ask("a.jpg")) == BODY


def test_what_is_hidden_is_404(configure, media_root):
    chain = configure(on_delete="whiteout")
    chain.delete("far.jpg")
    with pytest.raises(Http404):
        ask("far.jpg")
    with pytest.raises(Http404):
        ask(".fallback-whiteouts/far.jpg")


@pytest.mark.parametrize(
    "name",
    [
        "../a.jpg",
        "/a.jpg",
        "//a.jpg",
        "x/../../a.jpg",
        "a\0.jpg",
        "",
        ".",
        "p/",
        "p",
        "\\a.jpg",
    ],
)
def test_names_that_are_none_are_404(chain, media_root, name):
    (media_root / "p").mkdir()
    with pytest.raises(Http404):
        ask(name)


def test_an_absolute_name_of_a_local_file_is_404(chain, media_root):
    with pytest.raises(Http404):
        ask(str(media_root / "a.jpg"))


def test_only_what_is_public_is_served(chain, site):
    assert body(ask("p/b.png", prefixes=["p/"])) == BODY
    asked = len(site.requests)
    for name in ("a.jpg", "far.jpg", "p/../a.jpg"):
        with pytest.raises(Http404):
            ask(name, prefixes=["p/"])
    assert len(site.requests) == asked


def test_what_is_public_has_to_be_said(chain, settings):
    settings.DEBUG = True
    assert body(ask("a.jpg", prefixes=None)) == BODY
    settings.DEBUG = False
    with pytest.raises(ImproperlyConfigured, match="prefixes"):
        ask("a.jpg", prefixes=None)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"prefix": "a"}, "prefix"),
        ({"prefixes": "a"}, "prefixes"),
        ({"redirect": 1}, "redirect"),
        ({"max_remote": 0}, "max_remote"),
        ({"x_accel_redirect": "protected/"}, "x_accel_redirect"),
    ],
)
def test_options_that_cannot_be_right_are_refused(settings, options, found):
    with pytest.raises(ImproperlyConfigured, match=found):
        urls.media(**options)
    with pytest.raises(ImproperlyConfigured, match=found):
        ask("a.jpg", **options)


def test_another_storage_is_refused(chain):
    with pytest.raises(ImproperlyConfigured, match="no FallbackStorage"):
        ask("a.jpg", storage="plain")


# Files that a browser runs.


@pytest.mark.parametrize(
    "name", ["x.html", "x.xhtml", "x.xml", "x.HTM", "x.svg", "x.xsl"]
)
def test_pages_are_not_run(chain, media_root, name):
    (media_root / name).write_text("<script>alert(1)</script>")
    response = ask(name)
    assert response["Content-Security-Policy"].startswith("sandbox;")
    assert ("Content-Disposition" in response.headers) == (name != "x.svg")
    if name != "x.svg":
        assert response["Content-Disposition"].startswith("attachment")
    response.close()


def test_a_page_that_nginx_sends_is_a_download(chain, media_root):
    """Of the headers about to be sent it takes the type and the disposition alone."""
    (media_root / "x.svg").write_text("<svg/>")
    response = ask("x.svg", x_accel_redirect="/protected/")
    assert response["X-Accel-Redirect"] == "/protected/x.svg"
    assert response["Content-Disposition"] == "attachment"
    assert "Content-Disposition" not in ask("x.svg", x_sendfile=True).headers


def test_a_directory_says_nothing_of_a_type(chain, media_root):
    (media_root / "data:TEXT").mkdir()
    (media_root / "data:TEXT/HTML,x").write_text("<script>alert(1)</script>")
    response = ask("data:TEXT/HTML,x")
    assert response["Content-Type"] == "application/octet-stream"
    response.close()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("x.webp", "image/webp"),
        ("x.AVIF", "image/avif"),
        ("x.woff2", "font/woff2"),
        ("x.tar.gz", "application/gzip"),
        ("x.css", "text/css"),
        ("x", "application/octet-stream"),
        ("x.nobody-knows", "application/octet-stream"),
    ],
)
def test_types_do_not_depend_on_the_machine(chain, media_root, name, kind):
    (media_root / name).write_bytes(b"")
    response = ask(name)
    assert response["Content-Type"] == kind
    assert "Content-Encoding" not in response.headers
    assert body(response) == b""


# Sites.


@pytest.mark.parametrize(("first", "last"), [(5, 9), (70_000, 140_000), (255_990, "")])
def test_a_part_of_a_site_that_sends_none(chain, site, first, last):
    site.answer = lambda request: reply(200, FAR, request=request)
    response = ask("far.jpg", headers={"Range": f"bytes={first}-{last}"})
    assert response.status_code == 206
    assert body(response) == FAR[first : last + 1 if last else None]


BEFORE = "Tue, 14 Nov 2023 22:13:20 GMT"
LATER = "Wed, 15 Nov 2023 22:13:20 GMT"


@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=5-90"}], ids=["all", "part"])
@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "none"])
@pytest.mark.parametrize(
    ("then", "now"),
    [
        ({"ETag": '"1"'}, {"ETag": '"2"'}),
        ({"ETag": 'W/"1"'}, {"ETag": 'W/"2"'}),
        ({"ETag": None}, {"ETag": None, "Last-Modified": LATER}),
        ({"ETag": "odd"}, {"ETag": "odd", "Last-Modified": LATER}),
        ({}, {"more": b"more"}),
    ],
    ids=["etag", "weak", "time", "time-odd", "size"],
)
def test_a_file_that_is_replaced_after_it_was_asked_for_is_not_spliced(
    configure, site, media_root, headers, ranges, then, now
):
    """Its head is that of the one, its bytes would be those of the other."""
    configure(promote=True)
    site.answer = replacing(then, now, ranges=ranges)
    response = ask("far.jpg", headers=headers)
    assert response.status_code in {200, 206}
    with pytest.raises((OSError, EOFError), match=r"has changed|another size"):
        body(response)
    assert list(media_root.iterdir()) == []


@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=5-90"}], ids=["all", "part"])
@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "none"])
@pytest.mark.parametrize(
    ("then", "now"),
    [
        ({"ETag": '"1"'}, {"ETag": 'W/"1"'}),
        ({"ETag": 'W/"1"'}, {"ETag": 'W/"1"'}),
        ({"ETag": '"1"'}, {"ETag": None, "Last-Modified": None}),
        ({"ETag": None}, {"ETag": '"1"'}),
    ],
    ids=["compressed", "weak", "silent", "new"],
)
def test_a_file_that_is_the_same_is_served(configure, site, headers, ranges, then, now):
    """As far as the site says."""
    configure()
    site.answer = replacing(then, now, ranges=ranges)
    response = ask("far.jpg", headers=headers)
    assert response.get("ETag") == then["ETag"]
    assert body(response) == (FAR[5:91] if headers else FAR)


def replacing(then, now, *, ranges):
    """A site whose file is another one after the first question."""

    def answer(request):
        now_or_then = dict(then if request.method == "HEAD" else now)
        content = FAR + now_or_then.pop("more", b"")
        said = {"ETag": '"1"', "Last-Modified": BEFORE} | now_or_then
        asked = request.headers.get("range") if ranges else None
        if asked is None:
            return reply(200, content, request=request, **said)
        start, _, last = asked.removeprefix("bytes=").partition("-")
        said["Content-Range"] = f"bytes {start}-{last}/{len(content)}"
        part = content[int(start) : int(last) + 1]
        return reply(206, part, request=request, **said)

    return answer


# Promotion.


def test_browsing_fills_the_local_directory(configure, site, media_root):
    configure(promote=True)
    assert body(ask("far.jpg")) == FAR
    assert (media_root / "far.jpg").read_bytes() == FAR
    assert (media_root / "far.jpg").stat().st_mtime == STAMP
    # Whether it is there, what it is, and its bytes.
    assert [request.method for request in site.requests] == ["HEAD", "HEAD", "GET"]
    assert body(ask("far.jpg")) == FAR
    assert len(site.requests) == 3


def test_what_was_seen_is_there_on_the_train(configure, site):
    """A page's pictures pass through the view; then production is out of reach."""
    chain = configure(promote=True, urls="home")
    pictures = ["far.jpg", "p/b.png"]
    pages = [[chain.url(name) for name in pictures]]
    for url in pages[0]:
        body(ask(url.removeprefix("/media/")))
    site.answer = lambda request: reply(503, b"", request=request)
    pages.append([chain.url(name) for name in pictures])
    assert pages[0] == pages[1] == ["/media/far.jpg", "/media/p/b.png"]
    assert body(ask("far.jpg")) == FAR
    assert body(ask("p/b.png")) == BODY
    assert ask("never-seen.jpg").status_code == 503


def test_a_video_is_kept_when_it_was_asked_for_from_the_start(configure, media_root):
    configure(promote=True)
    response = ask("far.jpg", headers={"Range": "bytes=0-"})
    assert response.status_code == 206
    assert body(response) == FAR
    assert (media_root / "far.jpg").read_bytes() == FAR


def test_parts_heads_and_what_was_not_read_to_its_end_are_not_kept(
    configure, media_root
):
    configure(promote=True)
    body(ask("far.jpg", headers={"Range": "bytes=5-"}))
    body(ask("far.jpg", "head"))
    response = ask("far.jpg")
    next(iter(response))
    response.close()
    assert list(media_root.iterdir()) == []


def test_what_is_too_large_is_not_kept(configure, media_root, monkeypatch):
    configure(promote=True, promote_max_size=1000)
    with monkeypatch.context() as patch:
        # Nowhere: neither is there a copy while it is passed on.
        patch.setattr("tempfile.TemporaryFile", lambda: pytest.fail("a copy"))
        assert body(ask("far.jpg")) == FAR
    assert not (media_root / "far.jpg").exists()
    assert body(ask("p/b.png")) == BODY
    assert (media_root / "p/b.png").exists()


def test_a_break_after_the_headers_is_an_error_and_keeps_nothing(
    configure, site, media_root
):
    configure(promote=True)

    def answer(request):
        if request.method == "HEAD":
            yield site.serve(request)
            return
        yield reply(200, FAR)[:-1000]

    site.answer = answer
    response = ask("far.jpg")
    assert response.status_code == 200
    with pytest.raises(OSError, match="no answer"):
        body(response)
    assert list(media_root.iterdir()) == []


def test_what_was_deleted_meanwhile_does_not_come_back(configure, media_root):
    chain = configure(promote=True, on_delete="whiteout")
    response = ask("far.jpg")
    parts = iter(response)
    next(parts)
    chain.delete("far.jpg")
    assert len(b"".join(parts)) < len(FAR)
    response.close()
    assert not (media_root / "far.jpg").exists()
    with pytest.raises(Http404):
        ask("far.jpg")


# Redirects and web servers.


def test_what_is_elsewhere_can_be_redirected_to(chain, site):
    response = ask("far.jpg", redirect=True)
    assert response.status_code == 302
    assert response["Location"] == f"{site.base_url}far.jpg"
    assert body(ask("a.jpg", redirect=True)) == BODY
    with pytest.raises(Http404):
        ask("gone.jpg", redirect=True)
    assert "GET" not in {each.method for each in site.requests}


def test_never_to_itself(configure, site):
    """The URL of a backend may be the view's own."""

    class Here(FallbackStorage):
        pass

    from fallback_storage.http import HTTPStorage

    class Same(HTTPStorage):
        def url(self, name):
            return f"http://testserver/media/{name}"

    storage = Same(site.base_url)
    configure(LOCAL, storage)
    assert body(ask("far.jpg", redirect=True)) == FAR


def test_a_web_server_may_send_local_files(chain, site, media_root):
    (media_root / "ä b?.jpg").write_bytes(BODY)
    response = ask("ä b?.jpg", x_accel_redirect="/protected/")
    assert response["X-Accel-Redirect"] == "/protected/%C3%A4%20b%3F.jpg"
    assert response["Content-Type"] == "image/jpeg"
    assert body(response) == b""
    response = ask("ä b?.jpg", x_sendfile=True)
    assert response["X-Sendfile"].encode("latin-1").decode() == str(
        media_root / "ä b?.jpg"
    )
    assert response["ETag"]
    assert body(ask("far.jpg", x_accel_redirect="/protected/")) == FAR


def test_nginx_sends_files_of_one_directory(configure, media_root, tmp_path):
    other = {"BACKEND": LOCAL, "OPTIONS": {"location": tmp_path / "b"}, "NAME": "b"}
    configure(LOCAL, other)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.jpg").write_bytes(BODY)
    assert body(ask("x.jpg", x_accel_redirect="/protected/")) == BODY
    response = ask("x.jpg", x_sendfile=True)
    assert response["X-Sendfile"] == str(tmp_path / "b" / "x.jpg")


def test_a_picture_in_place_of_one_that_nobody_has(chain, tmp_path):
    response = ask("gone.jpg", placeholder=True)
    assert (response.status_code, response["Content-Type"]) == (200, "image/svg+xml")
    assert response["Cache-Control"] == "no-store"
    picture = tmp_path / "none.png"
    picture.write_bytes(b"mine")
    assert body(ask("gone.jpg", placeholder=str(picture))) == b"mine"
    with pytest.raises(Http404):
        ask("gone.pdf", placeholder=True)


def test_a_placeholder_that_is_missing_is_a_mistake(chain, settings, tmp_path):
    """Of the configuration; what is there, or is no picture, does not need it."""
    path_ = tmp_path / "none.png"
    options = {"placeholder": str(path_), "prefixes": [""]}
    settings.ROOT_URLCONF = Conf(*urls.media("files/", **options))
    (found,) = check_media()
    assert found.id == "fallback_storage.E003"
    assert "placeholder" in found.msg
    with pytest.raises(ImproperlyConfigured, match=r"'placeholder'.*may read"):
        ask("gone.jpg", **options)
    assert body(ask("a.jpg", **options)) == BODY
    with pytest.raises(Http404):
        ask("gone.pdf", **options)
    path_.write_bytes(b"mine")
    assert check_media() == []
    assert body(ask("gone.jpg", **options)) == b"mine"


# Nobody makes it a hammer.


def test_unknown_names_are_asked_for_so_often_and_no_more(chain, site, media_root):
    rate = {"unknown_per_second": 0.5}
    for number in range(50):
        (media_root / f"{number}.jpg").write_bytes(BODY)
    said = []
    for number in range(100):
        try:
            said.append(ask(f"gone-{number}.jpg", **rate).status_code)
        except Http404:
            said.append(404)
    assert said == [404] * 5 + [503] * 95
    assert len(site.requests) == 5
    # Local files, and what is known, are served all the same.
    for number in range(50):
        assert body(ask(f"{number}.jpg", **rate)) == BODY
    with pytest.raises(Http404):
        ask("gone-1.jpg", **rate)


def test_so_many_downloads_at_a_time(chain, site, monkeypatch, caplog):
    warner.forget()
    monkeypatch.setattr("fallback_storage.views.serve.PATIENCE", 0.01)
    held = [ask("far.jpg", max_remote=2) for _ in range(2)]
    assert ask("far.jpg", max_remote=2).status_code == 503
    assert "'far.jpg' is not served: TooManyDownloads" in caplog.text
    assert body(ask("a.jpg", max_remote=2)) == BODY
    held.pop().close()
    assert body(ask("far.jpg", max_remote=2)) == FAR
    assert body(held.pop()) == FAR


def test_an_interrupt_costs_no_download():
    """At every moment of its begin and its end. Without a slot the next one fails."""
    downloads = limits.Limits(1, 1.0)

    def act():
        end = downloads.begin(0)
        assert end is not None
        end()

    act()
    modules = [limits, room, threading]
    assert sum(act() is None for _ in at_every_moment(modules, act)) > 5


def test_a_response_that_nobody_reads_ends_with_its_object(chain):
    for _ in range(5):
        response = ask("far.jpg", max_remote=1)
        assert response.status_code == 200
        del response
        gc.collect()


# ASGI.


def test_an_event_loop_does_not_wait(chain, site):
    """And another one does not read all of a file into memory."""
    go_on = threading.Event()

    def answer(request):
        said = site.serve(request)
        if request.method == "HEAD":
            yield said
            return
        yield said[:70_000]
        go_on.wait(10)
        yield said[70_000:]

    site.answer = answer

    async def visit():
        request = AsyncRequestFactory().get("/media/far.jpg")
        response = await asyncio.to_thread(
            views.media, request, "far.jpg", prefixes=[""]
        )
        assert response.is_async
        parts, ticks = [], 0

        async def read():
            parts.extend([part async for part in response])
            response.close()

        reading = asyncio.ensure_future(read())
        while ticks < 10:
            await asyncio.sleep(0.001)
            ticks += 1
        assert not reading.done()
        go_on.set()
        await reading
        return b"".join(parts)

    assert asyncio.run(visit()) == FAR


def test_a_local_file_under_asgi(chain):
    async def visit():
        request = AsyncRequestFactory().get("/media/a.jpg")
        response = await asyncio.to_thread(views.media, request, "a.jpg", prefixes=[""])
        parts = [part async for part in response]
        response.close()
        return b"".join(parts)

    assert asyncio.run(visit()) == BODY


# URLs.


class Conf:
    def __init__(self, *patterns):
        self.urlpatterns = [*patterns]


def test_patterns_for_media_url(chain, settings, client):
    settings.MEDIA_URL = "/media/"
    settings.ROOT_URLCONF = Conf(*urls.media(prefixes=[""]))
    response = client.get("/media/a.jpg")
    assert b"".join(response.streaming_content) == BODY
    assert client.get("/media/gone.jpg").status_code == 404
    assert client.get("/media/").status_code == 404
    assert client.get("/media/%2e%2e/a.jpg").status_code == 404
    assert client.get("/media//etc/passwd").status_code == 404
    settings.ROOT_URLCONF = Conf(
        path("x/", include(Conf(*urls.media("files/", prefixes=[""])).urlpatterns))
    )
    assert b"".join(client.get("/x/files/a.jpg").streaming_content) == BODY


@pytest.mark.parametrize(
    "target",
    [
        "../a.jpg",
        "%2e%2e/%2e%2e/a.jpg",
        "..%2fa.jpg",
        "x/%252e%252e/a.jpg",
        "x%252fa.jpg",
        "x%255ca.jpg",
        "%5c..%5ca.jpg",
        "/host/a.jpg",
        "%2f%2fhost/a.jpg",
        "a%00.jpg",
        "a%2500.jpg",
        "a%0d%0aX-Header:%201.jpg",
        "a%250d%250a.jpg",
    ],
)
def test_no_attack_leaves_the_house(chain, site, settings, client, target):
    """As a server hands it on: decoded once. Nothing of it is asked of production."""
    settings.ROOT_URLCONF = Conf(*urls.media("media/", prefixes=[""]))
    assert client.get(f"/media/{target}").status_code == 404
    assert site.requests == []


@pytest.mark.parametrize("url", ["media/", "/sub/media/", "/media/"])
def test_patterns_of_a_site_below_a_path(chain, settings, client, url):
    """They begin below that, which Django writes before a relative MEDIA_URL."""
    settings.FORCE_SCRIPT_NAME = "/sub"
    before = get_script_prefix()
    set_script_prefix("/sub/")
    try:
        settings.MEDIA_URL = url
        settings.ROOT_URLCONF = Conf(*urls.media(prefixes=[""]))
        response = client.get("/media/a.jpg")
        assert b"".join(response.streaming_content) == BODY
    finally:
        set_script_prefix(before)


def test_a_check_finds_what_the_first_request_would(chain, settings):
    settings.ROOT_URLCONF = Conf(
        path("x/", include([path("y/<path:name>", views.media)])),
        *urls.media("files/", prefixes=[""]),
        path("private/<path:name>", login_required(views.media), {"prefix": "a"}),
    )
    found = [(each.id, each.obj) for each in check_media()]
    assert found == [
        ("fallback_storage.E028", "URL pattern 'x/y/<path:name>'"),
        ("fallback_storage.E001", "URL pattern 'private/<path:name>'"),
    ]
    settings.DEBUG = True
    assert [each.id for each in check_media()] == ["fallback_storage.E001"]
    del settings.ROOT_URLCONF
    assert check_media() == []


@pytest.mark.parametrize("url", ["https://cdn.example.com/media/", "", "/"])
def test_a_media_url_of_another_site_has_no_patterns(settings, url):
    settings.MEDIA_URL = url
    with pytest.raises(ImproperlyConfigured, match="MEDIA_URL"):
        urls.media(prefixes=[""])


def test_a_file_saved_is_a_file_served(chain, media_root):
    name = chain.save("new.jpg", ContentFile(b"new"))
    assert body(ask(name)) == b"new"
    chain.delete(name)
    with pytest.raises(Http404):
        ask(name)
    (media_root / "a.jpg").unlink()
    with pytest.raises(Http404):
        ask("a.jpg")
