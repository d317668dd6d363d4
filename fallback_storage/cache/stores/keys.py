"""File names -> cache keys.

A file name may be of any length and hold spaces, control characters and any letter;
memcached takes none of these. So a key holds a hash of the name, and is short enough
to leave an alias room for its KEY_PREFIX::

    fbs3:<chain>::<hash of the name>:e    an entry
    fbs3:<chain>::<hash of the name>:s    a stamp
    fbs3:<chain>::g                       the generation, one for all names

Every key of a chain, and no other, begins with ``Keys.prefix``. ``fbs3`` is the version
of keys and entries, in all stores: whoever changes what either means counts it up, so
that workers of two releases never read each other's entries. (The first was ``fbs2``.)
What one chain keeps for several tenants differs in the names (``varied``).
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

VERSION = "fbs3"

# Behind the chain, of whose digits it is none.
END_OF_CHAIN = "::"

# Bytes. Two names with one hash would share an entry; nobody finds such a pair.
HASH_SIZE = 20

# What memcached takes for the longest key.
MAX_LENGTH = 250


def are_safe(keys: Collection[str]) -> bool:
    """Whether memcached surely takes these keys, as they are sent.

    Django looks for that with a regular expression, which takes longer than a hit.
    """
    text = "".join(keys)
    is_plain = text.isascii() and text.isprintable() and " " not in text
    return is_plain and max(map(len, keys)) <= MAX_LENGTH


class Keys:
    """The keys of one chain. ``chain`` is short, of hexadecimal digits."""

    __slots__ = ("generation", "prefix")

    def __init__(self, chain: str) -> None:
        self.prefix = f"{VERSION}:{chain}{END_OF_CHAIN}"
        self.generation = f"{self.prefix}g"

    def _base(self, name: str) -> str:
        # surrogatepass: what os.fsdecode() made of bytes that are not UTF-8.
        encoded = name.encode("utf-8", "surrogatepass")
        return self.prefix + blake2b(encoded, digest_size=HASH_SIZE).hexdigest()

    def entry(self, name: str) -> str:
        """Return the key of a name's entry."""
        return f"{self._base(name)}:e"

    def stamp(self, name: str) -> str:
        """Return the key of a name's stamp."""
        return f"{self._base(name)}:s"

    def stamp_and_entry(self, name: str) -> tuple[str, str]:
        """Return both keys of a name, hashing once."""
        base = self._base(name)
        return f"{base}:s", f"{base}:e"
