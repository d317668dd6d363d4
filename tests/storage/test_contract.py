"""The contract of reading: every method, whoever holds the file, with call counts.

Each row of a table is: what each of two backends does, the answer of the chain, the
calls that reach the backends for the first question and for each further one.
Without a memo every question costs what the first one costs.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from fakes import SOME_TIME, RecordingStorage

from fallback_storage.exceptions import (
    AllBackendsFailed,
    FileNotInAnyBackendError,
    OperationNotSupportedError,
)
from fallback_storage.storage import FallbackStorage

HAS, LACKS, FAILS, UNSUPPORTED = "has", "lacks", "fails", "unsupported"
ERRORS = {"first": ConnectionError("first"), "second": TimeoutError("second")}


class Labelled(RecordingStorage):
    """A storage whose every answer tells whose it is: local paths, own times."""

    def path(self, name):
        self.act("path", name)
        return f"/{self.label}/{name}"

    def _time(self, method, name):
        days = timedelta(days=len(self.label))
        return super()._time(method, name) + days


def build(label, **states):
    """Return a storage: ``state`` of the file, and of methods by their name."""
    state = states.pop("state", LACKS)
    storage = Labelled(label, files={"x": label.encode()} if state == HAS else {})
    for method, doing in states.items():
        if doing == FAILS:
            storage.fail(method, ERRORS[label])
        if doing == UNSUPPORTED:
            storage.unsupported.add(method)
    return storage


def counted(backends, methods):
    return tuple(backend.count(method) for backend in backends for method in methods)


def ask(question, storage):
    """Return the answer, or the exception."""
    try:
        return question(storage)
    except Exception as error:
        return error


def answers_alike(answer, expected):
    if isinstance(expected, type):
        return type(answer) is expected
    if isinstance(expected, Exception):
        return answer is expected
    return answer == expected


def check(question, backends, methods, expected, cold, warm):
    """Ask three times with a memo and without; compare answers and calls."""
    for memo, calls in ((None, (cold, warm, warm)), (False, (cold, cold, cold))):
        storage = FallbackStorage(list(backends), cache=memo)
        for number, wanted in enumerate(calls, 1):
            for backend in backends:
                backend.reset()
            answer = ask(question, storage)
            assert answers_alike(answer, expected), (memo, number, answer)
            assert counted(backends, methods) == wanted, (memo, number)
            assert sum(wanted) == sum(backend.count() for backend in backends)


ABSENT = FileNotInAnyBackendError
UNKNOWN_METHOD = OperationNotSupportedError
FIRST_FAILED, SECOND_FAILED = ERRORS["first"], ERRORS["second"]

# open, size and the times: the operation itself is asked, nothing else.
FETCH = [
    (HAS, LACKS, "first", (1, 0), (1, 0)),
    (HAS, HAS, "first", (1, 0), (1, 0)),
    (HAS, FAILS, "first", (1, 0), (1, 0)),
    (HAS, UNSUPPORTED, "first", (1, 0), (1, 0)),
    (LACKS, HAS, "second", (1, 1), (0, 1)),
    (LACKS, LACKS, ABSENT, (1, 1), (0, 0)),
    (LACKS, FAILS, SECOND_FAILED, (1, 1), (1, 1)),
    (LACKS, UNSUPPORTED, ABSENT, (1, 1), (1, 1)),
    (FAILS, HAS, "second", (1, 1), (1, 1)),
    (FAILS, LACKS, FIRST_FAILED, (1, 1), (1, 1)),
    (FAILS, FAILS, AllBackendsFailed, (1, 1), (1, 1)),
    (FAILS, UNSUPPORTED, FIRST_FAILED, (1, 1), (1, 1)),
    (UNSUPPORTED, HAS, "second", (1, 1), (1, 1)),
    (UNSUPPORTED, LACKS, ABSENT, (1, 1), (1, 1)),
    (UNSUPPORTED, FAILS, SECOND_FAILED, (1, 1), (1, 1)),
    (UNSUPPORTED, UNSUPPORTED, UNKNOWN_METHOD, (1, 1), (1, 1)),
]
# Who lacks the method may hold the file all the same, and is asked. If so, neither a
# copy's answer counts, nor that the others have no such file. Not so for ``open``: who
# cannot open files is passed over. The calls: of the method, of ``exists``, by backend.
HOLDS = "holds, and lacks the method"
LACKING = [
    (HAS, UNSUPPORTED, "first", (1, 0, 0, 0), (1, 0, 0, 0)),
    (LACKS, UNSUPPORTED, ABSENT, (1, 0, 1, 1), (0, 0, 0, 0)),
    (FAILS, UNSUPPORTED, FIRST_FAILED, (1, 0, 1, 1), (1, 0, 1, 1)),
    (UNSUPPORTED, HAS, "second", (1, 1, 1, 0), (0, 0, 1, 0)),
    (UNSUPPORTED, LACKS, ABSENT, (1, 1, 1, 0), (0, 0, 0, 0)),
    (UNSUPPORTED, FAILS, SECOND_FAILED, (1, 1, 1, 0), (1, 1, 1, 0)),
    (UNSUPPORTED, UNSUPPORTED, UNKNOWN_METHOD, (1, 0, 1, 0), (1, 0, 1, 0)),
    (HOLDS, LACKS, UNKNOWN_METHOD, (1, 1, 1, 0), (1, 1, 0, 0)),
    (HOLDS, HAS, UNKNOWN_METHOD, (1, 1, 1, 0), (1, 1, 0, 0)),
    (HOLDS, FAILS, UNKNOWN_METHOD, (1, 1, 1, 0), (1, 1, 1, 0)),
    (HOLDS, UNSUPPORTED, UNKNOWN_METHOD, (1, 0, 1, 0), (1, 0, 1, 0)),
    (LACKS, HOLDS, UNKNOWN_METHOD, (1, 0, 1, 1), (0, 0, 1, 1)),
    (FAILS, HOLDS, FIRST_FAILED, (1, 0, 1, 1), (1, 0, 1, 1)),
    (UNSUPPORTED, HOLDS, UNKNOWN_METHOD, (1, 0, 1, 0), (1, 0, 1, 0)),
]


def times(method):
    def answer(label):
        moment = SOME_TIME + timedelta(days=len(label))
        return moment if method.startswith("get_") else moment.replace(tzinfo=None)

    return answer


def time_of(method):
    return lambda storage: getattr(storage, method)("x")


FETCHERS = {
    "open": ("_open", lambda storage: storage.open("x").read(), str.encode),
    "open rb": ("_open", lambda storage: storage.open("x", "rb").read(), str.encode),
    "size": ("size", lambda storage: storage.size("x"), len),
    **{
        method: (method if "get_" in method else f"get_{method}", time_of(method), t)
        for kind in ("accessed_time", "created_time", "modified_time")
        for method in (f"get_{kind}", kind)
        for t in [times(method)]
    },
}


OPENERS = [method for method in FETCHERS if method.startswith("open")]
OTHERS = [method for method in FETCHERS if method not in OPENERS]
SUPPORTED = [row for row in FETCH if UNSUPPORTED not in row[:2]]


def check_fetching(method, methods, first, second, expected, cold, warm):
    asked, question, answer_of = FETCHERS[method]
    backends = []
    for label, state in (("first", first), ("second", second)):
        of_method = UNSUPPORTED if state == HOLDS else state
        of_file = HAS if state == HOLDS else state
        backends.append(build(label, state=of_file, **{asked: of_method}))
    if isinstance(expected, str):
        expected = answer_of(expected)
    check(question, backends, [asked, *methods], expected, cold, warm)


@pytest.mark.parametrize(
    ("method", "row"),
    [
        *((method, row) for method in OPENERS for row in FETCH),
        *((method, row) for method in OTHERS for row in SUPPORTED),
    ],
)
def test_fetching(settings, method, row):
    """The holder answers; a cold read asks no exists, a warm one only the holder."""
    settings.TIME_ZONE = "UTC"
    check_fetching(method, [], *row)


@pytest.mark.parametrize("method", OTHERS)
@pytest.mark.parametrize("row", LACKING)
def test_fetching_what_the_holder_may_lack(settings, method, row):
    """It is not said that nobody has the file, nor is a copy's answer given for it."""
    settings.TIME_ZONE = "UTC"
    check_fetching(method, ["exists"], *row)


