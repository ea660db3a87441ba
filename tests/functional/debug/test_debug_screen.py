"""The debug screen as a person uses it: into the machine in one key, and what can be done about it."""

import pytest
from held import NOBODY, Door, hold, keep, pause_in, put_machine
from into_machine import WAY_OUT, enter, in_machine, keys_count_again
from screen import line_with, lines, said, shown, until
from shop import NOW, Shop
from textual import events

from core.errors import RefusedError
from core.model.pause import Answer, PauseKind
from core.model.run import RunState
from tui.app import Ingot
from tui.screens.debug import DebugScreen
from tui.screens.questions import Question
from tui.screens.run import RunScreen
from tui.terminal import widget
from tui.terminal.widget import Terminal

FULL = (140, 42)


async def test_one_key_from_the_workbench_leads_into_the_machine(shop: Shop) -> None:
    run = hold(shop)
    door = Door(shop)
    app = shop.app(debugging=door)
    async with app.run_test(size=FULL) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        await pilot.pause()
        await pilot.press("escape", "4", "d")
        await in_machine(pilot, app)
        await until(pilot, lambda: all(words in shown(app) for words in ("load 0.31", "base 0.1.0", "holds")))
        top = lines(app)[0]
        for words in (f"run {run.id}", "paused in build after a failure", "database", "root@127.0.0.1:3059", "1:56:00"):
            assert words in top
        line_with(app, "TASK [create the cluster]")
        line_with(app, "exit status 1")
        line_with(app, "✗ Error: could not create directory")
        line_with(app, "4m · load 0.31")
        line_with(app, "97% of 2.0 GB")
        line_with(app, "image", "base 0.1.0")
        line_with(app, "playbooks", "/checkout")
        line_with(app, "/dev/vda1", "100%")
        line_with(app, "r", "Retry: all 4 provisioners again")
        await pilot.press("l", "s", "enter", "q", "d", "x", "escape", "ctrl+c", "ctrl+p", "ctrl+q", "colon", "tab")
        assert door.shells[0].typed == b"ls\rqdx\x1b\x03\x10\x11:\t", "everything goes to the machine"
        await pilot.press(WAY_OUT)
        await until(pilot, lambda: app.focused is None)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.workbench)
        assert door.shells[0].closed


async def test_after_the_way_out_letters_are_for_the_screen_and_the_way_out_leads_in_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(shop)
    door = Door(shop)
    app = shop.app(debugging=door)
    async with app.run_test(size=FULL) as pilot:
        await enter(pilot, app)
        await in_machine(pilot, app)
        assert "Ctrl+] then:" in lines(app)[-1]
        await pilot.press(WAY_OUT)
        await until(pilot, lambda: "Ctrl+] then:" not in lines(app)[-1])
        await pilot.press(WAY_OUT, "i")
        assert door.shells[0].typed == b"\x1di", "pressed twice it goes to the machine"
        await pilot.press(WAY_OUT)
        monkeypatch.setattr(widget, "TWICE", 0.0)
        await pilot.press(WAY_OUT, "j")
        assert door.shells[0].typed == b"\x1dij", "later it is only the way in"


async def test_keys_that_come_right_after_the_way_out_never_reach_the_machine(shop: Shop) -> None:
    hold(shop)
    door = Door(shop)
    app = shop.app(debugging=door)
    async with app.run_test(size=(80, 24)) as pilot:
        await enter(pilot, app)
        await in_machine(pilot, app)
        for key, character in (("ctrl+right_square_bracket", "\x1d"), ("1", "1")):
            app.post_message(events.Key(key, character))  # at once, as a paste or a quick hand sends them
        await until(pilot, lambda: "TASK [create the cluster]" in shown(app))
        assert door.shells[0].typed == b""


async def test_retrying_says_what_it_does_and_waits_for_a_yes(shop: Shop) -> None:
    hold(shop)
    door = Door(shop)
    app = shop.app(debugging=door)
    async with app.run_test(size=FULL) as pilot:
        await enter(pilot, app)
        await in_machine(pilot, app)
        await pilot.press(WAY_OUT, "r")
        await until(pilot, lambda: isinstance(app.screen, Question))
        assert "Packer runs all 4 provisioners again, from the first" in shown(app)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, DebugScreen))
        assert "retry 1" not in door.heard
        await pilot.press("r", "y")
        await until(pilot, lambda: "retry 1" in door.heard)
        await until(pilot, lambda: "Nothing waits for an answer now." in shown(app))
        assert isinstance(app.screen, DebugScreen)
        await pilot.press("2", "w")
        assert door.shells[0].typed.endswith(b"w"), "the machine lives on, and so does the shell"


