"""The examples in docstrings hold."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2]
FILES = [
    file.relative_to(HERE)
    for package in ("core", "tui")
    for file in sorted((HERE / package).rglob("*.py"))
    if ">>> " in file.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("file", FILES, ids=str)
def test_what_a_docstring_shows_is_what_comes_out(file: Path) -> None:
    module = import_module(".".join(file.with_suffix("").parts))
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed
