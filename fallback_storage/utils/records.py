"""Values with named fields, which cost nothing at import.

``dataclasses`` writes and compiles code for each class: a quarter of what importing this
package took.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final, Self, dataclass_transform

# In place of a value that has to be given.
LACKING: Final = object()


@dataclass_transform(frozen_default=True)
class Record:
    """A value that never changes; its fields are what a subclass annotates.

    What is annotated with a value has that for its default. Raises ``TypeError`` for
    arguments that are no fields, and for fields that lack a value.
    """

    _fields: ClassVar[tuple[str, ...]] = ()
    _template: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls) -> None:
        names = cls._fields = tuple(cls.__annotations__)
        cls._template = {name: getattr(cls, name, LACKING) for name in names}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        names, fields = self._fields, self.__dict__
        fields.update(self._template)
        fields.update(zip(names, args, strict=False))
        fields.update(kwargs)
        if len(args) > len(names) or not kwargs.keys().isdisjoint(names[: len(args)]):
            raise TypeError(f"{type(self).__name__} takes other arguments")
        if len(fields) > len(names) or LACKING in fields.values():
            wrong = [n for n in fields if n not in names or fields[n] is LACKING]
            raise TypeError(f"{type(self).__name__}: {', '.join(wrong)}")

    def replace(self, **changes: Any) -> Self:
        """Return one that differs in these fields."""
        return type(self)(**{**self.__dict__, **changes})

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be changed")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be deleted")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(tuple(self.__dict__.values()))

    def __repr__(self) -> str:
        fields = ", ".join(f"{key}={each!r}" for key, each in self.__dict__.items())
        return f"{type(self).__name__}({fields})"
