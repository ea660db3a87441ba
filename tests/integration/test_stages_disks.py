"""Disks on their way into an image version: made whole, and refused when they are not what they seem. How they are
sealed and stamped is in test_sealing.py."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from workshop import Workshop, role

from core import process
from core.errors import ToolError

pytestmark = [
    pytest.mark.skipif(process.find("packer") is None, reason="packer is not installed"),
    pytest.mark.skipif(process.find("qemu-img") is None, reason="qemu-img is not installed"),
]
needs_guestfs = pytest.mark.skipif(
    not shutil.which("guestfish") or not shutil.which("mke2fs") or not any(Path("/boot").glob("vmlinuz-*")),
    reason="guestfish, mke2fs or a kernel in /boot is missing",
)


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    made = Workshop(tmp_path)
    yield made
    made.close()


def call(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


def template(disk: Path) -> str:
    """A build that makes a copy of this disk."""
    return f"""\
variable "ingot_output" {{
  default = "output"
}}
source "file" "disk" {{
  source = "{disk}"
  target = "${{var.ingot_output}}/{disk.name}"
}}
build {{
  sources = ["source.file.disk"]
}}
"""


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


@pytest.mark.parametrize("way", ["backing file", "data file"])
async def test_a_disk_that_points_to_another_file_is_refused(workshop: Workshop, tmp_path: Path, way: str) -> None:
    """A guest that can write its whole disk can make it look like the differences to a file of this machine."""
    secret, disk = tmp_path / "secret", tmp_path / "disk.qcow2"
    secret.write_bytes(b"x" * 65536)
    options = ("-b", str(secret), "-F", "raw") if way == "backing file" else ("-o", f"data_file={secret}")
    size = () if way == "backing file" else ("64K",)
    call("qemu-img", "create", "-q", "-f", "qcow2", *options, str(disk), *size)
    workshop.commit({"web/web.pkr.hcl": template(disk)})
    run = workshop.new_run(DISK_ROLE)
    with pytest.raises(ToolError, match=r"only holds the differences|another file"):
        await workshop.until(run, "register")
    workshop.end(run, succeeded=False)
    assert workshop.ledger.images() == []
