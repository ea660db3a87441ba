"""What holds for every screen that is tested here; and a workspace with runs that the tests tell."""

import gc
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from at_rest import wait_for_rest
from told_runs import House

from tui.app import Ingot


@pytest.fixture(autouse=True)
def unhurried() -> Iterator[None]:
    """Nothing depends on how fast this machine is, where it is, or what colours its terminal has.

    Whoever wants to see what happens when time is over sets these times to nothing.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        patch.delenv("NO_COLOR", raising=False)
        wait_for_rest(patch)
        patch.setattr("tui.typing_ahead.PATIENCE", 600.0)
        patch.setattr("tui.terminal.widget.TWICE", 600.0)
        patch.setattr("tui.terminal.pointing._CLICKS_WITHIN", 600.0)
        yield
    time.tzset()


@pytest.fixture(autouse=True)
def garbage() -> Iterator[None]:
    """What an app keeps from the search for garbage, and how seldom that searches, is not for the next test."""
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def no_discovery(_: Ingot) -> None:
    """In the place of discovery."""


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setenv("INGOT_HOME", str(tmp_path / "home"))
    # Discovery would start a process that reads the repository: nothing here is about that.
    monkeypatch.setattr(Ingot, "discover", no_discovery)
    house = House(tmp_path)
    yield house
    house.close()