EXISTS = [
    (HAS, LACKS, True, (1, 0), (0, 0)),
    (HAS, HAS, True, (1, 0), (0, 0)),
    (HAS, FAILS, True, (1, 0), (0, 0)),
    (HAS, UNSUPPORTED, True, (1, 0), (0, 0)),
    (LACKS, HAS, True, (1, 1), (0, 0)),
    (LACKS, LACKS, False, (1, 1), (0, 0)),
    (LACKS, FAILS, False, (1, 1), (1, 1)),
    (LACKS, UNSUPPORTED, False, (1, 1), (1, 1)),
    (FAILS, HAS, True, (1, 1), (1, 1)),
    (FAILS, LACKS, False, (1, 1), (1, 1)),
    (FAILS, FAILS, AllBackendsFailed, (1, 1), (1, 1)),
    (FAILS, UNSUPPORTED, FIRST_FAILED, (1, 1), (1, 1)),
    (UNSUPPORTED, HAS, True, (1, 1), (1, 1)),
    (UNSUPPORTED, LACKS, False, (1, 1), (1, 1)),
    (UNSUPPORTED, FAILS, SECOND_FAILED, (1, 1), (1, 1)),
    (UNSUPPORTED, UNSUPPORTED, UNKNOWN_METHOD, (1, 1), (1, 1)),
]


