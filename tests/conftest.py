"""What holds for every test."""

import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import settings

# How long an example takes depends on what else the machine does; time is measured in tests/bench and nowhere else.
settings.register_profile("ingot", deadline=None)
settings.load_profile("ingot")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes longest begins first: else it is what everybody waits for at the end.

    Among others, a test with real programs, terminals or machines that fails is run once more, and the summary names
    it (RERUN): it is looked into all the same. Rules are not, and nothing is that runs alone.
    """
    items.sort(key=lambda item: item.get_closest_marker("vm") is None and item.path.name != "test_linters.py")
    if hasattr(config, "workerinput"):
        for item in items:
            if "unit" not in item.path.parts:
                item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="session", autouse=True)
def runtime_directory() -> Iterator[None]:
    """Sockets of the programs that tests start, all in one place that goes with the tests (short: unix(7))."""
    directory = tempfile.mkdtemp(prefix="ingot-")
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = directory
    yield
    if before is None:
        del os.environ["XDG_RUNTIME_DIR"]
    else:
        os.environ["XDG_RUNTIME_DIR"] = before
    shutil.rmtree(directory, ignore_errors=True)
