"""The tasks of a playbook on the run screen: as they come, what failed first, and their place in the log."""

from collections.abc import Callable
from typing import cast

import msgspec
import pytest
from screen import said, until
from textual.pilot import Pilot
from told_runs import House, screen, seen

from core.cli import main
from core.model.run import Run
from core.model.tasks import TaskEvent
from tui.app import Ingot
from tui.theme import plain

Compare = Callable[..., bool]
STAGE = "build/qemu.web"


def tell(house: House, run: Run, *events: TaskEvent) -> None:
    """As the holder keeps what Ansible tells."""
    kept = house.places.tasks(run.uid, STAGE)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with kept.open("ab") as file:
        file.writelines(msgspec.json.encode(event) + b"\n" for event in events)


def task(number: int, name: str, outcome: str = "", **more: object) -> list[TaskEvent]:
    uuid, at = f"t{number}", 1_763_636_410.0 + number
    place = f"playbooks/web.yml:{number * 3}"
    found = [
        TaskEvent("task", at, task=uuid, name=name, role="nginx", path=place, action="command"),
        TaskEvent("start", at, task=uuid, host="default"),
    ]
    if outcome:
        ended = TaskEvent(outcome, at + 1, task=uuid, host="default", seconds=number * 1.5, **more)  # pyright: ignore[reportArgumentType]
        found.append(ended)
    return found


def begin(house: House) -> Run:
    run = house.run()
    house.begin(run)
    house.stage(run, STAGE, "    qemu.web: nothing\n" * 50)
    tell(house, run, TaskEvent("playbook", 1.0, name="playbooks/web.yml"), TaskEvent("play", 1.0, name="Web servers"))
    return run


DIFF = "--- before: /etc/nginx/nginx.conf\n+++ after: /etc/nginx/nginx.conf\n@@ -1 +1 @@\n-workers 1;\n+workers auto;"
FULL = "Error: could not create directory /var/lib/postgresql/15: No space left on device"


def prepared(house: House) -> Run:
    run = begin(house)
    for number in range(1, 9):
        more: dict[str, object] = {"diff": DIFF} if number % 3 == 1 else {}
        tell(house, run, *task(number, f"step {number}", ("skipped", "changed", "ok")[number % 3], **more))
    tell(house, run, *task(9, "create the cluster", "failed", message=f"non-zero return code\n{FULL}", code=1))
    house.fail(run)
    return run


async def test_tasks_show_as_they_come_with_what_they_changed(house: House) -> None:
    run = begin(house)
    tell(house, run, *task(1, "install"))
    app = house.app(run)
    async with app.run_test(size=(140, 42)) as pilot:
        await seen(app, "nothing")
        await pilot.press("3")
        await seen(app, "3 Tasks of build/qemu.web", "◐ running", "nginx : install", "playbooks/web.yml:3")
        tell(house, run, *task(1, "install", "changed", diff="+a new line")[2:], *task(2, "start it"))
        shown = await seen(app, "✓ changed", "1 changed · 1 running", "nginx : start it")
        assert "+a new line" not in shown, "the cursor stays with what is newest"
        await pilot.press("k")
        await seen(app, "+a new line")
        tell(house, run, *task(2, "start it", "ok")[2:], *task(3, "look"))
        await seen(app, "nginx : look", "+a new line")
        await pilot.press("escape")
        await seen(app, "2 build/qemu.web")
        assert screen(app).log_view.has_focus


async def test_the_cursor_is_on_what_failed_and_enter_leads_to_it_in_the_log(house: House) -> None:
    run = prepared(house)
    app = house.app(run)
    async with app.run_test(size=(140, 42)) as pilot:
        await seen(app, "What went wrong")
        await pilot.press("T")
        await seen(app, "✗ failed · default · command · exit status 1", FULL)
        await pilot.press("k")
        await seen(app, "✓ ok · default")
        await pilot.press("G", "enter")
        await until(pilot, lambda: "log does not show" in said(app))
        assert screen(app).has_class("-tasks")
    house.say(run, STAGE, "    qemu.web: TASK [nginx : create the cluster] *****\n    qemu.web: fatal\n" * 2)
    app = house.app(run)
    async with app.run_test(size=(140, 42)) as pilot:
        await seen(app, "What went wrong")
        await pilot.press("3", "enter")
        await until(pilot, lambda: not screen(app).has_class("-tasks"))
        await pilot.pause()
        log = screen(app).log_view
        assert log.has_focus
        assert log.cursor == log.line_count - 4, "the first of the two, as it is the first of that name"


async def test_a_stage_without_a_playbook_says_so(house: House) -> None:
    run = prepared(house)
    app = house.app(run)
    async with app.run_test(size=(140, 42)) as pilot:
        await seen(app, "What went wrong")
        await pilot.press("3", "left_square_bracket")
        await seen(app, "validate runs no playbook")
        await pilot.press("right_square_bracket")
        await seen(app, "create the cluster")


@pytest.mark.parametrize("size", [(140, 42), (80, 24)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_how_tasks_look(house: House, snap_compare: Compare, size: tuple[int, int]) -> None:
    run = prepared(house)

    async def before(pilot: Pilot[None]) -> None:
        app = cast(Ingot, pilot.app)
        await seen(app, "What went wrong")
        await pilot.press("3")
        await seen(app, FULL[:40])
        told = [row for row in screen(app).facts.rows(36) if run.uid not in plain(row.left)]
        screen(app).facts.set_rows("This run", lambda _: told)
        await pilot.pause()

    assert snap_compare(house.app(run), terminal_size=size, run_before=before)


def test_the_command_lists_them(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    run = prepared(house)
    assert main(["tasks", str(run.id)]) == 0
    told = capsys.readouterr().out
    assert "playbooks/web.yml: 3 ok, 3 changed, 2 skipped, 1 failed" in told
    assert "✗ failed" in told
    assert FULL in told
    assert main(["tasks", str(run.id), "--json"]) == 0
    (playbook,) = msgspec.json.decode(capsys.readouterr().out)
    assert [one["state"] for one in playbook["tasks"]][-1] == "failed"
    assert main(["tasks", str(run.id), "--stage", "validate"]) == 0
    assert "no playbook" in capsys.readouterr().out
    assert main(["tasks", "99"]) == 2