@pytest.mark.parametrize(("first", "second", "expected", "cold", "warm"), EXISTS)
def test_exists(first, second, expected, cold, warm):
    """True if any backend holds the file; a failure is never remembered."""
    backends = [
        build("first", state=first, exists=first),
        build("second", state=second, exists=second),
    ]
    check(lambda s: s.exists("x"), backends, ["exists"], expected, cold, warm)


FIRST_URL, SECOND_URL = "https://first.example/x", "https://second.example/x"
# Calls: exists and url of the first, exists and url of the second.
URL = [
    ({"state": HAS}, {}, FIRST_URL, (1, 1, 0, 0), (0, 1, 0, 0)),
    ({"state": HAS}, {"state": HAS}, FIRST_URL, (1, 1, 0, 0), (0, 1, 0, 0)),
    ({"state": HAS}, {"url": FAILS}, FIRST_URL, (1, 1, 0, 0), (0, 1, 0, 0)),
    ({}, {"state": HAS}, SECOND_URL, (1, 0, 0, 1), (0, 0, 0, 1)),
    ({}, {}, SECOND_URL, (1, 0, 0, 1), (0, 0, 0, 1)),
    ({}, {"exists": FAILS}, SECOND_URL, (1, 0, 0, 1), (0, 0, 0, 1)),
    ({"exists": FAILS}, {}, SECOND_URL, (1, 0, 0, 1), (1, 0, 0, 1)),
    ({"exists": UNSUPPORTED}, {}, SECOND_URL, (1, 0, 0, 1), (1, 0, 0, 1)),
    pytest.param(
        {"state": HAS, "url": FAILS},
        {},
        SECOND_URL,
        (1, 1, 0, 1),
        (0, 1, 0, 1),
    ),
    pytest.param(
        {"state": HAS, "url": UNSUPPORTED},
        {},
        SECOND_URL,
        (1, 1, 0, 1),
        (0, 1, 0, 1),
    ),
    ({}, {"url": FAILS}, FIRST_URL, (1, 1, 0, 1), (0, 1, 0, 1)),
    ({}, {"url": UNSUPPORTED}, FIRST_URL, (1, 1, 0, 1), (0, 1, 0, 1)),
    pytest.param(
        {"state": HAS, "url": FAILS},
        {"url": FAILS},
        AllBackendsFailed,
        (1, 1, 0, 1),
        (0, 1, 0, 1),
    ),
    pytest.param(
        {"state": HAS, "url": UNSUPPORTED},
        {"url": UNSUPPORTED},
        UNKNOWN_METHOD,
        (1, 1, 0, 1),
        (0, 1, 0, 1),
    ),
]


@pytest.mark.parametrize(("first", "second", "expected", "cold", "warm"), URL)
def test_url(first, second, expected, cold, warm):
    """The holder's URL, else the last backend's, which is never asked exists."""
    backends = [build("first", **first), build("second", **second)]
    methods = ["exists", "url"]
    check(lambda s: s.url("x"), backends, methods, expected, cold, warm)


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("holder", [None, 0, 1, 2])
def test_url_never_asks_the_last_backend_whether_it_holds_the_file(length, holder):
    """In a chain of any length, cold or warm, whoever holds the file."""
    backends = [RecordingStorage(f"b{index}") for index in range(length)]
    if holder is not None and holder < length:
        backends[holder].files["x"] = b""
    storage = FallbackStorage(backends)
    answering = length - 1 if holder is None else min(holder, length - 1)
    for _ in range(3):
        assert storage.url("x") == f"https://b{answering}.example/x"
    assert backends[-1].count("exists") == 0
    for index, backend in enumerate(backends[:-1]):
        assert backend.count("exists") == (index <= answering)
        assert backend.count("url") == 3 * (index == answering)


