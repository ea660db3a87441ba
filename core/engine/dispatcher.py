"""Decides which queued run begins next, and acts on what was asked for in the index."""

import logging
from collections.abc import Callable
from contextlib import suppress

from core.engine.execution import Execution
from core.engine.slots import Slots
from core.errors import RefusedError
from core.model.run import Run, RunState
from core.store.index import Index

log = logging.getLogger("ingot.dispatcher")


class Dispatcher:
    """Looks at the index whenever something may have changed. Lives on the worker's event loop."""

    def __init__(self, index: Index, slots: Slots, execution: Execution, start: Callable[[Run], None]) -> None:
        self._index = index
        self._slots = slots
        self._execution = execution
        self._start = start

    def look(self) -> list[Run]:
        """Do what there is to do now; gives the runs that had not ended when it looked."""
        active = self._index.runs(active_only=True)
        for run in reversed(active):  # the oldest first
            if not _begun(run):
                # Another process may have cancelled it in this very moment: no reason to leave out the others.
                with suppress(RefusedError):
                    self._consider(run)
            elif run.cancel_asked_by:
                self._execution.cancel(run)
        return active

    def _consider(self, run: Run) -> None:
        if run.cancel_asked_by:  # it waits for its parent; a queued run was cancelled by the asking
            self._index.set_run_state(run.uid, RunState.CANCELLING, f"{run.cancel_asked_by} asked for it")
            self._index.set_run_state(run.uid, RunState.CANCELLED, f"cancelled by {run.cancel_asked_by}")
        elif self._may_begin(run) and self._slots.free:
            # Written down first: a slot of a run that did not begin would never be given back.
            self._index.set_run_state(run.uid, RunState.RUNNING)
            self._slots.take(run.uid)
            log.info("run %d (%s) begins", run.id, run.role)
            self._start(run)

    def _may_begin(self, run: Run) -> bool:
        """Whether what the run is built on is there; it waits, fails or is cancelled with it."""
        if not run.request.parent_run:
            return True
        parent = self._index.run(run.request.parent_run)
        if parent is not None and parent.state is RunState.SUCCEEDED:
            return True
        waits = f"run {parent.id} ({parent.role}) makes the image that it is built on" if parent else ""
        if run.state is RunState.QUEUED and (parent is None or parent.state is not RunState.CANCELLED):
            self._index.set_run_state(run.uid, RunState.WAITING, waits)
        if parent is None:
            reason = "The record of the run that makes the image that it is built on is gone. Build again."
            self._index.set_run_state(run.uid, RunState.FAILED, reason)
        elif parent.state is RunState.CANCELLED:
            if run.state is not RunState.QUEUED:
                self._index.set_run_state(run.uid, RunState.CANCELLING, waits)
            reason = f"run {parent.id} ({parent.role}), which makes the image that it is built on, was cancelled"
            self._index.set_run_state(run.uid, RunState.CANCELLED, reason)
        elif parent.state.ended:
            reason = f"Run {parent.id} ({parent.role}) {parent.state}: there is no image to build on. Mend that first."
            self._index.set_run_state(run.uid, RunState.FAILED, reason)
        return False


def _begun(run: Run) -> bool:
    """Whether a flow has it. A run that only waits for its parent has begun nothing."""
    return run.state not in (RunState.QUEUED, RunState.WAITING) or run.current is not None
