"""A build that may pause, by the real Packer under the product's own worker: who answers, and what comes of it."""

import asyncio
import re
import shutil
import time
from collections.abc import Generator
from pathlib import Path

import pytest
from pausing_site import BOB, KEY, Site, pausing, pausing_site

from core.errors import RefusedError
from core.model.machine import MachineState
from core.model.pause import Answer, PauseKind, PauseMode, Pausing
from core.model.run import RunState
from core.model.touch import TouchKind
from core.store.touches import Touches

pytestmark = pytest.mark.skipif(shutil.which("packer") is None, reason="needs packer")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Site]:
    monkeypatch.setenv("INGOT_HOME", str(tmp_path / "home"))
    with pausing_site(tmp_path) as opened:
        yield opened


def test_a_failed_step_pauses_and_a_retry_that_goes_well_makes_the_run_succeed(site: Site) -> None:
    run = site.build(pausing())
    before = time.time()
    pause = site.paused(run)
    assert (pause.kind, pause.step, pause.number, pause.provisioners) == (PauseKind.FAILURE, "StepProvision", 1, 3)
    assert "provisioner shell-local: Script exited with non-zero exit status: 1" in pause.why
    assert pause.until is not None
    assert before + 580 < pause.until < time.time() + 610
    again = site.shop.again(run)
    assert again.reason == pause.why
    site.wait(lambda: (now := site.shop.again(run).stage(KEY)) and now.progress == pause.why, "the stage says why")

    site.answer(pause, Answer.RETRY)  # nothing was mended
    site.wait(lambda: [one.number for one in site.open(run)] == [2], "the second attempt fails too")
    second = site.paused(run)
    site.mend()
    site.answer(second, Answer.RETRY)
    ended = site.ended(run)
    assert (ended.state, ended.reason) == (RunState.SUCCEEDED, ""), site.log(run)
    assert [(one.answer, one.answered_by) for one in site.shop.index.pauses(run.uid)] == [("retry", BOB)] * 2
    assert site.tried() == 3
    assert (site.place / "whole").read_text().split() == ["whole"]
    touches = Touches(site.shop.places.run(run.uid)).all()
    assert [(one.kind, one.who, one.build, one.detail) for one in touches] == [
        (TouchKind.RETRY, BOB, "null.web", "StepProvision")
    ] * 2
    assert "ingot: Bob Example: retry" in site.log(run)


def test_of_two_answers_one_counts_and_a_late_one_hits_nothing(site: Site) -> None:
    run = site.build(pausing())
    pause = site.paused(run)
    site.answer(pause, Answer.RETRY)
    site.wait(lambda: [one.number for one in site.open(run)] == [2], "it fails again")
    with pytest.raises(RefusedError, match=re.escape("Bob Example <bob@example.org> answered it")):
        site.answer(pause, Answer.CLEAN_UP, "Ada Example <ada@example.org>")
    second = site.paused(run)
    assert second.number == 2
    site.answer(second, Answer.CLEAN_UP)
    ended = site.ended(run)
    assert ended.state is RunState.FAILED
    assert "provisioner shell-local: Script exited" in ended.reason
    assert [one.answer for one in site.shop.index.pauses(run.uid)] == ["retry", "clean-up"]


def test_a_paused_run_that_is_cancelled_cleans_up(site: Site) -> None:
    run = site.build(pausing())
    site.paused(run)
    site.building.cancel(run.uid)
    ended = site.ended(run)
    assert (ended.state, ended.reason) == (RunState.CANCELLED, "cancelled by Ada Example <ada@example.org>")
    (pause,) = site.shop.index.pauses(run.uid)
    assert (pause.answer, pause.answered_by) == ("cancel", "Ada Example <ada@example.org>")
    assert "errored after" in site.log(run), "Packer came to its own end"
    assert not site.processes(run)


def test_nobody_answers_and_the_machine_is_cleaned_up_at_the_limit(site: Site) -> None:
    run = site.build(pausing())
    site.paused(run)
    asyncio.run(site.hold(run).set_limit(0.1))
    ended = site.ended(run)
    assert ended.state is RunState.FAILED
    assert "nobody answered within" in ended.reason
    assert "Script exited with non-zero exit status" in ended.reason
    (pause,) = site.shop.index.pauses(run.uid)
    assert (pause.answer, pause.answered_by) == ("time limit", "")


def test_a_limit_that_is_extended_is_shown(site: Site) -> None:
    run = site.build(pausing(limit=60.0))
    pause = site.paused(run)
    asyncio.run(site.hold(run).set_limit(3600.0))
    site.wait(lambda: (site.open(run)[0].until or 0) > (pause.until or 0) + 3000, "more time is shown")


