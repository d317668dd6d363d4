"""Values with named fields."""

from __future__ import annotations

import copy
import pickle

import pytest

from fallback_storage.utils.records import Record


class Point(Record):
    x: int
    y: int = 2
    name: str = ""


class Other(Record):
    x: int
    y: int = 2
    name: str = ""


def test_fields_are_given_in_their_order_or_by_name():
    assert vars(Point(1)) == {"x": 1, "y": 2, "name": ""}
    assert vars(Point(1, 5, name="a")) == {"x": 1, "y": 5, "name": "a"}
    assert Point(y=5, x=1) == Point(1, 5)
    match Point(1):
        case Point(x=1, y=y):
            assert y == 2


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), ((), {"y": 1}), ((1,), {"z": 1}), ((1, 2, "", 4), {}), ((1,), {"x": 1})],
)
def test_what_is_no_field_or_lacks_a_value_is_refused(args, kwargs):
    with pytest.raises(TypeError, match="Point"):
        Point(*args, **kwargs)


def test_a_record_is_its_fields():
    """Whatever the order in which they were given; of this class, and no other one."""
    assert Point(1) == Point(1, 2)
    assert Point(1) != Point(1, 3)
    assert Point(1) != Other(1)
    assert hash(Point(y=5, x=1)) == hash(Point(1, 5))
    assert repr(Point(1)) == "Point(x=1, y=2, name='')"


def test_it_never_changes():
    point = Point(1)
    with pytest.raises(AttributeError, match=r"Point\.x cannot be changed"):
        point.x = 2
    with pytest.raises(AttributeError, match=r"Point\.x cannot be deleted"):
        del point.x
    assert point.replace(y=7) == Point(1, 7)
    assert point == Point(1)
    with pytest.raises(TypeError, match="Point: z"):
        point.replace(z=1)


def test_copies_and_pickles_are_equal():
    point = Point(1, name="a")
    assert copy.copy(point) == point
    assert copy.deepcopy(point) == point
    assert pickle.loads(pickle.dumps(point)) == point
