"""What people ask for: the question that must be answered first, then the service, and a notice of what came of it."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from textual.screen import Screen

from core.errors import IngotError
from core.model.at_stake import AtStake
from core.model.image import ImageVersion
from core.model.pause import WATCHED, Wish
from core.model.run import Run, RunState

if TYPE_CHECKING:
    from tui.app import Ingot

_R = TypeVar("_R")

Queued = Callable[[list[Run]], None]
"""Told of the runs that were queued."""


class Asking:
    """On behalf of the screens of one app."""

    def __init__(self, house: "Ingot") -> None:
        self._house = house
        self._looking: set[str] = set()

    def after_look(
        self, words: str, look: Callable[[], _R], ask: Callable[[_R], None], *, front: Screen[Any] | None = None
    ) -> None:
        """Ask what can be asked only after a look that takes its time: once, and where it was asked for (`front`; None:
        on the screen that is in front now). Elsewhere a question would take the keys that are meant for something else.

        `words` say what is looked at, as in `Ingot.carry_out`.
        """
        where = front or self._house.screen
        if words in self._looking:
            return
        self._looking.add(words)

        def looked() -> _R:
            try:
                return look()
            finally:
                self._looking.discard(words)

        def done(found: _R) -> None:
            if self._house.screen is where:
                ask(found)
            else:
                told = "You went on meanwhile: nothing was asked, and nothing done."
                self._house.notify(told, title=words.rstrip("…"), severity="warning")

        self._house.carry_out(words, looked, done)

    def build(self, roles: Sequence[str], queued: Queued, pausing: Wish = WATCHED) -> None:
        """All in one request: parents are queued before those built on them, and a refusal queues none."""
        what = roles[0] if len(roles) == 1 else f"{len(roles)} roles"

        def go(trust: bool) -> None:
            self._house.carry_out(
                f"asking for a build of {what}…",
                partial(self._house.changes.build, roles, trust=trust, pausing=pausing),
                partial(self._say_queued, queued),
            )

        self.when_trusted(go)

    def build_stale(self, queued: Queued) -> None:
        """Everything that is stale, parents first."""
        self._build_again("stale", self._house.changes.build_stale, queued)

    def build_outdated(self, queued: Queued) -> None:
        """Everything that is outdated, and what is built on it, parents first."""
        self._build_again("outdated", self._house.changes.build_outdated, queued)

    def _build_again(self, word: str, build: Callable[..., list[Run]], queued: Queued) -> None:
        def done(runs: list[Run]) -> None:
            if not runs:
                self._house.notify(f"Nothing is {word}, or it is being built already.", timeout=4)
            self._say_queued(queued, runs)

        def go(trust: bool) -> None:
            self._house.carry_out(f"asking for builds of what is {word}…", partial(build, trust=trust), done)

        self.when_trusted(go)

    def _say_queued(self, queued: Queued, runs: list[Run]) -> None:
        if len(runs) == 1:
            self._house.notify(f"Run {runs[0].id} queued: build {runs[0].role}", timeout=4)
        elif runs:
            names = ", ".join(f"{run.role} (run {run.id})" for run in runs)
            self._house.notify(f"Queued: {names}", timeout=4)
        queued(runs)

    def when_trusted(self, go: Callable[[bool], None]) -> None:
        """Asks once whether what the workspace's templates execute may be executed here."""
        overview = self._house.overview
        if overview.trusted:
            go(False)
            return
        from tui.screens.questions import trust_question

        name = overview.workspace.name if overview.workspace else overview.root

        def answered(yes: bool | None) -> None:
            if yes:
                go(True)

        self._house.push_screen(trust_question(name, overview.root), answered)

    def cancel(self, runs: Sequence[Run], then: Callable[[], None] | None = None) -> None:
        """`then` is called when a person said yes. One question for those that work and one for each that is paused: a
        name typed once must not stand for a machine that was not read of."""
        overview = self._house.overview
        self._cancel([AtStake.of(run, overview.pauses, overview.machines) for run in runs], then)

    def _cancel(self, ending: Sequence[AtStake], then: Callable[[], None] | None) -> None:
        from tui.screens.questions import cancel_question

        paused = [one for one in ending if one.paused]
        asked = [one for one in ending if not one.paused] or paused[:1]
        following = [one for one in paused if one not in asked]

        def look_again() -> list[AtStake]:
            return [self._house.changes.at_stake(one.run.uid) for one in asked]

        def answered(yes: bool | None) -> None:
            if yes:
                self._house.carry_out("looking at what is to be cancelled…", look_again, go_on)

        def go_on(now: list[AtStake]) -> None:
            told = frozenset[str]().union(*(one.told for one in asked))
            new = [str(one.run.id) for one in now if one.told - told]
            if new:
                which = f"Run {new[0]} has" if len(new) == 1 else f"Runs {', '.join(new)} have"
                self._cancel([one for one in [*now, *following] if not one.run.state.ended], then)
                self._house.notify(f"{which} paused meanwhile: nothing was cancelled yet.", severity="warning")
                return
            for one in asked:
                self._house.carry_out(
                    f"cancelling run {one.run.id}…",
                    partial(self._house.changes.cancel, one.run.uid, one.told),
                    lambda run: self._house.notify(_cancelled(run), timeout=4),
                )
            if then is not None:
                then()
            if following:
                self._cancel(following, None)

        self._house.push_screen(cancel_question(asked), answered)

    def delete(self, images: Sequence[ImageVersion]) -> None:
        """One question for each, the next when the one before is gone: a name typed once must not stand for what was
        not read. What cannot go is said, with all that needs it, and not asked about."""
        self._delete(images, self._house.screen)

    def _delete(self, images: Sequence[ImageVersion], front: Screen[Any]) -> None:
        if not images:
            return
        image, *following = images

        def look() -> Sequence[str] | IngotError:
            return _tried(partial(self._house.changes.going, image.role, image.version))

        def ask(going: Sequence[str] | IngotError) -> None:
            if isinstance(going, IngotError):
                self._house.complain(going)
                self._delete(following, front)
            else:
                self._ask_delete(image, going, following, front)

        self.after_look(f"looking what needs {image.role} {image.version}…", look, ask, front=front)

    def _ask_delete(
        self, image: ImageVersion, going: Sequence[str], following: Sequence[ImageVersion], front: Screen[Any]
    ) -> None:
        from tui.screens.questions import delete_question

        question = delete_question(image, going)

        def delete() -> str | IngotError:
            return _tried(partial(self._house.changes.delete, image.role, image.version, typed=question.typed))

        def deleted(freed: str | IngotError) -> None:
            if isinstance(freed, IngotError):
                self._house.complain(freed)
            else:
                self._house.notify(f"{freed}.", title=f"Deleted the files of {image.role} {image.version}")
                self._house.discover()
            self._delete(following, front)

        def answered(yes: bool | None) -> None:
            if yes:
                self._house.carry_out(f"deleting {image.role} {image.version}…", delete, deleted)

        self._house.push_screen(question, answered)


def _tried(work: Callable[[], _R]) -> _R | IngotError:
    """What a service gives, or why it did not: what follows goes on either way."""
    try:
        return work()
    except IngotError as error:
        return error


def _cancelled(run: Run) -> str:
    if run.state is RunState.CANCELLED:
        return f"Run {run.id} cancelled."
    return f"Run {run.id} is being cancelled; what it started is cleaned up."