# Calls: exists and path of the first, exists and path of the second.
PATH = [
    ({"state": HAS}, {}, "/first/x", (1, 1, 0, 0), (0, 1, 0, 0)),
    ({"state": HAS}, {"state": HAS}, "/first/x", (1, 1, 0, 0), (0, 1, 0, 0)),
    ({}, {"state": HAS}, "/second/x", (1, 0, 1, 1), (0, 0, 0, 1)),
    ({}, {}, "/first/x", (1, 1, 1, 1), (0, 1, 0, 1)),
    ({"path": UNSUPPORTED}, {}, UNKNOWN_METHOD, (1, 1, 1, 1), (0, 1, 0, 1)),
    ({}, {"path": UNSUPPORTED}, UNKNOWN_METHOD, (1, 1, 1, 1), (0, 1, 0, 1)),
    ({"exists": FAILS}, {"state": HAS}, "/second/x", (1, 0, 1, 1), (1, 0, 1, 1)),
    ({"exists": FAILS}, {}, FIRST_FAILED, (1, 0, 1, 0), (1, 0, 1, 0)),
    ({}, {"exists": FAILS}, SECOND_FAILED, (1, 0, 1, 0), (1, 0, 1, 0)),
    (
        {},
        {"state": HAS, "path": UNSUPPORTED},
        UNKNOWN_METHOD,
        (1, 0, 1, 1),
        (0, 0, 0, 1),
    ),
    (
        {"state": HAS, "path": FAILS},
        {"state": HAS},
        FIRST_FAILED,
        (1, 1, 0, 0),
        (0, 1, 0, 0),
    ),
    ({"path": FAILS}, {}, FIRST_FAILED, (1, 1, 1, 1), (0, 1, 0, 1)),
    (
        {"path": FAILS},
        {"path": FAILS},
        AllBackendsFailed,
        (1, 1, 1, 1),
        (0, 1, 0, 1),
    ),
    (
        {"path": UNSUPPORTED},
        {"path": UNSUPPORTED},
        UNKNOWN_METHOD,
        (1, 1, 1, 1),
        (0, 1, 0, 1),
    ),
]


@pytest.mark.parametrize(("first", "second", "expected", "cold", "warm"), PATH)
def test_path(first, second, expected, cold, warm):
    """The holder's path or none; of a file that nobody holds, the home's."""
    backends = [build("first", **first), build("second", **second)]
    methods = ["exists", "path"]
    check(lambda s: s.path("x"), backends, methods, expected, cold, warm)


# What listdir("d") of a backend gives: files, or an exception.
LISTDIR = [
    (["a", "b"], [], ([], ["a", "b"])),
    ([], ["b", "a"], ([], ["b", "a"])),
    (["c", "b/1"], ["a", "b/2", "c", "d/1"], (["b", "d"], ["c", "a"])),
    (["b/1"], ["d/1"], (["b", "d"], [])),
    ([], [], ([], [])),
    (FileNotFoundError(), ["a"], ([], ["a"])),
    (["a"], FileNotFoundError(), ([], ["a"])),
    (FileNotFoundError(), FileNotFoundError(), ABSENT),
    (FIRST_FAILED, ["a"], ([], ["a"])),
    (["a"], SECOND_FAILED, ([], ["a"])),
    (FIRST_FAILED, FileNotFoundError(), FIRST_FAILED),
    (FIRST_FAILED, SECOND_FAILED, AllBackendsFailed),
    (NotImplementedError(), ["a"], ([], ["a"])),
    (NotImplementedError(), FileNotFoundError(), ABSENT),
    (NotImplementedError(), NotImplementedError(), UNKNOWN_METHOD),
]


@pytest.mark.parametrize(("first", "second", "expected"), LISTDIR)
def test_listdir(first, second, expected):
    """The union without duplicates in the first backend's order; never remembered."""
    backends = [Labelled("first"), Labelled("second")]
    for backend, given in zip(backends, (first, second), strict=True):
        if isinstance(given, Exception):
            backend.fail("listdir", given)
        else:
            backend.files = dict.fromkeys((f"d/{name}" for name in given), b"")
    question = lambda storage: storage.listdir("d")  # noqa: E731
    check(question, backends, ["listdir"], expected, (1, 1), (1, 1))
