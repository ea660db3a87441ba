"""A run's stages with real Packer: what comes of a template, what the tools are given, and what is left behind."""

import base64
import os
import shutil
import stat
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from workshop import FILE_TEMPLATE, Workshop, role

from core import process
from core.errors import RefusedError, SpaceError, ToolError, WorkspaceError
from core.model.role import Build, Syntax

SOURCES = 'sources = ["source.file.hello"]'

pytestmark = pytest.mark.skipif(process.find("packer") is None, reason="packer is not installed")


async def test_a_template_becomes_an_image_version_with_its_file_under_images(workshop: Workshop) -> None:
    commit = workshop.commit({"web/web.pkr.hcl": FILE_TEMPLATE})
    run = workshop.new_run(role())
    result = await workshop.until(run, "register")
    workshop.end(run, succeeded=True)

    (image,) = workshop.ledger.images()
    assert (image.role, image.version, image.commit, image.run) == ("web", result["version"], commit, run.uid)
    (artifact,) = image.artifacts
    path = Path(artifact.location)
    assert path.read_text() == f"version {image.version}"
    assert path.is_relative_to(workshop.places.images)
    assert artifact.size == path.stat().st_size
    assert artifact.digest.startswith("sha256:")
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    beside = msgspec.json.decode(path.with_name(f"{path.name}.manifest.json").read_bytes())
    assert (beside["version"], beside["artifact"]["digest"]) == (image.version, artifact.digest)
    assert image.tools["packer"]
    left = {entry.name for entry in workshop.places.run(run.uid).iterdir()}
    assert not left & {"checkout", "keys", "output", "register", "tmp"}


