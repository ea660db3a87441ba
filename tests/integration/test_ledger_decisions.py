"""Decisions on the ledger in real repositories: states and channels, by one, by two at once, and while apart."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import repository
from msgspec.structs import replace
from repository import git, nobodys_settings

from core.errors import LedgerError, LostRaceError, RefusedError
from core.model.channels import ChannelMove
from core.model.image import Artifact, ImageState, ImageVersion, UpstreamRecord
from core.model.states import Act, StateChange, Verdict
from core.store.ledger import Ledger
from core.store.ledger_tree import REF, LedgerTree, decision_path, encode

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

ADA = "Ada Moreau <ada@example.org>"
BO = "Bo Lind <bo@example.org>"
NOON = 1_800_000_000.0
GOOD, REVOKED = ImageState.GOOD, ImageState.REVOKED


@pytest.fixture(autouse=True)
def own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nobodys_settings(tmp_path / "home", monkeypatch)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "shop")
    return tmp_path / "shop"


@pytest.fixture
def clones(tmp_path: Path) -> tuple[Path, Path]:
    return repository.clones(tmp_path)


def image(role: str, version: str, on: str = "", run: str = "") -> ImageVersion:
    parent, _, parent_version = on.partition(" ")
    return ImageVersion(
        role=role,
        version=version,
        commit="c" * 40,
        created=1.5,
        run=run or f"run-of-{role}-{version}",
        built_by=ADA,
        upstream=UpstreamRecord("role", on, role=parent, version=parent_version),
        artifacts=(Artifact(f"qemu.{role}", "qcow2", f"/images/{role}/{version}.qcow2"),),
        template=role,
    )


class Desk:
    """One person at one clone."""

    def __init__(self, root: Path, who: str, remote: str = "", now: float = NOON) -> None:
        self.root, self.who, self.now = root, who, now
        self.ledger = Ledger(root, remote, clock=lambda: self.now)

    def change(self, act: Act, role: str, version: str, **more: object) -> StateChange:
        known = self.ledger.read().decided
        run = known.images[role, version].run
        made = StateChange(
            role, version, run, act, self.who, self.now, "for a reason", follows=known.life((role, version)).follows
        )
        return replace(made, **more)  # pyright: ignore[reportArgumentType] - fields of StateChange

    def decide(self, act: Act, role: str, version: str, **more: object) -> None:
        made = self.change(act, role, version, **more)
        self.ledger.decide([made], self.who, f"{act} {role} {version}", made.why)

    def good(self, made: ImageVersion) -> None:
        self.ledger.register(made, self.who, "")
        passed = self.change(Act.TESTED, made.role, made.version, verdict=Verdict.PASSED)
        good = replace(passed, act=Act.GOOD, verdict=Verdict.UNTESTED)
        self.ledger.decide([passed, good], self.who, f"good {made.role} {made.version}")

    def moved(self, role: str, version: str, channel: str = "production", before: str | None = None) -> ChannelMove:
        known = self.ledger.read().decided
        run = known.images[role, version].run
        before = known.trail(role, channel).version if before is None else before
        return ChannelMove(role, channel, version, run, before, self.who, self.now, "a move", (GOOD,))

    def move(self, role: str, version: str, channel: str = "production", before: str | None = None) -> None:
        move = self.moved(role, version, channel, before)
        self.ledger.decide([move], self.who, f"promote {role} {version} to {channel}")

    def states(self) -> dict[str, ImageState]:
        return {f"{one.role} {one.version}": one.state for one in self.ledger.images()}

    def at(self, role: str, channel: str = "production") -> str:
        return self.ledger.read().decided.trail(role, channel).version

    def offline(self) -> None:
        git(self.root, "remote", "set-url", "origin", "/nowhere/hub.git")

    def online(self) -> None:
        git(self.root, "remote", "set-url", "origin", str(self.root.parent / "hub.git"))


@pytest.fixture
def ada(clones: tuple[Path, Path]) -> Desk:
    return Desk(clones[0], ADA, "origin")


@pytest.fixture
def bo(clones: tuple[Path, Path]) -> Desk:
    return Desk(clones[1], BO, "origin")


# One clone


def test_decisions_are_facts_on_the_ledger_and_nothing_else_remembers_them(shop: Path) -> None:
    desk = Desk(shop, ADA)
    desk.good(image("base", "1"))
    desk.good(image("web", "1", on="base 1"))
    desk.decide(Act.REVOKED, "base", "1", why="no TLS")
    assert desk.states() == {"base 1": REVOKED, "web 1": REVOKED}
    assert desk.ledger.image("web", "1").state is REVOKED
    fresh = Desk(shop, BO)
    assert fresh.states() == desk.states()
    assert not fresh.ledger.read().problems
    newest = fresh.ledger.history()[0]
    assert (newest.what, newest.why, newest.who) == ("revoked base 1", "no TLS", ADA)
    said = json.loads(git(shop, "show", f"{REF}:roles/base/states/1/3.json"))
    assert (said["act"], said["by"], said["why"]) == ("revoked", ADA, "no TLS")
    desk.decide(Act.RESTORED, "base", "1")
    assert desk.states() == {"base 1": GOOD, "web 1": GOOD}
    assert git(shop, "ls-tree", "--name-only", f"{REF}:roles/base/states/1").split() == [
        "1.json", "2.json", "3.json", "4.json",
    ]  # fmt: skip


def test_a_revocation_at_a_date_counts_from_that_date(shop: Path) -> None:
    desk = Desk(shop, ADA)
    desk.good(image("web", "1"))
    desk.decide(Act.REVOKED, "web", "1", since=NOON + 60)
    assert desk.states() == {"web 1": GOOD}
    desk.now = NOON + 61
    assert desk.states() == {"web 1": REVOKED}


def test_nothing_becomes_good_without_a_pass_and_nothing_is_registered_as_good(shop: Path) -> None:
    desk = Desk(shop, ADA)
    with pytest.raises(RefusedError, match="before anything was decided"):
        desk.ledger.register(replace(image("web", "1"), state=GOOD), ADA, "")
    desk.ledger.register(image("web", "1"), ADA, "")
    with pytest.raises(RefusedError, match="only what passed its tests"):
        desk.decide(Act.GOOD, "web", "1")
    desk.decide(Act.TESTED, "web", "1", verdict=Verdict.PASSED)
    desk.decide(Act.GOOD, "web", "1")
    assert desk.states() == {"web 1": GOOD}


def test_all_decisions_of_one_are_written_or_none(shop: Path) -> None:
    desk = Desk(shop, ADA)
    desk.good(image("web", "1"))
    head = desk.ledger.head()
    with pytest.raises(RefusedError, match="web 1 is revoked"):
        desk.ledger.decide([desk.change(Act.REVOKED, "web", "1"), desk.moved("web", "1")], ADA, "both")
    assert desk.ledger.head() == head


def test_writing_the_same_decision_again_changes_nothing(shop: Path) -> None:
    desk = Desk(shop, ADA)
    desk.good(image("web", "1"))
    revoked = desk.change(Act.REVOKED, "web", "1")
    desk.ledger.decide([revoked], ADA, "revoke")
    head = desk.ledger.head()
    desk.ledger.decide([revoked], ADA, "revoke")
    assert desk.ledger.head() == head


def behind(root: Path, path: str, content: bytes) -> None:
    """Put a file onto the ledger behind its back."""
    tree = LedgerTree(Ledger(root)._tree.repository)  # pyright: ignore[reportPrivateUsage] - the other writer
    index = {**os.environ, "GIT_INDEX_FILE": str(root / "other-index")}
    subprocess.run(("git", "read-tree", REF), cwd=root, env=index, check=True)
    line = f"100644 {tree.write(content)}\t{path}\0".encode()
    subprocess.run(("git", "update-index", "-z", "--index-info"), cwd=root, env=index, input=line, check=True)
    written = subprocess.run(("git", "write-tree"), cwd=root, env=index, capture_output=True, check=True, text=True)
    commit = git(
        root, "-c", "user.name=x", "-c", "user.email=x", "commit-tree", written.stdout.strip(), "-p", REF, "-m", "x"
    )
    git(root, "update-ref", REF, commit)


def test_a_forged_good_does_not_count_and_is_named(shop: Path) -> None:
    desk = Desk(shop, ADA)
    desk.ledger.register(image("web", "1"), ADA, "")
    forged = desk.change(Act.GOOD, "web", "1", by=BO)
    behind(shop, decision_path(forged, 1), encode(forged))
    (problem,) = desk.ledger.read().problems
    assert "against the rules: it does not count" in problem.what
    assert desk.states() == {"web 1": ImageState.CANDIDATE}


@pytest.mark.parametrize("content", [b"{}", b"null", b'{"act": "quarantined"}', b"\xff"])
def test_what_cannot_be_read_may_be_a_revocation_so_no_channel_takes_it(shop: Path, content: bytes) -> None:
    desk = Desk(shop, ADA)
    desk.good(image("web", "1"))
    behind(shop, "roles/web/states/1/3.json", content)
    assert len(desk.ledger.read().problems) == 1
    with pytest.raises(RefusedError, match="cannot be read: it may be revoked"):
        desk.move("web", "1")
    desk.decide(Act.REVOKED, "web", "1")
    assert desk.states() == {"web 1": REVOKED}
    assert git(shop, "ls-tree", "--name-only", f"{REF}:roles/web/states/1").split()[-1] == "4.json"


# Two clones that share a remote


def test_what_one_revokes_the_other_sees_after_a_fetch(ada: Desk, bo: Desk) -> None:
    ada.good(image("base", "1"))
    ada.good(image("web", "1", on="base 1"))
    bo.ledger.fetch()
    assert bo.states() == {"base 1": GOOD, "web 1": GOOD}
    ada.decide(Act.REVOKED, "base", "1")
    assert ada.ledger.last_shared.state == "sent"
    bo.ledger.fetch()
    assert bo.states() == {"base 1": REVOKED, "web 1": REVOKED}


def test_of_two_moves_from_the_same_place_one_wins_and_the_other_is_told_who(ada: Desk, bo: Desk) -> None:
    for version in ("1", "2", "3"):
        ada.good(image("web", version))
    ada.move("web", "1")
    bo.ledger.fetch()
    before = bo.at("web")
    ada.move("web", "2")
    with pytest.raises(LostRaceError, match="production of web was moved to 2 by Ada Moreau"):
        bo.move("web", "3", before=before)
    assert (ada.at("web"), bo.at("web")) == ("2", "2")


def test_moving_to_what_was_revoked_meanwhile_is_refused_with_the_reason(ada: Desk, bo: Desk) -> None:
    ada.good(image("web", "1"))
    bo.ledger.fetch()
    move = bo.moved("web", "1")
    ada.decide(Act.REVOKED, "web", "1", why="the key leaked")
    with pytest.raises(RefusedError, match=r"web 1 is revoked by Ada Moreau .*: the key leaked"):
        bo.ledger.decide([move], BO, "promote")
    assert bo.at("web") == ""


RACE = """
import sys
from pathlib import Path
from core.errors import LostRaceError
from core.model.channels import ChannelMove
from core.model.image import ImageState
from core.store.ledger import Ledger
root, me = Path(sys.argv[1]), sys.argv[2]
ledger = Ledger(root, "origin")
run = "run-of-web-" + me
for line in sys.stdin:
    turn, before = line.split()
    move = ChannelMove("web", "c" + turn, me, run, "", me + " <x@y>", 1.0, "turn", (ImageState.GOOD,))
    try:
        ledger.decide([move], me, "race " + turn)
        print(turn, "won", flush=True)
    except LostRaceError as error:
        assert "was moved to " + ("2" if me == "1" else "1") in error.what, error
        print(turn, "lost", flush=True)
