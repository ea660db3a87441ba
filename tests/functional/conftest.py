"""A workspace with runs that the tests tell, in UTC."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from told_runs import House

from tui.app import Ingot


def no_discovery(_: Ingot) -> None:
    """In the place of discovery."""


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setenv("INGOT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TZ", "UTC")
    # Discovery would start a process that reads the repository: nothing here is about that.
    monkeypatch.setattr(Ingot, "discover", no_discovery)
    house = House(tmp_path)
    yield house
    house.index.close()
