"""What is in a disk is written down from what was read of it, once, and the copies go."""

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from disk_tree import disk_of, entry
from workshop import Workshop, role

from core.engine.job import Job
from core.model.inventory import Inventory
from core.model.run import Run, Stage
from core.stages import evidence, inspect

FILES = {
    "/etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n',
    "/etc/passwd": "root:x:0:0:root:/root:/bin/bash\n",
    "/etc/shadow": "root:$y$j9T$hash:1::::::\n",
    "/var/lib/dpkg/status": "Package: nginx\nStatus: install ok installed\nVersion: 1.22.1-9\n",
    "/var/lib/rpm/Packages": entry("/var/lib/rpm/Packages", b"x"),
}


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    made = Workshop(tmp_path)
    made.commit({"README": "x"})
    yield made
    made.close()


def read(run: Run, workshop: Workshop) -> Path:
    """What the stage before leaves."""
    listing, _ = disk_of(FILES)
    place = workshop.places.run(run.uid) / "reading/file.hello"
    for path, content in FILES.items():
        copy = place / "tree" / path.lstrip("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            copy.write_text(content)
    (place / "listing.json").write_bytes(msgspec.json.encode(list(listing.entries.values())))
    return place


async def carried_out(workshop: Workshop, run: Run) -> dict[str, object]:
    job = Job(workshop.around, run, Stage("inspect/file.hello", attempt=1))
    try:
        return dict(await inspect.carry_out(job))
    finally:
        job.close()


async def test_an_inventory_goes_with_the_image_and_the_copies_of_its_files_go(workshop: Workshop) -> None:
    run = workshop.new_run(role())
    place = read(run, workshop)
    assert await carried_out(workshop, run) == {"inventory": True}
    assert not place.exists()
    job = Job(workshop.around, run, Stage("inspect/file.hello"))
    packed = evidence.packed(job)["inventory-file.hello"]
    job.close()
    report = workshop.places.run(run.uid) / "evidence/inventory-file.hello.json"
    found = msgspec.json.decode(report.read_bytes(), type=Inventory)
    assert [package.name for package in found.packages] == ["nginx"]
    assert (found.users[0].name, found.users[0].can_log_in) == ("root", True)
    assert b"j9T" not in report.read_bytes()
    assert len(packed) < len(report.read_bytes())
    log = workshop.log(run, "inspect/file.hello")
    assert "Debian GNU/Linux 12 (bookworm)" in log
    assert "Packages: 1;" in log
    assert "Not read: The packages of rpm" in log

    assert await carried_out(workshop, run) == {"inventory": True}  # after a crash: what was read is gone
    assert json.loads(report.read_bytes())["packages"]


async def test_a_disk_that_was_not_read_is_no_failure(workshop: Workshop) -> None:
    run = workshop.new_run(role())
    assert await carried_out(workshop, run) == {"inventory": False}
    assert "is not known: it was not read" in workshop.log(run, "inspect/file.hello")


async def test_nothing_that_was_read_of_a_disk_outlives_a_run_that_failed(workshop: Workshop) -> None:
    run = workshop.new_run(role())
    place = read(run, workshop)
    workshop.end(run, succeeded=False)
    assert not place.exists()
