"""What a build made is found, as what its template says that it is; also of one that Packer calls failed although all
went well after a retry."""

from pathlib import Path

import pytest

from core.adapters.packer import Packer
from core.adapters.packer_output import OutputReader
from core.model.role import Build, Role, Syntax
from core.stages.artifacts import Made, declared_by, made_by, unnamed
from core.stages.environment import Preparation

HCL = """
variable "place" {
  default = "elsewhere"
}
source "qemu" "web" {
  %s
}
build {
  sources = ["source.qemu.web"]
}
"""


def preparation(place: Path, build: Build, variables: dict[str, str] | None = None) -> Preparation:
    role = Role("web", ".", Syntax.HCL2, builds=(build,))
    packer = Packer(Path("packer"), (1, 6, 6))
    return Preparation(
        packer, build, role, place, place, ".", "", (), {}, place / "unused", variables=dict(variables or {})
    )


@pytest.mark.parametrize(
    ("setting", "variables", "directory"),
    [
        ("", {}, "output-web"),
        ('output_directory = "made"', {}, "made"),
        ("output_directory = var.place", {}, "elsewhere"),
        ("output_directory = var.place", {"place": "given"}, "given"),
    ],
)
def test_a_disk_is_where_the_template_says_or_where_packer_puts_it(
    tmp_path: Path, setting: str, variables: dict[str, str], directory: str
) -> None:
    (tmp_path / "web.pkr.hcl").write_text(HCL % setting)
    asked = preparation(tmp_path, Build("qemu.web", "qemu"), variables)
    assert unnamed(asked, declared_by(asked), OutputReader(), "") == []
    disk = tmp_path / directory / "packer-web"
    disk.parent.mkdir()
    disk.write_bytes(b"QFI\xfb")
    (disk.parent / "efivars.fd").touch()
    assert unnamed(asked, declared_by(asked), OutputReader(), "") == [Made("qcow2", path=str(disk))]


@pytest.mark.parametrize(
    ("setting", "name", "made"),
    [
        ("", "packer-web", "qcow2"),
        ('format = "raw"', "packer-web", "raw"),
        ("format = var.disk", "web.img", "raw"),
        ('format = "raw"', "web.qcow2", "qcow2"),  # a post-processor's, by its name
    ],
)
def test_what_a_guest_writes_into_a_raw_disk_makes_it_no_other(
    tmp_path: Path, setting: str, name: str, made: str
) -> None:
    (tmp_path / "web.pkr.hcl").write_text(HCL % setting)
    asked = preparation(tmp_path, Build("qemu.web", "qemu"), {"disk": "raw"})
    disk = asked.output / name
    disk.parent.mkdir()
    disk.write_bytes(b"QFI\xfb".ljust(1024))
    assert made_by(asked, declared_by(asked), OutputReader(), 0.0) == [Made(made, path=str(disk))]


def test_an_ami_is_known_from_when_it_was_made(tmp_path: Path) -> None:
    reader = OutputReader()
    reader.feed("==> amazon-ebs.web: Creating AMI web from instance i-0123456789abcdef0")
    reader.feed("    amazon-ebs.web: AMI: ami-0123456789abcdef0")
    asked = preparation(tmp_path, Build("amazon-ebs.web", "amazon-ebs"))
    assert unnamed(asked, declared_by(asked), reader, "eu-central-1") == [
        Made("ami", location="eu-central-1:ami-0123456789abcdef0")
    ]
    assert unnamed(asked, declared_by(asked), OutputReader(), "eu-central-1") == []
    other = preparation(tmp_path, Build("null.web", "null"))
    assert unnamed(other, declared_by(other), reader, "eu-central-1") == []


def test_nothing_of_the_template_is_read_once_the_build_has_ended(tmp_path: Path) -> None:
    template = tmp_path / "web.pkr.hcl"
    template.write_text(HCL % 'format = "qcow2"\n  output_directory = "made"')
    asked = preparation(tmp_path, Build("qemu.web", "qemu"))
    declared = declared_by(asked)
    template.unlink()
    disk = tmp_path / "made" / "packer-web"
    disk.parent.mkdir()
    disk.write_bytes(b"QFI\xfb")
    (disk.parent / "logs.tar").write_bytes(bytes(10240))
    made = [Made("qcow2", path=str(disk)), Made("file", path=str(disk.parent / "logs.tar"))]
    assert unnamed(asked, declared, OutputReader(), "") == made, "the disk first"
