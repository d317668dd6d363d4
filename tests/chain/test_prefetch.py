"""``prefetch``: a page asks once, and what it learned ends with the request."""

from __future__ import annotations

import threading
from contextvars import copy_context

import pytest
from asgiref.sync import async_to_sync
from caches import RecordingCache
from django.core.files.base import ContentFile
from django.core.files.storage import Storage, default_storage
from django.core.signals import request_finished, request_started
from django.http import HttpResponse
from django.urls import path
from fakes import RecordingStorage
from gallery_app.models import Archive, Attachment, Picture
from nearby import until

from fallback_storage.cache import snapshots
from fallback_storage.conf.memo import close_shared_stores
from fallback_storage.storage import FallbackStorage

PAGE = [f"d{number % 7}/{number}.jpg" for number in range(100)]
CHAIN = "fallback_storage.storage.FallbackStorage"


def entry(storage, **policy):
    return {
        "BACKEND": "typing.cast",
        "OPTIONS": {"typ": Storage, "val": storage},
        "NAME": storage.label,
        **policy,
    }


@pytest.fixture(autouse=True)
def own_request():
    """A test is a request of its own."""
    snapshots.end()
    yield
    snapshots.end()
    close_shared_stores()


@pytest.fixture(
    params=[
        "Django cache",
        pytest.param("redis", marks=pytest.mark.slow),
        pytest.param("near", marks=pytest.mark.slow),
    ]
)
def memo(request, settings):
    """``cache`` of a chain, for each kind of shared memo."""
    backend, location = "caches.RecordingCache", request.node.name
    if request.param != "Django cache":
        pytest.importorskip("redis")
        backend = "django.core.cache.backends.redis.RedisCache"
        location = request.getfixturevalue("valkey").url
    RecordingCache.reset()
    options = {"OPTIONS": {"MAX_ENTRIES": 9999}} if "Rec" in backend else {}
    settings.CACHES = {"media": {"BACKEND": backend, "LOCATION": location, **options}}
    return {"ALIAS": "media", "NEAR": True} if request.param == "near" else "media"


@pytest.fixture
def in_cache(settings, request):
    """As ``memo``, where the kind does not matter."""
    RecordingCache.reset()
    settings.CACHES = {
        "media": {"BACKEND": "caches.RecordingCache", "LOCATION": request.node.name}
    }
    return "media"


@pytest.fixture
def round_trips(memo, request):
    """A function that tells how often the memo's server was asked since the last time."""
    if memo == "media" and "redis" not in request.node.name:

        def calls():
            made = list(RecordingCache.calls)
            RecordingCache.calls.clear()
            return made

        yield calls
        return
    redis = pytest.importorskip("redis")
    client = redis.Redis(port=request.getfixturevalue("valkey").port)
    ignored = {"info", "config", "ping", "client", "hello", "auth", "select"}

    def commands():
        found = client.info("commandstats")
        client.config_resetstat()
        names = [name.removeprefix("cmdstat_") for name in found]
        return [name for name in names if name.partition("|")[0] not in ignored]

    commands()
    yield commands
    client.close()


@pytest.fixture
def backends(request):
    front = RecordingStorage(
        f"front {request.node.name}", dict.fromkeys(PAGE[:40], b"")
    )
    back = RecordingStorage(f"back {request.node.name}", dict.fromkeys(PAGE[40:], b""))
    return [front, back]


def calls_of(backends, method="exists"):
    counts = [backend.count(method) for backend in backends]
    for backend in backends:
        backend.reset()
    return counts


# What it saves


def test_after_a_prefetch_a_page_asks_nobody(memo, backends, round_trips):
    """A hundred URLs, on a cold and on a warm memo: no round trip, no question."""
    chain = FallbackStorage(backends, memo)
    expected = [FallbackStorage(backends, cache=False).url(name) for name in PAGE]
    calls_of(backends)
    for asked in ([100, 0], [0, 0]):
        chain.prefetch(PAGE)
        assert calls_of(backends) == asked
        round_trips()
        assert [chain.url(name) for name in PAGE] == expected
        assert round_trips() == []
        assert calls_of(backends) == [0, 0]
        snapshots.end()
    if not isinstance(memo, dict):
        # It was the prefetch: without, each URL is a round trip.
        [chain.url(name) for name in PAGE[:3]]
        assert round_trips()


