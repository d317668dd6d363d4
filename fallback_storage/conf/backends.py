"""The backends of a chain: read and named; their storages, built at first use."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from django.core.files.storage import Storage, storages
from django.utils.functional import LazyObject
from django.utils.module_loading import import_string

from fallback_storage.chain.policy import Policy
from fallback_storage.chain.profiles import profile_of
from fallback_storage.conf.entries import (
    FUNCTION,
    POLICY_KEYS,
    PROFILE_KEYS,
    SHORT_KEYS,
    is_never_written,
    mistakes_in_entry,
    written_out,
)
from fallback_storage.conf.messages import lineage, presentable_cause, quoted, shown
from fallback_storage.conf.settings import aliases, options_of
from fallback_storage.exceptions import ConfigurationError, Mistake
from fallback_storage.utils.records import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


class BackendSpec(Record):
    """One entry of a chain.

    ``origin``: the class path and the OPTIONS it is built from, if they are known.
    ``given_name``: the name was written, not derived from a class. ``another``: builds
    a storage like it that nobody else has, if that can be.
    """

    name: str
    where: str
    build: Callable[[], Storage]
    policy: Policy = Policy()
    origin: tuple[str, Mapping[str, Any]] | None = None
    given_name: bool = False
    another: Callable[[], Storage] | None = None

    def __repr__(self) -> str:
        # (The rest may hold credentials.)
        return f"<BackendSpec {self.name!r} at {self.where}>"


def mistakes_in_backends(value: object, where: str) -> Iterator[ConfigurationError]:
    """Yield what is wrong with the list of backends that stands at ``where``."""
    if not isinstance(value, list | tuple):
        yield ConfigurationError(
            Mistake.NO_LIST,
            where,
            f"is {shown(value)}.",
            'Write a list of backends, for example ["local", {"ALIAS": "production", '
            '"READ_ONLY": True}].',
        )
    elif not value:
        yield ConfigurationError(
            Mistake.EMPTY_CHAIN,
            where,
            "is empty.",
            "Name at least one storage: the one to ask first.",
        )
    else:
        found = [
            mistake
            for position, entry in enumerate(value)
            for mistake in mistakes_in_entry(entry, f"{where}[{position}]")
        ]
        # What an entry is called is known of one that is right.
        yield from found or _names_given_twice(_specs(value, where))


def _names_given_twice(specs: list[BackendSpec]) -> Iterator[ConfigurationError]:
    taken: dict[str, str] = {}
    for spec in (spec for spec in specs if spec.given_name):
        if spec.name in taken:
            yield ConfigurationError(
                Mistake.SAME_NAME,
                spec.where,
                f"is named {spec.name!r}, like {taken[spec.name]}.",
                "Give one of them another NAME; if it is the same storage twice, "
                "remove one.",
            )
        taken.setdefault(spec.name, spec.where)


def read_backends(value: Any, where: str) -> tuple[BackendSpec, ...]:
    """Return the entries of a list without mistakes, each under a name of its own.

    Builds nothing.
    """
    specs = _specs(value, where)
    taken = {spec.name for spec in specs if spec.given_name}
    result = []
    for spec in specs:
        name, count = spec.name, 1
        while not spec.given_name and name in taken:
            count += 1
            name = f"{spec.name}-{count}"
        taken.add(name)
        result.append(spec.replace(name=name))
    return tuple(result)


def _specs(value: Any, where: str) -> list[BackendSpec]:
    return [_spec(entry, f"{where}[{n}]") for n, entry in enumerate(value)]


def _spec(entry: Any, where: str) -> BackendSpec:
    # LazyObject first, here as well.
    if isinstance(entry, LazyObject | Storage):
        build = partial(build_call, lambda: entry, where, {})
        # What is lazy would be built by the question.
        lazy = isinstance(entry, LazyObject)
        policy = Policy(None if lazy or profile_of(entry).writable else True)
        return BackendSpec(type(entry).__name__, where, build, policy)
    entry = written_out(entry)
    if not isinstance(entry, dict):
        name = getattr(entry, "__name__", type(entry).__name__)
        return BackendSpec(name, where, partial(build_call, entry, where, {}))
    if "ALIAS" in entry:
        name, params = entry["ALIAS"], aliases()[entry["ALIAS"]]
        path, options = params["BACKEND"], options_of(params)
        build = partial(build_alias, name, where)
        make = partial(storages.create_storage, dict(params))
        another = partial(build_call, make, where, options)
    else:
        path, options = entry["BACKEND"], entry.get("OPTIONS", {})
        name = path.rpartition(".")[2]
        build = another = partial(
            build_call, lambda: import_string(path)(**options), where, options
        )
    return BackendSpec(
        entry.get("NAME", name),
        where,
        build,
        Policy(**_policy(entry), profile=_profile(entry, where)),
        (path, options),
        given_name="ALIAS" in entry or "NAME" in entry,
        another=another,
    )


def _policy(entry: Mapping[str, Any]) -> dict[str, Any]:
    policy = {key.lower(): entry[key] for key in POLICY_KEYS if key in entry}
    if is_never_written(entry):
        policy.setdefault("read_only", True)
    if "deadline" in policy:
        policy["deadline"] = policy["deadline"] or 0.0  # None is what is known
    return policy


def _profile(entry: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return what an entry says of its storage's class."""
    short = {key: entry[key] for key in SHORT_KEYS if key in entry}
    written = {**entry.get("PROFILE", {}), **short}
    return {key.lower(): _usable(key, written[key], where) for key in written}


