"""Building a backend's storage, at its first use; errors without secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.files.storage import storages
from django.utils.functional import LazyObject
from django.utils.module_loading import import_string

from fallback_storage.aliases import aliases, options_of
from fallback_storage.exceptions import ConfigurationError, Mistake
from fallback_storage.validation import shown, shows_a_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from django.core.files.storage import Storage


def build_alias(alias: str, where: str) -> Storage:
    try:
        return _checked(storages[alias], where)
    except Exception as error:  # noqa: BLE001 - whatever a constructor raises
        options = aliases()[alias].get("OPTIONS", {})
        raise _build_error(error, options, where) from _cause(error, options)


def build_path(path: str, options: Mapping[str, Any], where: str) -> Storage:
    try:
        return _checked(import_string(path)(**options), where)
    except Exception as error:  # noqa: BLE001 - whatever a constructor raises
        raise _build_error(error, options, where) from _cause(error, options)


def build_call(function: Callable[[], Any], where: str) -> Storage:
    try:
        return _checked(_unwrapped(function()), where)
    except Exception as error:  # noqa: BLE001 - whatever a callable raises
        raise _build_error(error, {}, where) from _cause(error, {})


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
    text = f": {error}" if _cause(error, options) else ""
    missing = any(isinstance(each, ImportError) for each in _lineage(error))
    return ConfigurationError(
        Mistake.CANNOT_IMPORT if missing else Mistake.CANNOT_BUILD,
        where,
        f"cannot be built: {type(error).__name__}{text}".rstrip(".") + ".",
        "Correct its BACKEND and OPTIONS, or install what it needs.",
    )


def _cause(error: Exception, options: Mapping[str, Any]) -> BaseException | None:
    """Return the error to chain to: none, if a traceback of it quotes an option."""
    if isinstance(error, ConfigurationError):
        return error.__cause__
    secrets = [*_secrets(options)]
    for params in aliases().values():
        secrets += _secrets(options_of(params))
    if any(shows_a_value(text, secrets) for text in _printed(error)):
        return None
    return error


def _secrets(options: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield what no text may show: not what the entries of a chain are called."""
    entries = options.get("backends")
    if not isinstance(entries, list | tuple):
        yield options
        return
    yield {key: value for key, value in options.items() if key != "backends"}
    for entry in entries:
        if isinstance(entry, dict) and isinstance(entry.get("OPTIONS"), dict):
            yield from _secrets(entry["OPTIONS"])


def _printed(error: BaseException) -> Iterator[str]:
    """Yield every text that a traceback prints, but for lines of source code."""
    for each in _lineage(error):
        yield str(each)
        yield from getattr(each, "__notes__", ())
        if isinstance(each, BaseExceptionGroup):
            for inner in each.exceptions:
                yield from _printed(inner)


def _lineage(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, what it came from, and so on."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