async def test_cleaning_up_wants_the_name_of_the_role(shop: Shop) -> None:
    hold(shop)
    door = Door(shop)
    app = shop.app(debugging=door)
    async with app.run_test(size=FULL) as pilot:
        await enter(pilot, app)
        await in_machine(pilot, app)
        await pilot.press(WAY_OUT, "x")
        await until(pilot, lambda: isinstance(app.screen, Question))
        assert "The machine and its disk are destroyed" in shown(app)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, DebugScreen))
        await pilot.press("x", *"backend", "enter")
        await pilot.pause()
        assert isinstance(app.screen, Question)
        await pilot.press("escape", "x", *"database", "enter")
        await until(pilot, lambda: "clean-up 1" in door.heard)


async def test_going_on_where_the_machine_goes_wants_the_name_too(shop: Shop) -> None:
    run = hold(shop, PauseKind.CLEAN_UP, why="Stopped before the clean-up of StepProvision, as asked.", log="")
    door = Door(shop)
    app = shop.app(debugging=door)
    async with app.run_test(size=FULL) as pilot:
        await enter(pilot, app)
        await in_machine(pilot, app)
        await pilot.press(WAY_OUT, "c")
        await until(pilot, lambda: isinstance(app.screen, Question))
        assert f"let the machine of run {run.id} go?" in shown(app)
        assert "Packer cleans up after this step" in shown(app)
        await pilot.press("y", "enter")
        await pilot.pause()
        assert "continue 1" not in door.heard
        await pilot.press("escape", "c", *"database", "enter")
        await until(pilot, lambda: "continue 1" in door.heard)


async def test_a_run_that_pauses_while_its_cancel_is_asked_for_is_asked_about_anew(shop: Shop) -> None:
    run = shop.run("database", RunState.RUNNING, 3, 260)
    app = shop.app(debugging=Door(shop), run_uid=run.uid)
    async with app.run_test(size=FULL) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run is not None)
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, Question))
        pause_in(shop, run)
        put_machine(shop, run)
        shop.index.set_run_state(run.uid, RunState.PAUSED, "provisioner ansible failed")
        await pilot.press("y")
        await until(pilot, lambda: isinstance(app.screen, Question) and "is paused: nobody can look" in shown(app))
        assert f"Run {run.id} has paused meanwhile" in said(app)
        await pilot.press("y", "enter")
        await pilot.pause()
        assert shop.asked.heard == []
        await pilot.press("escape", "x", *"database", "enter")
        await until(pilot, lambda: shop.asked.heard == ["cancel"])


async def test_cancelling_a_paused_run_wants_the_name_too(shop: Shop) -> None:
    hold(shop)
    app = shop.app(debugging=Door(shop))
    async with app.run_test(size=FULL) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and "paused" in shown(app))
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("y", "enter", "enter")
        await pilot.pause()
        assert shop.asked.heard == []
        await pilot.press("escape", "x", *"database", "enter")
        await until(pilot, lambda: shop.asked.heard == ["cancel"])


async def test_what_is_typed_while_the_shell_is_being_opened_is_for_the_shell(shop: Shop) -> None:
    hold(shop)
    door = Door(shop)
    door.opens.clear()
    app = shop.app(debugging=door)
    async with app.run_test(size=FULL) as pilot:
        await enter(pilot, app)
        await until(pilot, lambda: door.heard and "Ctrl+] then:" in lines(app)[-1])
        await pilot.press("r", "y", "k", "y", "l", "s", "enter")
        assert isinstance(app.screen, DebugScreen)
        door.opens.set()
        await in_machine(pilot, app)
        assert door.shells[0].typed == b"rykyls\r"
        assert door.heard == ["shell root@127.0.0.1:3059"], "no answer was given"


async def test_the_way_out_works_before_the_shell_is_there(shop: Shop) -> None:
    hold(shop)
    door = Door(shop)
    door.opens.clear()
    app = shop.app(debugging=door)
    async with app.run_test(size=FULL) as pilot:
        await enter(pilot, app)
        await until(pilot, lambda: door.heard and "Ctrl+] then:" in lines(app)[-1])
        await pilot.press("x", WAY_OUT, "r")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("escape")
        door.opens.set()
        await in_machine(pilot, app)
        assert door.shells[0].typed == b""