def _usable(key: str, value: Any, where: str) -> Any:
    if FUNCTION in PROFILE_KEYS[key] and isinstance(value, str):
        return Named(value, f"{where}['PROFILE'][{key!r}]")
    return tuple(value) if isinstance(value, list) else value


class Named:
    """A function by its dotted path, which stands at ``where``.

    Imported when it is called: settings are read before there are apps.
    """

    def __init__(self, path: str, where: str) -> None:
        self._path, self._where = path, where

    def __call__(self, *args: Any) -> Any:
        """Call the function. Raises ``ConfigurationError`` if there is none."""
        return self.function()(*args)

    def function(self) -> Callable[..., Any]:
        """Return the function. Raises ``ConfigurationError``."""
        try:
            found = import_string(self._path)
        except ImportError as error:
            raise self._mistake("cannot be imported") from presentable_cause(error, {})
        if not callable(found):
            raise self._mistake("is no function")
        return found  # type: ignore[no-any-return]

    def _mistake(self, why: str) -> ConfigurationError:
        return ConfigurationError(
            Mistake.CANNOT_IMPORT,
            self._where,
            f"is {quoted(self._path)}, which {why}.",
            "Write a function, or its dotted path.",
        )


def mistakes_in_functions(policy: Policy) -> Iterator[ConfigurationError]:
    """Yield what the first use of the functions that a profile names would raise."""
    for each in policy.profile.values():
        try:
            if isinstance(each, Named):
                each.function()
        except ConfigurationError as mistake:
            yield mistake


def build_alias(alias: str, where: str) -> Storage:
    """Return the storage of an alias of ``STORAGES``. Raises ``ConfigurationError``."""
    return build_call(lambda: storages[alias], where, {})


def build_call(
    function: Callable[[], Any], where: str, options: Mapping[str, Any]
) -> Storage:
    """Return the storage that a function returns. Raises ``ConfigurationError``.

    ``options``: what the error must not show, as those of ``STORAGES``.
    """
    try:
        return _checked(_unwrapped(function()), where)
    except Exception as error:  # noqa: BLE001 - whatever a constructor raises
        cause = presentable_cause(error, options)
        raise _build_error(error, cause, where) from cause


def _unwrapped(storage: Any) -> Any:
    """Return the storage behind ``default_storage`` and its like."""
    while isinstance(storage, LazyObject):
        _ = storage.__class__  # sets it up
        storage = storage._wrapped  # noqa: SLF001
    return storage


def _checked(storage: Any, where: str) -> Storage:
    # Not isinstance: some storages only look like one.
    if not hasattr(storage, "exists") and not hasattr(storage, "_open"):
        raise ConfigurationError(
            Mistake.NO_STORAGE,
            where,
            f"gives {shown(storage)}, which is no storage.",
            "Name a subclass of django.core.files.storage.Storage.",
        )
    return storage  # type: ignore[no-any-return]


def _build_error(error: Exception, cause: object, where: str) -> ConfigurationError:
    if isinstance(error, ConfigurationError):
        return error
    text = f": {error}" if cause else ""
    missing = any(isinstance(each, ImportError) for each in lineage(error))
    return ConfigurationError(
        Mistake.CANNOT_IMPORT if missing else Mistake.CANNOT_BUILD,
        where,
        f"cannot be built: {type(error).__name__}{text}".rstrip(".") + ".",
        "Correct its BACKEND and OPTIONS, or install what it needs.",
    )
