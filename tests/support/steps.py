"""Threads of real code, in every order of their steps.

A step is one that may tell or change something others see: a call, a subscript, ``in``.
Before each, another thread may go on. Where something was called, where a function begins
and where a loop goes round, an interrupt may come, or something on the same thread (see
``interrupts``). That is more than happens with a GIL, and all that happens without.

Every order is tried, those with few turns first, but for what leads to a state that was
there before: it comes to the same. A state is what is shared; where each thread is, with
its variables; and what was shared at its last steps, since a value that was read is kept
where nobody sees it until it is used, which takes no more than these.
"""

from __future__ import annotations

import contextlib
import dis
import functools
import heapq
import itertools
import random
import sys
import threading

TOOL = 3
ITEMS = ("BINARY_SUBSCR", "STORE_SUBSCR", "DELETE_SUBSCR", "CONTAINS_OP")
# Calls of these ask or change what others see.
SHARED = {
    *("get", "keys", "isdisjoint", "len", "list"),
    *("append", "pop", "popleft", "popitem", "clear", "map", "release"),
}


class InterruptError(Exception):
    """What comes from outside."""


class _Abandoned(BaseException):
    """The run is over for all threads."""


@functools.cache
def _places(code):
    """Return offset -> whether it is a step, and what else may come in there."""
    entries = dis.Bytecode(code).exception_entries
    places, before, named = {}, [], set()
    for each in dis.get_instructions(code):
        name, comes = each.opname, ()
        if name == "RESUME" or "JUMP_BACKWARD" in name:
            comes = ("interrupt", "nest")
        elif before and before[-1].opname.startswith(("CALL", "WITH_EXCEPT")):
            # It is raised where the call is. (When ``with`` has taken a lock nothing is.)
            caught = [
                [entry.target for entry in entries if entry.start <= at < entry.end]
                for at in (before[-1].offset, each.offset)
            ]
            if not (len(before) > 1 and before[-2].opname == "LOAD_SPECIAL"):
                comes = ("nest", "interrupt") if caught[0] == caught[1] else ("nest",)
        is_step = name.startswith(ITEMS) or (
            name == "BINARY_OP" and each.argrepr in {"[]", "+="}
        )
        if name.startswith(("LOAD_ATTR", "LOAD_METHOD", "LOAD_GLOBAL")):
            named.add(each.argval)
        elif name.startswith("CALL"):
            is_step = bool(named & SHARED)
            named.clear()
        if is_step or comes:
            places[each.offset] = is_step, comes
        before.append(each)
    return places


class TurnLock:
    """A reentrant lock that lets the others go on instead of waiting."""

    def __init__(self, run):
        self._run = run
        self.owner = None
        self.depth = 0

    def acquire(self, blocking=True):
        actor = self._run.actor()
        while self.owner not in {None, actor}:
            if not blocking:
                return False
            self._run.decide(actor, waits=True)
        self.owner = actor
        self.depth += 1
        return True

    def release(self):
        self.depth -= 1
        if not self.depth:
            self.owner = None

    def __enter__(self):
        self.acquire()

    def __exit__(self, *error):
        self.release()

    def lend(self, act):
        """Let something be done on a thread that may have the lock."""
        owner, depth = self.owner, self.depth
        self.owner, self.depth = None, 0
        act()
        self.owner, self.depth = owner, depth

    def lets(self, actor):
        return self.owner in {None, actor}


