"""A workspace in the middle of its work, in UTC and at a fixed time."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from shop import Shop, fill, open_shop


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        opened = open_shop(tmp_path)
        fill(opened)
        yield opened
        opened.close()
    time.tzset()
