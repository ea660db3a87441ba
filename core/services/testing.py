"""Testing an image version that there is, once more, and what its tests have said so far. It all blocks."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from core.adapters.test_machine import FORMATS
from core.engine.client import Engine
from core.errors import LedgerError, RefusedError
from core.model.image import ImageVersion
from core.model.pipeline import Purpose
from core.model.run import Run
from core.model.states import Act, StateChange
from core.model.test_report import Report
from core.places import Places
from core.services import catalogue, known_roles
from core.services.building import Building
from core.store.ledger import Ledger


class Result(msgspec.Struct, frozen=True):
    """One boot test of an image version, as it is on the ledger."""

    decided: StateChange
    """Who, when, and the verdict."""
    report: Report | None
    """Case by case; None where it cannot be read."""
    problem: str = ""
    """Why it cannot be read."""


class Testing:
    """Tests of images, for the person whose shell `environ` is."""

    __test__ = False  # for pytest: no tests are in it

    def __init__(self, places: Places, environ: Mapping[str, str], *, engine: Engine | None = None) -> None:
        self._building = Building(places, environ, engine=engine)

    def test(self, root: Path, role: str, version: str = "", *, at: str = "", trust: bool = False) -> Run:
        """Queue a boot test of an image version, the newest of the role without `version`: with the suites of the
        commit that it was built from, or of that which `at` names.

        Raises RefusedError where there is no such image, or no disk of it is on this machine and it has no AMI; else as
        `Building.build`.
        """
        image = self.image(root, role, version)
        builds = tuple(
            dict.fromkeys(
                artifact.build
                for artifact in image.artifacts
                if artifact.format == "ami" or (artifact.format in FORMATS and Path(artifact.location).is_file())
            )
        )
        if not builds:
            hosts = sorted({artifact.host for artifact in image.artifacts if artifact.host})
            where = f" Its files are on {' and '.join(hosts)}: test it there." if hosts else ""
            raise RefusedError(
                f"No disk of {image.role} {image.version} is on this machine, and it has no AMI.",
                f"ingot images {image.role} shows what it has.{where}",
            )
        return self._building.about(root, image, Purpose.TEST, at=at, builds=builds, trust=trust)

    def image(self, root: Path, role: str, version: str = "") -> ImageVersion:
        """An image version, the newest of the role without `version`. Raises RefusedError where there is none."""
        return _chosen(root, _ledger(root).images(), role, version)

    def results(self, root: Path, role: str, version: str = "") -> tuple[ImageVersion, list[Result]]:
        """An image version, and all that its tests have said, the newest first. Raises RefusedError."""
        ledger = _ledger(root)
        contents = ledger.read()
        image = _chosen(root, contents.images, role, version)
        changes = contents.decided.changes.get((image.role, image.version), ())
        return image, [_result(ledger, image, change) for change in reversed(changes) if change.act is Act.TESTED]


def _ledger(root: Path) -> Ledger:
    workspace = catalogue.identify(root)
    return Ledger(Path(workspace.root), workspace.remote)


def _chosen(root: Path, images: Sequence[ImageVersion], role: str, version: str) -> ImageVersion:
    of_role = sorted((one for one in images if one.role == role), key=lambda one: one.created)
    if not of_role:
        known_roles.check(root, role, {one.role for one in images})
        raise RefusedError(f"There is no image of the role {role}.", f"ingot build {role} makes the first.")
    if not version:
        return of_role[-1]
    found = next((one for one in of_role if one.version == version), None)
    if found is None:
        raise RefusedError(f"There is no image {role} {version} on the ledger.", f"See: ingot images {role}")
    return found


def _result(ledger: Ledger, image: ImageVersion, change: StateChange) -> Result:
    if not change.evidence:
        return Result(change, None, "It was decided without a report.")
    try:
        return Result(change, msgspec.json.decode(ledger.evidence(image, change.evidence), type=Report))
    except LedgerError as error:
        return Result(change, None, error.what)
    except (msgspec.MsgspecError, ValueError) as error:  # another Ingot's, or somebody's own
        return Result(change, None, f"The report {change.evidence} cannot be read: {error}.")
