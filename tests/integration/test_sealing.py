"""A disk is sealed by the real virt-sysprep, and what is left in one is found by opening it: each thing, by its path.

libguestfs' machine has to start for every look and every change: all that is to be found is planted at once, by making
another disk.
"""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from copied_disk import template
from msgspec.structs import replace
from workshop import Workshop, role

from core import process
from core.adapters import guestfs
from core.adapters.disk_reading import Reading
from core.errors import ToolError
from core.model.listing import Entry
from core.model.role import Build
from core.model.run import StageState
from core.model.seal_items import IDS
from core.model.sealing import SealSettings
from core.model.stamp import Stamp, read_back
from core.stages import prove
from tests.support.leaking_disk import damage, leak
from tests.support.leftovers import BUILD_USER, LEFTOVERS, NOT_SEALED_AWAY
from tests.support.stages import plain_stages

pytestmark = [
    pytest.mark.skipif(process.find("packer") is None, reason="packer is not installed"),
    pytest.mark.skipif(process.find("qemu-img") is None, reason="qemu-img is not installed"),
]
needs_libguestfs = pytest.mark.skipif(
    not all(shutil.which(name) for name in ("guestfish", "virt-sysprep", "mke2fs"))
    or not any(Path("/boot").glob("vmlinuz-*")),
    reason="guestfish, virt-sysprep, mke2fs or a kernel in /boot is missing",
)
BUILD = "file.disk"
STAGES = ("checkout", "upstream", "validate", f"build/{BUILD}", f"seal/{BUILD}", f"prove/{BUILD}", "register")
SEAL = SealSettings(enabled=True, users=("builder",), remove=("/opt/notes", *sorted(NOT_SEALED_AWAY)))


