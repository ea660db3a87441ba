"""Garbage is searched for in all of the memory while nothing else is to be done, and not while somebody waits."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from tui.garbage import ENOUGH, Garbage


class Ring:
    """Garbage as soon as nobody else has it: it has itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def old() -> Iterator["weakref.ref[Ring]"]:
    """A ring that only a search of all finds, and which is worth one."""
    before = gc.get_threshold()
    gc.disable()  # nobody else searches
    ring = Ring()
    gc.collect()  # it is old from now on, and is none yet
    found = weakref.ref(ring)
    del ring
    for _ in range(ENOUGH):
        gc.collect(1)
    yield found
    gc.set_threshold(*before)
    gc.enable()


@pytest.mark.parametrize(("worked", "found"), [(0.005, True), (0.02, False)])
def test_it_is_found_where_the_loop_rests(old: "weakref.ref[Ring]", worked: float, found: bool) -> None:
    clock = [0.0]
    garbage = Garbage(lambda: clock[0])
    garbage.begin()
    clock[0] = worked
    garbage.look()
    assert (old() is None) is found


def test_python_does_not_search_all_as_soon_as_it_is_worth_it() -> None:
    before = gc.get_threshold()
    try:
        Garbage().begin()
        assert gc.get_threshold()[:2] == before[:2]
        assert gc.get_threshold()[2] > ENOUGH
    finally:
        gc.set_threshold(*before)
