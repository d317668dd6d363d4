"""How a backend may be used, as its entry says."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from fallback_storage.chain.look import look_again_at
from fallback_storage.chain.places import class_path
from fallback_storage.exceptions import ConfigurationError, Mistake
from fallback_storage.utils.records import Record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.core.files.storage import Storage

    from fallback_storage.chain.profile import Profile


class Policy(Record):
    """How a backend may be used.

    ``read_only``: never written to; None means that the configuration did not say,
    and the backend is writable. ``always_probe``: the memo never answers for it.
    ``absent_on_403``: a server that refuses to tell has no such file.
    ``look_again``: a file that the memo says to be there is looked at; None: if that
    takes no request. ``retry_after``: seconds for which it is left alone at first when
    it cannot be reached, 0: it is asked all the same; None: ``RETRY_AFTER``.
    ``deadline``: seconds for which an answer is waited for, 0: for as long as it takes;
    None: what is known of its class.
    ``profile``: overrides of what is known of its class.
    """

    read_only: bool | None = None
    always_probe: bool = False
    absent_on_403: bool = False
    look_again: bool | None = None
    retry_after: float | None = None
    deadline: float | None = None
    profile: Mapping[str, Any] = MappingProxyType({})

    def refuse_vain(
        self, where: str, storage: Storage, profile: Profile, *, is_chain: bool
    ) -> None:
        """Raise ``ConfigurationError`` for what this storage can make no use of.

        ``where``: the place in the configuration; ``is_chain``: it has backends itself.
        """
        path = class_path(storage.__class__)
        if not (profile.writable or self.read_only):
            raise _wrong(
                f"{where}['READ_ONLY']",
                f"is not True, but nothing can be written to {path}.",
                "Write READ_ONLY: True.",
            )
        if self.absent_on_403 and not profile.is_denied:
            raise _wrong(
                f"{where}['ABSENT_ON_403']",
                f"is True, but of {path} it is not known what a 403 means.",
                "Leave it out, or write a function for IS_DENIED into PROFILE.",
            )
        if self.look_again and look_again_at(storage) is None:
            raise _wrong(
                f"{where}['LOOK_AGAIN']",
                f"is True, but {path} keeps its files in no local directory.",
                "Leave it out; with ALWAYS_PROBE the storage is asked every time.",
            )
        if is_chain:
            seconds = {
                "DEADLINE": self.deadline or None,
                "RETRY_AFTER": self.retry_after,
            }
            found, instead = "is a chain.", "Write it in the entries of that chain."
        elif profile.in_process or profile.in_database:
            seconds = {"DEADLINE": self.deadline or None}
            found = "keeps its files in the process, or in the database."
            instead = "Leave it out: its calls belong to the caller's thread."
        else:
            return
        for key, given in seconds.items():
            if given is not None:
                raise _wrong(
                    f"{where}[{key!r}]", f"is {given:g}, but {path} {found}", instead
                )


def _wrong(where: str, found: str, instead: str) -> ConfigurationError:
    return ConfigurationError(Mistake.WRONG_VALUE, where, found, instead)
