"""The reading half of a storage: every operation that changes nothing.

``name`` is clean everywhere (``names.clean_name``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.files.base import File
from django.utils.encoding import filepath_to_uri

from fallback_storage.chain.outcomes import Outcome
from fallback_storage.chain.scout import MAY_BE_WRONG
from fallback_storage.chain.walk import NOTHING, Walk
from fallback_storage.chain.whiteouts import Veil
from fallback_storage.exceptions import OperationNotSupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fallback_storage.chain.backend import Backend
    from fallback_storage.chain.fetch import Fetcher
    from fallback_storage.chain.resolver import Resolver
    from fallback_storage.operations.home import Home
    from fallback_storage.operations.writing import Writing


class Reader:
    """Answers for the chain. ``strict``: a backend's failure is never passed over.

    ``home_urls``: every file's URL is the home's.
    """

    def __init__(
        self,
        backends: Sequence[Backend],
        resolver: Resolver,
        fetcher: Fetcher,
        home: Home,
        writing: Writing,
        *,
        strict: bool,
        home_urls: bool = False,
    ) -> None:
        self._backends = tuple(backends)
        self._home_urls = home_urls
        self._resolver = resolver
        self._fetcher = fetcher
        self._home = home
        self._writing = writing
        self._strict = strict

    def exists(self, name: str) -> bool:
        """Whether any backend holds the name; see ``FallbackStorage.exists``."""
        stop = len(self._backends)
        walk = self._resolver.find(name, stop, "exists", names=True, short=True)
        if isinstance(walk, int):
            return walk < stop
        if walk.holder is not None:
            walk.log_failures(f"the answer is that of {walk.trail[-1].backend!r}")
            return True
        self._raise_or_log(walk, MAY_BE_WRONG)
        return False

    def url(self, name: str, *args: Any, **kwargs: Any) -> str:
        """Return the holder's URL; the last backend answers without being asked."""
        if self._home_urls:
            return self._home_url(name)
        last, plain = len(self._backends) - 1, not (args or kwargs)
        asked = self._resolver.find(name, last, "url", names=False, short=plain)
        if isinstance(asked, int):
            return self.url_by(name, self._backends[asked])
        holder = asked.holder
        if holder is None:
            # A hidden file has the 404 of where it was deleted, not the picture.
            hidden = len(asked.trail) > last and asked.last is Outcome.HIDDEN
            holder = self._home.home_index if hidden else last
        elif asked.trail[holder].by_grace:
            # Which cannot be reached. Is the last one a replica?
            is_there = Walk("exists", name).probe(self._backends[last]) is Outcome.HELD
            holder = last if is_there else holder
        if asked.certain and plain:
            return self.url_by(name, self._backends[holder], asked)
        return self._url_from(Walk("url", name), asked, holder, args, kwargs)

    def _home_url(self, name: str) -> str:
        """Return the URL that the home gives, whoever holds the file. Nobody is asked."""
        home = self._home.home_index if self._home.has_home else 0
        walk = Walk("url", name)
        found = walk.ask(self._backends[home], "url", name)
        if found is NOTHING:
            raise walk.error()
        return found  # type: ignore[no-any-return]

    def url_by(self, name: str, backend: Backend, asked: Walk | None = None) -> str:
        """Return the URL of a file of which ``backend`` is known to be the holder."""
        try:
            return backend.make_url(name)
        except Exception as error:  # noqa: BLE001 - the next may have a URL
            return self.url_past(name, backend, error, asked)

    def url_past(
        self, name: str, backend: Backend, error: Exception, asked: Walk | None = None
    ) -> str:
        """Return the URL of a file whose holder, as is known, just raised ``error``."""
        if asked is None:
            asked = self._resolver.locate(name, len(self._backends) - 1, "url")
        walk = Walk("url", name)
        if hasattr(backend.storage, "url"):
            walk.judge(backend, error, 0.0)
        else:
            walk.note(backend, Outcome.UNSUPPORTED)
        return self._url_from(walk, asked, self._backends.index(backend), (), {})

    def _url_from(
        self, walk: Walk, asked: Walk, holder: int, args: Any, kwargs: Any
    ) -> str:
        """Ask the holder, if ``walk`` has not; go on only because it has no URL."""
        for backend in self._who_may_have_urls(asked, holder, begun=bool(walk.trail)):
            if walk.failed and self._strict:
                break
            more = args or kwargs
            if more and not backend.takes("url", walk.name, *args, **kwargs):
                # FileSystemStorage.url() knows no parameters or expiry; the view was
                # written for the object store further down the chain.
                answer = walk.ask(backend, "url", walk.name)
            else:
                answer = walk.ask(backend, "url", walk.name, *args, **kwargs)
            if answer is not NOTHING:
                for each in (asked, walk):
                    each.log_failures(f"the URL is that of {backend.name!r}")
                return answer  # type: ignore[no-any-return]
        walk.take_failures(asked)
        raise walk.error()

    def _who_may_have_urls(
        self, asked: Walk, holder: int, *, begun: bool
    ) -> Iterator[Backend]:
        """Yield the holder, those below it that hold the file too, then the others.

        The others' URL is a 404, but the page is there. ``begun``: without the holder.
        """
        hidden, last = asked.hidden, len(self._backends) - 1
        left = dict(enumerate(self._backends))
        first = left.pop(holder)
        if not begun:
            yield first
        below = range(holder + 1, last + 1) if asked.holder is not None else ()
        for index in below:
            if index == last or asked.probe(left[index]) is Outcome.HELD:
                yield left.pop(index)
        for backend in left.values():
            # Of a deleted file never the picture.
            if not (hidden and backend.read_only):
                yield backend

    def url_of_refused(self, name: object, error: Exception) -> str:
        """Return a URL for a name that no backend may see: its words, below a base URL.

        Raises ``error`` if there is none, or failures are never passed over.
        """
        bases = (getattr(each.storage, "base_url", None) for each in self._backends)
        base = None if self._strict else next(filter(None, bases), None)
        if base is None:
            raise error
        words = str(name).replace("\\", "/").split("/")
        path = "/".join(word for word in words if word not in {"", ".", ".."})
        return f"{str(base).rstrip('/')}/{filepath_to_uri(path)}"

    def fetch(self, operation: str, name: str) -> Any:
        """Return what the holder answers to ``size`` or a ``get_*_time``."""
        return self._fetcher.fetch(operation, operation, name)[0]

    def open(self, name: str, mode: str) -> Any:
        """Open a file for reading, without asking first whether it exists."""
        opened, index = self._fetcher.fetch("open", "_open", name, mode)
        writing = self._writing
        if writing.promotes and writing.copies.promotes(name, index):
            opened, index = writing.copies.promote(name, index, opened, mode)
        if not hasattr(opened, "chunks"):
            # What some storages open is the answer of an HTTP client.
            opened = File(opened, name)
        if self._backends[index].read_only:
            from fallback_storage.operations.files import ReadFile

            return ReadFile(opened, name, writing.open)
        return opened

    def path(self, name: str) -> str:
        """Return the local path of a file; see ``FallbackStorage.path``."""
        walk, asked = Walk("path", name), Walk("exists", name)
        # The root is wherever there are paths: finders of static files ask for it.
        roots = (each for each in self._backends if each.has_paths(any))
        for backend in self._who_may_have_paths(asked) if name else roots:
            answer = walk.ask(backend, "path", name)
            if answer is not NOTHING:
                asked.log_failures(f"the path is that of {backend.name!r}")
                return answer  # type: ignore[no-any-return]
            if walk.failed:
                raise walk.error()
        walk.take_failures(asked)
        self._refuse_path(walk)
        # Nobody holds it, for all have said so: where it would come to lie.
        paths = [walk.ask(backend, "path", name) for backend in self._backends]
        # Some have no paths, and only say so when they are asked.
        self._refuse_path(walk)
        return (*paths[self._home.home_index :], *paths)[0]  # type: ignore[no-any-return]

    def _refuse_path(self, walk: Walk) -> None:
        """Raise if not every backend has paths, or could not say what it holds."""
        said = {a.backend for a in walk.trail if a.outcome is Outcome.UNSUPPORTED}
        lacking = [
            repr(backend.name)
            for backend in self._backends
            if backend.name in said or not backend.has_paths()
        ]
        if lacking:
            walk.log_failures("there is no path")
            raise OperationNotSupportedError(
                f"path({walk.name!r}): held by no backend that has paths; "
                f"{', '.join(lacking)} without paths."
            )
        if walk.failed:
            raise walk.error()

    def _who_may_have_paths(self, asked: Walk) -> Iterator[Backend]:
        """Yield who holds the file and has paths; the others are asked to copy it home.

        Libraries call ``path`` to learn whether the storage is local: that must cost no
        request.
        """
        name, veil = asked.name, Veil(self._home.whiteouts, asked)
        local = [backend.has_paths() for backend in self._backends]
        above = [*local, False].index(False)  # of these the memo knows
        refused, taken = False, None
        if above:
            located = self._resolver.locate(name, above, "path", grace=True)
            asked.take_failures(located)
            holder, taken = located.holder, located.taken
            if holder is not None:
                yield self._backends[holder]
                above, refused, taken = holder + 1, True, None
        for index, backend in enumerate(self._backends[above:], above):
            if not (local[index] or backend.has_paths(any)) or veil.hides(index):
                continue
            # The ``path`` of a chain that has others as well does not answer for them.
            if not local[index] or asked.probe(backend) is Outcome.HELD:
                yield backend
        if (refused or not all(local)) and self._is_brought_home(asked):
            yield self._home.home
        elif taken is not None and all(local):
            yield self._backends[taken]  # a directory, where nobody has a file

    def _is_brought_home(self, asked: Walk) -> bool:
        """Whether a file that has no path yet is copied to where it has one."""
        if not (self._writing.promotes and self._writing.copies.promotes_to_paths):
            return False
        copies = self._writing.copies
        located = self._resolver.locate(asked.name, operation="path")
        asked.take_failures(located)
        holder = located.holder
        return (
            holder is not None
            and copies.promotes(asked.name, holder)
            and copies.bring_home(asked.name, holder)
        )

    def listdir(self, name: str) -> tuple[list[str], list[str]]:
        """Return the union of the backends' listings: directories, files."""
        walk = Walk("listdir", name)
        directories, files = dict[str, None](), dict[str, None]()
        for index, backend in enumerate(self._backends):
            answer = walk.list(backend)
            if answer is not NOTHING:
                answer = self._home.shown(name, index, *answer)
                directories.update(dict.fromkeys(answer[0]))
                files.update(dict.fromkeys(answer[1]))
        if not any(attempt.outcome is Outcome.HELD for attempt in walk.trail):
            raise walk.error()
        self._raise_or_log(walk, "its names are missing from the listing")
        return list(directories), list(files)

    def attribute(self, attribute: str) -> Any:
        """Return an attribute of the first backend that has it.

        For what Django and others read from storages over a local directory:
        ``location``, ``base_location``, ``base_url``.
        """
        for backend in self._backends:
            try:
                return getattr(backend.storage, attribute)
            except AttributeError:
                continue
        raise AttributeError(f"No backend has the attribute {attribute!r}.")

    def _raise_or_log(self, walk: Walk, consequence: str) -> None:
        if walk.unanswered or (walk.failed and self._strict):
            raise walk.error()
        walk.log_failures(consequence)