"""


def race(ada: Desk, bo: Desk, rounds: int) -> None:
    """Both move the same channel from the same place at the same moment, round after round."""
    for version in ("1", "2"):
        ada.good(image("web", version))
    bo.ledger.fetch()
    processes = [
        subprocess.Popen(
            (sys.executable, "-c", RACE, str(desk.root), me),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for desk, me in ((ada, "1"), (bo, "2"))
    ]  # fmt: skip
    won: dict[str, str] = {}
    for turn in range(rounds):
        for process in processes:
            assert process.stdin
            process.stdin.write(f"{turn} -\n")
            process.stdin.flush()
        answers = [process.stdout.readline().split() for process in processes if process.stdout]
        assert sorted(answer[1] for answer in answers if answer) == ["lost", "won"], answers
        won[f"c{turn}"] = "1" if answers[0][1] == "won" else "2"
    ends = [process.communicate(timeout=600) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ends
    for desk in (ada, bo, ada):
        desk.ledger.share()
    assert ada.ledger.head() == bo.ledger.head()
    known = ada.ledger.read()
    assert not known.problems
    assert {channel: trail.version for (_, channel), trail in known.decided.trails.items()} == won
    assert all(len(trail.moves) == 1 for trail in known.decided.trails.values())


def test_two_clones_that_race_for_a_channel_have_one_winner_each_time(ada: Desk, bo: Desk) -> None:
    race(ada, bo, 10)


@pytest.mark.long
def test_two_clones_that_race_a_hundred_times_have_one_winner_each_time(ada: Desk, bo: Desk) -> None:
    race(ada, bo, 100)


# A remote that refuses


@pytest.mark.parametrize("earlier", [False, True], ids=["all was sent", "something of before waits"])
def test_a_remote_that_refuses_takes_no_result_of_a_test_away(ada: Desk, bo: Desk, earlier: bool) -> None:
    ada.ledger.register(made := image("web", "1"), ADA, "")
    hook = ada.root.parent / "hub.git/hooks/pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    if earlier:
        with pytest.raises(LedgerError, match="refuses the ledger"):
            ada.ledger.register(image("db", "1"), ADA, "")
    passed = ada.change(Act.TESTED, "web", "1", verdict=Verdict.PASSED, evidence="test-qemu.web-1")
    good = replace(passed, act=Act.GOOD, verdict=Verdict.UNTESTED, evidence="")
    report = {"test-qemu.web-1": gzip.compress(b"all is well")}
    for _ in range(2):  # asked again, nothing is written twice
        with pytest.raises(LedgerError, match="refuses the ledger") as refused:
            ada.ledger.decide([passed, good], ADA, "test", image=made, evidence=report)
        assert "What was found out is on the ledger here" in refused.value.kept
    assert ada.states()["web 1"] is GOOD
    assert ada.ledger.evidence(made, "test-qemu.web-1") == b"all is well"
    assert [one.what for one in ada.ledger.history()].count("test") == 1
    hook.unlink()
    ada.ledger.share()
    bo.ledger.fetch()
    assert bo.states() == ada.states()


def test_what_is_merely_wanted_is_on_no_ledger_when_the_remote_refuses_and_that_is_not_promised(ada: Desk) -> None:
    ada.good(image("web", "1"))
    hook = ada.root.parent / "hub.git/hooks/pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    head = ada.ledger.head()
    with pytest.raises(LedgerError, match="refuses the ledger") as refused:
        ada.move("web", "1")
    assert (ada.at("web"), ada.ledger.head()) == ("", head)
    assert "was written" not in refused.value.kept


# What was decided while apart


def test_a_revocation_made_offline_is_never_lost(ada: Desk, bo: Desk) -> None:
    ada.good(image("web", "1"))
    bo.ledger.fetch()
    bo.offline()
    bo.decide(Act.REVOKED, "web", "1", why="found by Bo")
    assert bo.ledger.last_shared.state == "offline"
    ada.decide(Act.DEPRECATED, "web", "1", replacement="2")
    ada.decide(Act.TESTED, "web", "1", verdict=Verdict.FAILED)
    bo.online()
    bo.ledger.share()
    ada.ledger.fetch()
    assert ada.ledger.head() == bo.ledger.head()
    assert ada.states() == {"web 1": REVOKED}
    assert not ada.ledger.read().problems
    ada.decide(Act.RESTORED, "web", "1")
    assert ada.states() == {"web 1": ImageState.DEPRECATED}


def test_restoring_offline_undoes_no_revocation_that_was_not_seen(ada: Desk, bo: Desk) -> None:
    ada.good(image("web", "1"))
    ada.decide(Act.REVOKED, "web", "1", since=NOON + 1000)
    bo.ledger.fetch()
    bo.offline()
    bo.decide(Act.RESTORED, "web", "1")
    ada.decide(Act.REVOKED, "web", "1", why="at once, it is worse")
    bo.online()
    with pytest.raises(LostRaceError, match=r"revoked by Ada.*it is worse, so web 1 was not restored as decided here"):
        bo.ledger.share()
    assert bo.states() == ada.states() == {"web 1": REVOKED}
    assert ada.ledger.share().state in ("same", "received")


def test_a_move_made_offline_to_what_others_revoked_is_lost_and_said(ada: Desk, bo: Desk) -> None:
    ada.good(image("web", "1"))
    ada.good(image("web", "2"))
    ada.move("web", "1")
    bo.ledger.fetch()
    bo.offline()
    bo.move("web", "2")
    bo.move("web", "1", "staging")
    ada.decide(Act.REVOKED, "web", "2", why="it leaks")
    bo.online()
    with pytest.raises(LostRaceError, match="it leaks, so production of web was not moved to 2 as decided here"):
        bo.ledger.share()
    ada.ledger.fetch()
    assert (ada.at("web"), ada.at("web", "staging")) == ("1", "1")
    assert ada.ledger.head() == bo.ledger.head()
    assert not ada.ledger.read().problems


def test_a_channel_that_both_moved_while_apart_is_where_the_first_on_the_remote_put_it(ada: Desk, bo: Desk) -> None:
    for version in ("1", "2", "3"):
        ada.good(image("web", version))
    bo.ledger.fetch()
    bo.offline()
    bo.move("web", "2")
    bo.move("web", "3")
    ada.move("web", "1")
    bo.online()
    with pytest.raises(LostRaceError, match="production of web was moved to 1 by Ada"):
        bo.ledger.share()
    assert bo.at("web") == "1"
    assert not bo.ledger.read().problems


def test_what_was_decided_about_an_image_that_lost_its_name_does_not_count_for_the_winner(ada: Desk, bo: Desk) -> None:
    ada.good(image("db", "1"))
    bo.ledger.fetch()
    bo.offline()
    bo.good(image("web", "1", run="bos"))
    bo.move("web", "1")
    ada.ledger.register(image("web", "1", run="adas"), ADA, "")
    bo.online()
    with pytest.raises(LostRaceError, match="web 1 was registered by Ada"):
        bo.ledger.share()
    ada.ledger.fetch()
    assert ada.states() == {"db 1": GOOD, "web 1": ImageState.CANDIDATE}
    assert ada.at("web") == ""
    assert [lost.run for lost in ada.ledger.read().lost] == ["bos"]
    assert not ada.ledger.read().problems
