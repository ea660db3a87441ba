"""How Packer is called: nothing that others named becomes an option, and each language gets its variables in its
way."""

from pathlib import Path

import pytest

from core.adapters import packer
from core.adapters.packer import Packer
from core.errors import RefusedError
from core.model.role import Problem, Role, Syntax

OLD = Packer(Path("/usr/bin/packer"), (1, 6, 6))


def role(template: str = "web", **more: object) -> Role:
    return Role(name="web", template=template, syntax=Syntax.HCL2, **more)  # pyright: ignore[reportArgumentType]


def test_a_build_is_called_without_colour_and_cleans_up_after_itself() -> None:
    assert packer.arguments(OLD, "build", ".", ["../web.pkrvars.hcl"], packer.only("app.qemu.web")) == [
        "/usr/bin/packer",
        "build",
        "-color=false",
        "-on-error=cleanup",
        "-only=app.qemu.web",
        "-var-file=../web.pkrvars.hcl",
        ".",
    ]


@pytest.mark.parametrize("name", ["-force", "", "a\nb", "*.qemu.web", "qemu.web,qemu.other", "{a}"])
def test_a_build_whose_name_would_be_an_option_or_pick_others_is_refused(name: str) -> None:
    with pytest.raises(RefusedError):
        packer.only(name)


def test_a_template_whose_path_begins_with_a_dash_is_no_option() -> None:
    assert packer.arguments(OLD, "validate", "-debug.pkr.hcl")[-1] == "./-debug.pkr.hcl"


def test_only_declared_values_are_passed_and_those_of_ingot_toml_always() -> None:
    of = role(declares=("ingot_version",), variables={"size": "small"})
    offered = {"ingot_version": "1", "ingot_commit": "abc"}
    assert packer.variables_for(of, offered) == {"ingot_version": "1", "size": "small"}


def test_versions_are_compared_as_numbers() -> None:
    assert not OLD.has_init
    assert Packer(Path("packer"), (1, 10, 0)).has_init


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            "Error: Unsupported block type\n\n  on bad.pkr.hcl line 2, in packer:\n   2:   required_plugins {\n",
            Problem("web/bad.pkr.hcl", "Unsupported block type", 2),
        ),
        (
            'Error: Failed to prepare build: "file"\n\n1 error occurred:\n\t* unknown configuration key: \'"x"\'\n\n',
            Problem("", 'Failed to prepare build: "file": unknown configuration key: \'"x"\''),
        ),
        (
            "Failed to parse template: Error parsing JSON: invalid character ']'\nAt line 1, column 35 (offset 35):\n",
            Problem("", "Error parsing JSON: invalid character ']'", 1),
        ),
        (
            "Error: Missing required argument\n\n  on /elsewhere/a.pkr.hcl line 7:\n  (source code not available)\n",
            Problem("/elsewhere/a.pkr.hcl", "Missing required argument", 7),
        ),
    ],
)
def test_complaints_carry_file_and_line(said: str, expected: Problem) -> None:
    assert packer.problems(said, Path("/checkout"), Path("/checkout/web")) == [expected]


def test_every_complaint_is_told() -> None:
    said = "Error: One\n\n  on a.pkr.hcl line 1, in build:\n\nError: Two\n\n  on a.pkr.hcl line 9, in build:\n"
    assert [problem.line for problem in packer.problems(said, Path("/c"), Path("/c"))] == [1, 9]


def test_packer_runs_from_where_the_paths_in_the_template_lead_somewhere(tmp_path: Path) -> None:
    (tmp_path / "images" / "web").mkdir(parents=True)
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "install.sh").touch()
    template = tmp_path / "images" / "web" / "web.pkr.hcl"
    template.write_text('build {\n  provisioner "shell" {\n    script = "scripts/install.sh"\n  }\n}\n')
    assert packer.working_directory(tmp_path, role("images/web")) == tmp_path
    template.write_text(template.read_text().replace('"scripts', '"../../scripts'))
    assert packer.working_directory(tmp_path, role("images/web")) == tmp_path / "images" / "web"


def test_sensitive_values_are_found_wherever_they_are_set(tmp_path: Path) -> None:
    (tmp_path / "web.pkr.hcl").write_text(
        'variable "password" {\n  default   = "from-default"\n  sensitive = true\n}\n'
        'variable "open" {\n  default = "no secret"\n}\n'
    )
    (tmp_path / "a.auto.pkrvars.hcl").write_text('password = "from-auto-file"\nopen = "open"\n')
    (tmp_path / "prod.pkrvars.json").write_text('{"password": {"nested": ["from-json-file"]}}')
    of = role(".", variable_files=("prod.pkrvars.json",), sensitive=("password",))
    assert set(packer.sensitive_values(of, tmp_path)) == {"from-default", "from-auto-file", "from-json-file"}


def test_the_endpoint_of_ec2_is_the_templates_own(tmp_path: Path) -> None:
    (tmp_path / "web.pkr.hcl").write_text(
        'variable "endpoint" {\n  default = "http://127.0.0.1:1"\n}\n'
        'source "amazon-ebs" "web" {\n  custom_endpoint_ec2 = var.endpoint\n}\n'
    )
    assert packer.custom_endpoint(role("."), tmp_path, {}) == "http://127.0.0.1:1"
    assert packer.custom_endpoint(role("."), tmp_path, {"endpoint": "http://127.0.0.1:2"}) == "http://127.0.0.1:2"


def test_only_the_last_run_in_a_manifest_counts(tmp_path: Path) -> None:
    manifest = tmp_path / "packer-manifest.json"
    manifest.write_text(
        '{"builds": ['
        '{"name": "web", "builder_type": "qemu", "files": [{"name": "old", "size": 1}], "packer_run_uuid": "1"},'
        '{"name": "web", "builder_type": "qemu", "files": null, "packer_run_uuid": "2"}], "last_run_uuid": "2"}'
    )
    read = packer.read_manifest(manifest)
    assert read
    assert [build.packer_run_uuid for build in read.of_last_run()] == ["2"]
    manifest.write_text("[]")
    assert packer.read_manifest(manifest) is None
