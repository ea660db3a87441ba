"""What is in a disk is written down from what was read of it, once, and the copies go."""

import gzip
import json
import lzma
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from disk_tree import disk_of, entry
from workshop import Workshop, role

from core.adapters.disk_reading import Reading, read_disk
from core.engine.job import Job
from core.model.inventory import PATHS, Inventory, Password, Port
from core.model.inventory_taking import inventory_of
from core.model.run import Run, Stage
from core.secrets import MARK
from core.stages import evidence, inspect

FILES = {
    "/etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n',
    "/etc/passwd": "root:x:0:0:root:/root:/bin/bash\n",
    "/etc/shadow": "root:$y$j9T$hash:1::::::\n",
    "/var/lib/dpkg/status": "Package: nginx\nStatus: install ok installed\nVersion: 1.22.1-9\n",
    "/var/lib/rpm/Packages": entry("/var/lib/rpm/Packages", b"x"),
}

UNIT = "usr/lib/systemd/system/ssh.socket"
IN_A_DISK: dict[str, bytes] = {
    "etc/debian_version": b"12.5\n",
    "usr/lib/os-release": b'ID=debian\nVERSION_ID="12"\n',
    "etc/fstab": b"/dev/sda / ext4 defaults 0 1\n",
    "etc/passwd": b"root:x:0:0::/root:/bin/bash\n",
    "etc/shadow": b"root:$y$j9T$hash:1::::::\n",
    "etc/nginx/sites-available/shop": b"server {}\n",
    "etc/ssh/sshd_config": b"Port 22\n",
    "etc/ssh/ssh_host_ed25519_key": b"never copied\n",
    "etc/odd name; rm.conf": b"x\n",
    "var/lib/dpkg/status": b"Package: nginx\nStatus: install ok installed\nVersion: 1.22.1-9\n",
    "usr/lib/sysimage/rpm/rpmdb.sqlite": lzma.decompress(
        (Path(__file__).parents[1] / "data/packages/rpmdb.sqlite.xz").read_bytes()
    ),
    UNIT: b"[Socket]\nListenStream=22\n",
    "boot/vmlinuz-6.1.0-28-cloud-amd64": b"",
    "usr/bin/sudo": b"",
}
LINKS = {
    "etc/os-release": "../usr/lib/os-release",
    "lib": "usr/lib",
    "bin": "usr/bin",
    "etc/systemd/system/sockets.target.wants/ssh.socket": "/lib/systemd/system/ssh.socket",
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
    packed = (await evidence.packed(job))["inventory-file.hello"]
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


async def test_no_report_of_a_run_holds_a_secret_that_it_knows_and_none_stays_when_it_has_ended(
    workshop: Workshop,
) -> None:
    typed, in_a_file = "a-token-that-was-typed", "a-password-in-a-file"
    workshop.commit({"web/web.auto.pkrvars.hcl": f'password = "{in_a_file}"\n', "web/web.pkr.hcl": ""})
    run = workshop.new_run(role(sensitive=("token", "password")), secrets={"PKR_VAR_token": typed})
    await workshop.until(run, "checkout")
    place = workshop.places.run(run.uid) / "evidence"
    job = Job(workshop.around, workshop.again(run), Stage("prove/file.hello"))
    await evidence.write(job, "seal-file.hello", {"found": f"/opt/{typed}/{in_a_file}"})
    job.close()
    report = place / "seal-file.hello.json"
    assert msgspec.json.decode(report.read_bytes()) == {"found": f"/opt/{MARK.decode()}/{MARK.decode()}"}

    # A worker that had forgotten what was typed could not know it.
    report.write_text(json.dumps({"found": f"/opt/{typed}/{in_a_file}"}))
    job = Job(workshop.around, workshop.again(run), Stage("register"))
    packed = await evidence.packed(job)
    job.close()
    assert json.loads(gzip.decompress(packed["seal-file.hello"])) == {"found": f"/opt/{MARK.decode()}/{MARK.decode()}"}
    workshop.end(run, succeeded=False)
    assert not place.exists()


async def test_a_disk_that_was_not_read_is_no_failure(workshop: Workshop) -> None:
    run = workshop.new_run(role())
    assert await carried_out(workshop, run) == {"inventory": False}
    assert "is not known: it was not read" in workshop.log(run, "inspect/file.hello")


async def test_nothing_that_was_read_of_a_disk_outlives_a_run_that_failed(workshop: Workshop) -> None:
    run = workshop.new_run(role())
    place = read(run, workshop)
    workshop.end(run, succeeded=False)
    assert not place.exists()


def made_disk(place: Path) -> Path:
    tree, disk = place / "tree", place / "disk.img"
    for path, content in IN_A_DISK.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes(content)
    for path, target in LINKS.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).symlink_to(target)
    (tree / "usr/bin/sudo").chmod(0o4755)
    subprocess.run(("mke2fs", "-q", "-t", "ext4", "-d", str(tree), str(disk), "64M"), check=True)
    return disk


@pytest.mark.vm
@pytest.mark.skipif(
    not shutil.which("guestfish") or not shutil.which("mke2fs") or not any(Path("/boot").glob("vmlinuz-*")),
    reason="guestfish, mke2fs or a kernel in /boot is missing",
)
async def test_a_real_disk_gives_its_inventory_and_no_key(tmp_path: Path) -> None:
    disk = made_disk(tmp_path)
    await read_disk(disk, "raw", PATHS, tmp_path / "reading")
    copies = {str(path.relative_to(tmp_path / "reading/tree")) for path in (tmp_path / "reading/tree").rglob("*")}
    assert "etc/odd name; rm.conf" in copies
    assert "etc/ssh/ssh_host_ed25519_key" not in copies
    reading = Reading(tmp_path / "reading")
    found = inventory_of(reading.listing, reading.content)
    assert (found.system.id, found.system.kernels) == ("debian", ("6.1.0-28-cloud-amd64",))
    assert [package.name for package in found.packages] == ["nginx", "hello", "hello-libs"]
    assert found.ports == (Port("tcp", 22, "", "ssh.socket"),)
    assert [(user.name, user.password) for user in found.users] == [("root", Password.SET)]
    files = {file.path: bool(file.digest) for file in found.files}
    assert files["/etc/nginx/sites-available/shop"]
    assert files["/etc/ssh/sshd_config"]
    assert not files["/etc/ssh/ssh_host_ed25519_key"]
    assert "/usr/bin/sudo" in files
