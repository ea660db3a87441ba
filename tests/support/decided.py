"""What was decided about the images of the shop, and the reports about them: made up, in the place of a ledger."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from core.errors import IngotError, LostRaceError, RefusedError
from core.model.channels import ChannelMove, ChannelRule, OnRevoked, Trail
from core.model.decided import Decided, decided
from core.model.difference import (
    Change,
    Changed,
    Commit,
    Contents,
    Difference,
    Grown,
    PackageChange,
    Source,
)
from core.model.dossier import Dossier, Item, Relative, TestRound
from core.model.image import ImageState, ImageVersion
from core.model.inventory import PackageKind
from core.model.pipeline import Purpose
from core.model.run import Run
from core.model.seal_items import ITEMS
from core.model.sealing import Finding, ItemState, SealReport
from core.model.standing import Standing, standing_of
from core.model.states import Act, StateChange, Verdict
from core.model.stepping_back import steps_back
from core.model.test_report import Case, Facts, Outcome, Report
from core.services.promoting import ChannelEnd, Consequences
from core.services.promoting import Outcome as Said

ADA = "Ada Ops <ada@example.org>"
GRACE = "Grace Lee <grace@example.org>"
RULES = (
    ChannelRule("staging", (ImageState.CANDIDATE, ImageState.GOOD, ImageState.RELEASED)),
    ChannelRule("production", on_revoked=OnRevoked.BACK),
)


@dataclass
class Ruling:
    """Decides as the ledger does, in memory."""

    images: Sequence[ImageVersion]
    clock: Callable[[], float]
    changes: dict[tuple[str, str], tuple[StateChange, ...]] = field(
        default_factory=dict[tuple[str, str], tuple[StateChange, ...]]
    )
    moves: dict[tuple[str, str], tuple[ChannelMove, ...]] = field(
        default_factory=dict[tuple[str, str], tuple[ChannelMove, ...]]
    )
    dossiers: dict[tuple[str, str], Dossier] = field(default_factory=dict[tuple[str, str], Dossier])
    """What is known beyond the decisions."""
    differences: dict[tuple[str, str], Difference] = field(default_factory=dict[tuple[str, str], Difference])
    heard: list[str] = field(default_factory=list[str])
    refuse: IngotError | None = None
    queue: Callable[[Purpose, str, str], Run] = field(kw_only=True)
    """Puts a run about an image version into the index."""

    @property
    def decided(self) -> Decided:
        return decided(self.images, self.changes, self.moves)

    def standing(self) -> Standing:
        return standing_of(self.decided, RULES, self.clock())

    def image(self, role: str, version: str) -> ImageVersion:
        found = next((one for one in self.images if (one.role, one.version) == (role, version)), None)
        if found is None:
            raise RefusedError(f"There is no image {role} {version} on the ledger.")
        return found

    # what a test says was decided

    def change(self, role: str, version: str, act: Act, *, by: str = ADA, ago: float = 0, **more: object) -> None:
        image, key = self.image(role, version), (role, version)
        follows = self.decided.life(key).follows
        made = StateChange(role, version, image.run, act, by, self.clock() - ago, follows=follows)
        made = replace(made, **more)  # pyright: ignore[reportArgumentType] - fields of StateChange
        self.changes[key] = (*self.changes.get(key, ()), made)

    def good(self, role: str, version: str, ago: float, report: str = "") -> None:
        self.change(role, version, Act.TESTED, ago=ago, verdict=Verdict.PASSED, evidence=report)
        self.change(role, version, Act.GOOD, ago=ago, why="its tests passed")

    def move(self, role: str, channel: str, version: str, *, by: str = ADA, ago: float = 0, why: str = "") -> None:
        trail = self.decided.trail(role, channel)
        rule = next(rule for rule in RULES if rule.name == channel)
        image = self.image(role, version)
        made = ChannelMove(role, channel, version, image.run, trail.version, by, self.clock() - ago, why, rule.takes)
        self.moves[role, channel] = (*trail.moves, made)

    # what the screens ask

    def dossier(self, role: str, version: str) -> Dossier:
        if self.refuse is not None:
            raise self.refuse
        found, key, now = self.decided, (role, version), self.clock()
        image = self.image(role, version)
        known = self.dossiers.get(key) or Dossier(image, found.effective(key, now))
        above = list(found.ancestors(key))
        standing = self.standing()
        return replace(
            known,
            image=image,
            effective=found.effective(key, now),
            changes=found.changes.get(key, ()),
            moves=tuple(
                move
                for (of, _), trail in found.trails.items()
                for move in trail.moves
                if of == role and version in (move.version, move.before)
            ),
            channels=standing.channels(image),
            ancestors=tuple(
                Relative(found.images[one], found.effective(one, now), at) for at, one in enumerate(above, 1)
            ),
            revoked=tuple(f"{a} {b}" for a, b in above if found.life((a, b)).state(now) is ImageState.REVOKED),
            children=tuple(Relative(found.images[one], found.effective(one, now)) for one in found.descendants(key)),
            outdated=standing.outdated(image),
            here=tuple(artifact.location for artifact in image.artifacts if artifact.location not in known.missing),
        )

    def difference(self, old: ImageVersion, new: ImageVersion) -> Difference:
        if self.refuse is not None:
            raise self.refuse
        return self.differences.get((old.version, new.version)) or Difference(
            old, new, notes=("Nobody looked what is in them: ingot build looks from now on.",)
        )

    def test(self, role: str, version: str, *, trust: bool) -> Run:
        self._heard(f"test {role} {version}{' trust' if trust else ''}")
        return self.queue(Purpose.TEST, role, version)

    def convert(self, role: str, version: str, formats: Sequence[str]) -> Run:
        self._heard(f"convert {role} {version} to {' '.join(formats)}")
        return self.queue(Purpose.CONVERT, role, version)

    def promote(self, role: str, version: str, channel: str, why: str, *, expected: str) -> Said:
        self._heard(f"promote {role} {version} {channel} from {expected or 'nowhere'}: {why}")
        before = self._seen(role, channel, expected)
        self.move(role, channel, version, why=why)
        return Said(f"{channel} of {role} is at {version} now (was {before.version}).")

    def back(self, role: str, channel: str, why: str, *, expected: str, to: str) -> Said:
        self._heard(f"back {role} {channel} from {expected} to {to}: {why}")
        trail = self._seen(role, channel, expected)
        rule = next(rule for rule in RULES if rule.name == channel)
        steps = steps_back(self.decided, role, rule, self.clock(), by=ADA, why=why)
        made = next(move for move, forbidden in steps if not forbidden)
        if made.version != to:
            raise LostRaceError(f"{channel} of {role} would not go back to {to} any more, but to {made.version}.")
        self.moves[role, channel] = (*trail.moves, made)
        return Said(f"{channel} of {role} is back at {made.version} (was {trail.version}).")

    def consequences(self, role: str, version: str) -> Consequences:
        self._heard(f"consequences {role} {version}")
        found = self.decided
        at = found.channels_at((role, version))
        return Consequences(
            tuple(found.descendants((role, version))), tuple(ChannelEnd(role, name, version, "") for name in at)
        )

    def revoke(self, role: str, version: str, why: str, *, typed: str) -> Said:
        self._heard(f"revoke {role} {version} ({typed}): {why}")
        self.change(role, version, Act.REVOKED, why=why)
        return Said(f"{role} {version} is revoked.")

    def deprecate(self, role: str, version: str, why: str, *, replacement: str = "") -> Said:
        self._heard(f"deprecate {role} {version} for {replacement or 'nothing'}: {why}")
        self.change(role, version, Act.DEPRECATED, why=why, replacement=replacement)
        return Said(f"{role} {version} is deprecated.")

    def restore(self, role: str, version: str, why: str) -> Said:
        self._heard(f"restore {role} {version}: {why}")
        self.change(role, version, Act.RESTORED, why=why)
        return Said(f"{role} {version} is back.")

    def _seen(self, role: str, channel: str, expected: str) -> Trail:
        trail: Trail = self.decided.trail(role, channel)
        if trail.version != expected and (newest := trail.newest):
            raise LostRaceError(
                f"{channel} of {role} is at {newest.version} meanwhile, moved by {newest.by}: {newest.why}.",
                f"Look again: ingot channels {role} {channel}",
            )
        return trail

    def _heard(self, words: str) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.heard.append(words)


def sealing(build: str, *found: tuple[str, str]) -> SealReport:
    """A report of a sealed disk in which some items were found at a path."""
    left = dict(found)
    states = {"caches": ItemState.KEPT, "cloud-agents": ItemState.NOT_APPLICABLE}
    items = [
        Finding(
            item.id,
            item.title,
            ItemState.FOUND if item.id in left else states.get(item.id, ItemState.CLEAN),
            (left[item.id],) if item.id in left else (),
            1 if item.id in left else 0,
        )
        for item in ITEMS
    ]
    return SealReport(build, True, tuple(items), "frontend 0.1.0", True, "ssh-keygen@.service")


def tested(image: ImageVersion, at: float, *failed: str) -> TestRound:
    """A test of an image version, in which some cases failed."""
    names = (
        ("boot", "answers within its limit"),
        ("boot", "SSH lets the test in"),
        ("boot", "host keys are fresh"),
        ("boot", "machine id is fresh"),
        ("boot", "no failed units"),
        ("boot", "time is synchronised"),
        ("boot", "the stamp says this version"),
        ("tests/frontend", "nginx is enabled"),
        ("tests/frontend", "port 80 answers"),
        ("tests/frontend", "no default page"),
    )
    cases = tuple(
        Case(
            suite,
            name,
            Outcome.FAILED if name in failed else Outcome.SKIPPED if name == "time is synchronised" else Outcome.PASSED,
            0.4 + 0.3 * number,
            "curl: (7) Failed to connect to 127.0.0.1 port 80" if name in failed else "",
            "$ curl -sS http://127.0.0.1/\ncurl: (7) Failed to connect to 127.0.0.1 port 80\nexit status 7"
            if name in failed
            else "",
        )
        for number, (suite, name) in enumerate(names)
    )
    verdict = Verdict.FAILED if failed else Verdict.PASSED
    report = Report(
        image.role,
        image.version,
        f"qemu.{image.role}",
        image.artifacts[0].digest,
        image.run,
        image.commit,
        at - 94,
        at,
        "kvm",
        21.4,
        cases,
        Facts("Linux 6.1.0-28-cloud-amd64", ("tcp 0.0.0.0:22 sshd", "tcp 0.0.0.0:80 nginx"), ("nginx.service",)),
    )
    return TestRound(f"test-qemu.{image.role}-1", at, ADA, verdict, report=report)


def packages(build: str) -> tuple[Item, ...]:
    """Some of those that a small server has."""
    found = {
        "adduser": "3.134",
        "apt": "2.6.1",
        "base-files": "12.4+deb12u8",
        "bash": "5.2.15-2+b7",
        "ca-certificates": "20230311",
        "curl": "7.88.1-10+deb12u8",
        "dbus": "1.14.10-1~deb12u1",
        "iproute2": "6.1.0-3",
        "libc6": "2.36-9+deb12u9",
        "libnginx-mod-http-geoip2": "1:3.4-4",
        "libssl3": "3.0.15-1~deb12u1",
        "linux-image-cloud-amd64": "6.1.115-1",
        "nginx": "1.22.1-9",
        "openssh-server": "1:9.2p1-2+deb12u3",
        "openssl": "3.0.15-1~deb12u1",
        "systemd": "252.31-1~deb12u1",
    }
    more = {f"python3-lib{number:03}": f"{number}.0-1" for number in range(224)}
    return tuple(Item(build, "deb", name, version) for name, version in sorted({**found, **more}.items()))


def contents(build: str) -> tuple[Item, ...]:
    """What else is in it."""
    return (
        Item(build, "system", "Debian GNU/Linux 12 (bookworm)", "amd64"),
        Item(build, "kernel", "6.1.0-28-cloud-amd64"),
        Item(build, "service", "nginx.service", "enabled"),
        Item(build, "service", "ssh.service", "enabled"),
        Item(build, "port", "tcp 80", "nginx"),
        Item(build, "port", "tcp 22", "sshd"),
        Item(build, "user", "root", "uid 0, cannot log in"),
        Item(build, "user", "www-data", "uid 33, cannot log in"),
    )


def difference(old: ImageVersion, new: ImageVersion) -> Difference:
    """What three weeks of work change."""

    def up(name: str, before: str, after: str, change: Change = Change.UP) -> PackageChange:
        return PackageChange(change, PackageKind.DEB, name, before, after, "amd64")

    contents = Contents(
        "qemu.frontend",
        system=(Changed(Change.UP, "kernel", "6.1.0-26-cloud-amd64", "6.1.0-28-cloud-amd64"),),
        packages=(
            up("base-files", "12.4+deb12u7", "12.4+deb12u8"),
            up("curl", "7.88.1-10+deb12u7", "7.88.1-10+deb12u8"),
            up("libssl3", "3.0.14-1~deb12u2", "3.0.15-1~deb12u1"),
            up("openssl", "3.0.14-1~deb12u2", "3.0.15-1~deb12u1"),
            up("nginx", "1.24.0-1", "1.22.1-9", Change.DOWN),
            up("libnginx-mod-http-geoip2", "", "1:3.4-4", Change.ADDED),
            up("telnet", "0.17+2.4-2", "", Change.REMOVED),
        ),
        services=(Changed(Change.ADDED, "nginx-reload.timer", "", "enabled by timers.target"),),
        ports=(Changed(Change.ADDED, "tcp 8443", "", "everywhere by nginx"),),
        files=(
            Changed(Change.CHANGED, "/etc/nginx/nginx.conf", "content 5b1f6a02", "content c90e13d7"),
            Changed(Change.CHANGED, "/usr/local/bin/reload", "mode 0755", "mode 4755"),
        ),
        disk=(Grown("/", 1_310_000_000, 1_342_000_000),),
    )
    commits = (
        Commit("3f9c2a1d5b0e", "frontend: geoip for the shop's regions", GRACE, new.created - 7_000),
        Commit("b81d33f0c2aa", "base: security updates of November", ADA, new.created - 90_000),
    )
    sources = (
        Source(Change.CHANGED, "ansible/frontend.yml", 14, 2),
        Source(Change.ADDED, "ansible/templates/geoip.conf.j2", 9, 0),
    )
    patch = """diff --git a/ansible/frontend.yml b/ansible/frontend.yml
--- a/ansible/frontend.yml
+++ b/ansible/frontend.yml
@@ -28,7 +28,9 @@
     - name: nginx
       ansible.builtin.apt:
-        name: nginx
+        name: [nginx, libnginx-mod-http-geoip2]
         state: present
"""
    return Difference(
        old,
        new,
        (contents,),
        commits,
        sources=sources,
        patch=patch,
        upstream=Changed(Change.UP, "base", old.upstream.version, new.upstream.version),
    )
