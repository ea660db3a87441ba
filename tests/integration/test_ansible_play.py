"""A playbook run by ansible-runner, on this machine: what came of it is known, and it leaves nothing behind."""

import os
import sys
from pathlib import Path

import pytest

from core import process
from core.adapters import ansible
from core.adapters.ansible import Outcome

pytestmark = pytest.mark.skipif(process.find("ansible-playbook") is None, reason="ansible is not installed")

PLAYBOOK = """\
- hosts: all
  gather_facts: false
  connection: local
  roles: [web]
  tasks:
    - name: changes
      ansible.builtin.command: echo hello
    - name: fails and is rescued
      block:
        - name: fails
          ansible.builtin.command: "false"
      rescue:
        - name: saves
          ansible.builtin.debug: {msg: saved}
    - name: may fail
      ansible.builtin.command: "false"
      ignore_errors: true
    - name: must not fail
      ansible.builtin.stat: {path: "{{ needed }}"}
      register: needed_file
      failed_when: not needed_file.stat.exists
    - name: the last
      ansible.builtin.debug: {msg: "the end, {{ secret }}"}
"""
INVENTORY = f'{{"all": {{"hosts": {{"web": {{"ansible_python_interpreter": "{sys.executable}"}}}}}}}}'


class Site:
    """A playbook and what it needs, in a directory of the test."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.said: list[str] = []
        self.private = ansible.private_directory(place / "private")
        (place / "roles/web/tasks").mkdir(parents=True)
        (place / "roles/web/tasks/main.yml").write_text("- name: hello\n  ansible.builtin.debug: {msg: hello}\n")
        (place / "site.yml").write_text(PLAYBOOK)
        (self.private / "inventory.yml").write_text(INVENTORY)

    def play(self, *arguments: str, cancelled: bool = False) -> Outcome:
        extra = ["--extra-vars", f"needed={self.place / 'needed'} secret=canary-4711-0815"]
        return ansible.play(
            self.private,
            self.place / "site.yml",
            self.private / "inventory.yml",
            [*extra, *arguments],
            cwd=self.place,
            say=self.said.append,
            cancelled=lambda: cancelled,
        )


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    for name in [name for name in os.environ if name.startswith("ANSIBLE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ANSIBLE_LOCAL_TEMP", str(tmp_path / "tmp"))
    monkeypatch.setenv("ANSIBLE_NOCOLOR", "1")
    return Site(tmp_path)


def test_the_task_that_ended_it_is_where_it_can_be_begun_again(site: Site) -> None:
    first = site.play()
    assert not first.good
    assert first.failed == "must not fail"
    assert "web : hello" in first.begun
    assert any("TASK [web : hello]" in line for line in site.said)
    (site.place / "needed").touch()
    again = site.play("--start-at-task", first.failed)
    assert again.good
    assert again.begun == ["must not fail", "the last"]
    assert (again.failed, again.changed) == ("", 0)


def test_a_whole_run_counts_what_it_changed_and_leaves_no_event_on_disk(site: Site) -> None:
    (site.place / "needed").touch()
    whole = site.play("--start-at-task", "web : hello")
    assert whole.good
    assert whole.begun[0] == "web : hello", "a task of a role is begun at by the name that is told"
    assert whole.changed == 1, "and not what failed and was rescued or ignored"
    assert any("canary-4711-0815" in line for line in site.said), "what a task prints goes to the log, redacted there"
    for path in (site.private / "artifacts").rglob("*"):
        if path.is_file() and path.name != "command":
            assert b"canary-4711-0815" not in path.read_bytes(), path


def test_a_task_that_is_not_there_runs_nothing(site: Site) -> None:
    (site.place / "needed").touch()
    assert site.play("--start-at-task", "no such task").begun == []


def test_what_cannot_be_read_is_not_good_and_names_no_task(site: Site) -> None:
    (site.place / "site.yml").write_text("- hosts: [\n")
    outcome = site.play()
    assert (outcome.good, outcome.failed) == (False, "")
    assert site.said


def test_a_playbook_that_is_cancelled_ends(site: Site) -> None:
    (site.place / "site.yml").write_text(
        "- hosts: all\n  connection: local\n  gather_facts: false\n  tasks: [{command: sleep 300}]\n"
    )
    assert not site.play(cancelled=True).good
