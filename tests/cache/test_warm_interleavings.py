"""Why a warm-up brings no deleted file back: every interleaving, of a model.

The model is the protocol in the docstring of ``fallback_storage.jobs.warm``: one name, one
backend, a warm-up of one page, and writers that delete the file and save it again, or
another in its place. What is listed, and remembered, is a version: its size and date. A
step is what happens at once. Variants that leave a part of the protocol out are shown
to fail: so the search finds what it looks for.
"""

from __future__ import annotations

import pytest

START = {
    "file": 1,  # the version that the backend holds; 0: none
    "marker": 0,  # the token of EVERY
    "token": 0,  # the token of the name; a lease is the token seen
    "entry": 0,  # the version whose facts the memo has with "held"
    "writing": 0,  # writers between their change and their return
}


# Steps: a function of (world, own variables), which changes both.


def change(to):
    def step(world, own):
        world["file"] = to
        world["writing"] += 1

    return step


def void_marker(world, own):
    world["marker"] += 1


def void_name(world, own):
    world["token"] += 1
    world["entry"] = 0


def done(world, own):
    world["writing"] -= 1


def take_marker(world, own):
    own["marker"] = world["marker"]


def list_page(world, own):
    own["listed"] = world["file"]


def take_lease(world, own):
    own["lease"] = world["token"]


def check_marker(world, own):
    own["current"] = own["marker"] == world["marker"]


def list_again(world, own):
    if not own["current"]:
        own["listed"] = own["listed"] and world["file"]


def list_names_again(world, own):
    if not own["current"] and not world["file"]:
        own["listed"] = 0


def fill(world, own):
    if own["listed"] and own["lease"] == world["token"]:
        world["entry"] = own["listed"]


def writer(to, *invalidation):
    return [change(to), *invalidation, done]


IN_ORDER = (void_marker, void_name)
WARM_UP = [take_marker, list_page, take_lease, check_marker, list_again, fill]
# Of a name that is known. To forget it is to void it, and not the marker.
RENEWAL = [take_marker, list_page, void_name, *WARM_UP[2:]]
KNOWN = {**START, "entry": 1}


def without(*steps):
    return [step for step in WARM_UP if step not in steps]


def skip_check(world, own):
    own["current"] = True


def explore(*programs, start=START):
    """Return whether an entry is ever wrong while nobody writes, and how many states."""
    seen = set()
    wrong = 0
    states = [(start, [{} for _ in programs], [0] * len(programs))]
    while states:
        world, owns, positions = states.pop()
        key = repr((sorted(world.items()), owns, positions))
        if key in seen:
            continue
        seen.add(key)
        if not world["writing"] and world["entry"] not in {0, world["file"]}:
            wrong += 1
        for index, program in enumerate(programs):
            if positions[index] < len(program):
                after, variables = dict(world), [dict(own) for own in owns]
                program[positions[index]](after, variables[index])
                moved = list(positions)
                moved[index] += 1
                states.append((after, variables, moved))
    return wrong, len(seen)


def test_no_interleaving_brings_a_deleted_file_back():
    wrong, states = explore(WARM_UP, writer(0, *IN_ORDER), writer(2, *IN_ORDER))
    assert states > 1000
    assert not wrong


@pytest.mark.parametrize("to", [0, 2])
def test_nor_do_two_warm_ups(to):
    assert explore(WARM_UP, WARM_UP, writer(to, *IN_ORDER))[0] == 0


@pytest.mark.parametrize("other", [WARM_UP, RENEWAL, writer(2, *IN_ORDER)])
def test_nor_does_a_renewal(other):
    wrong, _ = explore(RENEWAL, other, writer(0, *IN_ORDER), start=KNOWN)
    assert not wrong


@pytest.mark.parametrize(("warm_up", "start"), [(WARM_UP, START), (RENEWAL, KNOWN)])
def test_a_warm_up_that_nothing_disturbs_fills(warm_up, start):
    world, own = dict(start), {}
    for step in warm_up:
        step(world, own)
    assert world["entry"]


def test_a_page_that_is_read_again_is_filled():
    """However much else is written: the leases are older than the second listing."""
    world, own = dict(START), {}
    for step in WARM_UP:
        step(world, own)
        void_marker(world, own)
    assert world["entry"]


@pytest.mark.parametrize(
    ("warm_up", "invalidation"),
    [
        pytest.param(
            [*without(check_marker, fill), fill], (void_name,), id="no-marker"
        ),
        pytest.param(
            [skip_check if step is check_marker else step for step in RENEWAL],
            IN_ORDER,
            id="not-checked-when-renewed",
        ),
        pytest.param(
            [skip_check if step is check_marker else step for step in WARM_UP],
            IN_ORDER,
            id="not-checked",
        ),
        pytest.param(WARM_UP, IN_ORDER[::-1], id="marker-voided-last"),
        pytest.param(
            [list_page, take_marker, *WARM_UP[2:]], IN_ORDER, id="marker-after-listing"
        ),
        pytest.param(
            [take_marker, list_page, check_marker, take_lease, list_again, fill],
            IN_ORDER,
            id="lease-after-check",
        ),
        pytest.param(without(list_again), IN_ORDER, id="not-read-again"),
        pytest.param(
            [list_names_again if step is list_again else step for step in WARM_UP],
            IN_ORDER,
            id="facts-of-the-first-listing",
        ),
    ],
)
@pytest.mark.parametrize("to", [0, 2])
def test_each_part_is_needed(warm_up, invalidation, to):
    if to == 0 and list_names_again in warm_up:
        pytest.skip("Of a file that is gone, nothing is filled.")
    if check_marker not in warm_up and skip_check not in warm_up:
        warm_up = [skip_check, *warm_up]
    wrong, _ = explore(warm_up, writer(to, *invalidation))
    assert wrong
