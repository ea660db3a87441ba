"""The run screen: what a run is doing, and where it failed. Real index, real logs, the real app."""

from collections.abc import Callable
from typing import cast

import pytest
from screen import shown, until
from textual.pilot import Pilot
from told_runs import SAMPLES, House, screen, seen

from core.model.pause import Answer, Pause, PauseKind
from core.model.run import Run, RunState, StageState
from tui.app import Ingot
from tui.screens.run import RunScreen
from tui.theme import plain

Compare = Callable[..., bool]


def has_read(app: Ingot, progress: str) -> bool:
    """The screen knows how far the run is."""
    run = screen(app).run
    return run is not None and any(stage.progress == progress for stage in run.stages)


async def test_it_moves_with_the_run_from_stage_to_stage(house: House) -> None:
    run = house.run()
    app = house.app(run)
    async with app.run_test(size=(140, 42)):
        await seen(app, f"run {run.id}", "build web", "queued", "It is the next")
        house.begin(run)
        house.stage(run, "build/qemu.web", "==> qemu.web: Retrieving ISO\n", "fetching the disk")
        await seen(app, "◐ running", "✓ validate", "◐ build", "==> Retrieving ISO", "fetching the disk", "following")
        house.say(run, "build/qemu.web", "    qemu.web: a new line\n")
        await seen(app, "a new line")
        house.end(run, "build/qemu.web")
        house.stage(run, "register", "web 0.1.0 registered\n")
        await seen(app, "✓ build", "◐ register", "web 0.1.0 registered")
        house.end(run, "register")
        house.index.set_run_state(run.uid, RunState.SUCCEEDED)
        await seen(app, "✓ succeeded", "version 0.1.0-4-g3f9c2a1")


async def test_a_stage_that_was_chosen_stays_until_the_one_at_work_is_chosen(house: House) -> None:
    run = house.building()
    app = house.app(run)
    async with app.run_test(size=(140, 42)) as pilot:
        await seen(app, "building")
        await pilot.press("left_square_bracket")
        await seen(app, "validate: done")
        house.index.update_stage(run.uid, "build/qemu.web", progress="half done")
        await until(pilot, lambda: has_read(app, "half done"))
        assert screen(app).shown == "validate"
        await pilot.press("right_square_bracket")
        await seen(app, "building", "half done")
        house.end(run, "build/qemu.web")
        house.stage(run, "register", "registering\n")
        await seen(app, "registering")
        assert screen(app).shown == "register"


async def test_news_do_not_take_back_a_move_to_another_stage(house: House) -> None:
    """They may come between the key and what the screen hears of it."""
    run = house.building()
    app = house.app(run)
    async with app.run_test(size=(140, 42)) as pilot:
        await seen(app, "building")
        await pilot.press("1")
        house.index.update_stage(run.uid, "build/qemu.web", progress="half done")
        screen(app).stages.move_to("checkout")
        screen(app)._poll()  # pyright: ignore[reportPrivateUsage] - between two messages no key gets there
        await seen(app, "checkout: done")
        await pilot.pause()
        assert has_read(app, "half done")
        assert screen(app).shown == screen(app).stages.cursor == "checkout"


async def test_each_pause_says_what_went_wrong_before_it(house: House) -> None:
    run = house.building("")
    app = house.app(run)

    def pause(number: int, sample: str) -> Pause:
        printed = (SAMPLES / f"{sample}.log").read_text().replace("null.web", "qemu.web")
        printed = printed.partition("==> qemu.web: Provisioning step had errors")[0]
        house.say(run, "build/qemu.web", f'{printed}==> qemu.web: Step "StepProvision" failed\n')
        house.index.set_run_state(run.uid, RunState.PAUSED)
        until = house.now + 7200
        step = ("build/qemu.web", number, PauseKind.FAILURE, "StepProvision", "it failed", house.now, until, 4)
        return house.index.add_pause(Pause(run.uid, *step))

    def told() -> str:
        """In the panel above the log."""
        return "\n".join(plain(row.left) + plain(row.right) for row in screen(app).wrong.rows(120))

    async with app.run_test(size=(140, 42)) as pilot:
        await seen(app, "◐ running")
        first = pause(1, "shell-script")
        await until(pilot, lambda: "Unable to locate package" in told())
        house.index.answered(first.id, Answer.RETRY.value, "Ada", house.now)
        house.index.set_run_state(run.uid, RunState.RUNNING)
        pause(2, "ansible-command")
        await until(pilot, lambda: "TASK [create the cluster]" in told())


