"""The model: a dictionary for each backend of a chain, and the set of hidden names."""

from __future__ import annotations

import itertools

from overlay.parts import FailingFiles, FailingFlat, Guard, GuardFiles

MISSING = FileNotFoundError
TIMES = ("get_accessed_time", "get_created_time", "get_modified_time")


class Backend:
    """One backend: the storage, and what the model says is in it."""

    def __init__(self, index, role, kind, root):
        self.role, self.kind = role, kind
        self.files = {}
        if kind == "files":
            self.root = root / str(index)
            self.root.mkdir()
            klass = GuardFiles if role == "g" else FailingFiles
            self.storage = klass(self.root, base_url=f"/{index}/")
        else:
            self.storage = (Guard if role == "g" else FailingFlat)(str(index))

    def put(self, files):
        """Fill a guard, without the storage."""
        self.files = files
        for name, content in files.items():
            if self.kind == "files":
                path = self.root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            else:
                self.storage.files[name] = content

    def raw(self):
        """Everything in it, asked of nobody."""
        if self.kind == "flat":
            return dict(self.storage.files)
        paths = [path for path in self.root.rglob("*") if path.is_file()]
        return {
            path.relative_to(self.root).as_posix(): path.read_bytes() for path in paths
        }


class Model:
    """What an overlay answers. Whoever inherits has these attributes.

    ``backends``, in order; ``writable``, indexes of those that are no guards, and
    ``home_index``, the first of them; ``hidden``, names; ``on_delete``, ``promote``
    and ``max_size``, the options.
    """

    def is_hidden(self, index, name):
        return self.backends[index].role == "g" and name in self.hidden

    def visible(self, name):
        for index, backend in enumerate(self.backends):
            if name in backend.files and not self.is_hidden(index, name):
                return index
        return None

    def expected(self, operation, name):
        """What the model answers to a question."""
        index = self.visible(name)
        if operation == "exists":
            return index is not None
        if operation == "resolve":
            hidden = index is None and name in self.hidden
            return index, index is not None, hidden
        if operation == "url":
            return self.url_of(index, name)
        if operation == "path":
            return self.path_of(index, name)
        if index is None:
            return MISSING
        content = self.backends[index].files[name]
        if operation == "size":
            return len(content)
        if operation in TIMES:
            return "time"
        return content

    def url_of(self, index, name):
        if index is None:
            last = len(self.backends) - 1
            index = self.home_index if self.is_hidden(last, name) else last
        if self.backends[index].kind == "files":
            return f"/{index}/{name}"
        return f"https://{index}.example/{name}"

    def path_of(self, index, name):
        local = self.local_holder(name)
        if local is not None:
            return str(self.backends[local].root / name)
        every = all(backend.kind == "files" for backend in self.backends)
        copied = index is not None and self.is_promoted(index, name)
        if every or (copied and self.home.kind == "files"):
            return str(self.home.root / name)
        return NotImplementedError

    def local_holder(self, name):
        for index, backend in enumerate(self.backends):
            shown = name in backend.files and not self.is_hidden(index, name)
            if shown and backend.kind == "files":
                return index
        return None

    def is_promoted(self, index, name):
        small = self.max_size is None or (
            len(self.backends[index].files[name]) <= self.max_size
        )
        return self.promote and index > self.home_index and small

    def after(self, operation, name):
        """Do in the model what a question changes."""
        index = self.visible(name)
        if index is None or not self.is_promoted(index, name):
            return
        remote = self.local_holder(name) is None
        if operation in {"open", "open_text"} or (operation == "path" and remote):
            self.home.files[name] = self.backends[index].files[name]

    def shown(self, name, index):
        """Do in the model what the end of a write does to the whiteout."""
        above = [
            each
            for each in self.backends[:index]
            if each.role == "g" and name in each.files
        ]
        self.hidden.discard(name)
        if above and self.on_delete == "whiteout":
            self.hidden.add(name)

    def blind(self, operation, name):
        """What the model answers without backends that fail, and their whiteouts."""
        down = [i for i in self.writable if self.backends[i].storage.down]
        files, hidden = [each.files for each in self.backends], self.hidden
        for missing in itertools.product(*((False, True) for _ in down)):
            for index, without in zip(down, missing, strict=True):
                self.backends[index].files = {} if without else files[index]
            for self.hidden in (hidden, set()):
                yield self.expected(operation, name)
        for index in down:
            self.backends[index].files = files[index]
        self.hidden = hidden

    def target(self, name, mode):
        """Which backend a file is written to, or what is raised."""
        index = self.visible(name)
        if index is not None:
            if "x" in mode:
                return FileExistsError
            keeps = "r" in mode or "a" in mode
            return index if keeps and index in self.writable else self.home_index
        if "r" in mode:
            return MISSING
        return self.home_index

    def written(self, target, name, mode, data):
        index = self.visible(name)
        old = b""
        if index is not None:
            # A guard above the home wins; what lies below it is what is written to.
            old = self.backends[index].files[name]
            old = self.backends[target].files.get(name, old)
        new = data
        if "a" in mode:
            new = old + data
        elif "r" in mode:
            # The fake object store appends, as the test beside this one knows.
            flat = self.backends[target].kind == "flat"
            new = old + data if flat else data + old[len(data) :]
        self.backends[target].files[name] = new
        self.shown(name, target)
