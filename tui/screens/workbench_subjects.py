"""What an action of the workbench applies to: what is named with it, else what is marked, else what is chosen; and
why it makes no sense where that is nothing, or not of the kind.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from core.model.image import ImageVersion
from core.model.run import Run
from core.text import visible
from tui.emptiness import no_images
from tui.news import newest_paused
from tui.undecided import NO_LEDGER, why_not_restored
from tui.widgets.table import Table

if TYPE_CHECKING:
    from tui.screens.workbench import Workbench

T = TypeVar("T")

_NO_IMAGE = "Choose an image version first: 2 goes to them."


class Subjects:
    """For one workbench. What is named and does not exist is said in a notice."""

    def __init__(self, screen: "Workbench") -> None:
        self._screen = screen

    # roles

    def roles(self, argument: str) -> list[str]:
        """The roles to build; without those that cannot be built, which is said."""
        screen = self._screen
        if argument:
            roles = argument.split()
        elif screen.page == "images" and screen.shown_role:
            roles = [screen.shown_role]
        else:
            roles = [view.role.name for view in screen.roles.chosen_or_marked]
        for role in list(roles):
            view = screen.overview.role(role)
            if view is None:
                screen.notify(f"There is no role {visible(role)} in this workspace.", severity="warning")
                roles.remove(role)
            elif view.role.problems:
                screen.notify(no_images(screen.overview, role), title="Not built", severity="warning")
                roles.remove(role)
        return roles

    # image versions

    def _image_here(self) -> ImageVersion | None:
        """The chosen image version; of a role its newest."""
        screen = self._screen
        if screen.page == "images":
            return screen.images.chosen
        view = screen.roles.chosen
        return view.latest if view is not None and screen.page == "roles" else None

    def image(self, argument: str) -> ImageVersion | None:
        """The image version named (`web 0.1.0`), else the chosen one; of a role its newest."""
        if not argument:
            return self._image_here()
        role, _, version = argument.partition(" ")
        return self._there(self._screen.overview.image(role, version), f"image version {visible(argument)} here")

    def images(self, argument: str) -> list[ImageVersion]:
        """The image version named, else the marked ones, else the chosen one."""
        return self._several(argument, self.image, self._screen.images)

    def two_images(self, argument: str) -> tuple[ImageVersion, ImageVersion] | None:
        """The two marked image versions, the older first; else the chosen one and the one named, or the one before."""
        chosen = self._screen.images.chosen_or_marked
        if argument:
            named, here = self.image(argument), self._image_here()
            if named is None or here is None:
                return None
            chosen = [named, here]
        chosen = sorted(chosen, key=lambda image: image.created)
        if len(chosen) == 1:
            versions = self._screen.overview.images.get(chosen[0].role, ())
            others = [image for image in versions if image.created < chosen[0].created]
            before = max(others, key=lambda image: image.created, default=None)
            if before is None:
                self._screen.notify("It is the oldest: mark another with Space.", severity="warning")
                return None
            chosen = [before, chosen[0]]
        return chosen[0], chosen[1]

    # runs

    def _run_here(self) -> Run | None:
        """The run that belongs to what is chosen."""
        screen = self._screen
        if screen.page == "runs":
            return screen.runs.chosen
        if screen.page == "images" and screen.images.chosen is not None:
            return screen.overview.run(screen.images.chosen.run)
        view = screen.roles.chosen
        return view.run if view is not None and screen.page == "roles" else None

    def run(self, argument: str) -> Run | None:
        """The run named, by number or uid, else the one that belongs to what is chosen."""
        if not argument:
            return self._run_here()
        found = next((run for run in self._screen.overview.runs if argument in (str(run.id), run.uid)), None)
        return self._there(found, f"run {visible(argument)} in this workspace")

    def runs(self, argument: str) -> list[Run]:
        """The run named, else the marked ones, else the chosen one."""
        return self._several(argument, self.run, self._screen.runs)

    # of whatever kind

    def _there(self, named: T | None, words: str) -> T | None:
        """What was named. Where it does not exist, that is said in these words."""
        if named is None:
            self._screen.notify(f"There is no {words}.", severity="warning")
        return named

    def _several(self, argument: str, one: Callable[[str], T | None], listed: Table[T]) -> list[T]:
        if not argument:
            return listed.chosen_or_marked
        named = one(argument)
        return [named] if named is not None else []

    # why an action applies to nothing

    def why_not(self, action: str) -> str:
        """Why the action with this id makes no sense without an argument; empty where it does."""
        screen = self._screen
        match action:
            case "build" | "build_how":
                if not screen.overview.roles:
                    return "There is no role to build."
                chosen = screen.shown_role if screen.page == "images" else screen.roles.chosen_or_marked
                if not chosen or screen.page not in ("roles", "images"):
                    return "Choose a role first: 1 goes to the roles."
            case "stale":
                if not any(view.stale for view in screen.overview.roles):
                    return "No role is stale: nothing changed since the last images."
            case "outdated":
                if not any(view.outdated for view in screen.overview.roles):
                    return "No role is outdated: no parent has a newer good image than the one that was built on."
            case "cancel":
                if screen.page != "runs":
                    return "Choose a run first: 4 goes to the runs."
                if not any(not run.state.ended for run in screen.runs.chosen_or_marked):
                    return "This run has ended: there is nothing to cancel."
            case "logs":
                if self._run_here() is None:
                    return "No run belongs to what is chosen."
            case "debug":
                return self._why_no_debug()
            case "delete":
                if screen.page != "images" or screen.images.chosen is None:
                    return _NO_IMAGE
            case "promote" | "revoke" | "deprecate" | "restore":
                return self._why_not_decided(action)
            case "difference":
                return self._why_no_difference()
            case _:
                pass
        return ""

    def _why_no_debug(self) -> str:
        if newest_paused(self._screen.overview):
            return ""
        run = self._run_here()
        if run is None:
            return "No run is paused and no machine is kept: there is nothing to debug."
        if run.state.ended:
            return f"Run {run.id} has ended and its machine is gone: there is nothing to debug."
        return f"Run {run.id} is {run.state.value}: there is a machine to debug when it pauses."

    def _why_not_decided(self, action: str) -> str:
        image = self._image_here()
        if self._screen.house.deciding is None:
            return NO_LEDGER
        if image is None or (self._screen.page != "images" and action != "promote"):
            return _NO_IMAGE
        return why_not_restored(self._screen.house, image) if action == "restore" else ""

    def _why_no_difference(self) -> str:
        images = self._screen.images
        if self._screen.page != "images" or images.chosen is None:
            return _NO_IMAGE
        if len(images.rows.marks) > 2:
            return "Mark two image versions with Space, not more."
        if len(images.rows) < 2:
            return "There is only this one: a difference takes two."
        return ""
