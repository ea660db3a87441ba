"""What ends with a run that is cancelled: its machines, and the pauses in which they wait."""

from collections.abc import Iterable

import msgspec

from core.model.machine import Machine, MachineState
from core.model.pause import Pause
from core.model.run import Run, RunState


class AtStake(msgspec.Struct, frozen=True):
    """A run at one moment, for a question that names all that goes with it."""

    run: Run
    pauses: tuple[Pause, ...] = ()
    """The open ones."""
    machines: tuple[Machine, ...] = ()
    """Those that the run has and would take along: not one that was kept."""

    @classmethod
    def of(cls, run: Run, pauses: Iterable[Pause], machines: Iterable[Machine]) -> "AtStake":
        """Of all pauses and machines, those that are this run's."""
        going = (MachineState.BUILDING, MachineState.PAUSED)
        return cls(
            run,
            tuple(pause for pause in pauses if pause.run_uid == run.uid and pause.open),
            tuple(machine for machine in machines if machine.run_uid == run.uid and machine.state in going),
        )

    @property
    def paused(self) -> bool:
        """A machine of it is held for a person."""
        return self.run.state is RunState.PAUSED or bool(self.pauses)

    @property
    def told(self) -> frozenset[str]:
        """The ids of the pauses that whoever reads `lines` knows of."""
        return frozenset(pause.id for pause in self.pauses)

    @property
    def lines(self) -> tuple[str, ...]:
        """Each machine on a line: where it is and, where it waits, what for."""
        why = {pause.stage_key: f", paused: {pause.why or 'it waits for an answer'}" for pause in self.pauses}
        where = {machine.stage_key: machine.address or machine.instance for machine in self.machines}
        keys = dict.fromkeys([*where, *why])
        return tuple(
            f"{key.partition('/')[2]}{f' at {where[key]}' if where.get(key) else ''}{why.get(key, '')}" for key in keys
        )