async def test_a_file_that_has_to_be_copied_is_copied_only_where_there_is_room(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = workshop.root.parent / "where people look" / "hello.txt"
    template = FILE_TEMPLATE.replace("${var.ingot_output}/hello.txt", str(made))
    workshop.commit({"web/web.pkr.hcl": template})
    run = workshop.new_run(role())
    await workshop.until(run, "build/file.hello")

    def tiny(_: Path) -> SimpleNamespace:
        return SimpleNamespace(total=1000, used=1000, free=0)

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", tiny)
        with pytest.raises(SpaceError, match=r"copying hello\.txt needs"):
            await workshop.until(run, "register")
    assert not list((workshop.places.run(run.uid) / "register").iterdir())
    await workshop.until(run, "register")
    workshop.end(run, succeeded=True)
    assert "Disk space: copying hello.txt needs" in workshop.log(run, "register")
    (image,) = workshop.ledger.images()
    assert Path(image.artifacts[0].location).read_text() == made.read_text(), "the template's own stays"


SHOW_ENVIRONMENT = """\
variable "ingot_version" {}
variable "ingot_commit" {}
variable "ingot_run" {}
variable "ingot_role" {}
variable "ingot_ssh_public_key" {}
variable "ingot_ssh_private_key_file" {}
variable "size" {
  default = "none"
}
variable "password" {
  sensitive = true
}
source "null" "show" {
  communicator = "none"
}
build {
  sources = ["source.null.show"]
  provisioner "shell-local" {
    inline = [
      "echo given ${var.ingot_version} ${var.ingot_commit} ${var.ingot_run} ${var.ingot_role} ${var.size}",
      "env | sort | sed 's/^/environment /'",
      "stat -c 'key %a %n' ${var.ingot_ssh_private_key_file} $(dirname ${var.ingot_ssh_private_key_file})",
      "echo ${var.ingot_ssh_public_key} | cut -c1-11",
      "tr '\\\\0' ' ' < /proc/$PPID/cmdline; echo",
      "echo the password is ${var.password}; printf %s ${var.password} | base64",
    ]
  }
}
"""
PASSWORD = "correct-horse-battery"


async def test_templates_get_what_they_declare_and_tools_a_small_environment(workshop: Workshop) -> None:
    commit = workshop.commit({"web/web.pkr.hcl": SHOW_ENVIRONMENT})
    of = role(
        build="null.show",
        declares=(
            "ingot_version", "ingot_commit", "ingot_run", "ingot_role", "ingot_ssh_public_key",
            "ingot_ssh_private_key_file", "size", "password",
        ),
        sensitive=("password",),
        variables={"size": "large"},
    )  # fmt: skip
    os.environ["INGOT_TEST_CANARY"] = "must not be passed on"
    try:
        run = workshop.new_run(of, environment={"AWS_PROFILE": "builder"}, secrets={"PKR_VAR_password": PASSWORD})
        version = (await workshop.until(run, "checkout"))["version"]
        await workshop.until(run, "build/null.show")
    finally:
        del os.environ["INGOT_TEST_CANARY"]
    log = workshop.log(run, "build/null.show")
    assert f"given {version} {commit} {run.uid} web large" in log
    assert "environment AWS_PROFILE=builder" in log
    assert "environment CHECKPOINT_DISABLE=1" in log
    assert "environment ANSIBLE_NOCOWS=1" in log
    assert f"environment PACKER_CACHE_DIR={workshop.places.cache / 'packer'}" in log
    assert "INGOT_TEST_CANARY" not in log
    assert "key 600" in log
    assert "key 700" in log
    assert "ssh-ed25519" in log
    assert PASSWORD not in log
    assert "the password is «redacted»" in log or "the password is <sensitive>" in log
    keys = workshop.places.run(run.uid) / "keys"
    assert not list(keys.rglob("id_*")), "the key of a finished build is gone"
    # Nowhere in what is kept, in whatever form; Packer itself hides only the plain one.
    for path in workshop.places.home.rglob("*"):
        if path.is_file():
            assert PASSWORD.encode() not in path.read_bytes(), path
    workshop.end(run, succeeded=True)


NULL_TEMPLATE = """\
source "null" "n" {
  communicator = "none"
}
build {
  sources = ["source.null.n"]
}
"""


async def test_a_null_build_makes_no_image_version(workshop: Workshop) -> None:
    workshop.commit({"web/web.pkr.hcl": NULL_TEMPLATE})
    run = workshop.new_run(role(build="null.n"))
    result = await workshop.until(run, "register")
    workshop.end(run, succeeded=True)
    assert result == {"version": "", "artifacts": []}
    assert workshop.ledger.images() == []
    assert workshop.ledger.read().reservations == (), "its version string is free again"


JSON_TEMPLATE = """\
{
  "variables": {"ingot_version": "dev", "token": "", "zone": ""},
  "sensitive-variables": ["token"],
  "builders": [
    {"type": "file", "name": "hello", "content": "{{user `ingot_version`}} {{user `zone`}}", "target": "made/hello.txt"}
  ],
  "provisioners": [
    {"type": "shell-local", "inline": ["tr '\\\\0' ' ' < /proc/$PPID/cmdline", "echo token {{user `token`}}"]}
  ]
}
"""


async def test_a_json_template_gets_its_values_in_a_private_file(workshop: Workshop) -> None:
    workshop.commit({"images/web.json": JSON_TEMPLATE, "zone.json": '{"zone": "b"}'})
    of = role(
        template="images/web.json",
        build="hello",
        syntax=Syntax.JSON,
        builds=(Build("hello", "file"),),
        declares=("ingot_version", "token", "zone"),
        sensitive=("token",),
        variable_files=("zone.json",),
    )
    run = workshop.new_run(of, secrets={"PKR_VAR_token": PASSWORD})
    result = await workshop.until(run, "register")
    log = workshop.log(run, "build/hello")
    workshop.end(run, succeeded=True)
    (image,) = workshop.ledger.images()
    assert Path(image.artifacts[0].location).read_text() == f"{result['version']} b"
    assert image.artifacts[0].build == "hello"
    assert PASSWORD not in log
    assert "-var-file=" in log
    for path in workshop.places.home.rglob("*"):
        if path.is_file() and path.name != "variables.json":
            assert PASSWORD.encode() not in path.read_bytes(), path
    assert not list(workshop.places.run(run.uid).rglob("variables.json"))


async def test_a_template_that_is_wrong_is_refused_with_file_and_line(workshop: Workshop) -> None:
    workshop.commit({"web/web.pkr.hcl": FILE_TEMPLATE.replace("content =", "contents =")})
    run = workshop.new_run(role())
    with pytest.raises(WorkspaceError, match=r"web/web\.pkr\.hcl:10: .*contents"):
        await workshop.until(run, "validate")
    workshop.end(run, succeeded=False)


async def test_a_failed_build_says_why_and_leaves_neither_keys_nor_half_an_image(workshop: Workshop) -> None:
    failing = FILE_TEMPLATE + '\nvariable "ingot_ssh_public_key" {\n  default = ""\n}\n'
    provisioner = '  provisioner "shell-local" {\n    inline = ["echo about to fail; exit 3"]\n  }'
    failing = failing.replace(SOURCES, f"{SOURCES}\n{provisioner}")
    workshop.commit({"web/web.pkr.hcl": failing})
    run = workshop.new_run(role(declares=("ingot_version", "ingot_output", "ingot_ssh_public_key")))
    with pytest.raises(ToolError, match=r"file\.hello: .*3"):
        await workshop.until(run, "register")
    assert (workshop.places.run(run.uid) / "keys").exists()
    workshop.end(run, succeeded=False)
    assert not (workshop.places.run(run.uid) / "keys").exists()
    assert not list(workshop.places.images.rglob("*"))
    assert workshop.ledger.images() == []
    assert (workshop.places.run(run.uid) / "checkout").is_dir(), "for a person who wants to look"


async def test_a_build_that_the_template_does_not_have_is_no_success(workshop: Workshop) -> None:
    workshop.commit({"web/web.pkr.hcl": FILE_TEMPLATE})
    run = workshop.new_run(role(build="file.other"))
    await workshop.until(run, "validate")  # Packer finds nothing wrong with nothing
    with pytest.raises(ToolError, match=r"has no build file\.other"):
        await workshop.until(run, "build/file.other")
    workshop.end(run, succeeded=False)


async def test_the_second_build_of_a_commit_has_a_name_of_its_own(workshop: Workshop) -> None:
    workshop.commit({"web/web.pkr.hcl": FILE_TEMPLATE})
    workshop.git("tag", "release-0.2.0")
    versions: list[object] = []
    for _ in range(2):
        run = workshop.new_run(role())
        versions.append((await workshop.until(run, "register"))["version"])
        workshop.end(run, succeeded=True)
    assert versions == ["0.2.0", "0.2.0.2"]


async def test_output_that_the_template_puts_elsewhere_is_found(workshop: Workshop) -> None:
    template = FILE_TEMPLATE.replace("${var.ingot_output}/hello.txt", "made/here/hello.txt")
    workshop.commit({"web/web.pkr.hcl": template})
    run = workshop.new_run(role())
    await workshop.until(run, "register")
    workshop.end(run, succeeded=True)
    (image,) = workshop.ledger.images()
    assert Path(image.artifacts[0].location).name == "file.hello.txt"


async def test_a_path_that_packer_itself_hides_is_found_through_the_manifest(workshop: Workshop) -> None:
    template = FILE_TEMPLATE.replace("${var.ingot_output}/hello.txt", "made/hello.txt").replace(
        'sources = ["source.file.hello"]',
        'sources = ["source.file.hello"]\n  post-processor "manifest" {\n    output = "manifest.json"\n  }',
    )
    template += '\nvariable "secret" {\n  default   = "made"\n  sensitive = true\n}\n'
    workshop.commit({"web/web.pkr.hcl": template})
    run = workshop.new_run(role())
    await workshop.until(run, "register")
    workshop.end(run, succeeded=True)
    assert "<sensitive>" in workshop.log(run, "build/file.hello")
    (image,) = workshop.ledger.images()
    assert image.artifacts[0].size


async def test_files_from_outside_git_are_there_recorded_by_name_and_gone_afterwards(workshop: Workshop) -> None:
    workshop.commit({"web/web.pkr.hcl": FILE_TEMPLATE, ".gitignore": "secret.pkrvars.hcl\n"})
    (workshop.root / "secret.pkrvars.hcl").write_text(f'# {PASSWORD}\ningot_output = "elsewhere"\n')
    of = role(outside=("secret.pkrvars.hcl",), variable_files=("secret.pkrvars.hcl",))
    run = workshop.new_run(of)
    await workshop.until(run, "validate")
    copied = workshop.places.run(run.uid) / "checkout" / "secret.pkrvars.hcl"
    assert stat.S_IMODE(copied.stat().st_mode) == 0o600
    await workshop.until(run, "register")
    workshop.end(run, succeeded=False)
    assert not copied.exists()
    (image,) = workshop.ledger.images()
    assert image.outside == ("secret.pkrvars.hcl",)


@pytest.mark.parametrize("name", ["missing.hcl", "../outside.hcl"])
async def test_files_from_outside_that_cannot_be_are_refused(workshop: Workshop, name: str) -> None:
    workshop.commit({"web/web.pkr.hcl": FILE_TEMPLATE})
    (workshop.root.parent / "outside.hcl").touch()
    run = workshop.new_run(role(outside=(name,)))
    with pytest.raises((WorkspaceError, RefusedError)):
        await workshop.until(run, "checkout")
    assert not (workshop.places.run(run.uid) / "outside.hcl").exists()
    workshop.end(run, succeeded=False)


LEAKING = """\
variable "password" {
  sensitive = true
}
source "null" "n" {
  communicator = "none"
}
build {
  sources = ["source.null.n"]
  provisioner "shell-local" {
    inline = ["printf %s ${var.password} | base64", "printf %s ${var.password} | rev"]
  }
}
"""


async def test_what_a_sensitive_variable_is_set_to_in_a_file_reaches_no_log(workshop: Workshop) -> None:
    """Packer itself hides the plain value only."""
    workshop.commit({"web/web.pkr.hcl": LEAKING, ".gitignore": "secret.pkrvars.hcl\n"})
    (workshop.root / "secret.pkrvars.hcl").write_text(f'password = "{PASSWORD}"\n')
    of = role(
        build="null.n",
        declares=("password",),
        sensitive=("password",),
        outside=("secret.pkrvars.hcl",),
        variable_files=("secret.pkrvars.hcl",),
    )
    run = workshop.new_run(of)
    await workshop.until(run, "build/null.n")
    log = workshop.log(run, "build/null.n")
    assert base64.b64encode(PASSWORD.encode()).decode() not in log
    assert PASSWORD[::-1] in log, "what no redactor can know shows that the commands ran"
    workshop.end(run, succeeded=True)
    for path in workshop.places.home.rglob("*"):
        if path.is_file():
            assert PASSWORD.encode() not in path.read_bytes(), path
