"""FallbackStorage: Django's storage interface over an ordered chain of storages.

One short method each; what they do is in ``operations``. Two of them,
``exists`` and ``url``, answer from memory first: that is what pages of pictures call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Never

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import Storage
from django.utils.deconstruct import deconstructible

from fallback_storage.cache.entry import NOWHERE
from fallback_storage.chain.names import StrPath, clean_name, is_plain, refuse_no_file
from fallback_storage.chain.outcomes import HELD
from fallback_storage.conf.options import (
    read_options,
    refuse_unknown_options,
    without_defaults,
)
from fallback_storage.operations.awaited import Awaited
from fallback_storage.operations.beyond import Beyond
from fallback_storage.operations.owner import EngineOwner
from fallback_storage.signals import resolved
from fallback_storage.utils.tenants import operation

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from django.core.files.base import File

    from fallback_storage.conf.types import Backends, Cache, OnDelete, Urls


@deconstructible(path="fallback_storage.storage.FallbackStorage")
class FallbackStorage(Beyond, Awaited, EngineOwner, Storage):
    """Try several storages in order until one succeeds, and remember which.

    Arguments (``None`` means: what the settings say):

    ``backends``
        The storages, first to last: aliases of ``STORAGES``, dotted paths, dicts with
        ``ALIAS`` or ``BACKEND``, instances, or callables without arguments. Default:
        the setting ``FALLBACK_STORAGES``.
    ``cache``
        Where resolutions are remembered: a dict with ``TTL``, ``NEGATIVE_TTL``
        (seconds) and ``MAX_ENTRIES``; ``False`` for nowhere. Default: the setting
        ``FALLBACK_STORAGE_CACHE``, else in process memory.
    ``on_delete``
        ``"first"``: delete from the first writable backend that can; ``"all"``: from
        every writable backend; ``"whiteout"``: the same, and what a read-only backend
        holds is hidden.
    ``promote``, ``promote_max_size``
        Copy a file that is read from further down the chain to the first writable
        backend, if it has at most so many bytes.
    ``promote_max_total``, ``promote_min_free``
        Copy nothing if that directory would have more bytes than the one, or its disk
        fewer left than the other (1 GiB; None: any number).
    ``strict``
        Raise when a backend fails, where otherwise the answer of the others counts
        (``exists``, ``listdir``, ``path``, the choice of a name).
    ``urls``
        ``"holder"``: a file's URL is that of the backend that holds it; ``"home"``: that of
        the first writable backend, which the media view serves. Then nobody is asked.

    Without arguments, and without ``FALLBACK_STORAGES``, the options are those of the
    alias of ``STORAGES`` that names this class (``default`` first).

    Raises ``ConfigurationError``, an ``ImproperlyConfigured``. Nothing is built or
    contacted before the first use.
    """

    def __init__(
        self,
        backends: Backends | None = None,
        cache: Cache | None = None,
        *,
        on_delete: OnDelete = "first",
        promote: bool = False,
        promote_max_size: int | None = None,
        promote_max_total: int | None = None,
        promote_min_free: int | None = 1 << 30,
        strict: bool = False,
        urls: Urls = "holder",
        **unknown: Never,
    ) -> None:
        arguments = locals()
        refuse_unknown_options(unknown, backends)
        super().__init__(without_defaults(arguments))
        if self._given:
            # Say at once what is wrong; the settings may still change.
            read_options(type(self), self._given)

    # Django's public interface, reading

    def exists(self, name: StrPath) -> bool:
        """Return whether any backend holds the file (as the original documents).

        A backend that fails counts as not holding it, which is logged and never
        remembered; with ``strict`` its exception is raised if no other holds the file.
        It is raised as well if no backend gives an answer.
        """
        engine = self._engine or self._get_engine()
        # (A field file is equal to its name, and is none.)
        if isinstance(name, str) and not resolved.receivers:
            code = engine.peek(name)
            if code is None:
                found = engine.find(name, len(engine.backends))
                if found is not None:
                    return found < len(engine.backends)
            elif code & 1:
                glance = engine.backends[code >> 1].glance
                if glance is None or glance(name):
                    return True
            elif code == NOWHERE and not engine.resolver.recall.appeared(name):
                return False
            engine.resolver.recall.ask_on(code)
        return engine.reader.exists(self._clean(name))

    def url(self, name: StrPath | None, *args: Any, **kwargs: Any) -> str:
        """Return the URL that the holder gives; made afresh at every call.

        The last backend is never asked whether it holds the file: if none above does,
        its URL is the answer (as the original documents for missing files). Further
        arguments go to the holder's ``url``, if that takes them.

        A page does not fail for one name: where no URL can be made, the first backend
        that can make one answers, which is logged; and a name that is refused elsewhere
        is quoted behind ``base_url``. Raised are ``ImproperlyConfigured``, what comes of
        a chain in which no backend can, and with ``strict`` everything.
        """
        engine = self._engine or self._get_engine()
        # (As ``exists``.)
        if isinstance(name, str) and not (args or kwargs or resolved.receivers):
            code = engine.peek(name)
            who = None if code is None else engine.answering[code]
            if who is not None:
                backend, look = who
                if look is None or look(name) is HELD:
                    try:
                        return backend.make_url(name)
                    except Exception as error:  # noqa: BLE001 - the next may have a URL
                        return engine.reader.url_past(name, backend, error)
            if code is None and engine.last:
                found = engine.find(name, engine.last)
                if found is not None:
                    return engine.reader.url_by(name, engine.backends[found])
            engine.resolver.recall.ask_on(code)
        try:
            clean = self._clean(name or "")
        except (SuspiciousFileOperation, TypeError) as error:
            return engine.reader.url_of_refused(name, error)
        return engine.reader.url(clean, *args, **kwargs)

    def path(self, name: StrPath) -> str:
        """Return the path of the file in the first backend with paths that holds it.

        Backends without paths are not asked, but for ``promote``, which copies what they
        hold. Of a file that none holds: where the first writable backend would put it,
        if all backends have paths; a failure of one of them is raised. Else an error
        that is a ``NotImplementedError``: such a chain is no local storage.
        """
        return self._get_engine().reader.path(self._clean(name))

    def size(self, name: StrPath) -> int:
        """Return the size in bytes."""
        return self._fetch("size", name)  # type: ignore[no-any-return]

    def get_accessed_time(self, name: StrPath) -> datetime:
        """Return when the file was last read; aware if ``USE_TZ``."""
        return self._fetch("get_accessed_time", name)  # type: ignore[no-any-return]

    def get_created_time(self, name: StrPath) -> datetime:
        """Return when the file was created; aware if ``USE_TZ``."""
        return self._fetch("get_created_time", name)  # type: ignore[no-any-return]

    def get_modified_time(self, name: StrPath) -> datetime:
        """Return when the file was last changed; aware if ``USE_TZ``."""
        return self._fetch("get_modified_time", name)  # type: ignore[no-any-return]

    def listdir(self, path: StrPath) -> tuple[list[str], list[str]]:
        """Return the union of all backends' directories and files, without duplicates.

        A backend without the directory is passed over, and so is one that fails
        (logged; raised if ``strict``).
        """
        return self._get_engine().reader.listdir(self._clean(path))

    @property
    def location(self) -> str:
        """The directory of the first backend that has one; for easy-thumbnails, sorl."""
        return self._get_engine().reader.attribute("location")  # type: ignore[no-any-return]

    @property
    def base_location(self) -> str:
        """Like ``location``; for Django's ``DefaultStorageFinder``."""
        return self._get_engine().reader.attribute("base_location")  # type: ignore[no-any-return]

    @property
    def base_url(self) -> str:
        """The base URL of the first backend that has one."""
        return self._get_engine().reader.attribute("base_url")  # type: ignore[no-any-return]

    # Django's public interface, writing

    def save(
        self, name: StrPath | None, content: Any, max_length: int | None = None
    ) -> str:
        """Save under a name that is free in all backends; return that name.

        Tries the writable backends in order until one succeeds.
        """
        given = content.name if name is None else name
        clean = self._clean(given)
        engine = self._get_engine()
        with operation(engine.memo.vary):
            engine.writer.require_writable("save", clean)
            return engine.namer.save(self, given, clean, content, max_length)

    def delete(self, name: StrPath | None) -> None:
        """Delete from the first writable backend that can, or as ``on_delete`` says."""
        # None, as of a field without a file, is no TypeError with Django's storages.
        clean = "" if name is None else self._clean(name)
        if not clean:
            raise ValueError("The name must be given to delete().")
        self._get_engine().writer.delete(clean)

    def get_valid_name(self, name: str) -> str:
        """Return the first writable backend's answer."""
        return self._namer("get_valid_name")(name)  # type: ignore[no-any-return]

    def get_alternative_name(self, file_root: str, file_ext: str) -> str:
        """Return the first writable backend's answer."""
        return self._namer("get_alternative_name")(file_root, file_ext)  # type: ignore[no-any-return]

    def generate_filename(self, filename: StrPath) -> str:
        """Return the first writable backend's answer.

        Of a subclass with a ``get_valid_name`` of its own: what Django makes of that.
        """
        if self._own("get_valid_name"):
            return self._clean(super().generate_filename(filename))
        return self._clean(self._namer("generate_filename")(filename))

    def get_available_name(self, name: StrPath, max_length: int | None = None) -> str:
        """Return a name that is free in all backends; asks them, not the memo."""
        if not (type(name) is str and is_plain(name)):
            refuse_no_file(name)
            name = self._clean(name)
        return self._get_engine().namer.available_name(
            name,
            max_length,
            self._own("get_alternative_name"),
            self._own("is_name_available"),
        )

    def is_name_available(self, name: StrPath, max_length: int | None = None) -> bool:
        """Return whether the name is free in all backends; asks them, not the memo."""
        clean = self._clean(name)
        if max_length and len(clean) > max_length:
            return False
        return self._get_engine().namer.is_free(clean) is True

    # What Django's public methods call

    def _open(self, name: StrPath, mode: str = "rb") -> File[Any]:
        engine = self._get_engine()
        part = engine.writer if set(mode) & set("wax+") else engine.reader
        return part.open(self._clean(name), mode)

    def _save(self, name: StrPath, content: Any) -> str:
        writer = self._get_engine().writer
        return writer.save(self._clean(name), content, self._another_name)

    def _another_name(self, name: str) -> str:
        # In place of one that cannot be had any more, while the file is saved.
        length = self._get_engine().namer.max_length
        return self._clean(self.get_available_name(name, max_length=length))

    def _fetch(self, operation: str, name: StrPath) -> Any:
        return self._get_engine().reader.fetch(operation, self._clean(name))

    def _clean(self, name: StrPath) -> str:
        if type(name) is str and is_plain(name):
            return name
        # (It is built for an absolute name alone.)
        return clean_name(name, lambda: self._get_engine().home.location())  # noqa: PLW0108

    def _own(self, method: str) -> Callable[..., Any] | None:
        # Of a subclass, or set on this instance; None for ours.
        function: Callable[..., Any] = getattr(self, method)
        ours = getattr(FallbackStorage, method)
        return None if getattr(function, "__func__", None) is ours else function

    def _namer(self, method: str) -> Callable[..., Any]:
        return self._get_engine().namer.rule(method)
