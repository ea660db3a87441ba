"""What the workbench can change, behind one door: each service is loaded when it is first used, not with the screen.

All methods block, for as long as Git and a worker that must be started take: call them in a thread.
"""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import WorkspaceError
from core.model.at_stake import AtStake
from core.model.pause import WATCHED, Wish
from core.model.run import Run
from core.places import Places

if TYPE_CHECKING:
    from core.services.building import Building


@dataclass(frozen=True, slots=True)
class Changing:
    """Changes in one workspace. All raise IngotError, with what to do next."""

    places: Places
    directory: Path

    def build(self, roles: Sequence[str], *, trust: bool = False, pausing: Wish = WATCHED) -> list[Run]:
        """Queue builds of roles' images from the commit that is checked out, parents first: all of them or none."""
        return self._building().build_all(self.directory, roles, trust=trust, pausing=pausing)

    def build_stale(self, *, trust: bool = False, pausing: Wish = WATCHED) -> list[Run]:
        """Queue a build of each role whose sources changed since its last image, parents first."""
        return self._building().build_stale(self.directory, trust=trust, pausing=pausing)

    def build_outdated(self, *, trust: bool = False, pausing: Wish = WATCHED) -> list[Run]:
        """Queue a build of each role whose last image has a parent with a newer good version, and of those built on
        them, parents first."""
        return self._building().build_outdated(self.directory, trust=trust, pausing=pausing)

    def _building(self) -> "Building":
        """Refuses what this machine has not got the tools for: all of them at once, and not each when a run fails."""
        from core.services.building import Building
        from core.services.doctor import refuse_what_is_missing

        return Building(self.places, os.environ, able=refuse_what_is_missing)

    def at_stake(self, uid: str) -> AtStake:
        """What ends with a run that is cancelled now."""
        from core.services.building import Building

        return Building(self.places, os.environ).at_stake(uid)

    def cancel(self, uid: str, told: Collection[str]) -> Run:
        """Ask for the end of a run; what it started is cleaned up. `told` are the ids of the pauses that were named to
        who asks: one that was answered meanwhile, or another one, is not hit."""
        from core.services.building import Building

        return Building(self.places, os.environ).cancel(uid, told)

    def wake(self) -> None:
        """See to it that a worker lives: one that was killed left its runs to the next."""
        from core.engine.client import Engine

        Engine(self.places).wake()

    def give_secrets(self, uid: str) -> None:
        """Give a run that waits for credentials those of the shell that the workbench was started in."""
        from core.services.building import Building

        Building(self.places, os.environ).give_secrets(uid)

    def going(self, role: str, version: str) -> Sequence[str]:
        """What `delete` would take away now, one thing a line. Raises RefusedError with everything that forbids it."""
        from core.services import deleting

        return deleting.going(self.places, self.directory, role, version).lines

    def delete(self, role: str, version: str, *, typed: str) -> str:
        """Delete the files and AMIs of an image version; `typed` is the name that the person typed. Says what is free
        again."""
        from core.adapters.git import GitRepository
        from core.services import deleting

        repository = GitRepository.find(self.directory)
        if repository is None:
            raise WorkspaceError(
                f"{self.directory} is in no Git repository any more.", "Look at what happened to .git."
            )
        freed = deleting.delete(self.places, self.directory, role, version, typed=typed, who=repository.identity())
        return str(freed)