async def test_a_terminal_too_small_for_a_moment_gives_the_shell_its_keyboard_back(shop: Shop) -> None:
    hold(shop)
    door = Door(shop)
    app = shop.app(debugging=door)
    async with app.run_test(size=FULL) as pilot:
        await enter(pilot, app)
        await in_machine(pilot, app)
        await pilot.resize_terminal(20, 5)
        await until(pilot, lambda: app.focused is None)
        await pilot.press("r", "y")
        assert isinstance(app.screen, DebugScreen), "nothing is asked where it cannot be read"
        await pilot.resize_terminal(*FULL)
        await until(pilot, lambda: isinstance(app.focused, Terminal))
        await pilot.press("r", "y")
        assert door.shells[0].typed == b"ry"
        assert door.heard == ["shell root@127.0.0.1:3059"]


async def test_keeping_the_machine_waits_for_a_yes_and_says_until_when(shop: Shop) -> None:
    hold(shop)
    door = Door(shop)
    app = shop.app(debugging=door)
    async with app.run_test(size=FULL) as pilot:
        await enter(pilot, app)
        await in_machine(pilot, app)
        line_with(app, "k", "Keep the machine until 13:02")
        await pilot.press(WAY_OUT, "k")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, DebugScreen))
        assert "keep 1" not in door.heard
        await pilot.press("k")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("y")
        await until(pilot, lambda: "keep 1" in door.heard)


async def test_a_kept_machine_is_ended_by_name_and_then_the_shell_stays_readable(shop: Shop) -> None:
    run = hold(shop)
    keep(shop, run)
    door = Door(shop)
    app = shop.app(debugging=door)
    async with app.run_test(size=FULL) as pilot:
        await until(pilot, lambda: "Ada Ops kept the machine" in shown(app))
        await enter(pilot, app)
        await in_machine(pilot, app)
        top = lines(app)[0]
        assert "machine kept by Ada Ops" in top
        assert "cleaned up in 1:00:00" in top
        line_with(app, "x", "End machine…")
        await pilot.press(WAY_OUT, "plus")
        await until(pilot, lambda: "extend 3600" in door.heard)
        await pilot.press("x", *"database", "enter")
        await until(pilot, lambda: "end qemu.database" in door.heard)
        await until(pilot, lambda: "The machine is being ended" in said(app))
        await until(pilot, lambda: "✗ failed: The machine was kept." in lines(app)[0])
        await until(pilot, lambda: "The machine is gone." in shown(app))
        line_with(app, "/dev/vda1", "100%")
        await pilot.press("n")
        assert "The machine is gone." in said(app)


async def test_somebody_else_who_was_first_is_named(shop: Shop) -> None:
    run = hold(shop)
    door = Door(shop)
    app = shop.app(debugging=door)
    async with app.run_test(size=FULL) as pilot:
        await enter(pilot, app)
        await in_machine(pilot, app)
        shop.index.answered(f"{run.uid}/build/qemu.database/1", Answer.RETRY.value, "Bob <bob@example.org>", NOW)
        await until(pilot, lambda: "Bob answered at 11:06: retry" in said(app))
        assert "Packer goes on" in lines(app)[0] or "paused" not in lines(app)[0]
        pause_in(shop, run, PauseKind.FAILURE, 2, why="it failed once more")
        await until(pilot, lambda: "Retry: all 4 provisioners again" in shown(app))
        door.first = RefusedError("Bob answered it at 11:06: keep.", "Nothing was done.")
        await pilot.press(WAY_OUT, "r", "y")
        await until(pilot, lambda: "Bob answered it at 11:06: keep." in said(app))


