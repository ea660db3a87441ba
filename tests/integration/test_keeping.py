"""Machines that were kept here: real processes under real holders, looked after as the worker does."""

import asyncio
import os
import signal
import time
from collections.abc import Generator
from pathlib import Path

import engine_workshop
import pytest
from msgspec.structs import replace
from patience import PATIENCE, until
from workshop import Workshop, role

from core.engine import keeping
from core.engine.holds import tool_directory
from core.engine.keeping import Keeper
from core.errors import RefusedError
from core.holding import Hold, ToolSpec
from core.living import Identity
from core.model.event import Event
from core.model.machine import Machine, MachineState
from core.model.run import Run, RunState

KEY = "build/file.hello"
# The end of the session hangs up on who has none of its own yet.
LEAVES_SOMETHING = "trap '' HUP; setsid sleep 1000 & echo $! >left; exit 1"


class Site:
    """A run that failed, and what its tool left running."""

    def __init__(self, place: Path) -> None:
        self.shop = Workshop(place)
        self.shop.commit({"ingot.toml": ""})
        self.run = self.shop.new_run(role())
        self.told: list[Event] = []
        self.cleaned: list[str] = []
        self.keeper = Keeper(self.shop.around, self._clean_up, self.told.append)

    def _clean_up(self, run: Run, succeeded: bool) -> None:
        assert not succeeded
        self.cleaned.append(run.uid)

    async def keep(self, seconds: float | None, *, ended: bool = True) -> Hold:
        spec = ToolSpec(
            argv=("sh", "-c", LEAVES_SOMETHING),
            cwd=self.shop.root,
            environment={"PATH": os.environ["PATH"]},
            log=self.shop.places.log(self.run.uid, KEY),
            run_uid=self.run.uid,
            keep=True,
            grace=0.5,
            limit=seconds,
        )
        hold = await Hold.start(tool_directory(self.shop.places, self.run.uid, KEY, "packer"), spec)
        await hold.wait()
        at = None if seconds is None else time.time() + seconds
        self.shop.index.save_machine(Machine(self.run.uid, KEY, "file.hello", "qemu", MachineState.KEPT, until=at))
        self.shop.index.update_stage(self.run.uid, KEY, next_step="A shell in it: ingot debug 1.")
        if ended:
            self.shop.index.set_run_state(self.run.uid, RunState.FAILED, "kept")
        self.keeper.look()
        return hold

    @property
    def left(self) -> Identity | None:
        return Identity.of(int((self.shop.root / "left").read_text()))

    @property
    def state(self) -> MachineState:
        machine = self.shop.index.machine(self.run.uid, KEY)
        assert machine is not None
        return machine.state

    async def until_gone(self) -> None:
        await until(lambda: self.state is MachineState.GONE and not self.keeper.keeps, "the machine is gone")
        assert self.left is None
        assert self.cleaned == [self.run.uid]
        assert "ingot: the kept machine has ended" in self.shop.log(self.run, KEY)
        stage = self.shop.again(self.run).stage(KEY)
        assert stage is not None
        assert stage.next_step.startswith("The machine has ended since")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Site]:
    monkeypatch.setenv("INGOT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(keeping, "_LOOK_EVERY", 0.2)
    made = Site(tmp_path)
    yield made
    made.shop.close()


async def test_a_kept_machine_lives_until_its_time_which_can_be_extended(site: Site) -> None:
    hold = await site.keep(600.0)
    assert site.keeper.keeps == {site.run.uid}
    site.shop.index.set_machine_until(site.run.uid, KEY, time.time() + 5000)
    site.keeper.look()
    async with asyncio.timeout(PATIENCE):
        while ((await hold.status()).seconds_left or 0.0) < 4000:  # noqa: ASYNC110 - another process keeps it
            await asyncio.sleep(0.05)
    assert site.left is not None
    assert site.cleaned == []
    site.shop.index.set_machine_until(site.run.uid, KEY, time.time() + 0.5)
    site.keeper.look()
    await site.until_gone()


async def test_a_kept_machine_is_ended_when_somebody_asks(site: Site) -> None:
    await site.keep(None)
    assert site.left is not None
    site.shop.index.set_machine_until(site.run.uid, KEY, time.time())
    site.keeper.look()
    await site.until_gone()
    with pytest.raises(RefusedError, match="has ended"):
        site.shop.index.set_machine_until(site.run.uid, KEY, time.time())


async def test_a_kept_machine_that_ends_by_itself_is_gone(site: Site) -> None:
    await site.keep(600.0)
    assert site.left is not None
    site.left.signal(signal.SIGKILL)
    await site.until_gone()


async def test_what_a_killed_holder_kept_is_ended(site: Site) -> None:
    hold = await site.keep(600.0)
    os.kill(hold.pid, signal.SIGKILL)
    await site.until_gone()


async def test_a_machine_is_left_alone_while_packer_lets_go_of_it(site: Site) -> None:
    hold = await site.keep(600.0, ended=False)
    os.kill(hold.pid, signal.SIGKILL)
    await asyncio.sleep(1.0)
    assert site.state is MachineState.KEPT
    site.shop.index.set_run_state(site.run.uid, RunState.FAILED)
    site.keeper.look()
    await site.until_gone()


async def test_the_next_worker_looks_after_it(site: Site) -> None:
    await site.keep(600.0)
    await site.keeper.let_go()
    assert site.left is not None
    await until(lambda: not site.keeper.keeps, "it was let go of")
    site.shop.index.set_machine_until(site.run.uid, KEY, time.time())
    site.keeper.look()
    await site.until_gone()


def test_the_worker_does_not_end_by_itself_while_a_machine_is_kept(tmp_path: Path) -> None:
    with engine_workshop.workshop(tmp_path, {"INGOT_WORKER_IDLE": "0.5"}) as shop:
        run = shop.submit(how={"build": "fail"})
        shop.open("checkout", "upstream", "validate")
        shop.until_ran(run, "build")
        # Of a cloud that is not asked as long as nobody wants the machine to end.
        kept = Machine(run.uid, "build/null.web", "null.web", "amazon-ebs", MachineState.KEPT)
        shop.index.save_machine(kept)
        shop.open("all")
        shop.until_ended(run)
        time.sleep(2.0)  # some times its idle time
        assert shop.worker is not None
        shop.index.save_machine(replace(kept, state=MachineState.GONE))
        shop.until_worker_ends()
