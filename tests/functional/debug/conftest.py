"""A workspace in the middle of its work, at a fixed time."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from shop import Shop, fill, open_shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    opened = open_shop(tmp_path)
    fill(opened)
    yield opened
    opened.close()