async def test_before_ssh_it_says_what_was_tried_and_what_the_console_says(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.widgets.shells.TRY_AGAIN", 0.5)
    hold(shop, why="timeout waiting for SSH", step="StepConnect", log="ssh-timeout")
    door = Door(shop)
    door.refuse = NOBODY
    app = shop.app(debugging=door)
    async with app.run_test(size=FULL) as pilot:
        await enter(pilot, app)
        await until(pilot, lambda: "No shell yet" in shown(app) and "times" in shown(app))
        line_with(app, "127.0.0.1:3059 refuses the connection.")
        line_with(app, "Its screen over VNC", "127.0.0.1:5901")
        line_with(app, "Started ssh.service")
        line_with(app, "Retry StepConnect")
        door.refuse = None
        await in_machine(pilot, app)


async def test_a_machine_without_ssh_gets_a_clear_message(shop: Shop) -> None:
    hold(shop, communicator="winrm")
    door = Door(shop)
    app = shop.app(debugging=door)
    async with app.run_test(size=FULL) as pilot:
        await enter(pilot, app)
        await until(pilot, lambda: "reached over WinRM" in shown(app))
        assert door.heard == []


async def test_readonly_looks_and_neither_enters_nor_answers(shop: Shop) -> None:
    hold(shop)
    door = Door(shop)
    app = shop.app(debugging=door, readonly=True)
    async with app.run_test(size=FULL) as pilot:
        await enter(pilot, app)
        await until(pilot, lambda: "a shell would mark the image" in shown(app))
        line_with(app, "Started ssh.service")
        await pilot.press("r", "k", "x", "n", "plus")
        await pilot.pause()
        assert isinstance(app.screen, DebugScreen)
        assert door.heard == []
        assert "--readonly" in said(app)


async def test_several_shells_are_tabs(shop: Shop) -> None:
    hold(shop)
    door = Door(shop)
    app = shop.app(debugging=door)
    async with app.run_test(size=FULL) as pilot:
        await enter(pilot, app)
        await in_machine(pilot, app)
        await pilot.press(WAY_OUT, "n")
        await until(pilot, lambda: len(door.shells) == 2 and isinstance(app.focused, Terminal))
        await until(pilot, lambda: "shell 1  shell 2" in shown(app))
        await pilot.press("b", WAY_OUT, "left_square_bracket", "a")
        await until(pilot, lambda: door.shells[0].typed == b"a")
        assert door.shells[1].typed == b"b"
        door.shells[0].exit_status = 0
        door.shells[0].say(b"")
        await until(pilot, lambda: "This shell has ended with status 0. n opens a new one." in shown(app))


async def test_a_shell_that_has_ended_takes_no_keys_and_the_footer_says_whose_they_are(shop: Shop) -> None:
    hold(shop)
    door = Door(shop)
    app = shop.app(debugging=door)
    async with app.run_test(size=FULL) as pilot:
        await enter(pilot, app)
        await in_machine(pilot, app)
        door.shells[0].exit_status = 0
        door.shells[0].say(b"")
        await until(pilot, lambda: "This shell has ended" in shown(app))
        await keys_count_again(pilot, app)
        await pilot.press("2")
        await until(pilot, lambda: isinstance(app.focused, Terminal))
        await pilot.pause()
        assert "Ctrl+] then:" not in lines(app)[-1]
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, Question))


async def test_the_failed_command_is_put_into_the_shell_and_not_run(shop: Shop) -> None:
    hold(shop, log="shell-script")
    door = Door(shop)
    app = shop.app(debugging=door)
    async with app.run_test(size=FULL) as pilot:
        await enter(pilot, app)
        await in_machine(pilot, app)
        await pilot.press(WAY_OUT, "a")
        await until(pilot, lambda: door.shells[0].typed)
        assert b"/tmp/script_" in door.shells[0].typed
        assert b"\r" not in door.shells[0].typed
        assert b"\n" not in door.shells[0].typed
        assert isinstance(app.focused, Terminal)


async def test_a_breakpoint_is_gone_on_from_at_once_and_has_no_retry(shop: Shop) -> None:
    hold(shop, PauseKind.BREAKPOINT, why="Breakpoint: look at the cluster", step="look at the cluster", log="")
    door = Door(shop)
    app = shop.app(debugging=door)
    async with app.run_test(size=FULL) as pilot:
        await enter(pilot, app)
        await in_machine(pilot, app)
        line_with(app, "Why it waits")
        line_with(app, "Breakpoint: look at the cluster")
        await pilot.press(WAY_OUT, "r")
        assert "nothing that is offered at a breakpoint" in said(app)
        await pilot.press("c")
        await until(pilot, lambda: "continue 1" in door.heard)


