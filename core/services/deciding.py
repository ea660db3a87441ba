"""What the workbench asks about image versions beyond the index, and decides about them, behind one door.

Each service is loaded when it is first used, not with the screen. All methods block, for as long as Git and a remote
take: call them in a thread. They raise IngotError, with what to do next.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.model.image import ImageVersion
from core.model.run import Run
from core.model.standing import Standing
from core.places import Places

if TYPE_CHECKING:
    from core.model.difference import Difference
    from core.model.dossier import Dossier
    from core.model.promotion import Check
    from core.services.promoting import Consequences, Outcome


@dataclass(frozen=True, slots=True)
class Deciding:
    """Of one workspace."""

    places: Places
    directory: Path

    def standing(self) -> Standing:
        """What was decided about all images, as the ledger here has it."""
        from core.services.dossiers import Dossiers

        return Dossiers(self.places, self.directory).standing()

    def dossier(self, role: str, version: str) -> "Dossier":
        """Everything about one image version."""
        from core.services.dossiers import Dossiers

        return Dossiers(self.places, self.directory).dossier(role, version)

    def difference(self, old: ImageVersion, new: ImageVersion) -> "Difference":
        """What differs between two image versions."""
        from core.services.contents import Contents

        return Contents(self.places, self.directory).between(old, new)

    def checks(self, role: str, version: str, channel: str) -> "tuple[Check, ...]":
        """Whether a channel may be moved to an image version: what is looked at, and what it comes to."""
        from core.services.dossiers import Dossiers

        return Dossiers(self.places, self.directory).checks(role, version, channel)[1]

    def test(self, role: str, version: str, *, trust: bool) -> Run:
        """Queue a boot test of an image version, with the suites of the commit that it was built from."""
        from core.services.testing import Testing

        return Testing(self.places, os.environ).test(self._root(), role, version, trust=trust)

    def convert(self, role: str, version: str, formats: Sequence[str]) -> Run:
        """Queue the making of other formats of an image version."""
        from core.services.converting import Converting

        return Converting(self.places).convert(self._root(), role, version, formats)

    def _root(self) -> Path:
        from core.services.overview import root_of

        return root_of(self.directory) or self.directory

    def promote(self, role: str, version: str, channel: str, why: str, *, expected: str) -> "Outcome":
        """Move a channel; `expected` is where whoever asks saw it, and LostRaceError names who was first."""
        from core.services.promoting import Promoting

        return Promoting(self.places, self.directory).promote(role, version, channel, why, expected=expected)

    def back(self, role: str, channel: str, why: str, *, expected: str, to: str) -> "Outcome":
        """Move a channel to what it had before; `expected` as in `promote`, and `to` is what whoever asks saw that to
        be."""
        from core.services.promoting import Promoting

        return Promoting(self.places, self.directory).back(role, channel, why, expected=expected, to=to)

    def consequences(self, role: str, version: str) -> "Consequences":
        """What revoking an image version at once would bring with it; looks at the remote first."""
        from core.services.promoting import Promoting

        return Promoting(self.places, self.directory).consequences(role, version, "(to be said)")

    def revoke(self, role: str, version: str, why: str, *, typed: str) -> "Outcome":
        """Revoke an image version at once; `typed` is the name that the person typed."""
        from core.services.promoting import Promoting

        return Promoting(self.places, self.directory).revoke(role, version, why, typed=typed)

    def deprecate(self, role: str, version: str, why: str, *, replacement: str = "") -> "Outcome":
        """Say that an image version is to be used no more."""
        from core.services.promoting import Promoting

        return Promoting(self.places, self.directory).deprecate(role, version, why, replacement=replacement)

    def restore(self, role: str, version: str, why: str) -> "Outcome":
        """Take back the last revocation or deprecation."""
        from core.services.promoting import Promoting

        return Promoting(self.places, self.directory).restore(role, version, why)
