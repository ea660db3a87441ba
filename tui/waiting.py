"""The machines that wait for a person, of all runs: paused ones, and those that were kept. Pure."""

from typing import NamedTuple

from core.model.machine import Machine, MachineState
from core.model.pause import Pause
from core.model.run import Run
from core.services.overview import Overview


class Waiting(NamedTuple):
    """One of them: its pause, its machine, or both."""

    run: Run
    build: str
    """`qemu.web`"""
    pause: Pause | None
    machine: Machine | None

    @property
    def since(self) -> float:
        """Epoch; of a kept machine when its run ended."""
        return self.pause.since if self.pause is not None else self.run.ended or 0.0

    @property
    def until(self) -> float | None:
        """When it is cleaned up (epoch); None: never."""
        if self.pause is not None:
            return self.pause.until
        return self.machine.until if self.machine is not None else None


def waiting(overview: Overview, run_uid: str = "") -> list[Waiting]:
    """Of one run or of all: the paused ones before the kept ones, and who waits for the shortest time first."""
    machines = {(machine.run_uid, machine.stage_key): machine for machine in overview.machines}
    pauses = {(pause.run_uid, pause.stage_key): pause for pause in overview.pauses}
    kept = [key for key, machine in machines.items() if machine.state is MachineState.KEPT]
    found: list[Waiting] = []
    for key in dict.fromkeys([*pauses, *kept]):
        run = overview.run(key[0])
        if run is not None and run_uid in ("", run.uid):
            found.append(Waiting(run, key[1].partition("/")[2], pauses.get(key), machines.get(key)))
    return sorted(found, key=lambda one: (one.pause is None, -one.since))
