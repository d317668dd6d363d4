"""The child of ``gate.py``: calls of ours and of their peers, counted.

Prints a line of JSON: {row: [count of our calls, count of the peer's]}. With
``callgrind`` it runs under that, and the counts are in the files that callgrind dumps, in
this order.
"""

from __future__ import annotations

import ctypes
import gc
import json
import mmap
import sys
import tempfile
from functools import partial

CALLS = 40
#: What an adaptive interpreter wants to have seen before it stays as it is.
WARM = 4 * CALLS
FILE_BYTES = 20_000


# The rows


def pairs(root):
    """Yield (row, our pass over all names, the peer's).

    None that saves: what that calls depends on the file system.
    """
    from django.core.files.base import ContentFile
    from django.core.files.storage import FileSystemStorage, Storage
    from project import PUBLIC_DOMAIN, read
    from storages.backends.s3 import S3Storage

    from fallback_storage.cache.invalidation import invalidate
    from fallback_storage.chain.names import affected
    from fallback_storage.storage import FallbackStorage

    class Remote(Storage):
        def exists(self, name):
            return True

    local = FileSystemStorage()
    s3 = S3Storage(custom_domain=PUBLIC_DOMAIN)
    # S3 is not there: where it would be asked, another storage is.
    chain, other = FallbackStorage([local, s3]), FallbackStorage([local, Remote()])
    here = [f"photos/2024/05/local-{i:04d}.jpg" for i in range(CALLS)]
    there = [f"photos/2024/05/remote-{i:04d}.jpg" for i in range(CALLS)]
    for name in here:
        local.save(name, ContentFile(bytes(FILE_BYTES)))

    def each(call, names, before=None):
        def run(extra):
            if before:
                before()
            for number, name in enumerate(names):
                # A name comes from a database row: not yet hashed.
                call(name.encode().decode())
                if extra and not number % extra:
                    call(name)

        return run

    def bare(name):
        return local.exists(name) or s3.url(name)

    def page(extra):
        for _ in range(1 + bool(extra)):
            chain.forget_all()
            chain.prefetch(there)
            for name in there:
                chain.url(name)

    def many(extra):
        for _ in range(1 + bool(extra)):
            other.resolve_many(there)

    forget = chain.forget_all
    yield "url, local", each(chain.url, here), each(local.url, here)
    yield "exists, local", each(chain.exists, here), each(local.exists, here)
    yield "exists, cold", each(chain.exists, here, forget), each(local.exists, here)
    yield "resolve, local", each(chain.resolve, here), each(local.exists, here)
    yield "size, local", each(chain.size, here), each(local.size, here)
    yield "open, local", each(read(chain), here), each(read(local), here)
    yield "page, cold", each(chain.url, there, forget), each(bare, there)
    yield "page, prefetched", page, each(bare, there)
    yield "url, S3", each(chain.url, there), each(s3.url, there)
    yield "resolve, remote", each(other.resolve, there), each(local.exists, there)
    yield "resolve_many, remote", many, each(local.exists, there)
    alive = [FallbackStorage([local, s3]) for _ in range(20)]
    for one in alive:
        one.url(there[0])
    told = each(lambda name: invalidate(affected(name)), there)
    yield "write, 20 memos", told, each(local.exists, there)


# Counting


class Bytecodes:
    """Steps of the interpreter: the same on every machine, and blind to what C does."""

    def __init__(self):
        self.count = 0

    def __call__(self, run):
        self.count = 0
        sys.settrace(self._called)
        try:
            run()
        finally:
            sys.settrace(None)
        return self.count

    def _called(self, frame, event, _):
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        return self._stepped

    def _stepped(self, frame, event, _):
        self.count += event == "opcode"
        return self._stepped


class Callgrind:
    """Tells callgrind, which is off while all is imported, when to count.

    That is asked for by an instruction sequence that does nothing elsewhere
    (``callgrind.h``, ``valgrind.h``); here for x86-64.
    """

    CODE = bytes.fromhex(
        "4889f8 31d2"  # rax = the request; rdx = the answer outside of valgrind
        "48c1c703 48c1c70d 48c1c73d 48c1c733 4887db"  # rotates rdi by 128 bits
        "4889d0 c3"
    )
    DUMP, ZERO, START, STOP = (0x43540000 + number for number in (0, 1, 4, 5))

    def __init__(self):
        self._memory = mmap.mmap(-1, mmap.PAGESIZE, prot=7)
        self._memory.write(self.CODE)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        signature = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p)
        self._call = signature(address)

    def _ask(self, request):
        self._call(ctypes.byref((ctypes.c_uint64 * 6)(request)))

    def __call__(self, run):
        self._ask(self.START)
        self._ask(self.ZERO)
        run()
        self._ask(self.DUMP)
        self._ask(self.STOP)


def main(tool, slower):
    """Count with ``tool``; ``slower``: each so-manieth call of ours is made twice."""
    from project import configure

    with tempfile.TemporaryDirectory(prefix="fallback-gate-") as root:
        options = dict.fromkeys(
            ("access_key", "secret_key", "bucket_name", "region_name"), "x"
        )
        options |= {"addressing_style": "path", "signature_version": "s3v4"}
        configure(root, {**options, "endpoint_url": "http://127.0.0.1:9"})
        gc.disable()
        counter, counts = {"callgrind": Callgrind, "bytecodes": Bytecodes}[tool](), {}
        for row, ours, peers in pairs(root):
            runs = partial(ours, slower), partial(peers, 0)
            for run in runs:
                for _ in range(WARM // CALLS):
                    run()
            counts[row] = [counter(run) for run in runs]
        print(json.dumps(counts))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