async def test_a_terminal_that_is_too_small_is_told_what_is_needed(house: House) -> None:
    run = house.run()
    app = house.app(run)
    async with app.run_test(size=(30, 8)) as pilot:
        told = await seen(app, "needs 60×15")
        assert "build web" not in told
        await pilot.resize_terminal(60, 15)
        assert "needs 60" not in await seen(app, f"run {run.id}", "build web")


@pytest.mark.parametrize("pane", ["log", "stages"])
async def test_after_a_terminal_that_was_too_small_the_keys_work_again(house: House, pane: str) -> None:
    run = house.building("at work\n" * 100)
    app = house.app(run)
    async with app.run_test(size=(140, 42)) as pilot:
        await seen(app, "at work", "following")
        await pilot.press("1" if pane == "stages" else "2")
        await pilot.pause()
        before = app.focused
        await pilot.resize_terminal(20, 5)
        await until(pilot, lambda: shown(app).strip() == "needs 60×15")
        await pilot.pause()
        await pilot.resize_terminal(140, 42)
        await seen(app, "at work", "following")
        await until(pilot, lambda: app.focused is before)
        await pilot.press("k")
        await (seen(app, "line 99") if pane == "log" else seen(app, "validate: done"))


async def test_the_list_of_stages_chooses_too(house: House) -> None:
    run = house.building()
    app = house.app(run)
    async with app.run_test(size=(140, 42)) as pilot:
        await seen(app, "building")
        await pilot.press("1", "g")
        await seen(app, "checkout: done")
        await pilot.press("j", "enter")
        await seen(app, "upstream: done")
        assert screen(app).log_view.has_focus


async def test_a_failed_run_opens_on_what_went_wrong(house: House) -> None:
    run = house.building("    qemu.web: early\n" * 200)
    house.fail(run)
    app = house.app(run)
    async with app.run_test(size=(140, 42)):
        await seen(
            app,
            "✗ failed in build",
            "What went wrong",
            "TASK [create the cluster]",
            "playbooks/web.yml:11",
            "exit status 1",
            "No space left on device",
            "Creating new cluster",
            "A disk is full",
            "error 2 of 3",
        )
        log_view = screen(app).log_view
        assert log_view.cursor == 233  # the `fatal:` line of the sample, behind the 200


async def test_a_run_that_fails_while_it_is_watched_shows_why(house: House) -> None:
    run = house.building("    qemu.web: at work\n")
    app = house.app(run)
    async with app.run_test(size=(140, 42)):
        await seen(app, "at work", "following")
        house.fail(run, "shell-script")
        await seen(app, "What went wrong", "scripts/install.sh", "exit status 100", "E: Unable to locate package")


async def test_a_waiting_run_says_for_what(house: House) -> None:
    run = house.run()
    house.begin(run)
    house.index.set_run_state(run.uid, RunState.WAITING, "11 GB of disk are needed, 4 GB are free")
    app = house.app(run)
    async with app.run_test(size=(140, 42)):
        await seen(app, "! waiting", "What it waits for", "11 GB of disk are needed, 4 GB are free")


async def test_a_queued_run_says_what_is_before_it(house: House) -> None:
    first, second, third = house.run(), house.run(), house.run()
    house.index.set_run_state(first.uid, RunState.RUNNING)
    app = house.app(third)
    async with app.run_test(size=(140, 42)):
        await seen(app, "queued", "1 run is taken before it; 1 goes on now")
        house.index.set_run_state(second.uid, RunState.CANCELLED)
        await seen(app, "It is the next")


async def test_a_lost_run_says_what_may_be_left(house: House) -> None:
    run = house.building("the last words\n")
    house.end(run, "build/qemu.web", StageState.LOST)
    house.index.set_run_state(run.uid, RunState.LOST, "Its holder vanished; QEMU 4711 may still run.")
    app = house.app(run)
    async with app.run_test(size=(140, 42)):
        await seen(app, "✗ lost", "What was lost", "QEMU 4711 may still run", "the last words")


async def test_a_run_that_was_lost_while_it_was_cancelled_says_what_may_be_left(house: House) -> None:
    run = house.building("the last words\n")
    house.index.ask_cancel(run.uid, "Grace Lee <grace@example.org>")
    error, advice = "packer and its holder vanished.", "Look for what carries the run's id."
    house.index.update_stage(
        run.uid, "build/qemu.web", state=StageState.LOST, ended=house.now, error=error, next_step=advice
    )
    for state in (RunState.CANCELLING, RunState.CANCELLED):
        house.index.set_run_state(run.uid, state, "cancelled by Grace Lee")
    app = house.app(run)
    async with app.run_test(size=(140, 42)) as pilot:
        await seen(app, "What was lost", error, advice)
        await pilot.press("escape")
        await until(pilot, lambda: "by Grace Lee: packer and its holder" in shown(app))


