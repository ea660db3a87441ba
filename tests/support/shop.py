"""A workspace as the index knows it, for tests of screens, and the app on it with no engine behind."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from core.errors import IngotError
from core.model.at_stake import AtStake
from core.model.dossier import Dossier
from core.model.image import Artifact, ImageState, ImageVersion, UpstreamRecord
from core.model.pause import WATCHED, Wish
from core.model.pipeline import Purpose
from core.model.role import Build, Problem, Role, Syntax
from core.model.run import Run, RunRequest, RunState, StageState
from core.model.states import Act, Verdict
from core.model.touch import Touch, TouchKind
from core.model.workspace import Catalogue, GitFacts, Workspace
from core.places import Places
from core.services.debugging import Debugging
from core.services.overview import Overviews, WorkerView
from core.store.index import Index
from tests.support.decided import Ruling, contents, difference, packages, sealing, tested
from tests.support.stages import plain_stages
from tui.app import Ingot
from tui.ports import Debugs

NOW = 1_795_000_000.0
COMMIT = "3f9c2a1d5b0e4c7f8a9b6c3d2e1f0a9b8c7d6e5f"


class Still(Overviews):
    """The index as it is; no discovery in a process of its own, and a worker that says what the test wants."""

    said: WorkerView | None = None
    trouble: IngotError | None = None
    discovered: int = 0

    async def discover(self) -> None:
        self.discovered += 1
        if self.trouble is not None:
            raise self.trouble

    def worker(self) -> WorkerView | None:
        return self.said

    def repository_moved(self) -> bool:
        return False


@dataclass
class Asked:
    """Stands where the engine is: notes what it was asked for."""

    index: Index
    requests: dict[str, RunRequest] = field(default_factory=dict[str, RunRequest])
    heard: list[str] = field(default_factory=list[str])
    refuse: IngotError | None = None
    needed: dict[tuple[str, str], IngotError] = field(default_factory=dict[tuple[str, str], IngotError])
    """Why image versions cannot be deleted."""
    woken: int = 0

    def _say(self, words: str) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.heard.append(words)

    def build(self, roles: Sequence[str], *, trust: bool = False, pausing: Wish = WATCHED) -> list[Run]:
        how = "" if pausing == WATCHED else f" pausing {' '.join([str(pausing.mode), *pausing.stops])}"
        self._say(f"build {' '.join(roles)}{' trust' if trust else ''}{how}")
        return [self.index.add_run(self.requests[role], plain_stages(self.requests[role].builds)) for role in roles]

    def wake(self) -> None:
        self.woken += 1

    def build_stale(self, *, trust: bool = False) -> list[Run]:
        self._say("build stale")
        return [self.index.add_run(self.requests["frontend"], plain_stages(("qemu.frontend",)))]

    def build_outdated(self, *, trust: bool = False) -> list[Run]:
        self._say("build outdated")
        return [self.index.add_run(self.requests["frontend"], plain_stages(("qemu.frontend",)))]

    def at_stake(self, uid: str) -> AtStake:
        run = self.index.run(uid)
        assert run is not None
        return AtStake.of(run, self.index.pauses(uid), self.index.machines(uid))

    def cancel(self, uid: str, told: Collection[str]) -> Run:
        self._say("cancel")
        self.index.ask_cancel(uid, "you", told)
        run = self.index.run(uid)
        assert run is not None
        return run

    def give_secrets(self, uid: str) -> None:
        self._say("give secrets")

    def going(self, role: str, version: str) -> Sequence[str]:
        if (role, version) in self.needed:
            raise self.needed[role, version]
        return (f"/home/ops/.local/state/ingot/images/shop/{role}/{version}: 612 MB ({role}.qcow2)",)

    def delete(self, role: str, version: str, *, typed: str) -> str:
        self._say(f"delete {role} {version} ({typed})")
        return "612 MB free again"


@dataclass
class Shop:
    """The filled index and what belongs to it."""

    places: Places
    root: Path
    index: Index
    workspace: Workspace
    clock: list[float]
    asked: Asked
    ruling: Ruling | None = None
    """What was decided, where a test wants to know of it."""
    opened: list[Overviews] = field(default_factory=list[Overviews])

    def close(self) -> None:
        """The program closes these when it ends; a test run keeps nothing open either."""
        for overviews in self.opened:
            overviews.close()
        self.index.close()

    def app(
        self,
        *,
        readonly: bool = False,
        ascii_only: bool = False,
        worker: WorkerView | None = None,
        run_uid: str = "",
        debugging: Debugs | None = None,
        leave_key: str = "ctrl+]",
    ) -> Ingot:
        overviews = Still(self.places, self.root)
        self.opened.append(overviews)
        overviews.said = worker
        return Ingot(
            overviews,
            self.asked,
            lambda: debugging or Debugging(self.places, {}),
            self.ruling,
            readonly=readonly,
            ascii_only=ascii_only,
            run_uid=run_uid,
            leave_key=leave_key,
            clock=lambda: self.clock[0],
        )

    def role(self, name: str, problems: tuple[Problem, ...] = ()) -> Role:
        return Role(
            name,
            f"packer/{name}",
            Syntax.HCL2,
            builds=(Build(f"qemu.{name}", "qemu"),),
            inputs=(f"packer/{name}", f"ansible/{name}.yml"),
            problems=problems,
        )

    def save(self, roles: Sequence[Role], problems: tuple[Problem, ...] = ()) -> None:
        git = GitFacts(COMMIT, "main", True, "release-0.1.0", 4)
        self.index.save_catalogue(Catalogue(self.workspace, git, tuple(roles), problems, NOW - 30))

    def image(
        self, role: str, version: str, age: float, state: ImageState, parent: str = "", **more: object
    ) -> ImageVersion:
        upstream = (
            UpstreamRecord("role", f"{role} on base {parent}", "sha256:" + "5e" * 32, "ledger", "base", parent)
            if parent
            else UpstreamRecord(
                "archive", "Debian bookworm, signed archive of 2026-11-14", "sha256:" + "0b" * 32, "signature"
            )
        )
        path = f"/home/ops/.local/state/ingot/images/shop/{role}/{version}/{role}.qcow2"
        artifact = Artifact(
            f"qemu.{role}", "qcow2", path, "sha256:" + "a1" * 32, 612_000_000, 4_000_000_000, "build1", True
        )
        image = ImageVersion(
            role,
            version,
            COMMIT,
            NOW - age,
            f"{role}-{version}",
            "Ada Ops <ada@example.org>",
            upstream,
            (artifact,),
            f"packer/{role}",
            (f"packer/{role}", f"ansible/{role}.yml"),
            {"packer": "1.11.2", "ansible-core": "2.19.1"},
            (),
            state,
        )
        return replace(image, **more)  # pyright: ignore[reportArgumentType] - fields of ImageVersion

    def run(self, role: str, state: RunState, upto: int, took: float, *, progress: str = "", error: str = "") -> Run:
        """A run whose first `upto` stages succeeded; the next one is as the run is, begun when the rest is over."""
        request = self.asked.requests[role]
        run = self.index.add_run(request, plain_stages(request.builds))
        now, index = self.clock[0], self.index
        if state is RunState.QUEUED:
            return run
        self.clock[0] = now - took
        index.set_run_state(run.uid, RunState.RUNNING)
        for stage in run.stages[:upto]:
            index.update_stage(run.uid, stage.key, state=StageState.SUCCEEDED, started=now - took, ended=now - took + 1)
        if upto < len(run.stages):
            key = run.stages[upto].key
            found = {RunState.FAILED: StageState.FAILED, RunState.CANCELLED: StageState.CANCELLED}
            begun = now - took + upto * 2
            index.update_stage(
                run.uid, key, state=found.get(state, StageState.RUNNING), started=begun, progress=progress
            )
            if state.ended:
                index.update_stage(run.uid, key, ended=now, error=error)
        self.clock[0] = now
        if state is RunState.CANCELLED:
            index.set_run_state(run.uid, RunState.CANCELLING)
        if state is not RunState.RUNNING:
            index.set_run_state(run.uid, state, error)
        return run


def open_shop(directory: Path) -> Shop:
    """A Git repository below a directory that Ingot has never seen, and an index that nothing is in."""
    clock = [NOW]
    places = Places(directory / "home")
    places.create()
    root = directory / "shop"
    (root / ".git").mkdir(parents=True)
    index = Index(places.index, clock=lambda: clock[0])
    shop = Shop(places, root, index, Workspace("example.org/shop", "shop", str(root)), clock, Asked(index))
    for name in ("base", "frontend", "backend", "database", "legacy"):
        role = shop.role(name)
        shop.asked.requests[name] = RunRequest(
            shop.workspace, role, COMMIT, "HEAD", (f"qemu.{name}",), "Ada Ops <ada@example.org>", NOW
        )
    return shop


def fill(shop: Shop) -> None:
    """The middle of a working day: every state that a role, an image version and a run can show."""
    broken = Problem("packer/legacy/web.pkr.hcl", "the block `source` is not closed", 14, "Close it with a `}`.")
    shop.save(
        [*(shop.role(name) for name in ("base", "frontend", "backend", "database")), shop.role("legacy", (broken,))]
    )
    shop.index.trust(shop.workspace, "you")
    minute, hour, day = 60, 3600, 86_400
    shop.index.replace_images(
        shop.workspace.id,
        [
            shop.image("base", "0.1.0", 3 * day + hour, ImageState.RELEASED),
            shop.image("base", "0.0.9", 20 * day, ImageState.REVOKED),
            shop.image("frontend", "0.1.0-4-g3f9c2a1", 12 * minute, ImageState.CANDIDATE, "0.1.0"),
            shop.image("frontend", "0.1.0", 3 * day, ImageState.RELEASED, "0.1.0"),
            shop.image("frontend", "0.0.9", 20 * day, ImageState.REVOKED, "0.0.9"),
            shop.image("backend", "0.1.0", 3 * day, ImageState.GOOD, "0.1.0"),
        ],
        "head-1",
    )
    shop.index.save_stale(shop.workspace.id, {"frontend": "ansible/frontend.yml changed in 3f9c2a1"})
    shop.clock[0] = NOW - 2 * day
    shop.run("base", RunState.SUCCEEDED, 5, 402)
    shop.run("backend", RunState.CANCELLED, 3, 31)
    shop.clock[0] = NOW - hour
    shop.run(
        "database",
        RunState.FAILED,
        3,
        63,
        error="pg_createcluster: could not create directory: No space left on device",
    )
    shop.clock[0] = NOW
    shop.run("backend", RunState.RUNNING, 3, 200, progress="TASK [app : install packages]")
    shop.run("base", RunState.QUEUED, 0, 0)


def rule(shop: Shop) -> Ruling:
    """A ledger for the shop of `fill`: channels that are somewhere, and images whose every report is there."""
    day = 86_400
    made = shop.index.run(shop.run("frontend", RunState.SUCCEEDED, 5, 402).uid)
    assert made is not None
    images = [
        shop.image("base", "0.0.9", 20 * day, ImageState.CANDIDATE),
        shop.image("base", "0.1.0", 4 * day, ImageState.CANDIDATE, evidence=("seal-qemu.base",)),
        shop.image("frontend", "0.0.9", 20 * day, ImageState.CANDIDATE, "0.0.9"),
        shop.image("frontend", "0.1.0", 3 * day, ImageState.CANDIDATE, "0.1.0", run=made.uid),
        shop.image("frontend", "0.1.0-4-g3f9c2a1", 720, ImageState.CANDIDATE, "0.1.0"),
        shop.image(
            "frontend",
            "0.1.0.2",
            2 * day,
            ImageState.CANDIDATE,
            "0.1.0",
            marks=("touched by hand",),
            touches=(Touch(TouchKind.SHELL, "Grace Lee <grace@example.org>", NOW - 2 * day, "qemu.frontend"),),
        ),
        shop.image("backend", "0.1.0", 3 * day, ImageState.CANDIDATE, "0.1.0"),
    ]

    def queue(purpose: Purpose, role: str, version: str) -> Run:
        request = replace(shop.asked.requests[role], purpose=purpose, version=version)
        return shop.index.add_run(request, (str(purpose),))

    ruling = Ruling(images, lambda: shop.clock[0], queue=queue)
    ruling.good("base", "0.0.9", 19.9 * day)
    ruling.good("base", "0.1.0", 3.9 * day)
    ruling.good("frontend", "0.0.9", 19 * day)
    ruling.good("frontend", "0.1.0", 2.9 * day, "test-qemu.frontend-1")
    ruling.good("backend", "0.1.0", 2.9 * day)
    ruling.change(
        "frontend", "0.1.0-4-g3f9c2a1", Act.TESTED, ago=300, verdict=Verdict.FAILED, evidence="test-qemu.frontend-1"
    )
    ruling.move("frontend", "staging", "0.0.9", ago=18 * day, why="first try")
    ruling.move("frontend", "production", "0.0.9", ago=17 * day, why="the shop opens")
    ruling.move(
        "frontend", "staging", "0.1.0", by="Grace Lee <grace@example.org>", ago=2 * day, why="geoip, to be tried"
    )
    ruling.move("base", "production", "0.1.0", ago=3 * day, why="November's security updates")
    by_key = {(image.role, image.version): image for image in images}
    for key, failed in ((("frontend", "0.1.0"), ()), (("frontend", "0.1.0-4-g3f9c2a1"), ("port 80 answers",))):
        image = by_key[key]
        at = NOW - (2.9 * day if not failed else 300)
        ruling.dossiers[key] = Dossier(
            image,
            ruling.decided.effective(key, NOW),
            seals=(sealing("qemu.frontend", *([("machine-id", "/etc/machine-id")] if failed else [])),),
            rounds=(tested(image, at, *failed),),
            packages=packages("qemu.frontend"),
            contents=contents("qemu.frontend"),
            looked_into=True,
            run=made if image.run == made.uid else None,
        )
    old, new = by_key["frontend", "0.0.9"], by_key["frontend", "0.1.0"]
    ruling.differences[old.version, new.version] = difference(old, new)
    shop.ruling = ruling
    found = ruling.decided
    shop.index.replace_images(
        shop.workspace.id,
        [replace(image, state=found.effective((image.role, image.version), NOW).state) for image in images],
        "head-2",
    )
    return ruling
