"""No interrupt leaves a block behind because of how Python has compiled it.

CPython 3.12 to 3.14: a loop that ends in an ``if`` goes round by a jump that belongs to
no ``with`` and no ``try``, and handlers of signals run there.
"""

from __future__ import annotations

import dis
import types
from pathlib import Path

import pytest

import fallback_storage

PACKAGE = Path(fallback_storage.__file__).parent
# Where locks are held, and what is held is held by ``with``.
MODULES = sorted(
    [
        *PACKAGE.glob("cache/**/*.py"),
        *PACKAGE.glob("utils/*.py"),
        *PACKAGE.glob("operations/*.py"),
        PACKAGE / "chain" / "singleflight.py",
    ]
)
# What they leave holds nothing: ``suppress``; and a generator of the 3.14 kind.
HARMLESS = {"LocalStore._fill", "Room.is_stuck"}
BETWEEN = ("TO_BOOL", "NOT_TAKEN", "POP_JUMP", "JUMP")


def codes(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes(constant)


def left_behind(code):
    """Yield the lines at which a jump back leaves a ``with`` too early."""
    steps = list(dis.get_instructions(code))
    entries = dis.Bytecode(code).exception_entries
    ends = {
        step.offset
        for number, step in enumerate(steps)
        if "WITH_EXCEPT_START" in [each.opname for each in steps[number : number + 3]]
    }

    def around(step):
        covers = (each for each in entries if each.start <= step.offset < each.end)
        return {each.target for each in covers} & ends

    for number, step in enumerate(steps):
        if "JUMP_BACKWARD" in step.opname:
            before = number - 1
            while before > 0 and steps[before].opname.startswith(BETWEEN):
                before -= 1
            if before < number - 1 and around(steps[before]) - around(step):
                lines = code.co_lines()
                yield next(line for start, end, line in lines if step.offset < end)


def name_of(module):
    return str(module.relative_to(PACKAGE))


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_no_loop_leaves_a_lock_held(module):
    compiled = compile(module.read_text(encoding="utf-8"), str(module), "exec")
    found = {
        (code.co_qualname, line)
        for code in codes(compiled)
        if code.co_qualname not in HARMLESS
        for line in left_behind(code)
    }
    assert not found