def test_a_prefetch_of_a_warm_page_is_one_round_trip(in_cache, backends):
    chain = FallbackStorage(backends, in_cache)
    chain.prefetch(PAGE)
    RecordingCache.calls.clear()
    chain.prefetch(PAGE)
    assert RecordingCache.calls == ["get_many"]
    assert calls_of(backends) == [100, 0]


@pytest.mark.parametrize("length", [1, 2, 3])
def test_the_last_backend_is_not_asked(in_cache, length):
    """As ``url`` does not ask it; nor is a chain of one."""
    backends = [RecordingStorage(f"last-{length}-{n}") for n in range(length)]
    chain = FallbackStorage(backends, in_cache)
    chain.prefetch(PAGE)
    assert calls_of(backends) == [100] * (length - 1) + [0]
    assert [chain.url(name) for name in PAGE] == [backends[-1].url(n) for n in PAGE]
    assert calls_of(backends) == [0] * length


def test_a_complete_prefetch_serves_exists(in_cache, backends):
    """Then the last one is asked, for what those above do not hold."""
    chain = FallbackStorage(backends, in_cache)
    chain.prefetch([*PAGE, "none"], complete=True)
    assert calls_of(backends) == [101, 61]
    RecordingCache.calls.clear()
    assert all(chain.exists(name) for name in PAGE)
    assert not chain.exists("none")
    assert chain.resolve("none").held is False
    assert RecordingCache.calls == []
    assert calls_of(backends) == [0, 0]


@pytest.mark.parametrize("shared", [True, False])
def test_what_is_known_is_not_made_worse(request, backends, clock, monkeypatch, shared):
    """What ``exists`` learned stays, and gets no older than it may."""
    monkeypatch.setattr(FallbackStorage, "clock", clock)
    chain = FallbackStorage(
        backends, request.getfixturevalue("in_cache") if shared else None
    )
    names = [PAGE[0], PAGE[99], "none"]
    assert [chain.exists(name) for name in names] == [True, True, False]
    calls_of(backends)
    for _ in range(2):
        chain.prefetch(names)
        snapshots.end()
        assert [chain.exists(name) for name in names] == [True, True, False]
    assert calls_of(backends) == [0, 0]


def test_prefetching_again_and_again_prolongs_nothing(backends, clock, monkeypatch):
    """What was remembered is believed for its lifetime, not for as long as it is used."""
    monkeypatch.setattr(FallbackStorage, "clock", clock)
    chain = FallbackStorage(backends, {"TTL": 10, "NEGATIVE_TTL": 10})
    chain.exists("none")
    for _ in range(3):
        clock.tick(3)
        chain.prefetch(["none"])
    backends[0].files["none"] = b"x"
    clock.tick(3)
    assert chain.url("none") == backends[0].url("none")


@pytest.mark.parametrize("cache", [False, {"TTL": 0}])
def test_without_a_memo_there_is_nothing_to_prefetch(backends, cache):
    """What would be found out could not be kept."""
    FallbackStorage(backends, cache).prefetch(PAGE)
    assert calls_of(backends) == [0, 0]


def test_of_directories_nothing_is_learned(in_cache, backends):
    """The root and names with a slash at the end: as an empty file field gives."""
    chain = FallbackStorage(backends, in_cache)
    chain.prefetch(["", "d/", "a", None])
    assert [backend.calls for backend in backends] == [[("exists", "a")], []]


def test_process_memory_needs_no_snapshot(backends):
    chain = FallbackStorage(backends)
    chain.prefetch(PAGE)
    assert snapshots._current.get() is None
    [chain.url(name) for name in PAGE]
    assert calls_of(backends) == [100, 0]


