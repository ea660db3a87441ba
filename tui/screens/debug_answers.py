"""What a person answers a pause, from the debug screen: what it does is said first, and who was first is said after."""

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from core.errors import IngotError
from core.model.machine import Machine, MachineState
from core.model.pause import Answer, Choice, Pause
from core.services.debugging import DebugView
from tui.cells import person
from tui.debug_cells import PAUSED, clock_time
from tui.screens.debug_actions import TO_ANSWERS

if TYPE_CHECKING:
    from tui.screens.debug import DebugScreen

HOUR = 3600.0
_FOLLOWS = {
    Answer.RETRY.value: "What failed is tried again; the machine lives on, and so do the shells in it.",
    Answer.RESTART.value: "Ansible runs the playbook again; the machine lives on, and so do the shells in it.",
    Answer.CONTINUE.value: "Packer goes on; the shells stay open as long as the machine runs.",
    Answer.KEEP.value: "The run has ended, and the machine is kept.",
    Answer.CLEAN_UP.value: "The machine is being destroyed.",
}


class Answers:
    """For one debug screen. One change goes on at a time."""

    def __init__(self, screen: "DebugScreen") -> None:
        self._screen = screen
        self._busy = False
        self._said: set[str] = set()
        """Pauses whose end was said already."""

    @property
    def _view(self) -> DebugView | None:
        return self._screen.view

    @property
    def _pause(self) -> Pause | None:
        return self._view.pause if self._view is not None else None

    @property
    def _kept(self) -> Machine | None:
        machine = self._view.machine if self._view is not None else None
        return machine if machine is not None and machine.state is MachineState.KEPT else None

    def _choice(self, answer: Answer) -> Choice | None:
        choices = self._view.choices if self._view is not None else ()
        return next((choice for choice in choices if choice.answer is answer), None)

    def why_not(self, action: str) -> str:
        """Why one of TO_ANSWERS, or `extend`, cannot be done now."""
        if self._busy:
            return "One change at a time: the last one is on its way."
        pause = self._pause
        if pause is None:
            if self._kept is not None and action in ("clean_up", "extend"):
                return ""
            return "Nothing waits for an answer now."
        if action == "extend":
            return "" if pause.until is not None else "It is not cleaned up by itself: it needs no more time."
        if self._choice(TO_ANSWERS[action]) is None:
            return f"{_NOT[TO_ANSWERS[action]]} is nothing that is offered {PAUSED[pause.kind]}."
        return ""

    def retry(self) -> None:
        self._ask(Answer.RETRY)

    def restart(self) -> None:
        self._ask(Answer.RESTART)

    def go_on(self) -> None:
        """Asked first only where the machine goes away by it in the end."""
        pause, choice = self._pause, self._choice(Answer.CONTINUE)
        if choice is not None and choice.destroys:
            self._ask(Answer.CONTINUE)
        elif pause is not None:
            self._answer(pause, Answer.CONTINUE)

    def keep(self) -> None:
        self._ask(Answer.KEEP)

    def clean_up(self) -> None:
        """Also the end of a kept machine: both want the name of the role."""
        from tui.screens.questions import clean_up_question, end_machine_question

        view, pause, choice, kept = self._view, self._pause, self._choice(Answer.CLEAN_UP), self._kept
        if view is None:
            return
        if pause is not None and choice is not None:
            self._screen.house.push_screen(
                clean_up_question(view.run, choice.consequence), self._if_yes(pause, Answer.CLEAN_UP)
            )
        elif kept is not None:

            def answered(yes: bool | None) -> None:
                if yes:
                    self._do("ending the machine…", self._end(kept))

            self._screen.house.push_screen(end_machine_question(view.run, kept), answered)

    def _ask(self, answer: Answer) -> None:
        from tui.screens.questions import go_on_question

        view, pause, choice = self._view, self._pause, self._choice(answer)
        if view is not None and pause is not None and choice is not None:
            self._screen.house.push_screen(go_on_question(view.run, choice), self._if_yes(pause, answer))

    def _if_yes(self, pause: Pause, answer: Answer) -> Callable[[bool | None], None]:
        """The answer is to the pause that was asked about, whatever came meanwhile."""

        def answered(yes: bool | None) -> None:
            if yes:
                self._answer(pause, answer)

        return answered

    def _answer(self, pause: Pause, answer: Answer) -> None:
        self._do(f"answering: {answer.value}…", self._give(pause, answer))

    async def _give(self, pause: Pause, answer: Answer) -> None:
        self._said.add(pause.id)  # what became of it is said here: this answer, or who was first
        said = await self._screen.house.debugging.answer(pause, answer)
        self._screen.house.notify(said)

    async def _end(self, machine: Machine) -> None:
        await self._screen.house.debugging.end_machine(machine)
        self._screen.house.notify("The machine is being ended, and its disk with it.")

    def extend(self) -> None:
        held = self._pause or self._kept
        if held is not None:
            self._do("asking for one hour more…", self._extend(held))

    async def _extend(self, held: Pause | Machine) -> None:
        until = await self._screen.house.debugging.extend(held, HOUR)
        self._screen.house.notify(f"The machine is cleaned up at {clock_time(until)}.", title="One hour more")

    def _do(self, words: str, work: Coroutine[Any, Any, None]) -> None:
        """What goes wrong is said, and the screen goes on with what is true now."""
        house, self._busy = self._screen.house, True

        async def carry_out() -> None:
            house.now_busy(words)
            house.leaving.asked_for(words)
            try:
                await work
            except IngotError as error:
                house.complain(error)
            finally:
                self._busy = False
                house.no_longer_busy(words)
                house.leaving.over(words)
                self._screen.show_footer()

        # On the app: the answer is given also when a person leaves the screen meanwhile.
        house.run_worker(carry_out, exit_on_error=False, group="answers")

    def say_what_became(self, before: DebugView | None, pauses: Sequence[Pause]) -> None:
        """A pause that was seen here is over: who answered it, and how."""
        old = before.pause if before is not None else None
        over = next((pause for pause in pauses if old is not None and pause.id == old.id), None)
        if over is None or over.open or over.id in self._said:
            return
        self._said.add(over.id)
        when = f" at {clock_time(over.answered_at)}" if over.answered_at is not None else ""
        who = person(over.answered_by) if over.answered_by else "It was"
        self._screen.house.notify(_FOLLOWS.get(over.answer, ""), title=f"{who} answered{when}: {over.answer}")


_NOT = {
    Answer.RETRY: "Retrying",
    Answer.RESTART: "Running a playbook again",
    Answer.CONTINUE: "Going on",
    Answer.KEEP: "Keeping the machine",
    Answer.CLEAN_UP: "Cleaning up",
}
