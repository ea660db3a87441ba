"""Disks on their way into an image version: made whole, and refused when they are not what they seem. How they are
sealed and stamped is in test_sealing.py."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from copied_disk import template
from msgspec.structs import replace
from workshop import Workshop, role

from core import process
from core.adapters import qemu
from core.engine.job import Job
from core.errors import ToolError
from core.model.ansible_build import AnsibleBuild
from core.model.run import StageState
from core.stages import disks
from core.stages.artifacts import Made
from core.stages.playbook import Playbook

pytestmark = [
    pytest.mark.skipif(process.find("packer") is None, reason="packer is not installed"),
    pytest.mark.skipif(process.find("qemu-img") is None, reason="qemu-img is not installed"),
]
needs_guestfs = pytest.mark.skipif(
    not shutil.which("guestfish") or not shutil.which("mke2fs") or not any(Path("/boot").glob("vmlinuz-*")),
    reason="guestfish, mke2fs or a kernel in /boot is missing",
)


def call(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


DISK_ROLE = role(build="file.disk", declares=("ingot_output",))


@pytest.mark.vm
@needs_guestfs
async def test_a_disk_that_cannot_be_stamped_is_registered_with_the_reason(workshop: Workshop, tmp_path: Path) -> None:
    disk = tmp_path / "empty.img"
    disk.write_bytes(bytes(4 << 20))
    workshop.commit({"web/web.pkr.hcl": template(disk)})
    run = workshop.new_run(DISK_ROLE)
    await workshop.until(run, "register")
    workshop.end(run, succeeded=True)
    (artifact,) = workshop.ledger.images()[0].artifacts
    assert (artifact.format, artifact.stamped_inside) == ("raw", False)
    assert "not stamped inside: There is no operating system" in workshop.log(run, "register")
    beside = msgspec.json.decode(Path(f"{artifact.location}.manifest.json").read_bytes())
    assert "no operating system" in beside["stamp"]


DESCRIPTOR = """\
# Disk DescriptorFile
version=1
CID=12345678
parentCID=ffffffff
createType="monolithicFlat"

