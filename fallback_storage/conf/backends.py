"""The entries of a chain: validated and named; their storages, built at first use."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from django.core.files.storage import Storage, storages
from django.utils.functional import LazyObject
from django.utils.module_loading import import_string

from fallback_storage.chain.backend import Policy
from fallback_storage.conf.messages import (
    lineage,
    presentable_cause,
    refuse_unknown_keys,
    require_kinds,
    shown,
    suggestion,
)
from fallback_storage.conf.settings import aliases, options_of
from fallback_storage.exceptions import ConfigurationError, Mistake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

KINDS = {
    "ALIAS": str,
    "BACKEND": str,
    "OPTIONS": dict,
    "NAME": str,
    "READ_ONLY": bool,
    "ALWAYS_PROBE": bool,
    "CONCURRENT": bool,
    "LAZY_OPEN": bool,
}


@dataclass(frozen=True, slots=True)
class BackendSpec:
    """One entry of a chain.

    ``alias`` or ``path`` say what it names; both are None for instances and
    callables. ``given_name``: the name was written, not derived from a class.
    """

    name: str
    where: str
    build: Callable[[], Storage] = field(repr=False)
    policy: Policy = field(default_factory=Policy)
    alias: str | None = None
    path: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    given_name: bool = False

    @property
    def origin(self) -> tuple[str, Mapping[str, Any]] | None:
        """The class path and the OPTIONS it is built from, if they are known."""
        if self.alias is not None:
            params = aliases()[self.alias]
            return params.get("BACKEND", ""), options_of(params)
        return (self.path, self.options) if self.path is not None else None


def read_backends(value: object, where: str) -> tuple[BackendSpec, ...]:
    """Validate the list of backends that stands at ``where``.

    Builds nothing. Raises ``ConfigurationError``.
    """
    if not isinstance(value, list | tuple):
        raise ConfigurationError(
            Mistake.NO_LIST,
            where,
            f"is {shown(value)}.",
            'Write a list of backends, for example ["local", {"ALIAS": "production", '
            '"READ_ONLY": True}].',
        )
    if not value:
        raise ConfigurationError(
            Mistake.EMPTY_CHAIN,
            where,
            "is empty.",
            "Name at least one storage: the one to ask first.",
        )
    return _with_unique_names(
        [
            _read_entry(entry, f"{where}[{position}]")
            for position, entry in enumerate(value)
        ]
    )


def entry_mistakes(value: object, where: str) -> Iterator[ConfigurationError]:
    """Yield what is wrong with single entries, of all that are wrong."""
    for position, entry in enumerate(value if isinstance(value, list | tuple) else ()):
        try:
            _read_entry(entry, f"{where}[{position}]")
        except ConfigurationError as error:
            yield error


def _read_entry(entry: Any, where: str) -> BackendSpec:
    # LazyObject first: asking default_storage for its class would build it.
    if isinstance(entry, LazyObject):
        return BackendSpec(
            type(entry).__name__, where, build=lambda: build_call(lambda: entry, where)
        )
    if isinstance(entry, dict):
        return _read_dict(entry, where)
    if isinstance(entry, str):
        return _read_text(entry, where)
    if isinstance(entry, Storage):
        return BackendSpec(type(entry).__name__, where, build=lambda: entry)
    if callable(entry):
        name = getattr(entry, "__name__", type(entry).__name__)
        return BackendSpec(name, where, build=lambda: build_call(entry, where))
    raise ConfigurationError(
        Mistake.NO_ENTRY,
        where,
        f"is {shown(entry)}.",
        "Write an alias of STORAGES, a dotted path, a dict with ALIAS or BACKEND, a "
        "Storage instance, or a callable without arguments that returns one.",
    )


def _read_text(text: str, where: str) -> BackendSpec:
    if text in aliases() or "." not in text:
        return _read_alias(text, where)
    return _read_path(text, {}, where)


def _read_alias(alias: str, where: str) -> BackendSpec:
    if alias in storages.backends and not _is_described(alias):
        raise ConfigurationError(
            Mistake.MALFORMED_ALIAS,
            f"STORAGES[{alias!r}]",
            "does not describe a storage.",
            "Write a dict with BACKEND, a dotted path, and OPTIONS, a dict.",
        )
    if alias not in aliases():
        raise ConfigurationError(
            Mistake.UNKNOWN_ALIAS,
            where,
            f"names the alias {alias!r}, which STORAGES does not have.",
            suggestion(alias, aliases(), "the aliases are"),
        )
    return BackendSpec(
        alias,
        where,
        build=lambda: build_alias(alias, where),
        alias=alias,
        given_name=True,
    )


def _is_described(alias: str) -> bool:
    return isinstance(aliases().get(alias, {}).get("BACKEND"), str)


def _read_path(path: str, options: Mapping[str, Any], where: str) -> BackendSpec:
    return BackendSpec(
        path.rpartition(".")[2],
        where,
        build=lambda: build_path(path, options, where),
        path=path,
        options=options,
    )


def _read_dict(entry: Mapping[str, Any], where: str) -> BackendSpec:
    refuse_unknown_keys(entry, KINDS, where)
    require_kinds(entry, KINDS.items(), where)
    if ("ALIAS" in entry) == ("BACKEND" in entry):
        both = "both" if "ALIAS" in entry else "neither"
        raise ConfigurationError(
            Mistake.ALIAS_OR_BACKEND,
            where,
            f"has {both} ALIAS {'and' if both == 'both' else 'nor'} BACKEND.",
            "Write ALIAS for a storage that STORAGES defines, or BACKEND (and OPTIONS) "
            "for one that is defined here.",
        )
    if "ALIAS" in entry and "OPTIONS" in entry:
        raise ConfigurationError(
            Mistake.ALIAS_OR_BACKEND,
            where,
            "has OPTIONS beside ALIAS.",
            "Write them in STORAGES, where the alias is defined.",
        )
    if entry.get("NAME") == "":
        raise ConfigurationError(
            Mistake.WRONG_VALUE,
            where,
            "has an empty NAME.",
            "Leave NAME out, or fill it.",
        )
    if "ALIAS" in entry:
        spec = _read_alias(entry["ALIAS"], where)
    else:
        spec = _read_path(entry["BACKEND"], entry.get("OPTIONS", {}), where)
    return replace(
        spec,
        name=entry.get("NAME", spec.name),
        given_name=spec.given_name or "NAME" in entry,
        policy=Policy(
            read_only=entry.get("READ_ONLY"),
            always_probe=entry.get("ALWAYS_PROBE", False),
            lazy_open=entry.get("LAZY_OPEN"),
            concurrent=entry.get("CONCURRENT"),
        ),
    )


def _with_unique_names(specs: list[BackendSpec]) -> tuple[BackendSpec, ...]:
    taken: dict[str, str] = {}
    for spec in specs:
        if spec.given_name and spec.name in taken:
            raise ConfigurationError(
                Mistake.SAME_NAME,
                spec.where,
                f"is named {spec.name!r}, like {taken[spec.name]}.",
                "Give one of them another NAME; if it is the same storage twice, "
                "remove one.",
            )
        if spec.given_name:
            taken[spec.name] = spec.where
    result = []
    for spec in specs:
        name, count = spec.name, 1
        while not spec.given_name and name in taken:
            count += 1
            name = f"{spec.name}-{count}"
        taken[name] = spec.where
        result.append(replace(spec, name=name))
    return tuple(result)


def build_alias(alias: str, where: str) -> Storage:
    try:
        return _checked(storages[alias], where)
    except Exception as error:  # noqa: BLE001 - whatever a constructor raises
        options = aliases()[alias].get("OPTIONS", {})
        raise _build_error(error, options, where) from presentable_cause(error, options)


def build_path(path: str, options: Mapping[str, Any], where: str) -> Storage:
    try:
        return _checked(import_string(path)(**options), where)
    except Exception as error:  # noqa: BLE001 - whatever a constructor raises
        raise _build_error(error, options, where) from presentable_cause(error, options)


def build_call(function: Callable[[], Any], where: str) -> Storage:
    try:
        return _checked(_unwrapped(function()), where)
    except Exception as error:  # noqa: BLE001 - whatever a callable raises
        raise _build_error(error, {}, where) from presentable_cause(error, {})


def _unwrapped(storage: Any) -> Any:
    """Return the storage behind ``default_storage`` and its like."""
    if isinstance(storage, LazyObject):
        _ = storage.__class__  # sets it up
        return storage._wrapped  # noqa: SLF001
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


def _build_error(
    error: Exception, options: Mapping[str, Any], where: str
) -> ConfigurationError:
    if isinstance(error, ConfigurationError):
        return error
    text = f": {error}" if presentable_cause(error, options) else ""
    missing = any(isinstance(each, ImportError) for each in lineage(error))
    return ConfigurationError(
        Mistake.CANNOT_IMPORT if missing else Mistake.CANNOT_BUILD,
        where,
        f"cannot be built: {type(error).__name__}{text}".rstrip(".") + ".",
        "Correct its BACKEND and OPTIONS, or install what it needs.",
    )
