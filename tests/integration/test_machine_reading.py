"""What is on the disks of a machine that runs is read over SSH, as its root."""

import os
import subprocess
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from ssh_machine import SshMachine, missing
from stand_in_guest import Guests, guests, write_program

from core.adapters import ssh
from core.adapters.disk_reading import Reading
from core.adapters.machine_reading import read_machine
from core.adapters.ssh_session import Connection
from core.errors import ToolError

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"{missing()} is not installed")


class Site:
    def __init__(self, place: Path) -> None:
        self.told: Guests = guests(place / "guests")
        self.disk = self.told.here / "disk"
        self.sshd = SshMachine(place / "sshd")
        self.into = place / "run" / "reading"

    @asynccontextmanager
    async def connection(self, *lines: str) -> AsyncGenerator[Connection]:
        self.sshd.start(self.told.forced(self.sshd.place, "1"), *lines)
        connection = await ssh.connect(self.sshd.machine())
        try:
            yield connection
        finally:
            await connection.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.sshd.stop()


async def test_all_paths_and_the_wanted_files_come_out(site: Site) -> None:
    site.told.has_on_disk("/etc/image-release", "IMAGE_ROLE=web\n")
    site.told.has_on_disk("/etc/a name\nof two lines", "x")
    site.told.has_on_disk("/var/log/syslog", "secret\n")
    (site.disk / "etc/os-release").symlink_to("image-release")
    async with site.connection() as connection:
        booted = await read_machine(connection, ("/etc/image-release", "/etc/*-release"), site.into)
    assert 0.0 < booted < time.time()
    reading = Reading(site.into)
    there = {"/", "/etc", "/etc/image-release", "/etc/a name\nof two lines", "/var/log/syslog", "/etc/os-release"}
    assert there <= set(reading.listing.entries)
    assert reading.listing.entries["/etc/image-release"].mtime == 1.0
    assert reading.content("/etc/os-release") == b"IMAGE_ROLE=web\n"
    assert reading.content("/var/log/syslog") is None, "nobody asked for it"
    assert [path.name for path in site.into.parent.iterdir()] == ["reading"]


@pytest.fixture
def small(site: Site) -> Iterator[Site]:
    """What is read has hardly any room here."""
    place = site.into.parent
    place.mkdir(parents=True)
    mount = ("mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(place))
    if os.getuid() != 0 or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("no small disk can be mounted here")
    yield site
    subprocess.run(("umount", place), check=True)


async def test_a_full_disk_here_is_not_held_against_the_machine(small: Site) -> None:
    small.told.has_on_disk("/etc/passwd", "x" * 400_000)  # packed it has room
    async with small.connection() as connection:
        with pytest.raises(OSError, match="No space left"):
            await read_machine(connection, ("/etc/passwd",), small.into)


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
async def test_without_a_way_to_root_that_is_said(site: Site) -> None:
    async with site.connection() as connection:
        with pytest.raises(ToolError, match="not root"):
            await read_machine(connection, ("/etc/passwd",), site.into)


async def test_what_a_machine_makes_up_is_refused(site: Site, tmp_path: Path) -> None:
    programs = tmp_path / "liar"
    programs.mkdir()
    write_program(programs / "find", "#!/bin/sh\nprintf 'f\\0rwx\\0a\\0b\\0c\\0d\\0./x\\0\\0'\n")
    async with site.connection(f"SetEnv PATH={programs}:/usr/bin:/bin") as connection:
        with pytest.raises(ToolError, match="is not whole"):
            await read_machine(connection, ("/etc/passwd",), site.into)
    assert not site.into.exists()


async def test_a_system_without_gnus_find_is_told_so(site: Site, tmp_path: Path) -> None:
    programs = tmp_path / "busybox"
    programs.mkdir()
    write_program(programs / "find", "#!/bin/sh\necho 'find: unrecognized: -regextype' >&2\nexit 1\n")
    async with site.connection(f"SetEnv PATH={programs}:/usr/bin:/bin") as connection:
        with pytest.raises(ToolError, match="find of the machine is not GNU's"):
            await read_machine(connection, ("/etc/passwd",), site.into)
    assert not site.into.exists()