def test_a_paused_run_gives_its_slot_to_another_and_goes_on_without_waiting(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INGOT_CONCURRENCY", "1")
    first = site.build(pausing())
    pause = site.paused(first)
    other = site.building.build(site.shop.root, "web", pausing=pausing())
    second = site.paused(other)
    assert site.shop.again(first).state is RunState.PAUSED
    site.mend()
    site.answer(pause, Answer.RETRY)
    assert site.ended(first).state is RunState.SUCCEEDED
    assert site.shop.again(other).state is RunState.PAUSED
    site.answer(second, Answer.CLEAN_UP)
    site.ended(other)


def test_a_breakpoint_holds_a_build_that_may_pause_and_no_other(site: Site) -> None:
    run = site.build(pausing(), with_breakpoint=True, mended=True)
    pause = site.paused(run)
    assert (pause.kind, pause.step, pause.why) == (PauseKind.BREAKPOINT, "look around", "Breakpoint: look around.")
    assert not (site.place / "whole").exists()
    site.answer(pause, Answer.CONTINUE)
    assert site.ended(run).state is RunState.SUCCEEDED
    assert Touches(site.shop.places.run(run.uid)).all() == []
    unwatched = site.building.build(site.shop.root, "web", pausing=Pausing())
    assert site.ended(unwatched).state is RunState.SUCCEEDED
    assert site.shop.index.pauses(unwatched.uid) == []
    assert "this build never pauses: it goes past the breakpoint" in site.log(unwatched)


def test_a_build_at_a_breakpoint_is_cancelled_in_order(site: Site) -> None:
    run = site.build(pausing(), with_breakpoint=True, mended=True)
    site.paused(run)
    site.building.cancel(run.uid)
    assert site.ended(run).state is RunState.CANCELLED
    assert "Cleanly cancelled builds after being interrupted." in site.log(run)


def test_who_cleans_up_at_a_breakpoint_has_answered_it_and_cancelled_the_run(site: Site) -> None:
    run = site.build(pausing(), with_breakpoint=True, mended=True)
    pause = site.paused(run)
    asyncio.run(site.hold(run).answer(pause.number, b"", BOB, Answer.CLEAN_UP, end=True))
    ended = site.ended(run)
    assert (ended.state, ended.reason) == (RunState.CANCELLED, f"cancelled by {BOB}"), site.log(run)
    (over,) = site.shop.index.pauses(run.uid)
    assert (over.answer, over.answered_by) == ("clean-up", BOB)
    assert "Cleanly cancelled builds after being interrupted." in site.log(run)
    assert not (site.place / "whole").exists()


def test_stepping_stops_where_it_was_asked_to_and_nowhere_else(site: Site) -> None:
    run = site.build(pausing(PauseMode.STEP, "first-provisioner", "clean-up"), mended=True)
    first = site.paused(run)
    assert (first.kind, first.step) == (PauseKind.STEP, "StepConnect")
    assert site.tried() == 0
    site.answer(first, Answer.CONTINUE)
    site.wait(lambda: [one.number for one in site.open(run)] == [2], "it stops before the clean-up")
    second = site.paused(run)
    assert (second.kind, second.step) == (PauseKind.CLEAN_UP, "StepProvision")
    assert (site.place / "whole").exists()
    site.answer(second, Answer.CONTINUE)
    assert site.ended(run).state is RunState.SUCCEEDED
    assert len(site.shop.index.pauses(run.uid)) == 2
    named = site.building.build(site.shop.root, "web", pausing=pausing(PauseMode.STEP, "stepprovision"))
    pause = site.paused(named)
    assert (pause.kind, pause.step) == (PauseKind.STEP, "StepProvision")
    site.answer(pause, Answer.CONTINUE)
    assert site.ended(named).state is RunState.SUCCEEDED


def test_a_machine_that_is_let_go_of_is_ours_until_it_has_gone(site: Site) -> None:
    run = site.build(pausing())
    pause = site.paused(run)
    keys = site.shop.places.run(run.uid) / "keys" / "null.web"
    keys.mkdir(mode=0o700, parents=True)
    site.answer(pause, Answer.KEEP)
    ended = site.ended(run)
    assert ended.state is RunState.FAILED
    assert "Bob Example kept the machine" in ended.reason
    # Of a null build there is no machine: it has gone at once, and what it left is cleaned up.
    site.wait(lambda: not site.shop.index.machines(), "the machine has gone")
    (machine,) = site.shop.index.machines(run.uid, living_only=False)
    assert (machine.state, machine.kept_by, machine.kind) == (MachineState.GONE, BOB, "null")
    site.wait(lambda: not keys.exists(), "its keys have gone")
