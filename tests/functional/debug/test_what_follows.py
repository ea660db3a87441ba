"""After a pause was answered: what goes on, what becomes of the machine, and how it ends."""

from held import Door, hold, key_of, put_machine
from into_machine import enter, in_machine
from msgspec.structs import replace
from screen import line_with, lines, shown, until
from shop import NOW, Shop

from core.model.failure import Failure
from core.model.machine import MachineState
from core.model.pause import Answer
from core.model.run import Run, RunState, StageState
from core.model.touch import Touch, TouchKind
from core.services.debugging import DebugView
from core.store.touches import Touches
from tui.debug_story import story
from tui.theme import pieces_of

FULL = (140, 42)
ADA = "Ada Ops <ada@example.org>"


def answered(shop: Shop, run: Run, answer: Answer, progress: str) -> None:
    for pause in shop.index.pauses(run.uid, open_only=True):
        shop.index.answered(pause.id, answer.value, ADA, NOW)
    shop.index.set_run_state(run.uid, RunState.RUNNING)
    shop.index.update_stage(run.uid, key_of(run), progress=progress)


def gone(shop: Shop, run: Run) -> None:
    """Packer has shut the machine down, and the next stage works."""
    put_machine(shop, run, state=MachineState.GONE)
    keys = [stage.key for stage in run.stages]
    after = keys[keys.index(key_of(run)) + 1]
    shop.index.update_stage(run.uid, key_of(run), state=StageState.SUCCEEDED, ended=NOW, progress="")
    shop.index.update_stage(run.uid, after, state=StageState.RUNNING, started=NOW, progress="hashing the disk")


async def test_while_packer_goes_on_it_tells_what_it_does_and_who_had_it_do_that(shop: Shop) -> None:
    run = hold(shop)
    app = shop.app(debugging=Door(shop))
    async with app.run_test(size=FULL) as pilot:
        await enter(pilot, app)
        await in_machine(pilot, app)
        answered(shop, run, Answer.RETRY, "TASK [create the cluster]")
        await until(pilot, lambda: "What it does now" in shown(app))
        line_with(app, "◐ build …")
        line_with(app, "TASK [create the cluster]")
        line_with(app, "Ada Ops answered at 11:06: retry")
        assert "It did not say why" not in shown(app)
        assert "Packer goes on" in lines(app)[0]
        shop.index.update_stage(run.uid, key_of(run), progress="TASK [start it]")
        await until(pilot, lambda: "TASK [start it]" in shown(app))


async def test_when_the_machine_is_gone_it_tells_what_follows_up_to_the_version(shop: Shop) -> None:
    run = hold(shop)
    Touches(shop.places.run(run.uid)).add(Touch(TouchKind.SHELL, ADA, NOW, "qemu.database"))
    app = shop.app(debugging=Door(shop))
    async with app.run_test(size=FULL) as pilot:
        await enter(pilot, app)
        await in_machine(pilot, app)
        answered(shop, run, Answer.RETRY, "")
        gone(shop, run)
        await until(pilot, lambda: "◐ shut down by Packer · " in lines(app)[0])
        line_with(app, "hashing the disk")
        assert "the machine is gone" not in lines(app)[0]
        assert "Linux database" in lines(app)[2], "what the shell showed is not written over"
        assert "The machine is gone." in lines(app)[-2], "it is said in the frame"
        assert "opens a new one" not in shown(app)
        shop.index.set_version(run.uid, "0.2.0")
        shop.index.set_run_state(run.uid, RunState.SUCCEEDED)
        await until(pilot, lambda: "✓ succeeded" in lines(app)[0])
        assert "version 0.2.0" in lines(app)[0]
        assert "touched by hand: Ada Ops" in lines(app)[0]
        line_with(app, "How it ended")
        line_with(app, "it never becomes good")


async def test_a_run_that_fails_after_the_machine_is_gone_says_why(shop: Shop) -> None:
    run = hold(shop)
    app = shop.app(debugging=Door(shop))
    async with app.run_test(size=FULL) as pilot:
        await enter(pilot, app)
        await in_machine(pilot, app)
        answered(shop, run, Answer.RETRY, "")
        gone(shop, run)
        last = run.stages[-1].key
        shop.index.update_stage(run.uid, last, state=StageState.FAILED, ended=NOW, error="The ledger is locked.")
        shop.index.set_run_state(run.uid, RunState.FAILED, "The ledger is locked.")
        await until(pilot, lambda: "✗ failed: The ledger is locked." in lines(app)[0])
        line_with(app, "What went wrong")


def told(view: DebugView, height: int) -> list[str]:
    rows = story(view, width=44, height=height)
    return ["".join(piece.text for piece in pieces_of(row.left)) for row in rows]


def test_lines_before_the_error_are_whole_where_there_is_room_and_the_error_is_there_in_any(shop: Shop) -> None:
    run = hold(shop, log="")
    run = replace(run, state=RunState.FAILED)
    error = "Error: it does not start"
    before = 'nginx: [emerg] 848#848: unknown directive "sll_certificate" in /etc/nginx/sites-enabled/shop:14'
    view = DebugView(run, failure=Failure("", error, 1, output=(before, error, *(f"after {n}" for n in range(12)))))
    roomy = told(view, 20)
    assert before.replace(" ", "") in "".join(roomy).replace(" ", "")
    assert any(row.startswith("✗ Error") for row in roomy)
    assert len(told(view, 9)) <= 9
    assert any(row.startswith("✗ Error") for row in told(view, 9))
