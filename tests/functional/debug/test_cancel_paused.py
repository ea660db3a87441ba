"""Cancelling runs whose machines wait for somebody: each is named, and each goes only by its own name."""

from held import Door, hold, put_machine
from msgspec.structs import replace
from screen import shown, until
from shop import Shop

from core.model.run import RunState
from tui.screens.questions import Question
from tui.screens.run import RunScreen

FULL = (140, 42)


async def test_of_several_runs_each_paused_one_is_asked_about_by_itself(shop: Shop) -> None:
    first = hold(shop)
    second = hold(shop, role="frontend", why="nginx does not start")
    put_machine(shop, second, port=4011)
    works = shop.run("backend", RunState.RUNNING, 3, 200)
    put_machine(shop, works, build="qemu.backend", stage_key="build/qemu.backend", port=4012)
    app = shop.app(debugging=Door(shop))
    async with app.run_test(size=FULL) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.overview.machines)
        app.asking.cancel([run for run in app.overview.runs if run.uid in (first.uid, second.uid, works.uid)])
        await until(pilot, lambda: isinstance(app.screen, Question) and f"Cancel run {works.id}?" in shown(app))
        assert "qemu.backend at root@127.0.0.1:4012" in shown(app)
        await pilot.press("y")
        await until(pilot, lambda: isinstance(app.screen, Question) and f"Cancel run {second.id}?" in shown(app))
        assert "qemu.frontend at root@127.0.0.1:4011, paused: nginx does not start" in shown(app)
        await pilot.press(*"database", "enter")  # the other one's name
        await until(pilot, lambda: "That is another name" in shown(app))
        await pilot.press("ctrl+u", *"frontend", "enter")
        await until(pilot, lambda: isinstance(app.screen, Question) and f"Cancel run {first.id}?" in shown(app))
        assert "qemu.database at root@127.0.0.1:3059, paused: provisioner" in shown(app)
        await pilot.press("escape")
        await until(pilot, lambda: len(shop.asked.heard) == 2)
    asked = {run.id: run.cancel_asked_by for run in shop.index.runs()}
    assert (asked[works.id], asked[second.id], asked[first.id]) == ("you", "you", "")


async def test_all_machines_of_one_run_are_named(shop: Shop) -> None:
    run = hold(shop)
    put_machine(
        shop, run, build="amazon-ebs.database", stage_key="build/amazon-ebs.database", host="192.0.2.7", port=22
    )
    app = shop.app(debugging=Door(shop))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and "paused" in shown(app))
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, Question))
        assert "Their machines are shut down" in shown(app)
        assert "qemu.database at root@127.0.0.1:3059, paused: provisioner" in shown(app)
        assert "amazon-ebs.database at root@192.0.2.7:22" in shown(app)


async def test_a_run_that_pauses_again_meanwhile_is_asked_about_anew(shop: Shop) -> None:
    run = hold(shop)
    app = shop.app(debugging=Door(shop))
    async with app.run_test(size=FULL) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and "paused" in shown(app))
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, Question))
        (pause,) = shop.index.pauses(run.uid)
        shop.index.answered(pause.id, "retry", "Bob <bob@example.org>", pause.since + 60)
        shop.index.add_pause(replace(pause, number=2, why="it failed again"))
        await pilot.press(*"database", "enter")
        await until(pilot, lambda: isinstance(app.screen, Question) and "paused: it failed again" in shown(app))
        assert shop.asked.heard == []
