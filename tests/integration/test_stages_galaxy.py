"""What a repository needs from Ansible Galaxy: installed for the run alone, from the cache the second time."""

from pathlib import Path

import pytest
import repository
from workshop import FILE_TEMPLATE, Workshop, role

from core import process
from core.adapters import galaxy
from core.errors import ToolError

pytestmark = pytest.mark.skipif(process.find("ansible-galaxy") is None, reason="ansible is not installed")


@pytest.fixture
def greeter(tmp_path: Path) -> Path:
    """A role in a Git repository of its own."""
    root = tmp_path / "greeter"
    task = "- name: Greet\n  ansible.builtin.debug:\n    msg: hello\n"
    meta = "galaxy_info:\n  author: Ada\ndependencies: []\n"
    repository.commit(repository.new(root), {"tasks/main.yml": task, "meta/main.yml": meta})
    return root


ANSIBLE_ROLE = role(provisioners=("ansible",), playbooks=("ansible/web.yml",))


async def test_requirements_are_installed_once_and_found_again_offline(workshop: Workshop, greeter: Path) -> None:
    requirements = f"roles:\n  - name: greeter\n    src: {greeter.as_uri()}\n    scm: git\n    version: main\n"
    workshop.commit({"web/web.pkr.hcl": FILE_TEMPLATE, "ansible/requirements.yml": requirements})
    result = await workshop.until(workshop.new_run(ANSIBLE_ROLE), "checkout")
    installed = Path(str(result["galaxy"]))
    assert (installed / "roles" / "greeter" / "tasks" / "main.yml").is_file()
    assert installed.is_relative_to(workshop.places.cache)
    greeter.rename(greeter.with_name("gone"))
    run = workshop.new_run(ANSIBLE_ROLE)
    assert (await workshop.until(run, "checkout"))["galaxy"] == str(installed)
    assert "from the cache" in workshop.log(run, "checkout")


async def test_requirements_that_cannot_be_had_stop_the_run_and_leave_no_cache(workshop: Workshop) -> None:
    requirements = "- name: missing\n  src: file:///nowhere/at/all\n  scm: git\n"
    workshop.commit({"web/web.pkr.hcl": FILE_TEMPLATE, "requirements.yml": requirements})
    with pytest.raises(ToolError, match="could not install requirements"):
        await workshop.until(workshop.new_run(ANSIBLE_ROLE), "checkout")
    assert not [path for path in (workshop.places.cache / "galaxy").iterdir() if path.suffix not in (".lock", ".part")]


async def test_templates_without_ansible_need_no_requirements(workshop: Workshop) -> None:
    workshop.commit({"web/web.pkr.hcl": FILE_TEMPLATE, "requirements.yml": "- src: file:///nowhere\n"})
    assert (await workshop.until(workshop.new_run(role()), "checkout"))["galaxy"] == ""


def test_what_ansible_cfg_says_is_kept_behind_what_was_installed(tmp_path: Path) -> None:
    (tmp_path / "ansible.cfg").write_text("[defaults]\nroles_path = roles:~/shared\n")
    found = galaxy.search_paths(Path("/installed"), tmp_path, "/home/ada")
    assert found["ANSIBLE_ROLES_PATH"] == f"/installed/roles:{tmp_path}/roles:~/shared"
    assert found["ANSIBLE_COLLECTIONS_PATH"].startswith("/installed/collections:/home/ada/.ansible/collections:")
    assert galaxy.search_paths(None, tmp_path, "/home/ada") == {}


def test_requirements_that_point_to_files_are_not_cached_by_their_text(tmp_path: Path) -> None:
    file = tmp_path / "requirements.yml"
    file.write_text("collections:\n  - source: ../ours\n    type: dir\n")
    assert galaxy.key([file]) == ""
    file.write_text("roles:\n  - src: greeter\n")
    assert galaxy.key([file])
