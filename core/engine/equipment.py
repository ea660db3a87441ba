"""What the product's worker carries out: the stages of the image pipeline, and the ledger of a run's workspace.

Imported by the worker when it starts, whole, so that replacing the program under a living worker does not break it.
"""

import importlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from core.engine.execution import CarryOut, Pipeline
from core.model.machine import MachineState
from core.model.pipeline import Purpose
from core.model.run import Run, StageState
from core.places import Places
from core.stages import (
    build,
    checkout,
    convert,
    inspect,
    leftovers,
    prove,
    register,
    seal,
    test,
    upstream,
    validate,
)
from core.stages.stage import LedgerOfRun
from core.store.index import Index
from core.store.ledger import Ledger

STAGES: dict[str, CarryOut] = {
    "checkout": checkout.carry_out,
    "upstream": upstream.carry_out,
    "validate": validate.carry_out,
    "build": build.carry_out,
    "seal": seal.carry_out,
    "prove": prove.carry_out,
    "inspect": inspect.carry_out,
    "register": register.carry_out,
    "test": test.carry_out,
    "convert": convert.carry_out,
}


GRACE = 30.0
"""Seconds that an interrupted tool has before SIGTERM, and as many before SIGKILL: Packer removes machines in them."""


class Equipment(msgspec.Struct, frozen=True):
    """What the product's worker has, and a test's worker replaces whole."""

    pipeline: Callable[[Places, Index], Pipeline]
    ledger: Callable[[Run], LedgerOfRun]
    grace: float = GRACE


def load_the_rest() -> None:
    """Load what adapters load at first use: where the program is replaced under a living worker, that would be the
    new one's. Takes a third of a second, which nobody has to wait for."""
    for name in ("git.cmd", "hcl2.parser", "lark.exceptions"):
        importlib.import_module(name)


def product() -> Equipment:
    """The equipment of `python -m core.engine.worker`."""
    return Equipment(pipeline=_pipeline, ledger=_ledger)


def _pipeline(places: Places, index: Index) -> Pipeline:
    def clean_up(run: Run, succeeded: bool) -> None:
        kept = any(machine.state is MachineState.KEPT for machine in index.machines(run.uid))
        leftovers.clean_up(places, run, succeeded=succeeded, kept=kept)
        # What was registered is there, and what was decided about it counts, also where a later stage failed.
        registered = any(stage.name == "register" and stage.state is StageState.SUCCEEDED for stage in run.stages)
        if succeeded or registered or run.request.purpose is not Purpose.BUILD:
            # Now and not at somebody's next look: who waits for the end of the run asks for its image next.
            contents = _ledger(run).read()
            index.replace_images(run.workspace_id, contents.images, contents.head or "")

    return Pipeline(STAGES, clean_up)


def _ledger(run: Run) -> Ledger:
    workspace = run.request.workspace
    return Ledger(Path(workspace.root), workspace.remote)