def call(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


def system(tree: Path) -> Path:
    """As little as libguestfs takes for a Debian."""
    for directory in ("etc/ssh", "bin", "boot", "usr/sbin", "var/lib/dpkg", "var/log", "tmp", "root"):
        (tree / directory).mkdir(parents=True, exist_ok=True)
    (tree / "etc/debian_version").write_text("12.5\n")
    (tree / "etc/os-release").write_text('ID=debian\nVERSION_ID="12"\n')
    (tree / "etc/fstab").write_text("/dev/sda / ext4 defaults 0 1\n")
    (tree / "usr/sbin/sshd").write_text("no program\n")
    return tree


def planted(tree: Path) -> Path:
    """All that a build may leave."""
    for path, content in {**BUILD_USER, **{path: content for path, (_, content) in LEFTOVERS.items()}}.items():
        (tree / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (tree / path[1:]).write_text(content)
    return tree


DISK_ROLE = replace(role(build=BUILD, declares=("ingot_output",)), builds=(Build(BUILD, "qemu"),))


def qcow2(tree: Path, disk: Path) -> None:
    """A disk, or another one in its place, with these files in it."""
    raw = disk.with_suffix(".raw")
    call("mke2fs", "-q", "-t", "ext4", "-d", str(tree), str(raw), "64M")
    call("qemu-img", "convert", "-O", "qcow2", str(raw), str(disk))
    raw.unlink()


def make_disk(workshop: Workshop, tree: Path, place: Path) -> None:
    disk = place / "disk.qcow2"
    qcow2(tree, disk)
    workshop.commit({"web/web.pkr.hcl": template(disk)})


@pytest.mark.vm
@needs_libguestfs
async def test_what_a_build_left_is_sealed_away_and_what_is_left_again_is_found(
    workshop: Workshop, tmp_path: Path
) -> None:
    make_disk(workshop, planted(system(tmp_path / "tree")), tmp_path)
    run = workshop.new_run(replace(DISK_ROLE, seal=SEAL), stages=STAGES)
    proved = await workshop.until(run, f"prove/{BUILD}")
    assert proved["found"] == []
    assert "may have no SSH" in workshop.log(run, f"prove/{BUILD}")
    reading = Reading(prove.reading_of_run(workshop.places.run(run.uid), BUILD))
    assert reading.content("/etc/group") == b"root:x:0:\nsudo:x:27:ada\nadm:x:4:ada\nwheel:x:28:\nada:x:1000:\n"
    assert reading.content("/etc/machine-id") == b""
    stamp = read_back(reading.content(guestfs.RELEASE_FILE) or b"")
    assert replace(stamp, built=None) == Stamp("web", workshop.again(run).version, run.request.commit, run.uid)
    assert stamp.built

    (disk,) = (workshop.places.run(run.uid) / "output").rglob("disk.qcow2")
    tree = planted(system(tmp_path / "leftovers"))
    (tree / "etc/image-release").write_text('IMAGE_ROLE="web"\nIMAGE_VERSION="9.9.9"\n')
    (tree / "etc/ssh/authorized_keys/root").write_text(f"ssh-ed25519 AAAAC3 ingot-{run.uid}-{BUILD}\n")
    qcow2(tree, disk)
    with pytest.raises(ToolError, match="changed after it was looked at"):
        await workshop.stage(run, "register")
    with pytest.raises(ToolError, match="is not sealed: SSH host keys") as raised:
        await workshop.stage(run, f"prove/{BUILD}")
    assert "names another image: its version is 9.9.9 and not" in raised.value.what
    report = msgspec.json.decode((workshop.places.run(run.uid) / f"evidence/seal-{BUILD}.json").read_bytes())
    found = {path for item in report["items"] for path in item["paths"]}
    whole = {"/root/.ansible", "/var/lib/cloud/instances/i-1", "/opt/notes"}
    assert whole <= found
    assert {path for path in LEFTOVERS if not path.startswith(tuple(whole))} <= found
    assert found >= {"/etc/passwd: builder", "/etc/group: builder", "/home/builder"}
    assert {item["id"] for item in report["items"] if item["state"] == "found"} == set(IDS)
    assert report["stamp"] == "web 9.9.9"
    workshop.end(run, succeeded=False)
    assert not prove.reading_of_run(workshop.places.run(run.uid), BUILD).exists()


@pytest.mark.vm
@needs_libguestfs
async def test_without_seal_a_disk_is_stamped_and_looked_at_and_registered_as_it_is(
    workshop: Workshop, tmp_path: Path
) -> None:
    tree = system(tmp_path / "tree")
    (tree / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    (tree / "etc/image-release").write_text('IMAGE_ROLE="base"\nIMAGE_VERSION="0.0.1"\n')  # its parent's
    make_disk(workshop, tree, tmp_path)
    run = workshop.new_run(DISK_ROLE, stages=STAGES)
    await workshop.until(run, "register")
    workshop.end(run, succeeded=True)
    assert "not sealed (ingot.toml has no [seal]); stamped" in workshop.log(run, f"seal/{BUILD}")
    assert "not sealed: machine id (/etc/machine-id)." in workshop.log(run, f"prove/{BUILD}")
    (image,) = workshop.ledger.images()
    assert image.artifacts[0].stamped_inside
    report = msgspec.json.decode(workshop.ledger.evidence(image, f"seal-{BUILD}"))
    assert (report["sealed"], report["stamp"]) == (False, f"web {image.version}")


async def test_leftovers_and_the_stamp_of_another_image_fail_the_run_together(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As above, but for the disk: what would be read of it is put there."""
    make_disk(workshop, system(tmp_path / "tree"), tmp_path)
    run = workshop.new_run(replace(DISK_ROLE, seal=SEAL), stages=STAGES)
    await workshop.until(run, f"build/{BUILD}")
    result = {"sealed": True, "stamp": ""}
    workshop.index.update_stage(run.uid, f"seal/{BUILD}", state=StageState.SUCCEEDED, result=result)
    files = {
        "/etc/image-release": 'IMAGE_ROLE="web"\nIMAGE_VERSION="9.9.9"\n',
        "/etc/ssh/authorized_keys/root": f"ssh-ed25519 AAAAC3 ingot-{run.uid}-{BUILD}\n",
    }

    async def read(disk: Path, disk_format: str, wanted: Sequence[str], into: Path) -> None:
        entries = [Entry("/", "d", 0o755, 0, 0, 0, 0.0), Entry("/etc", "d", 0o755, 0, 0, 0, 0.0)]
        entries += [Entry(f"/etc/{name}", "d", 0o755, 0, 0, 0, 0.0) for name in ("ssh", "ssh/authorized_keys")]
        for path, content in files.items():
            (into / "tree" / path[1:]).parent.mkdir(parents=True, exist_ok=True)
            (into / "tree" / path[1:]).write_text(content)
            entries.append(Entry(path, "f", 0o644, 0, 0, len(content), 0.0))
        (into / "listing.json").write_bytes(msgspec.json.encode(entries))

    monkeypatch.setattr(prove, "read_disk", read)
    with pytest.raises(ToolError, match="is not sealed: keys that only the build had") as raised:
        await workshop.stage(run, f"prove/{BUILD}")
    assert "names another image: its version is 9.9.9 and not" in raised.value.what
    report = msgspec.json.decode((workshop.places.run(run.uid) / f"evidence/seal-{BUILD}.json").read_bytes())
    assert report["stamp"] == "web 9.9.9"
    assert {item["id"] for item in report["items"] if item["state"] == "found"} == {"build-keys", "named-paths"}
    workshop.end(run, succeeded=False)
    assert not prove.reading_of_run(workshop.places.run(run.uid), BUILD).exists()


async def test_a_build_that_made_no_disk_has_nothing_to_seal(workshop: Workshop, tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("no disk")
    workshop.commit({"web/web.pkr.hcl": template(note)})
    kind = replace(DISK_ROLE, builds=(Build(BUILD, "file"),))
    run = workshop.new_run(kind, stages=STAGES)
    await workshop.until(run, "register")
    assert workshop.index.stage_result(run.uid, f"prove/{BUILD}")["proved"] is False
    sealed = workshop.new_run(replace(kind, seal=SealSettings(enabled=True)), stages=STAGES)
    with pytest.raises(ToolError, match="cannot be sealed"):
        await workshop.until(sealed, "register")


@pytest.mark.parametrize("other", ["a.vmdk", "data.qcow2", "web.ova"])
async def test_a_second_disk_is_never_registered_beside_a_sealed_one(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    place = tmp_path / "disks"
    place.mkdir()
    for name in ("list", "web.qcow2"):
        call("qemu-img", "create", "-q", "-f", "qcow2", str(place / name), "1M")
    (place / "list").write_text("no disk\n")
    copied = 'post-processor "shell-local" {\n inline = ["cp %s/* ${var.ingot_output}"]\n }'
    workshop.commit({"web/web.pkr.hcl": template(place / "web.qcow2")[:-2] + f"  {copied % place}\n}}\n"})
    if other == "web.ova":
        (place / other).write_bytes(b"\0" * 257 + b"ustar" + b"\0" * 250)
    else:
        call("qemu-img", "create", "-q", "-f", other.partition(".")[2], str(place / other), "1M")
    run = workshop.new_run(replace(DISK_ROLE, seal=SealSettings(enabled=True)), stages=STAGES)
    with pytest.raises(ToolError, match="2 disks") as raised:
        await workshop.until(run, "register")
    assert {"web.qcow2", other} == set(re.split(r"\((.*)\)", raised.value.what)[1].split(", "))
    assert "ingot convert" in raised.value.next_step
    assert workshop.ledger.images() == []
    # Without [seal] nothing is promised of any of them.
    without_guestfish(monkeypatch)
    plain = workshop.new_run(DISK_ROLE, stages=STAGES)
    await workshop.until(plain, "register")
    assert len(workshop.ledger.images()[0].artifacts) == 3


@pytest.mark.parametrize("missing", ["virt-sysprep", "guestfish"])
async def test_sealing_that_was_asked_for_is_not_left_out(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    make_disk(workshop, system(tmp_path / "tree"), tmp_path)
    run = workshop.new_run(replace(DISK_ROLE, seal=SealSettings(enabled=missing == "virt-sysprep")), stages=STAGES)
    find = process.find

    def found(program: str) -> Path | None:
        return None if program == missing else find(program)

    monkeypatch.setattr(process, "find", found)
    if missing == "virt-sysprep":
        with pytest.raises(ToolError, match="not installed") as raised:
            await workshop.until(run, "register")
        assert "guestfs-tools" in raised.value.next_step
        return
    await workshop.until(run, "register")
    assert "guestfish is not installed" in workshop.log(run, f"prove/{BUILD}")
    assert not workshop.ledger.images()[0].artifacts[0].stamped_inside


def without_guestfish(monkeypatch: pytest.MonkeyPatch) -> None:
    find = process.find

    def found(program: str) -> Path | None:
        return None if program == "guestfish" else find(program)

    monkeypatch.setattr(process, "find", found)


@pytest.mark.parametrize("stages", [STAGES, plain_stages((BUILD,))])
async def test_what_a_killed_qemu_left_in_a_disk_that_belongs_to_nothing_is_freed(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stages: Sequence[str]
) -> None:
    make_disk(workshop, system(tmp_path / "tree"), tmp_path)
    leak(tmp_path / "disk.qcow2", 3)
    without_guestfish(monkeypatch)
    run = workshop.new_run(DISK_ROLE, stages=stages)
    await workshop.until(run, "register")
    call("qemu-img", "check", workshop.ledger.images()[0].artifacts[0].location)
    said = "disk.qcow2: 197 kB in it belonged to nothing, as after a QEMU that was killed: freed."
    first = "register" if stages != STAGES else f"seal/{BUILD}"
    assert workshop.log(run, first).count(said) == 1


async def test_a_disk_that_is_damaged_is_not_sealed(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_disk(workshop, system(tmp_path / "tree"), tmp_path)
    damage(tmp_path / "disk.qcow2")
    without_guestfish(monkeypatch)
    run = workshop.new_run(DISK_ROLE, stages=STAGES)
    with pytest.raises(ToolError, match="is damaged") as raised:
        await workshop.until(run, f"seal/{BUILD}")
    assert "build it again" in raised.value.next_step


@pytest.mark.vm
@pytest.mark.long
@needs_libguestfs
async def test_sealing_that_was_killed_half_way_is_done_again_to_the_end(workshop: Workshop, tmp_path: Path) -> None:
    make_disk(workshop, planted(system(tmp_path / "tree")), tmp_path)
    run = workshop.new_run(replace(DISK_ROLE, seal=SEAL), stages=STAGES)
    await workshop.until(run, f"build/{BUILD}")
    (disk,) = (workshop.places.run(run.uid) / "output").rglob("disk.qcow2")
    sealing = asyncio.create_task(workshop.stage(run, f"seal/{BUILD}"))
    async with asyncio.timeout(600):  # libguestfs' machine has to start, beside whatever else is at work here
        while "Deleting: /root/.ansible" not in workshop.log(run, f"seal/{BUILD}"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    for one in at_work(run.uid):
        os.kill(one, signal.SIGKILL)
    assert (await sealing)["sealed"] is True
    assert "vanished" in workshop.log(run, f"seal/{BUILD}")
    assert (await workshop.stage(run, f"prove/{BUILD}"))["found"] == []
    call("qemu-img", "check", str(disk))


def at_work(run: str) -> list[int]:
    """What seals a disk of this run, its QEMU, and its holder: all that a machine that goes down takes with it."""
    found: list[int] = []
    for program in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (program / "cmdline").read_bytes()
            if run.encode() in words and re.search(rb"core\.holder|^virt-sysprep|^/\S*qemu-system", words):
                found.append(int(program.name))
    return found