@pytest.mark.parametrize("complete", [False, True])
def test_a_deleted_file_stays_deleted(in_cache, backends, complete):
    """Its URL is not that of the copy which a read-only backend has."""
    front, back = backends
    chain = FallbackStorage(
        [front, entry(back, READ_ONLY=True)], in_cache, on_delete="whiteout"
    )
    deleted, kept = PAGE[50:52]
    chain.delete(deleted)
    calls_of(backends)
    for _ in range(2):
        chain.prefetch([deleted, kept], complete=complete)
        assert chain.url(deleted) == front.url(deleted)
        assert chain.url(kept) == back.url(kept)
        snapshots.end()
    # Two names and two whiteouts; of the last backend none that is hidden.
    assert calls_of(backends) == [4, int(complete)]


# How long it lasts


@pytest.fixture
def elsewhere(in_cache):
    """Change who holds a name, as another process does it: a function of (chain, name)."""

    def change(chain, name):
        chain.backends[0].storage.files[name] = b"new"
        memo = chain._get_engine().memo
        memo.store.invalidate([name])

    return change


@pytest.mark.parametrize("signal", [request_started, request_finished])
def test_it_ends_with_the_request(db, in_cache, backends, elsewhere, signal):
    """Until then it is the answer of one moment; the next request sees what is new."""
    chain = FallbackStorage(backends, in_cache)
    name = PAGE[50]
    chain.prefetch([name])
    elsewhere(chain, name)
    assert chain.url(name) == backends[1].url(name)
    signal.send(sender=None)
    assert chain.url(name) == backends[0].url(name)


def test_it_ends_after_some_seconds(in_cache, backends, elsewhere, clock, monkeypatch):
    """In a command no request ends it."""
    monkeypatch.setattr(FallbackStorage, "clock", clock)
    chain = FallbackStorage(backends, in_cache)
    name = PAGE[50]
    chain.prefetch([name])
    elsewhere(chain, name)
    clock.tick(snapshots.MAX_SECONDS - 0.1)
    assert chain.url(name) == backends[1].url(name)
    clock.tick(0.1)
    assert chain.url(name) == backends[0].url(name)


def test_it_is_seen_by_nobody_else(in_cache, backends, elsewhere):
    """Neither by another thread nor by a context that was copied before."""
    chain = FallbackStorage(backends, in_cache)
    name, seen = PAGE[50], []
    before = copy_context()
    chain.prefetch([name])
    elsewhere(chain, name)
    before.run(lambda: seen.append(chain.url(name)))
    thread = threading.Thread(target=lambda: seen.append(chain.url(name)))
    thread.start()
    thread.join(10)
    assert seen == [backends[0].url(name)] * 2
    assert chain.url(name) == backends[1].url(name)


def page(request):
    default_storage.prefetch(PAGE)
    RecordingCache.calls.clear()
    urls = [default_storage.url(name) for name in PAGE]
    return HttpResponse("\n".join([*urls, *RecordingCache.calls]))


async def async_page(request):
    return page(request)


urlpatterns = [path("page", page), path("async", async_page)]


@pytest.fixture
def default_chain(settings, in_cache):
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {
            "BACKEND": CHAIN,
            "OPTIONS": {"backends": ["one", "two"], "cache": in_cache},
        },
        "one": {"BACKEND": "fakes.RecordingStorage", "OPTIONS": {"label": "one"}},
        "two": {"BACKEND": "fakes.RecordingStorage", "OPTIONS": {"label": "two"}},
    }
    return default_storage


