"""What a template says of the way into its machine, and what it leaves open."""

import json
from pathlib import Path

import pytest

from core.adapters.communicator import (
    Account,
    Bastion,
    Communicator,
    communicator_of,
    list_setting,
    setting,
)
from core.model.role import Build, Role, Syntax

BUILD = Build("qemu.web", "qemu")

TEMPLATE = """\
variable "user" { default = "root" }
variable "password" { sensitive = true }
variable "key" { default = "~/.ssh/nobody" }
variable "port" { type = number }
locals { domain = "example.org" }
source "qemu" "web" {
  ssh_username         = var.user
  ssh_password         = var.password
  ssh_private_key_file = var.key
  ssh_port             = var.port
  ssh_bastion_host     = "jump.${local.domain}"
  ssh_bastion_username = "hop"
  ssh_bastion_agent_auth = true
}
build { sources = ["source.qemu.web"] }
"""


def role(template: str = "web", syntax: Syntax = Syntax.HCL2, **more: tuple[str, ...]) -> Role:
    return Role("web", template, syntax, builds=(BUILD,), variable_files=more.get("variable_files", ()))


def write(root: Path, **files: str) -> None:
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def test_variables_locals_and_packers_order_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    write(tmp_path, web__web_dot_pkr_dot_hcl=TEMPLATE, web__x_dot_auto_dot_pkrvars_dot_hcl='port = 2022\nuser = "auto"')
    write(tmp_path, site_dot_pkrvars_dot_hcl='user = "site"')
    of = role(variable_files=("site.pkrvars.hcl",))
    found = communicator_of(of, tmp_path, {"user": "environment", "password": "from PKR_VAR"}, BUILD)
    key = "/home/ada/.ssh/nobody"
    assert found == Communicator(
        port=2022,
        account=Account("site", "from PKR_VAR", key),
        bastion=Bastion("jump.example.org", 22, Account("hop", "", key, agent=True)),
    )
    assert "from PKR_VAR" not in repr(found)


def test_what_is_not_written_down_is_empty(tmp_path: Path) -> None:
    source = (
        'source "qemu" "web" {\n  ssh_username = vault("a", "b")\n  ssh_password = "{{ build `Password` }}"\n'
        '  ssh_host = var.nothing\n  ssh_port = "many"\n}\nbuild { sources = ["qemu.web"] }\n'
    )
    write(tmp_path, web__web_dot_pkr_dot_hcl=source)
    assert communicator_of(role(), tmp_path, {}, BUILD) == Communicator()


def test_a_key_beside_the_template_is_found_from_where_packer_runs(tmp_path: Path) -> None:
    source = (
        'source "qemu" "web" {\n  ssh_private_key_file = "keys/id.key"\n}\nbuild { sources = ["source.qemu.web"] }\n'
    )
    write(tmp_path, web__web_dot_pkr_dot_hcl=source, web__keys__id_dot_key="x")
    assert communicator_of(role(), tmp_path, {}, BUILD).account.key_file == str(tmp_path / "web" / "keys" / "id.key")


@pytest.mark.parametrize(
    ("build", "user"), [("qemu.web", "web"), ("app.qemu.other", "inline"), ("app.qemu.web", "web"), ("qemu.none", "")]
)
def test_each_build_has_its_own(tmp_path: Path, build: str, user: str) -> None:
    source = (
        'source "qemu" "web" {\n  ssh_username = "web"\n}\n'
        'build { sources = ["source.qemu.web"] }\n'
        'build {\n name = "app"\n sources = ["source.qemu.web"]\n'
        ' source "qemu.web" {\n  name = "other"\n  ssh_username = "inline"\n }\n}\n'
    )
    write(tmp_path, web__web_dot_pkr_dot_hcl=source)
    assert communicator_of(role(), tmp_path, {}, Build(build, "qemu")).account.user == user


def test_winrm_has_its_own_settings(tmp_path: Path) -> None:
    source = (
        'source "qemu" "web" {\n  communicator = "winrm"\n  winrm_username = "Administrator"\n  winrm_use_ssl = true\n'
        '  winrm_host = "win.example.org"\n  ssh_bastion_host = "x"\n}\nbuild { sources = ["source.qemu.web"] }\n'
    )
    write(tmp_path, web__web_dot_pkr_dot_hcl=source)
    found = communicator_of(role(), tmp_path, {}, BUILD)
    assert found == Communicator("winrm", "win.example.org", 5986, Account("Administrator"))


def test_a_template_in_json(tmp_path: Path) -> None:
    template = {
        "variables": {"user": "root", "secret": None, "region": "eu-central-1"},
        "builders": [
            {"type": "null", "ssh_host": "elsewhere"},
            {
                "type": "amazon-ebs",
                "name": "web",
                "region": "{{user `region`}}",
                "custom_endpoint_ec2": "http://127.0.0.1:5000",
                "ssh_interface": "private_ip",
                "ssh_username": "{{user `user`}}",
                "ssh_password": "{{user `secret`}}",
                "ssh_agent_auth": "true",
                "ssh_port": "2222",
                "ssh_host": "{{ .Name }}",
            },
        ],
    }
    write(tmp_path, web_dot_json=json.dumps(template), vars_dot_json='{"user": "ada"}')
    of = role("web.json", Syntax.JSON, variable_files=("vars.json",))
    found = communicator_of(of, tmp_path, {"secret": "hush"}, Build("web", "amazon-ebs"))
    assert found == Communicator(
        port=2222,
        account=Account("ada", "hush", "", agent=True),
        interface="private_ip",
        region="eu-central-1",
        endpoint="http://127.0.0.1:5000",
    )
    assert communicator_of(of, tmp_path, {}, Build("null", "null")).host == "elsewhere"


@pytest.mark.parametrize("content", ["", "source {", 'source "qemu" "web" {}', "\0", "build {\n sources = 1\n}"])
def test_a_broken_template_says_nothing(tmp_path: Path, content: str) -> None:
    write(tmp_path, web__web_dot_pkr_dot_hcl=content, web_dot_json=content)
    assert communicator_of(role(), tmp_path, {}, BUILD) == Communicator()
    assert communicator_of(role("web.json", Syntax.JSON), tmp_path, {}, BUILD) == Communicator()


def test_the_example_workspace_uses_the_key_that_ingot_makes() -> None:
    shop = Path(__file__).parents[2] / "examples" / "shop"
    given = {"ingot_ssh_private_key_file": "/keys/id"}
    template = next(path.parent.relative_to(shop) for path in shop.rglob("*.pkr.hcl") if "frontend" in str(path))
    found = communicator_of(role(str(template)), shop, given, Build("qemu.frontend", "qemu"))
    assert found == Communicator(account=Account("root", "", "/keys/id"))


def test_flags_and_lists_are_read_as_packer_takes_them(tmp_path: Path) -> None:
    source = """\
variable "group" { default = "sg-2" }
source "qemu" "web" {
  associate_public_ip_address = true
  security_group_ids          = ["sg-1", var.group]
  half                        = ["sg-1", vault("a", "b")]
  alone                       = "sg-1"
}
build { sources = ["source.qemu.web"] }
"""
    write(tmp_path, web__web_dot_pkr_dot_hcl=source)
    assert setting(role(), tmp_path, {}, BUILD, "associate_public_ip_address") == "true"
    assert setting(role(), tmp_path, {}, BUILD, "ebs_optimized") == ""
    assert list_setting(role(), tmp_path, {}, BUILD, "security_group_ids") == ("sg-1", "sg-2")
    for name in ("half", "alone", "none"):
        assert list_setting(role(), tmp_path, {}, BUILD, name) == ()