RW 128 FLAT "{file}" 0
"""


@pytest.mark.parametrize("way", ["file", "json", "file:", "nbd:", "of the run", "no upstream", "data file", "extent"])
async def test_a_disk_that_points_to_another_file_is_refused(workshop: Workshop, tmp_path: Path, way: str) -> None:
    """A guest that can write its whole disk can make it look like the differences to a file of this machine."""
    secret, upstream = tmp_path / "secret", tmp_path / "upstream"
    secret.write_bytes(b"x" * 65536)
    upstream.write_bytes(b"u" * 65536)
    disk = tmp_path / ("disk.vmdk" if way == "extent" else "disk.qcow2")
    workshop.commit({"web/web.pkr.hcl": template(disk)})
    run = workshop.new_run(DISK_ROLE)
    keys = workshop.places.run(run.uid) / "keys" / "key"
    backing = {
        "file": str(secret),
        "json": json.dumps({"driver": "raw", "file": {"driver": "file", "filename": str(secret)}}),
        # As paths these two are the upstream.
        "file:": f"file:/..{'/..' * 20}{upstream}",
        "nbd:": f"nbd:unix:/..{'/..' * 20}{upstream}",
        "of the run": str(keys),
        "no upstream": str(upstream),
    }
    if way == "extent":
        disk.write_text(DESCRIPTOR.format(file=secret))
    elif way == "data file":
        call("qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={secret}", str(disk), "64K")
    else:
        call("qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", backing[way], "-F", "raw", str(disk), "64K")
    await workshop.until(run, "build/file.disk")
    keys.parent.mkdir(exist_ok=True)
    keys.write_bytes(b"k" * 65536)
    if way != "no upstream":
        result = {**workshop.index.stage_result(run.uid, "upstream"), "path": str(upstream)}
        workshop.index.update_stage(run.uid, "upstream", state=StageState.SUCCEEDED, result=result)
    with pytest.raises(ToolError, match=r"only holds the differences|another file"):
        await workshop.stage(run, "register")
    workshop.end(run, succeeded=False)
    assert workshop.ledger.images() == []


async def test_a_disk_of_differences_to_its_upstream_is_made_whole(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream, cached, disk = tmp_path / "upstream", tmp_path / "cached", tmp_path / "disk.qcow2"
    upstream.write_bytes(b"u" * 65536)
    cached.symlink_to(upstream)  # as Packer names a file of this machine
    call("qemu-img", "create", "-q", "-f", "qcow2", "-b", str(cached), "-F", "raw", str(disk))
    workshop.commit({"web/web.pkr.hcl": template(disk)})
    run = workshop.new_run(DISK_ROLE)
    await workshop.until(run, "build/file.disk")
    result = {**workshop.index.stage_result(run.uid, "upstream"), "path": str(upstream)}
    workshop.index.update_stage(run.uid, "upstream", state=StageState.SUCCEEDED, result=result)
    find = process.find

    def found(program: str) -> Path | None:
        return None if program == "guestfish" else find(program)

    monkeypatch.setattr(process, "find", found)
    await workshop.stage(run, "register")
    (artifact,) = workshop.ledger.images()[0].artifacts
    upstream.unlink()
    call("qemu-img", "convert", "-f", "qcow2", "-O", "raw", artifact.location, str(tmp_path / "raw"))
    assert (tmp_path / "raw").read_bytes() == b"u" * 65536


async def test_a_raw_disk_that_its_guest_made_look_like_another_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    call("qemu-img", "create", "-q", "-f", "qcow2", str(disk), "64K")
    workshop.commit({"web/web.pkr.hcl": template(disk)})
    run = workshop.new_run(DISK_ROLE)
    made = msgspec.convert((await workshop.until(run, "build/file.disk"))["made"], list[Made])
    assert [one.format for one in made] == ["qcow2"]  # the template says nothing else
    result = {"made": [{"format": "raw", "path": made[0].path}]}
    workshop.index.update_stage(run.uid, "build/file.disk", state=StageState.SUCCEEDED, result=result)
    with pytest.raises(ToolError, match="look like qcow2") as raised:
        await workshop.stage(run, "register")
    assert "(format)" in raised.value.next_step


@pytest.mark.parametrize(("registered", "booted"), [("raw", "raw"), ("", "qcow2")])
async def test_a_playbooks_machine_boots_a_parents_disk_as_what_it_was_registered(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registered: str, booted: str
) -> None:
    disk = tmp_path / "parent.img"
    call("qemu-img", "create", "-q", "-f", "qcow2", str(disk), "64K")
    workshop.commit({"site.yml": "[]"})
    settings = AnsibleBuild("site.yml")
    run = workshop.new_run(replace(role(build="ansible.web"), ansible=settings))
    result = {"path": str(disk), **({"format": registered} if registered else {})}
    workshop.index.update_stage(run.uid, "upstream", state=StageState.SUCCEEDED, result=result)
    monkeypatch.setattr(qemu, "accelerator", tcg)
    run = workshop.again(run)
    stage = run.stage("build/ansible.web")
    assert stage is not None
    job = Job(workshop.around, run, stage)
    build = run.request.role.builds[0]
    key = tmp_path / "key"
    asked = Playbook(build, run.request.role, settings, tmp_path, tmp_path, {}, key, "", tmp_path / "known", "{}")
    plan = msgspec.json.decode((await asked.plan(job, asks=False)).read_bytes())
    job.close()
    assert plan["disk_format"] == booted


async def tcg() -> str:
    return "tcg"


def test_a_program_that_ends_while_it_is_looked_for_who_has_a_disk_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "disk"
    disk.touch()
    program = subprocess.Popen(("sleep", "1000"))

    def ending_first(list_directory: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def listed(path: Any) -> Any:
            if str(path) == f"/proc/{program.pid}/fd":
                program.kill()
                program.wait()
            return list_directory(path)

        return listed

    monkeypatch.setattr("os.scandir", ending_first(os.scandir))
    monkeypatch.setattr("os.listdir", ending_first(os.listdir))
    assert not disks.is_open(disk)
    assert program.returncode is not None
    with disk.open():
        assert disks.is_open(disk)