@pytest.mark.urls(__name__)
@pytest.mark.parametrize("view", ["/page", "/async"])
@pytest.mark.parametrize("server", ["wsgi", "asgi"])
def test_every_request_asks_anew(client, async_client, default_chain, server, view):
    """Django's own requests: one look-up each, and nothing in between."""

    async def get_async(url):
        return await async_client.get(url)

    get = client.get if server == "wsgi" else async_to_sync(get_async)
    one, two = (backend.storage for backend in default_chain.backends)
    expected = [two.url(name) for name in PAGE]
    assert get(view).content.decode().split("\n") == expected
    assert snapshots._current.get() is None
    one.files[PAGE[7]] = b"new"
    default_chain._get_engine().memo.store.invalidate([PAGE[7]])
    expected[7] = one.url(PAGE[7])
    assert get(view).content.decode().split("\n") == expected


# Writes


@pytest.mark.parametrize("change", ["save", "write", "delete", "forget", "forget_all"])
@pytest.mark.parametrize("instance", ["the same", "another"])
def test_a_write_is_seen_at_once(memo, backends, change, instance):
    """Of this process, on any thread, through any instance."""
    chain = FallbackStorage([backends[0], entry(backends[1], READ_ONLY=True)], memo)
    writer = chain
    if instance == "another":
        writer = FallbackStorage(backends, cache=False)
    kept = PAGE[0]
    chain.prefetch([kept, "new"], complete=True)
    backends[0].files.pop(kept)
    if change == "save":
        operations = [lambda: writer._save("new", ContentFile(b""))]
    elif change == "write":

        def write():
            with writer.open("new", "wb") as file:
                file.write(b"x")

        operations = [write]
    elif change == "delete":
        operations = [lambda: writer.delete(kept)]
    else:
        backends[0].files["new"] = b"x"
        operations = [lambda: writer.forget(kept, "new")]
        if change == "forget_all":
            operations = [chain.forget_all]
    if change in {"save", "write"}:
        operations.append(lambda: writer.forget(kept))
    if change == "delete":
        backends[0].files["new"] = b"x"
        operations.append(lambda: writer.forget("new"))
    for operation in operations:
        thread = threading.Thread(target=operation)
        thread.start()
        thread.join(10)
    assert chain.exists("new")
    assert not chain.exists(kept)
    assert chain.url("new") == backends[0].url("new")


@pytest.mark.parametrize("moment", ["during the look-up", "during the question"])
def test_a_write_during_a_prefetch_is_not_overtaken(in_cache, backends, moment):
    """What was read before the write is not kept after it."""
    chain = FallbackStorage(backends, in_cache)
    name = PAGE[50]
    chain.exists(name)  # known: held by the second

    def write():
        thread = threading.Thread(target=chain._save, args=(name, ContentFile(b"")))
        thread.start()
        thread.join(10)

    store = chain._get_engine().memo.store
    if moment == "during the look-up":
        look_up = store.look_up

        def read_then_write(names):
            found = look_up(names)
            if name not in backends[0].files:
                write()
            return found

        store.look_up = read_then_write
    else:
        asked = backends[0].exists

        def ask_then_write(other):
            found = asked(other)
            if other == "other":
                backends[0].exists = asked
                write()
            return found

        backends[0].exists = ask_then_write
    chain.prefetch([name, "other"])
    assert name in backends[0].files
    assert chain.url(name) == backends[0].url(name)


# Two in one request


def test_a_page_may_prefetch_twice(in_cache, backends):
    """What the first one learned is used as well: a view and an inclusion tag, say."""
    chain = FallbackStorage(backends, in_cache)
    chain.prefetch(PAGE[:60])
    chain.prefetch(PAGE[60:])
    RecordingCache.calls.clear()
    [chain.url(name) for name in PAGE]
    assert RecordingCache.calls == []


def test_a_page_may_show_files_of_two_storages(in_cache, backends):
    chains = [FallbackStorage(each, in_cache) for each in (backends, backends[::-1])]
    for chain in chains:
        chain.prefetch(PAGE)
    RecordingCache.calls.clear()
    for chain in chains:
        [chain.url(name) for name in PAGE]
    assert RecordingCache.calls == []


# Objects


