"""What may be written: the rules for options and for the keys of dicts.

Whoever validates yields mistakes. Reading settings raises the first of them, the
checks report all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fallback_storage.conf.messages import quoted, shown, suggestion
from fallback_storage.exceptions import ConfigurationError, Mistake
from fallback_storage.utils.records import Record

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator


class Rule(Record):
    """``holds`` for a right value; ``instead`` of another one: what to write.

    ``found``: what to say of another one, where its value must not be shown.
    """

    holds: Callable[[Any], bool]
    instead: str
    found: str = ""


# Of each key: the rules for its value, of which the first that does not hold is told.
Rules = Mapping[str, tuple[Rule, ...]]


def is_a(*kinds: type) -> Callable[[Any], bool]:
    """Return what tells whether a value is of one of these types."""
    # True is an int to Python, a slip to us.
    return lambda value: (
        isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
    )


DICT = Rule(is_a(dict), "Write a dict.", "is not a dict.")
FLAG = Rule(is_a(bool), "Write a bool: True or False.")
NUMBER = Rule(is_a(int, float), "Write a number.")
TEXT = Rule(is_a(str), "Write a string.")
WHOLE_NUMBER = Rule(is_a(int), "Write a whole number.")


def unknown(
    given: Iterable[Any], known: Collection[str], where: str, kind: str = "key"
) -> Iterator[ConfigurationError]:
    """Yield a mistake for every key that is not known; ``kind``: "key" or "option"."""
    mistake = Mistake.UNKNOWN_KEY if kind == "key" else Mistake.UNKNOWN_OPTION
    for key in given:
        if key not in known:
            found = f"has the unknown {kind} {quoted(key)}."
            instead = suggestion(str(key), known, f"{kind}s")
            yield ConfigurationError(mistake, where, found, instead)


def broken(
    given: Mapping[str, Any], rules: Rules, where: str = ""
) -> Iterator[ConfigurationError]:
    """Yield a mistake for every value that breaks a rule; ``where``: of the dict."""
    for key in [key for key in rules if key in given]:
        for rule in rules[key]:
            if not rule.holds(given[key]):
                place = f"{where}[{key!r}]" if where else key
                found = rule.found or f"is {shown(given[key])}."
                yield ConfigurationError(
                    Mistake.WRONG_VALUE, place, found, rule.instead
                )
                break


def mistakes_in(
    given: Mapping[Any, Any], rules: Rules, where: str
) -> list[ConfigurationError]:
    """Return what is wrong with the keys of a dict that stands at ``where``."""
    return [*unknown(given, rules, where), *broken(given, rules, where)]


def refuse(mistakes: Iterable[ConfigurationError]) -> None:
    """Raise the first mistake, if there is one."""
    for mistake in mistakes:
        raise mistake
