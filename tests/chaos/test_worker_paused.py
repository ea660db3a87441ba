"""The worker is killed while a build is paused: the machine, the question and the answer outlive it."""

import asyncio
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest
from pausing_site import BOB, KEY, Site, pausing, pausing_site

from core.model.machine import MachineState
from core.model.pause import Answer
from core.model.run import RunState
from core.model.touch import TouchKind
from core.store.touches import Touches

pytestmark = pytest.mark.skipif(shutil.which("packer") is None, reason="needs packer")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Site]:
    monkeypatch.setenv("INGOT_HOME", str(tmp_path / "home"))
    with pausing_site(tmp_path) as opened:
        yield opened


def test_a_paused_build_is_the_same_after_its_worker_was_killed(site: Site) -> None:
    run = site.build(pausing())
    pause = site.paused(run)
    before = site.processes(run, "packer")
    assert before
    for attempt in (2, 3):
        site.kill_worker()
        site.engine.wake()
        site.adopted(run, KEY, attempt)
        assert site.shop.again(run).state is RunState.PAUSED
        (same,) = site.open(run)
        assert (same.id, same.since, same.why) == (pause.id, pause.since, pause.why)
        assert site.processes(run, "packer") == before
    site.mend()
    site.answer(pause, Answer.RETRY)
    assert site.ended(run).state is RunState.SUCCEEDED
    assert site.tried() == 2


def test_what_was_answered_while_no_worker_lived_is_noticed_by_the_next(site: Site) -> None:
    run = site.build(pausing(), with_breakpoint=True)
    pause = site.paused(run)
    site.kill_worker()
    site.mend()
    site.answer(pause, Answer.RETRY)
    site.wait(lambda: site.held(run) == 2, "Packer comes to the breakpoint")
    assert site.shop.index.pauses(run.uid) == [pause], "nobody was there to note it"
    site.engine.wake()
    site.wait(lambda: [one.number for one in site.open(run)] == [2], "the next worker sees what it waits for now")
    first, second = site.shop.index.pauses(run.uid)
    assert (first.answer, first.answered_by) == ("retry", BOB)
    assert [touch.kind for touch in Touches(site.shop.places.run(run.uid)).all()] == [TouchKind.RETRY]
    assert site.paused(run) == second
    site.kill_worker()
    site.answer(second, Answer.CONTINUE)
    site.wait(lambda: not site.processes(run, "packer"), "Packer ends by itself")
    site.engine.wake()
    ended = site.ended(run)
    assert (ended.state, ended.reason) == (RunState.SUCCEEDED, "")
    assert [one.answer for one in site.shop.index.pauses(run.uid)] == ["retry", "continue"]
    assert len(Touches(site.shop.places.run(run.uid)).all()) == 1


def test_a_question_that_came_and_was_answered_while_no_worker_lived_leaves_its_mark(site: Site) -> None:
    run = site.build(pausing())
    pause = site.paused(run)
    site.kill_worker()
    site.answer(pause, Answer.RETRY)
    site.wait(lambda: site.held(run) == 2, "it fails again")
    site.mend()
    site.answer_number(run, 2, Answer.RETRY)
    site.wait(lambda: not site.processes(run, "packer"), "Packer ends by itself")
    site.engine.wake()
    ended = site.ended(run)
    assert (ended.state, ended.reason) == (RunState.SUCCEEDED, ""), site.log(run)
    assert [(one.number, one.answer) for one in site.shop.index.pauses(run.uid)] == [(1, "retry"), (2, "retry")]
    assert len(Touches(site.shop.places.run(run.uid)).all()) == 2


def test_a_cancel_while_no_worker_lives_is_carried_out_by_the_next(site: Site) -> None:
    run = site.build(pausing())
    pause = site.paused(run)
    site.kill_worker()
    site.building.cancel(run.uid)
    assert site.ended(run).state is RunState.CANCELLED
    (over,) = site.shop.index.pauses(run.uid)
    assert (over.id, over.answer) == (pause.id, "cancel")
    assert "errored after" in site.log(run), "Packer came to its own end"


def test_the_limit_holds_while_no_worker_lives(site: Site) -> None:
    run = site.build(pausing())
    site.paused(run)
    site.kill_worker()
    asyncio.run(site.hold(run).set_limit(0.1))
    site.wait(lambda: not site.processes(run, "packer"), "the holder ends Packer")
    site.engine.wake()
    ended = site.ended(run)
    assert ended.state is RunState.FAILED
    assert "nobody answered within" in ended.reason


def test_a_machine_let_go_of_while_no_worker_lives_is_looked_after_by_the_next(site: Site) -> None:
    run = site.build(pausing())
    pause = site.paused(run)
    site.kill_worker()
    site.answer(pause, Answer.KEEP)
    site.wait(lambda: not site.processes(run, "packer"), "Packer ends")
    site.engine.wake()
    ended = site.ended(run)
    assert "Bob Example kept the machine" in ended.reason
    site.wait(lambda: not site.shop.index.machines(), "of a null build there is none: it has gone")
    (machine,) = site.shop.index.machines(run.uid, living_only=False)
    assert (machine.state, machine.kept_by) == (MachineState.GONE, BOB)