class Run:
    """One order of steps: ``prefix`` is what is chosen, then nobody is interrupted.

    ``make(run)`` makes a world, which has ``acts``, one for each thread, ``codes``, whose
    steps count, ``state()``, ``frozen(value)`` (both to be compared), ``check()``, and ``finish()``, which raise, ``nested()``, and
    how many ``interrupts`` and ``nests`` there may be.
    """

    current = None

    def __init__(self, make, prefix, seen):
        self.lock = TurnLock(self)
        self.chosen = []
        self.trail = []
        self.where = {}
        self.others = []
        self.error = None
        # (What was shared is not looked at again until there.)
        self._prefix, self._seen_then = prefix
        self._state = None
        self._turns = True
        self._seen = seen
        self._own = set()
        self._over = threading.Event()
        self._gates = {}
        self._orders = {}
        self._comes = {}
        self._saw = {}
        self._frames = {}
        self._stands = {}
        self._waits = set()
        self._actors = threading.local()
        Run.current = self
        self.world = make(self)
        self._left = {"interrupt": self.world.interrupts, "nest": self.world.nests}
        threads = []
        for number, act in enumerate(self.world.acts):
            self._gates[number] = threading.Semaphore(0)
            self._comes[number] = ()
            self._saw[number] = ()
            thread = threading.Thread(
                target=self._live, args=(number, act), daemon=True
            )
            threads.append(thread)
        for thread in threads:
            thread.start()
        with contextlib.suppress(_Abandoned):
            self._turn(None)
        for thread in threads:
            thread.join()
        if self.error is None and not self._gates:
            try:
                self.world.finish()
            except Exception as error:
                self.error = error

    def actor(self):
        return getattr(self._actors, "number", None)

    def arm(self):
        """Let the steps of this thread count (again: an interrupt ends that)."""
        if self.actor() is not None and not hasattr(sys, "monitoring"):
            sys.settrace(self._trace)

    def _live(self, number, act):
        self._actors.number = number
        self._gates[number].acquire()
        try:
            if self._over.is_set():
                return
            self.arm()
            act()
        except (InterruptError, _Abandoned):
            pass
        except BaseException as error:
            self._end(error)
        finally:
            self._actors.number = None
            sys.settrace(None)
            if not self._over.is_set():
                del self._gates[number]
                with contextlib.suppress(_Abandoned):
                    self._turn(None)

    def _trace(self, frame, event, argument):
        if frame.f_code not in self.world.codes:
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        return self._step

    def _step(self, frame, event, argument):
        if event == "opcode":
            self.come(frame.f_code, frame.f_lasti, frame)
        return self._step

    def come(self, code, offset, frame):
        """Be told that a thread is about to do something."""
        number, place = self.actor(), _places(code).get(offset)
        if number is None or place is None:
            return
        is_step, comes = place
        comes = tuple(what for what in comes if self._left[what])
        if is_step or comes:
            self._frames[number] = frame
            self._comes[number] = comes
            self._turns = is_step
            self.where[number] = f"{code.co_name}:{offset}"
            self.decide(number)

    def decide(self, number, *, waits=False):
        """Let somebody go on, and return when this thread does."""
        # What is done in here is no step.
        self._actors.number = None
        if waits:
            self._comes[number] = ()
            self._turns = True
            self._waits.add(number)
        self._turn(number)
        self._waits.discard(number)
        order = self._orders.pop(number, "step")
        if order == "nest":
            self.lock.lend(self.world.nested)
            self.decide(number)
        self._actors.number = number
        if order == "interrupt":
            raise InterruptError

    def _turn(self, number):
        if self._over.is_set():
            raise _Abandoned
        try:
            choice = self._choose(number)
        except Exception as error:
            self._end(error)
            raise _Abandoned from None
        if choice is None:
            self._end()
            if self._gates:
                raise _Abandoned
            return
        self.chosen.append(choice)
        chosen, what = choice
        self.trail.append((*choice, self.where.get(chosen)))
        self._saw[chosen] = (*self._saw[chosen][-2:], self._state)
        self._stands[chosen] = None
        if what != "step":
            self._left[what] -= 1
            self._orders[chosen] = what
        if chosen != number:
            self._gates[chosen].release()
            if number is None:
                return
            self._gates[number].acquire()
            if self._over.is_set():
                raise _Abandoned

    def _stand(self, number):
        """Return where a thread is, and what its variables are."""
        found = self._stands.get(number)
        if found is None:
            found, frame = [], self._frames.get(number)
            while frame is not None and frame.f_code in self.world.codes:
                names = sorted(frame.f_locals.items())
                found.append((frame.f_code.co_name, frame.f_lasti))
                found += [(name, self.world.frozen(each)) for name, each in names]
                frame = frame.f_back
            found = self._stands[number] = hash((*found, self._comes[number]))
        return found

    def _choose(self, number):
        position = len(self.chosen)
        if position < len(self._prefix):
            return self._prefix[position]
        if position == len(self._prefix):
            self._saw.update(self._seen_then)
        self.world.check()
        self._state = self.world.state()
        key = (
            self._state,
            *((each, self._stand(each), self._saw[each]) for each in self._gates),
            *self._left.values(),
        )
        assert key not in self._own, "it goes round for ever"
        if key in self._seen:
            return None
        self._seen.add(key)
        self._own.add(key)
        options = []
        for each in sorted(self._gates, key=lambda each: each != number):
            if each != number and number is not None and not self._turns:
                continue
            if each not in self._waits or self.lock.lets(each):
                options.append((each, "step"))
            options += [
                (each, what)
                for what in self._comes[each]
                if self._left[what] and (what != "nest" or self.lock.lets(each))
            ]
        steps = [option for option in options if option[1] == "step"]
        assert steps or not self._gates, "all wait"
        for option in options:
            if option != steps[0]:
                each, _ = option
                saw = dict(self._saw)
                saw[each] = (*saw[each][-2:], self._state)
                self.others.append(((*self.chosen, option), saw))
        return steps[0] if steps else None

    def _end(self, error=None):
        self.error = self.error or error
        self._over.set()
        for gate in list(self._gates.values()):
            gate.release()


def _come(code, offset):
    Run.current.come(code, offset, sys._getframe(1))


@contextlib.contextmanager
def watched(codes):
    """Let ``Run.current`` be told of each step in these codes."""
    if not hasattr(sys, "monitoring"):
        yield
        return
    monitoring, event = sys.monitoring, sys.monitoring.events.INSTRUCTION
    monitoring.use_tool_id(TOOL, "steps")
    monitoring.register_callback(TOOL, event, _come)
    try:
        for code in codes:
            monitoring.set_local_events(TOOL, code, event)
        yield
    finally:
        for code in codes:
            monitoring.set_local_events(TOOL, code, 0)
        monitoring.free_tool_id(TOOL)


def explore(make, codes, runs=None, seed=0):
    """Run what ``make(run)`` makes in all orders, or in some; return what was wrong.

    Returns how many runs there were, and of the first that failed the error, and what
    was chosen; or None.
    """
    seen, draw = set(), random.Random(seed)
    todo, numbers, done = [(0, 0.0, 0, ((), {}))], itertools.count(1), 0
    with watched(codes):
        while todo and (runs is None or done < runs):
            turns, _, _, prefix = heapq.heappop(todo)
            run = Run(make, prefix, seen)
            done += 1
            if run.error is not None:
                return done, run.error, run.trail
            for other in run.others:
                heapq.heappush(todo, (turns + 1, draw.random(), next(numbers), other))
    return done, None, ()


def codes_within(code):
    """Return a code, and those of the functions and classes in it."""
    found = {code}
    for each in code.co_consts:
        if hasattr(each, "co_code"):
            found |= codes_within(each)
    return found
