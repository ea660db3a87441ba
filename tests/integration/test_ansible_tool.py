"""The program that builds with Ansible, held as it is in a build, with the real ansible-playbook: only its machine is
this one, and is neither started nor ended."""

import os
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from holds import end, python, said
from patience import until

from core import process
from core.adapters import ansible_prompts
from core.ansible_tool.plan import VARIABLES, Ended, Plan
from core.holding import Hold, ToolSpec
from core.model.pause import Answer, PauseMode, Pausing

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(process.find("ansible-playbook") is None, reason="ansible is not installed"),
]
WHO = "Ada Example <ada@example.org>"

PLAYBOOK = """\
- hosts: all
  gather_facts: false
  connection: local
  tasks:
    - name: first
      ansible.builtin.debug: {msg: "the password is {{ password }}"}
    - name: needs help
      ansible.builtin.command: test -e {{ playbook_dir }}/helped
      changed_when: false
    - name: included
      ansible.builtin.include_tasks: more.yml
"""
MORE = """\
- name: in there
  ansible.builtin.command: test -e {{ playbook_dir }}/more
  changed_when: false
"""
PROGRAM = """
    import json, sys
    from pathlib import Path
    import msgspec
    from core.ansible_tool import work
    from core.ansible_tool.plan import Plan

    class Here:
        lives, pid, port = True, 1, 22
        def __init__(self, *_): pass
        async def start(self): pass
        async def let_in(self): pass
        async def shut_down(self): print("off", flush=True)
        def end(self): print("ended by force", flush=True)

    def local(host, machine):
        settings = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        return json.dumps({"all": {"hosts": {host: settings}}}).encode()

    work.Booted, work.ansible.inventory = Here, local
    sys.exit(work.Work(msgspec.json.decode(Path("plan.json").read_bytes(), type=Plan)).carry_out())
"""


class Site:
    """A playbook, and the plan to run it by."""

    def __init__(self, place: Path) -> None:
        self.place = place
        (place / "site.yml").write_text(PLAYBOOK)
        (place / "more.yml").write_text(MORE)
        self.spec = ToolSpec(
            argv=(),
            cwd=place,
            environment=process.environment(
                extra={VARIABLES: '{"password": "sesame-4711-0815"}', "ANSIBLE_LOCAL_TEMP": str(place / "tmp")}
            ),
            log=place / "log",
            secrets=("sesame-4711-0815",),
            prompts=tuple(ansible_prompts.rules(Pausing(PauseMode.FAILURE))),
            prompt_limit=600.0,
            run_uid=f"test-{os.getpid()}",
        )

    async def start(self, **settings: object) -> Hold:
        text = {name for name in Plan.__struct_fields__ if name not in ("memory", "cpus", "idempotent", "asks")}
        values: dict[str, object] = dict.fromkeys(text, "")
        values |= {"build": "ansible.web", "host": "web", "run_uid": "x", "checkout": str(self.place)}
        values |= {"playbook": "site.yml", "private": str(self.place / "private"), "private_key": "/nowhere"}
        values |= {"user": "root", "memory": 1, "cpus": 1, "firmware": None}
        values |= {"idempotent": False, "asks": True, **settings}
        (self.place / "plan.json").write_bytes(msgspec.json.encode(msgspec.convert(values, Plan)))
        return await Hold.start(self.place / "hold", python(self.spec, PROGRAM))

    async def answer(self, hold: Hold, after: int, answer: Answer) -> int:
        held = await hold.wait_held(after)
        assert held is not None, said(self.spec)
        await hold.answer(held.number, ansible_prompts.TYPED[answer], WHO, answer.value, keep=answer is Answer.KEEP)
        return held.number


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("INGOT_HOME", str(tmp_path / "home"))
    return Site(tmp_path)


async def test_a_failed_task_asks_until_the_playbook_went_well(site: Site) -> None:
    hold = await site.start()
    held = await hold.wait_held(0)
    assert held is not None, said(site.spec)
    assert ansible_prompts.failed_task(held.text) == "needs help"
    (site.place / "helped").touch()
    number = await site.answer(hold, 0, Answer.RETRY)
    held = await hold.wait_held(number)
    assert held is not None, said(site.spec)
    assert ansible_prompts.failed_task(held.text) == "in there"
    (site.place / "more").touch()
    number = await site.answer(hold, number, Answer.RETRY)  # it is included only while the playbook runs
    await until(lambda: "did not find the task 'in there'" in said(site.spec), "it says that nothing was run")
    await site.answer(hold, number, Answer.RESTART)
    assert (await end(hold)).code == Ended.GOOD
    log = said(site.spec)
    assert "off" in log
    assert "the password is «redacted»" in log
    assert log.count("TASK [first]") == 2, "at the start, and when the whole playbook was run again"
    assert not (site.place / "private").exists()


async def test_a_playbook_that_changes_something_again_is_told(site: Site) -> None:
    (site.place / "site.yml").write_text(
        "- hosts: all\n  gather_facts: false\n  connection: local\n  tasks: [{name: always, command: date}]\n"
    )
    assert (await end(await site.start(idempotent=True))).code == Ended.CHANGES
    assert "1 tasks changed something" in said(site.spec)
    assert "ended by force" in said(site.spec)


async def test_whoever_keeps_the_machine_finds_it_alive(site: Site) -> None:
    hold = await site.start()
    await site.answer(hold, 0, Answer.KEEP)
    assert (await end(hold)).code == Ended.KEPT
    assert "ended by force" not in said(site.spec)


async def test_a_build_that_nobody_watches_cleans_up(site: Site) -> None:
    site.spec = replace(site.spec, prompts=())
    assert (await end(await site.start(asks=False))).code == Ended.FAILED
    assert "ended by force" in said(site.spec)


async def test_a_build_that_is_cancelled_while_it_asks_cleans_up(site: Site) -> None:
    hold = await site.start()
    assert await hold.wait_held(0) is not None
    await hold.interrupt()
    assert (await end(hold)).code == Ended.FAILED
    assert "ended by force" in said(site.spec)
