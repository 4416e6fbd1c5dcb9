"""The house stands as docs/architecture.md draws it: imports go one way, and the picture is the code's."""

import importlib.util
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

FILE = Path(__file__).parents[1] / "docs" / "house.py"


@pytest.fixture(scope="module")
def house():
    spec = importlib.util.spec_from_file_location("house", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["house"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def rooms(house):
    return house.room_graph(house.module_graph())


def test_no_two_files_import_each_other(house):
    assert len(list(TopologicalSorter(house.module_graph()).static_order())) > 150


def test_the_picture_is_of_this_code(house, rooms):
    current = house.PICTURE.read_text(encoding="utf-8") == house.svg(rooms)
    assert current, "draw it again: python docs/house.py"


def test_rooms_stand_above_what_they_import(house, rooms):
    height = {room: level for level, row in enumerate(house.levels(rooms)) for room in row}
    assert height.keys() == rooms.keys()
    assert all(height[room] < height[below] for room in rooms for below in rooms[room])
    order = ["workflow_scripts", "training", "methods", "terms", "nets", "domains"]
    assert sorted(order, key=height.__getitem__) == order
    assert not rooms["mixing"]


def test_a_circle_is_noticed(house):
    with pytest.raises(CycleError):
        house.levels({"a": {"b"}, "b": {"a"}})


def test_arrows_that_others_imply_are_left_out(house):
    assert set(house.needed({"a": {"b", "c"}, "b": {"c"}, "c": set()})) == {("a", "b"), ("b", "c")}
