"""A role that Ansible builds, with a real machine: a task fails, is mended by hand and retried, the machine restarts,
the playbook changes nothing the second time, and the image boots with what it wrote."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from installed import BIN, Shop, in_the_shop

pytestmark = [*in_the_shop(), pytest.mark.long]

SECRET = "sesame-4711-0815-canary"
SETTINGS = """
[roles.tiny]
builder = "ansible"
playbook = "ansible/tiny.yml"
idempotent = true
sensitive = ["password"]
upstream = { role = "base" }
"""
PLAYBOOK = """\
- name: tiny
  hosts: tiny
  gather_facts: false
  tasks:
    - name: write a file
      ansible.builtin.copy: {content: "{{ ingot_role }} {{ ingot_version }}\\n", dest: /etc/tiny}
    - name: hide a secret
      ansible.builtin.command: "sh -c 'echo {{ password }} >/dev/null; echo {{ password }}'"
      changed_when: false
      no_log: true
    - name: say a secret
      ansible.builtin.debug: {msg: "it is {{ password }}"}
    - name: needs help
      ansible.builtin.command: test -e /root/helped
      changed_when: false
    - name: was it here before
      ansible.builtin.stat: {path: /etc/last}
      register: last
    - name: start anew
      ansible.builtin.reboot: {reboot_timeout: 900}
      when: not last.stat.exists
    - name: the last
      ansible.builtin.command: touch /etc/last
      args: {creates: /etc/last}
"""


def with_secret(shop: Shop) -> dict[str, str]:
    return {**shop.ingot.environment, "INGOT_VAR_password": SECRET}


def build(shop: Shop, *words: str) -> str:
    """With the secret in the environment of who asks; gives the run's number."""
    done = subprocess.run(
        (str(BIN / "ingot"), "-C", str(shop.root), "build", "tiny", "--trust", "--json", *words),
        env=with_secret(shop),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)[0]["id"])


def until(shop: Shop, run: str, *states: str) -> Any:
    deadline = time.monotonic() + 1500
    while True:
        found = next(one for one in shop.json("runs") if str(one["id"]) == run)
        if found["state"] in states:
            return found
        assert found["state"] in ("queued", "running", "waiting", "paused"), (found, shop("logs", run).stdout[-6000:])
        assert time.monotonic() < deadline, (found, shop("logs", run).stdout[-6000:])
        time.sleep(1)


def test_the_ansible_provisioner_of_packer_tells_its_tasks(shop: Shop) -> None:
    (playbook,) = shop.json("tasks", "1")
    assert playbook["playbook"] == "ansible/base.yml"
    states = {task["state"] for task in playbook["tasks"]}
    assert states <= {"ok", "changed", "skipped"}
    assert any(task["role"] == "hardening" and task["state"] == "changed" for task in playbook["tasks"])
    assert all(task["path"].startswith("ansible/") for task in playbook["tasks"])


def test_a_failed_task_is_retried_and_the_machine_becomes_an_image(
    shop: Shop, boot: Callable[[Path], Callable[[str], str]]
) -> None:
    (shop.root / "ansible/tiny.yml").write_text(PLAYBOOK)
    with (shop.root / "ingot.toml").open("a") as toml:
        toml.write(SETTINGS)
    shop.commit("A role that Ansible builds")
    run = build(shop, "--pause", "failure")
    until(shop, run, "paused")
    (waits,) = [one for one in shop.json("debug") if str(one["run"]) == run]
    assert waits["answers"] == ["retry", "restart", "keep", "clean-up"]
    worker = shop.json("worker")["pid"]
    os.kill(worker, signal.SIGKILL)  # whoever keeps the machine is somebody else
    done = shop("debug", run, "--", "touch", "/root/helped")
    assert done.returncode == 0, done.stderr
    answered = shop("debug", run, "--answer", "retry")
    assert answered.returncode == 0, answered.stderr
    # What goes on the ledger is redacted with the secret, and the worker of before took that along.
    assert "ingot resume" in until(shop, run, "waiting")["reason"]
    resumed = subprocess.run((str(BIN / "ingot"), "resume", run), env=with_secret(shop), check=False)
    assert resumed.returncode == 0
    until(shop, run, "succeeded")

    first, second, again = shop.json("tasks", run)
    assert [task["name"] for task in first["tasks"]][-1] == "needs help"
    assert first["tasks"][-1]["state"] == "failed"
    assert second["tasks"][0]["name"] == "needs help", "it began at the failed task"
    assert {task["name"]: task["state"] for task in second["tasks"]}["start anew"] == "changed"
    assert not [task for task in again["tasks"] if task["state"] == "changed"], "idempotent"
    image = shop.image("tiny")
    assert image["marks"] == ["touched by hand"]
    disk = Path(image["artifacts"][0]["location"])
    machine = boot(disk)
    assert machine("cat /etc/tiny").split() == ["tiny", image["version"]]
    assert SECRET.encode() not in b"".join(
        path.read_bytes() for path in shop.ingot.home.rglob("*") if path.is_file() and path.stat().st_size < 50_000_000
    )
    assert shop.ingot.left_behind() == []


def test_a_playbook_that_changes_something_the_second_time_is_no_image(shop: Shop) -> None:
    playbook = "- hosts: all\n  gather_facts: false\n  tasks:\n    - {name: always, command: date}\n"
    (shop.root / "ansible/tiny.yml").write_text(playbook)
    if "[roles.tiny]" not in (shop.root / "ingot.toml").read_text():
        with (shop.root / "ingot.toml").open("a") as toml:
            toml.write(SETTINGS)
    shop.commit("Not idempotent")
    run = build(shop)
    failed = until(shop, run, "failed")
    assert "is not idempotent" in failed["reason"]
    assert "always (ansible/tiny.yml:4)" in failed["reason"]
    assert shop.ingot.left_behind() == []