@pytest.fixture
def pictures(db, default_chain):
    for number in range(5):
        Picture.objects.create(image=f"pictures/{number}.png", width=1, height=1)
    Picture.objects.create(image="")
    return default_chain


def asked(chain):
    return sorted(name for _, name in chain.backends[0].storage.calls)


NAMES = [f"pictures/{number}.png" for number in range(5)]


@pytest.mark.parametrize(
    "objects",
    [
        lambda: Picture.objects.all(),
        lambda: list(Picture.objects.all()),
        lambda: (picture.image for picture in Picture.objects.all()),
        lambda: Picture.objects.values_list("image", flat=True),
        lambda: [*Picture.objects.all()[:2], *NAMES[2:], None],
    ],
    ids=["queryset", "instances", "field files", "names", "mixed"],
)
def test_objects_stand_for_the_names_of_their_files(
    pictures, django_assert_num_queries, objects
):
    """A queryset costs its own query; empty fields are passed over."""
    with django_assert_num_queries(1):
        pictures.prefetch(objects())
    assert asked(pictures) == NAMES


def test_a_queryset_keeps_its_instances(pictures, django_assert_num_queries):
    queryset = Picture.objects.order_by("pk")
    with django_assert_num_queries(1):
        pictures.prefetch(queryset)
        RecordingCache.calls.clear()
        urls = [picture.image.url for picture in queryset if picture.image]
    assert urls == [f"https://two.example/{name}" for name in NAMES]
    assert RecordingCache.calls == []


@pytest.mark.parametrize("how", ["defer", "only"])
def test_fields_that_are_not_loaded_stay_so(pictures, django_assert_num_queries, how):
    queryset = Picture.objects.defer("image")
    if how == "only":
        queryset = Picture.objects.only("pk")
    with django_assert_num_queries(1):
        pictures.prefetch(queryset)
    assert asked(pictures) == []


def test_files_of_other_storages_are_passed_over(default_chain, clock):
    """A model's own storage is asked for its own files."""
    storage = Archive._meta.get_field("own").storage
    archive = Archive(own="own.txt", chosen="chosen.txt")
    attachment = Attachment(file="attached.txt")
    default_chain.prefetch([archive, attachment])
    assert asked(default_chain) == ["attached.txt"]
    before = storage.stats()["walks"]
    storage.prefetch([archive, attachment], complete=True)
    assert storage.stats()["walks"] == before + 1
    assert storage.resolve("own.txt").trail[0].remembered
    storage.forget_all()


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        (lambda: "a", "not one"),
        (lambda: b"a", "not one"),
        (lambda: Attachment(file="a"), "not one"),
        (lambda: Attachment(file="a").file, "not one"),
        (lambda: [1], "Item 0 is a int"),
        (lambda: ["a", b"b"], "Item 1 is a bytes"),
        (lambda: [{"file": "a"}], "Item 0 is a dict"),
    ],
    ids=["str", "bytes", "instance", "field file", "int", "bytes in list", "dict"],
)
def test_what_is_no_file_is_refused(default_chain, objects, message):
    """With a message that says what was found, and what is wanted."""
    with pytest.raises(TypeError, match=message):
        default_chain.prefetch(objects())
    assert asked(default_chain) == []


def test_a_name_that_leaves_the_storage_is_passed_over(default_chain):
    """One bad row does not break the page; ``url`` asks nobody for it either."""
    default_chain.prefetch(["../b", "/b", "b\0"])
    assert asked(default_chain) == []


@pytest.mark.slow
@pytest.mark.parametrize("memo", ["near"], indirect=True)
def test_a_near_tier_answers_before_the_snapshot(memo, backends):
    """Where the tier has it; else the snapshot does."""
    chain = FallbackStorage(backends, memo)
    chain.exists(PAGE[0])
    until(lambda: chain.stats().get("near_connected"))
    chain.prefetch(PAGE)
    chain.prefetch(PAGE)
    assert chain.url(PAGE[0]) == backends[0].url(PAGE[0])
