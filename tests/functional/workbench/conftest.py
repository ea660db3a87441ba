"""The workspace that these tests open, at a fixed time."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from shop import Ruling, Shop, fill, open_shop, rule


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Shop]:
    """A Git repository that Ingot has never seen."""
    opened = open_shop(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def shop(bare: Shop) -> Shop:
    """A workspace in the middle of its work."""
    fill(bare)
    return bare


@pytest.fixture
def ruled(shop: Shop) -> Ruling:
    """The shop with a ledger behind it."""
    return rule(shop)
