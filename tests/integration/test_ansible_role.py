"""Roles that Ansible builds: what is made of ingot.toml, what makes them stale, and what Ansible says of a playbook
that is wrong. No machine is started."""

from pathlib import Path

import pytest
from workshop import Workshop

from core import process
from core.adapters import ansible
from core.errors import WorkspaceError
from core.model.pipeline import stages_of
from core.model.role import Build, Role, Syntax, UpstreamKind
from core.services.catalogue import discover

needs_ansible = pytest.mark.skipif(process.find("ansible-playbook") is None, reason="ansible is not installed")
TOML = """\
[roles.web]
builder = "ansible"
playbook = "ansible/web.yml"
variables = { size = "small" }
sensitive = ["password"]
[roles.web.upstream]
distribution = "debian"
suite = "bookworm"
"""
FILES = {
    "ingot.toml": TOML,
    "ansible/web.yml": "- hosts: all\n  roles: [nginx]\n",
    "ansible/roles/nginx/tasks/main.yml": "- debug: {msg: hello}\n",
    "ansible/roles/other/tasks/main.yml": "- debug: {msg: hello}\n",
}


def only(root: Path) -> Role:
    (role,) = discover(root).roles
    return role


def test_a_role_without_a_template_is_found_with_all_that_it_is_built_from(workshop: Workshop) -> None:
    workshop.commit(FILES)
    role = only(workshop.root)
    assert not role.problems
    assert (role.template, role.syntax) == ("ansible/web.yml", Syntax.ANSIBLE)
    assert role.builds == (Build("ansible.web", "ansible"),)
    assert role.variables == {"size": "small"}
    assert role.sensitive == ("password",)
    assert role.upstream.kind is UpstreamKind.ARCHIVE
    assert set(role.inputs) == {"ansible/web.yml", "ansible/roles/nginx"}
    assert {"seal/ansible.web", "prove/ansible.web", "test/ansible.web"} <= set(stages_of(role, ("ansible.web",)))


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        (TOML.replace("ansible/web.yml", "ansible/wbe.yml"), "there is no playbook"),
        (TOML.partition("[roles.web.upstream]")[0], "starts from an upstream"),
    ],
)
def test_what_cannot_be_built_says_why(workshop: Workshop, toml: str, said: str) -> None:
    workshop.commit({**FILES, "ingot.toml": toml})
    problems = [problem.reason for problem in only(workshop.root).problems]
    assert any(said in problem for problem in problems), problems


def test_it_may_stand_beside_roles_of_packer(workshop: Workshop) -> None:
    workshop.commit(
        {**FILES, "packer/db/db.pkr.hcl": 'source "null" "db" {}\nbuild { sources = ["source.null.db"] }\n'}
    )
    assert {role.name: role.syntax for role in discover(workshop.root).roles} == {
        "db": Syntax.HCL2,
        "web": Syntax.ANSIBLE,
    }


@needs_ansible
@pytest.mark.parametrize(
    ("playbook", "said"),
    [("- hosts: all\n  tasks: [{nonsense: x}]\n", "ansible/web.yml:2: "), ("- hosts: [\n", "ansible/web.yml")],
)
async def test_a_playbook_that_cannot_be_read_fails_before_a_machine_is_started(
    workshop: Workshop, playbook: str, said: str
) -> None:
    workshop.commit({**FILES, "ansible/web.yml": playbook})
    run = workshop.new_run(only(workshop.root))
    await workshop.stage(run, "checkout")
    with pytest.raises(WorkspaceError, match=said):
        await workshop.stage(run, "validate")


@needs_ansible
async def test_a_playbook_that_is_right_passes_and_no_secret_is_written_for_it(workshop: Workshop) -> None:
    workshop.commit(FILES)
    secret = "sesame-4711-0815"
    run = workshop.new_run(only(workshop.root), secrets={"INGOT_VAR_password": secret})
    await workshop.stage(run, "checkout")
    result = await workshop.stage(run, "validate")
    assert result["ansible"]
    for path in workshop.places.home.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes(), path


def test_the_nearest_configuration_counts(tmp_path: Path) -> None:
    (tmp_path / "ansible/deep").mkdir(parents=True)
    assert ansible.configuration(tmp_path, "ansible/deep/web.yml") is None
    (tmp_path / "ansible.cfg").touch()
    assert ansible.configuration(tmp_path, "ansible/deep/web.yml") == tmp_path / "ansible.cfg"
    (tmp_path / "ansible/ansible.cfg").touch()
    assert ansible.configuration(tmp_path, "ansible/deep/web.yml") == tmp_path / "ansible/ansible.cfg"
