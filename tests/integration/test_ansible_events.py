"""What Ansible does inside a Packer build is told task by task, by the real ansible-playbook, and nothing secret is."""

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from workshop import Workshop, role

from core import process
from core.adapters import ansible_events
from core.errors import ToolError
from core.model.role import Build
from core.model.tasks import TaskState, TaskTable
from core.store.tasks import TaskReader, read

pytestmark = pytest.mark.skipif(
    not (process.find("packer") and process.find("ansible-playbook")), reason="packer or ansible is not installed"
)

UNSAID = "unsaid-4711-0815-canary"
KNOWN = "known-4711-0815-canary"

TEMPLATE = """\
variable "password" {
  sensitive = true
}
source "null" "web" {
  communicator = "none"
}
build {
  sources = ["source.null.web"]
  provisioner "shell-local" {
    environment_vars = ["PASSWORD=${var.password}"]
    inline = ["ansible-playbook -i localhost, -c local ../ansible/site.yml"]
  }
}
"""
PLAYBOOK = """\
- name: web
  hosts: all
  gather_facts: false
  vars:
    unsaid: unsaid-4711-0815-canary
    known: "{{ lookup('env', 'PASSWORD') }}"
  roles: [motd]
  tasks:
    - name: silent
      command: "echo {{ unsaid }} {{ known }}"
      no_log: true
    - name: silent failure
      command: "sh -c 'echo {{ unsaid }}; exit 3'"
      no_log: true
      ignore_errors: true
    - name: silent items
      command: "echo {{ item }}"
      loop: ["{{ unsaid }}"]
      no_log: true
    - name: says a secret
      command: "sh -c 'echo {{ known | b64encode }} {{ known }} >&2; exit 4'"
"""
FILES = {
    "web/web.pkr.hcl": TEMPLATE,
    "ansible/site.yml": PLAYBOOK,
    "ansible/ansible.cfg": "[defaults]\ncallback_plugins = own\n",
    "ansible/roles/motd/tasks/main.yml": "- name: write it\n  copy: {content: a, dest: '{{ playbook_dir }}/motd'}\n",
    "ansible/roles/motd/handlers/main.yml": "[]\n",
}


def states(table: TaskTable) -> list[tuple[str, TaskState]]:
    return [(task.title, on.state) for _, task, on in table.rows]


async def test_a_build_tells_its_tasks_and_keeps_no_secret(workshop: Workshop) -> None:
    workshop.commit(FILES)
    of = role(
        build="null.web",
        builds=(Build("null.web", "null"),),
        declares=("password",),
        sensitive=("password",),
        playbooks=("ansible/site.yml",),
    )
    run = workshop.new_run(of, secrets={"PKR_VAR_password": KNOWN})
    with pytest.raises(ToolError):
        await workshop.until(run, "build/null.web")
    kept = workshop.places.tasks(run.uid, "build/null.web")
    table = read(kept)
    assert states(table) == [
        ("motd : write it", TaskState.CHANGED),
        ("silent", TaskState.CHANGED),
        ("silent failure", TaskState.IGNORED),
        ("silent items", TaskState.CHANGED),
        ("says a secret", TaskState.FAILED),
    ]
    assert table.failed is not None
    failed, on = table.failed
    assert (failed.path, on.code) == ("ansible/site.yml:20", 4)
    assert "«redacted» «redacted»" in on.message
    assert next(task.path for _, task, _ in table.rows) == "ansible/roles/motd/tasks/main.yml:1"
    assert kept.stat().st_mode & 0o077 == 0
    workshop.end(run, succeeded=False)
    for path in workshop.places.home.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert KNOWN.encode() not in content, path
            assert UNSAID.encode() not in content or path.is_relative_to(workshop.places.run(run.uid) / "checkout"), (
                path
            )  # the playbook itself has it


def test_what_the_workspace_has_of_callback_plugins_stays(tmp_path: Path) -> None:
    (tmp_path / "ansible").mkdir()
    (tmp_path / "ansible" / "ansible.cfg").write_text("[defaults]\ncallback_plugins = own:/srv/plugins\n")
    found = ansible_events.environment({"HOME": "/home/ada"}, tmp_path, [tmp_path / "ansible"])
    plugins = found["ANSIBLE_CALLBACK_PLUGINS"].split(":")
    assert plugins == [str(ansible_events.PLUGINS), str(tmp_path / "ansible" / "own"), "/srv/plugins"]
    given = ansible_events.environment({"ANSIBLE_CALLBACK_PLUGINS": "/mine"}, tmp_path, [tmp_path / "ansible"])
    assert given["ANSIBLE_CALLBACK_PLUGINS"].split(":") == [str(ansible_events.PLUGINS), "/mine"]
    without = ansible_events.environment({"HOME": "/home/ada"}, tmp_path, [])
    assert "/home/ada/.ansible/plugins/callback" in without["ANSIBLE_CALLBACK_PLUGINS"]


async def test_a_playbook_goes_on_where_nobody_reads_its_events(tmp_path: Path) -> None:
    (tmp_path / "site.yml").write_text("- hosts: all\n  gather_facts: false\n  tasks: [{debug: {msg: hello}}]\n")
    plain = tmp_path / "plain"
    plain.mkdir()
    for place in ("", str(tmp_path / "missing"), str(plain)):
        ended = await process.run(
            ["ansible-playbook", "-i", "localhost,", "-c", "local", "site.yml"],
            cwd=tmp_path,
            env=process.environment(extra={
                **ansible_events.environment({}, tmp_path, []), "INGOT_EVENTS": place,
            }),
        )  # fmt: skip
        assert ended.code == 0, ended.out
        assert b"Traceback" not in ended.out + ended.err


def test_an_event_that_cannot_be_made_breaks_no_play_and_keeps_no_other_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    callback = ModuleType("ansible.plugins.callback")
    callback.__dict__["CallbackBase"] = type("CallbackBase", (), {})
    for name in ("ansible", "ansible.plugins"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "ansible.plugins.callback", callback)
    spec = importlib.util.spec_from_file_location("ingot_events", ansible_events.PLUGINS / "ingot_events.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    pipe = tmp_path / "events"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        monkeypatch.setenv("INGOT_EVENTS", str(pipe))
        plugin = loaded.CallbackModule()
        # What a future Ansible hands over may lack all that this one's has.
        strange = SimpleNamespace()
        plugin.v2_playbook_on_play_start(strange)
        plugin.v2_playbook_on_task_start(strange, False)
        plugin.v2_runner_on_start(strange, strange)
        plugin.v2_runner_on_ok(strange)
        plugin.v2_runner_on_failed(strange, ignore_errors=True)
        plugin.v2_playbook_on_stats(strange)
        plugin.v2_playbook_on_play_start(SimpleNamespace(get_name=lambda: "web"))
        told = [json.loads(line) for line in os.read(reading, 100_000).splitlines()]
        os.close(plugin._pipe)
    finally:
        os.close(reading)
    assert [(event["event"], event.get("name")) for event in told] == [("stats", None), ("play", "web")]


def test_a_reader_follows_a_file_that_grows_and_goes_past_what_is_no_event(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    reader = TaskReader(path)
    assert not reader.refresh()
    with path.open("w") as file:
        file.write('{"event": "playbook", "name": "site.yml"}\ningot: the disk was full\n{"event": "task", "task"')
        file.flush()
        assert reader.refresh()
        assert reader.table.last is not None
        assert not reader.table.last.tasks
        file.write(': "1", "name": "x", "unknown": 1}\n')
    assert reader.refresh()
    assert not reader.refresh()
    assert [task.name for task in reader.table.last.tasks] == ["x"]