async def test_a_cancelled_run_opens_on_the_last_page_of_its_log(house: House) -> None:
    run = house.building("".join(f"    qemu.web: step {number} of 100\n" for number in range(1, 101)))
    house.end(run, "build/qemu.web", StageState.CANCELLED)
    for state in (RunState.CANCELLING, RunState.CANCELLED):
        house.index.set_run_state(run.uid, state)
    app = house.app(run)
    async with app.run_test(size=(140, 42)):
        await seen(app, "cancelled", "step 90 of 100", "step 100 of 100")


async def test_cancelling_asks_and_enter_alone_means_no(house: House) -> None:
    run = house.building()
    app = house.app(run)
    async with app.run_test(size=(140, 42)) as pilot:
        await seen(app, "building")
        await pilot.press("x", "enter")
        await pilot.pause()
        assert (house.index.run(run.uid) or run).cancel_asked_by == ""
        assert isinstance(app.screen, RunScreen)


async def test_what_cannot_be_done_says_why(house: House) -> None:
    run = house.building()
    app = house.app(run, readonly=True)
    async with app.run_test(size=(140, 42)) as pilot:
        await seen(app, "building")
        assert "Cancel…" not in shown(app)
        await pilot.press("x")
        assert "--readonly" in app.notices[-1].text
        await pilot.press("r", "e")
        assert app.notices[-1].title == "Next error: not now"


async def test_escape_goes_back_to_the_workbench(house: House) -> None:
    run = house.run()
    app = house.app(run)
    async with app.run_test(size=(140, 42)) as pilot:
        await seen(app, "queued")
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen is app.workbench
        app.opening.run(run.uid)
        await seen(app, "queued")
        await pilot.press("tab", "escape")
        await pilot.pause()
        assert app.screen is app.workbench


async def test_a_run_without_a_record_says_so(house: House) -> None:
    run = house.run()
    app = house.app(run)
    async with app.run_test(size=(140, 42)):
        await seen(app, "queued")
        app.opening.run("nothing")
        await seen(app, "There is no record of this run")


async def test_names_and_reasons_are_never_markup_and_never_reach_the_terminal_raw(house: House) -> None:
    run = house.run()
    house.begin(run)
    house.index.set_version(run.uid, "[bold]\x1b[2J\u202e")
    house.stage(run, "build/qemu.web", "x\n", "[/] \x1b]0;title\x07")
    house.end(run, "build/qemu.web", StageState.FAILED, "[link=https://x]\x1b[31m [@click=app.quit]no[/]")
    house.index.set_run_state(run.uid, RunState.FAILED)
    app = house.app(run)
    async with app.run_test(size=(140, 42)):
        told = await seen(app, "[@click=app.quit]no[/]", "[bold]")
        assert not any(character in told for character in "\x1b\x07\u202e")


def prepared(house: House, kind: str) -> Run:
    run = house.run() if kind != "several" else house.run("qemu.web", "amazon-ebs.web")
    if kind == "queued":
        return run
    house.begin(run)
    steps = "".join(
        f"    qemu.web: TASK [nginx : step {step}] *****\n    qemu.web: ok: [default]\n" for step in range(30)
    )
    house.stage(run, "build/qemu.web", "==> qemu.web: Starting VM\n" + steps, "TASK [nginx : step 29]")
    house.now += 191
    if kind == "failed":
        house.fail(run, checkout="/srv/shop")  # a picture that is the same everywhere
    return run


@pytest.mark.parametrize("size", [(140, 42), (80, 24), (60, 15)])
@pytest.mark.parametrize("kind", ["running", "failed", "queued", "several"])
def test_how_a_run_looks(house: House, snap_compare: Compare, kind: str, size: tuple[int, int]) -> None:
    run = prepared(house, kind)

    async def before(pilot: Pilot[None]) -> None:
        app = cast(Ingot, pilot.app)
        await seen(app, {"failed": "What went wrong", "queued": "It is the next"}.get(kind, "nginx : step 29"))
        if kind == "failed":
            await seen(app, "No space left")
            await until(pilot, lambda: screen(app).log_view.cursor == 94)
        # The run's uid is random: a picture must not be.
        told = [row for row in screen(app).facts.rows(36) if run.uid not in plain(row.left)]
        screen(app).facts.set_rows("This run", lambda _: told)
        await pilot.pause()

    assert snap_compare(house.app(run), terminal_size=size, run_before=before)