async def test_a_pause_is_heard_everywhere_and_d_goes_there(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door(shop)
    app = shop.app(debugging=door)
    rung: list[int] = []

    def ring(_: Ingot) -> None:
        rung.append(1)

    monkeypatch.setattr(Ingot, "bell", ring)
    async with app.run_test(size=FULL) as pilot:
        await until(pilot, lambda: app.loaded and not app.discovering)
        assert app.screen is app.workbench
        await pilot.press("d")
        assert "there is a machine to debug when it pauses" in said(app)
        await pilot.press("N")
        run = shop.index.runs(shop.workspace.id)[1]
        pause_in(shop, run)
        put_machine(shop, run)
        shop.index.set_run_state(run.uid, RunState.PAUSED)
        await until(pilot, lambda: f"Run {run.id} is paused: build backend" in said(app))
        await until(pilot, lambda: len(rung) == 1)
        await pilot.press("escape")
        assert "⏸ 1 paused" in lines(app)[0]
        line_with(app, "⏸ paused", "1:56:00 left")
        await pilot.press("d")
        await in_machine(pilot, app)
        shop.index.set_run_state(run.uid, RunState.RUNNING)
        shop.index.set_run_state(run.uid, RunState.FAILED, "it broke")
        await until(pilot, lambda: f"Run {run.id} failed: build backend" in said(app))
        assert len(rung) == 2


async def test_what_waits_is_shown_first_at_the_start(shop: Shop) -> None:
    run = hold(shop)
    app = shop.app(debugging=Door(shop))
    async with app.run_test(size=FULL) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and "No space left" in shown(app))
        line_with(app, f"run {run.id}", "paused")
        line_with(app, "since 11:02", "cleaned up in 1:56:00")
        line_with(app, "it holds its memory and disk here")
        line_with(app, "⏸ build")
        line_with(app, "d a shell in the machine")


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        (
            {"memory": 2 << 30, "cpus": 2, "disk": 1_340_000_000},
            "2,048 MiB memory, 2 CPUs, 1.3 GB disk here",
        ),
        (
            {"kind": "amazon-ebs", "instance": "i-0a1b", "instance_type": "t3.micro", "region": "eu-west-1"},
            "i-0a1b, t3.micro in eu-west-1, which is paid for",
        ),
    ],
)
async def test_what_it_holds_is_said_and_since_when(shop: Shop, machine: dict[str, object], words: str) -> None:
    put_machine(shop, hold(shop), **machine)
    door = Door(shop)
    app = shop.app(debugging=door)
    async with app.run_test(size=FULL) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and f"it holds {words}" in shown(app))
        line_with(app, "since 11:02", "cleaned up in 1:56:00")
        await pilot.press("d")
        await in_machine(pilot, app)

        def side() -> str:
            """The text at the left, on one line."""
            return " ".join(" ".join(line.split("││")[0].strip("│ ") for line in lines(app)).split())

        await until(pilot, lambda: f"holds {words}, since 11:02" in side())


@pytest.mark.parametrize("size", [(100, 30), (80, 24), (60, 15), (20, 5)])
async def test_it_lives_at_every_size(shop: Shop, size: tuple[int, int]) -> None:
    hold(shop)
    door = Door(shop)
    app = shop.app(debugging=door)
    async with app.run_test(size=FULL) as pilot:
        await enter(pilot, app)
        await in_machine(pilot, app)
        await pilot.resize_terminal(*size)
        if size == (20, 5):
            await until(pilot, lambda: shown(app).strip() == "needs 60×15")
        else:
            await until(pilot, lambda: "/dev/vda1       2.0G  1.9G     0 100%" in shown(app))
            await pilot.press(WAY_OUT, "1")
            await until(pilot, lambda: "TASK [create the cluster]" in shown(app))
            await pilot.press("z")
            await until(pilot, lambda: lines(app)[0].startswith("╭─ shell 1"))
            await until(pilot, lambda: door.shells[0].size == (size[0] - 2, size[1] - 2))
        await pilot.resize_terminal(*FULL)
        await until(pilot, lambda: "/dev/vda1       2.0G  1.9G     0 100%" in shown(app))
        assert app.is_running


async def test_binary_garbage_and_hostile_names_do_nothing(shop: Shop) -> None:
    hold(shop, why="[/][@click=app.quit]x\x1b]0;t\x07\u202e", step="\x9b2J", log="")
    door = Door(shop)
    app = shop.app(debugging=door)
    async with app.run_test(size=FULL) as pilot:
        await enter(pilot, app)
        await in_machine(pilot, app)
        door.shells[0].say(bytes(range(256)) * 4 + b"\x1b]52;c;aGk=\x07\r\nstill here\r\n")
        await until(pilot, lambda: "still here" in shown(app))
        assert not any(character in shown(app) for character in "\x1b\x07\u202e\x9b")


async def test_the_machine_of_a_run_that_nobody_knows(shop: Shop) -> None:
    app = shop.app(debugging=Door(shop))
    async with app.run_test(size=FULL) as pilot:
        await until(pilot, lambda: app.loaded)
        app.opening.debug("nothing")
        await until(pilot, lambda: "There is no record of this run" in shown(app))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.workbench)
