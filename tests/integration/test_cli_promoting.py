"""Promoting, revoking and the way back, as people and scripts do it: two clones that share a ledger, no screen."""

import json
import os
import pty
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from installed import BIN, Ingot
from msgspec.structs import replace
from patience import PATIENCE

from core.model.image import Artifact, ImageVersion, UpstreamRecord
from core.model.states import Act, StateChange, Verdict
from core.store.ledger import Ledger

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

ADA = "Ada Example <ada@example.org>"
SETTINGS = """
id = "shop"
[ledger]
remote = "origin"
[channels.staging]
takes = ["candidate", "good"]
[channels.production]
on-revoked = "back"
[channels.edge]
"""


class Clone:
    """One clone of the workspace, and the program in it."""

    def __init__(self, ingot: Ingot, root: Path) -> None:
        self.ingot, self.root = ingot, root

    def __call__(self, *words: str, status: int = 0) -> str:
        done = self.ingot(*words, cwd=self.root)
        assert done.returncode == status, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def json(self, *words: str) -> Any:
        done = self.ingot(*words, "--json", cwd=self.root)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def states(self) -> dict[str, str]:
        return {f"{image['role']} {image['version']}": image["state"] for image in self.json("images")}

    def channels(self, role: str = "web") -> dict[str, str | None]:
        return {view["channel"]: view["version"] for view in self.json("channels", role)}

    def register(self, role: str, version: str, on: str = "", *, good: bool = True) -> None:
        """What a build and its tests write: there is no test stage that does it."""
        parent, _, parent_version = on.partition(" ")
        made = ImageVersion(
            role=role,
            version=version,
            commit="c" * 40,
            created=time.time(),
            run=f"run-of-{role}-{version}",
            built_by=ADA,
            upstream=UpstreamRecord("role", on, role=parent, version=parent_version),
            artifacts=(Artifact(f"qemu.{role}", "qcow2", f"/images/{role}-{version}.qcow2"),),
            template=role,
        )
        ledger = Ledger(self.root, "origin")
        ledger.register(made, ADA, "")
        if good:
            passed = StateChange(role, version, made.run, Act.TESTED, ADA, time.time(), verdict=Verdict.PASSED)
            ledger.decide([passed, replace(passed, act=Act.GOOD)], ADA, f"good {role} {version}")


def answered(clone: Clone, typed: str, *words: str, first: Callable[[], object] = bool) -> tuple[int, str]:
    """What a command says to somebody at a terminal who types that, and its exit status. `first` is done when the
    command has asked."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        (str(BIN / "ingot"), *words),
        cwd=clone.root, env=clone.ingot.environment, stdin=theirs,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    asked = ""
    while not asked.endswith(" it: ") and (character := process.stdout.read(1)):
        asked += character
    first()
    os.write(ours, f"{typed}\n".encode())
    out, _ = process.communicate(timeout=PATIENCE)
    os.close(ours)
    os.close(theirs)
    return process.returncode, asked + out


class Pair:
    """Two people with a clone each; the tests of this file are one story about their images."""

    def __init__(self, make_ingot: Callable[[], Ingot]) -> None:
        one, two = make_ingot(), make_ingot()
        (two.home / "gitconfig").write_text("[user]\n\tname = Bo Lind\n\temail = bo@example.org\n")
        hub = one.home / "hub.git"
        root = one.home / "shop"
        root.mkdir()
        (root / "ingot.toml").write_text(SETTINGS)
        for words in (
            ("init", "-q", "--bare", str(hub)),
            ("init", "-q", "-b", "main"),
            ("add", "."),
            ("commit", "-q", "-m", "Work"),
            ("remote", "add", "origin", str(hub)),
            ("push", "-q", "origin", "main"),
        ):
            subprocess.run(("git", *words), cwd=root, env=one.environment, check=True)
        subprocess.run(
            ("git", "clone", "-q", "-b", "main", str(hub), str(two.home / "shop")), env=two.environment, check=True
        )
        self.ada, self.bo = Clone(one, root), Clone(two, two.home / "shop")
        self.ada.register("base", "1")
        for version in ("1", "2", "3"):
            self.ada.register("web", version, on="base 1")
        self.ada.register("web", "4", on="base 1", good=False)


@pytest.fixture
def pair(make_ingot: Callable[[], Ingot], monkeypatch: pytest.MonkeyPatch) -> Pair:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    return Pair(make_ingot)


def test_an_image_goes_to_a_channel_and_back_and_everybody_sees_who_and_why(pair: Pair) -> None:
    ada, bo = pair.ada, pair.bo
    assert "never moved" in ada("channels", "web", "production")
    said = ada("promote", "web", "4", "production", status=2)
    assert "web 4 is candidate, and production takes what is good or released" in said
    assert "There is no channel 'live'" in ada("promote", "web", "1", "live", status=2)
    assert "There is no image web 9" in ada("promote", "web", "9", "production", status=2)
    assert "--readonly" in ada("--readonly", "promote", "web", "1", "production", status=2)
    assert "production of web is at 1 now." in ada("promote", "web", "1", "production", "--why", "first")
    assert "at 1 already" in ada("promote", "web", "1", "production")
    ada("promote", "web", "4", "staging")
    bo("promote", "web", "2", "production", "--why", "faster")
    bo("promote", "web", "3", "production")
    assert "back at 2 (was 3)" in ada("channels", "web", "production", "--back", "--yes", "--why", "too fast")
    bo("roles", "--refresh")
    assert bo.channels() == {"staging": "4", "production": "2", "edge": None}
    history = bo("channels", "web", "production")
    assert [line.split()[2:5] for line in history.splitlines()[1:]] == [
        ["3", "←", "2"], ["2", "→", "3"], ["1", "→", "2"], ["–", "→", "1"],
    ]  # fmt: skip
    assert "Ada Example <ada@example.org>  too fast" in history
    assert "Bo Lind <bo@example.org>       faster" in history
    assert "back at 1" in bo("channels", "web", "production", "--back", "--yes")
    assert "nothing to go back to" in bo("channels", "web", "production", "--back", status=2)
    listed = {image["version"]: image["channels"] for image in bo.json("images", "web")}
    assert listed == {"1": ["production"], "2": [], "3": [], "4": ["staging"]}
    assert "production" in bo("images", "web")


def test_a_revoked_image_takes_its_children_and_moves_channels_back_or_blocks_them(pair: Pair) -> None:
    ada, bo = pair.ada, pair.bo
    for version in ("1", "2"):
        ada("promote", "web", version, "production")
        ada("promote", "web", version, "edge")
    assert "required: --why" in ada("revoke", "web", "2", status=2)
    assert "needs its name typed" in ada("revoke", "web", "2", "--why", "it leaks", status=2)
    assert ada.states()["web 2"] == "good"
    said = ada("revoke", "web", "2", "--why", "it leaks", "--yes")
    assert "web 2 is revoked." in said
    assert "production of web went back from 2 to 1." in said
    assert "edge of web is at 2 and is blocked" in said
    assert "revoked already, by Ada Example" in ada("revoke", "web", "2", "--why", "again", "--yes", status=2)
    bo("roles", "--refresh")
    assert bo.states()["web 2"] == "revoked"
    edge = next(view for view in bo.json("channels", "web") if view["channel"] == "edge")
    assert edge["blocked"] == "revoked by Ada Example <ada@example.org>: it leaks"
    assert "✗ revoked: blocked" in bo("channels")
    assert "revoked by Ada Example <ada@example.org>: it leaks" in bo("promote", "web", "2", "production", status=2)

    said = bo("revoke", "base", "1", "--why", "no TLS", "--yes")
    assert "web 3 is built on it, and revoked with it." in said
    assert "production of web is at 1 and is blocked" in said, "there was nothing to go back to"
    assert bo.states() == dict.fromkeys(("base 1", "web 1", "web 2", "web 3", "web 4"), "revoked")
    assert "revoked with base 1" in bo("images", "web")
    assert "Restore that: ingot restore base 1" in bo("restore", "web", "1", status=2)
    shutil.rmtree(bo.ingot.home / "state")
    assert set(bo.states().values()) == {"revoked"}, "the index is no witness"
    assert "base 1 is good again." in bo("restore", "base", "1", "--why", "it was the client")
    ada("roles", "--refresh")
    assert ada.states() == {
        "base 1": "good",
        "web 1": "good",
        "web 2": "revoked",
        "web 3": "good",
        "web 4": "candidate",
    }
    assert ada.channels() == {"staging": None, "production": "1", "edge": "2"}


def test_dates_are_waited_for_and_said(pair: Pair) -> None:
    ada = pair.ada
    assert "is no date" in ada("revoke", "web", "1", "--why", "x", "--at", "tomorrow", "--yes", status=2)
    assert "is over" in ada("deprecate", "web", "1", "--at", "2020-01-01", status=2)
    assert "There is no image web 9" in ada("deprecate", "web", "1", "--replacement", "9", status=2)
    said = ada("deprecate", "web", "1", "--replacement", "2", "--why", "older")
    assert "web 1 is deprecated; take 2 instead." in said
    said = ada("revoke", "web", "1", "--why", "end of life", "--at", "2101-01-01", "--yes")
    assert "web 1 is revoked from 2101-01-01" in said
    listed = next(image for image in ada.json("images", "web") if image["version"] == "1")
    assert (listed["state"], listed["stored_state"], listed["verdict"]) == ("deprecated", "revoked", "passed")
    assert (listed["because"]["replacement"], listed["coming"]["why"]) == ("2", "end of life")
    assert "deprecated for 2, revoked from 2101-01-01" in ada("images", "web")
    assert "web 1 is deprecated again." in ada("restore", "web", "1")
    assert "web 1 is good again." in ada("restore", "web", "1")
    assert "nothing to take back" in ada("restore", "web", "1", status=2)


def test_revoking_in_a_terminal_says_what_happens_and_asks_for_the_name(pair: Pair) -> None:
    pair.ada("promote", "web", "2", "edge")

    def revoke(typed: str) -> tuple[int, str]:
        return answered(pair.ada, typed, "revoke", "web", "2", "--why", "it leaks")

    status, said = revoke("web 3")
    assert (status, pair.ada.states()["web 2"]) == (2, "good")
    assert "edge of web, at 2, is blocked until it is moved." in said
    assert "Type exactly: web 2" in said
    status, said = revoke("web 2")
    assert (status, pair.ada.states()["web 2"]) == (0, "revoked")


def test_a_channel_goes_back_only_when_its_name_is_typed(pair: Pair) -> None:
    for version in ("1", "2"):
        pair.ada("promote", "web", version, "edge")
    said = pair.ada("channels", "web", "edge", "--back", status=2)
    assert "edge of web goes back from 2 to 1, for everybody who takes it. That needs the name" in said
    assert "Or say --yes." in said
    for typed, status, at in (("", 2, "2"), ("web", 2, "2"), ("edge", 0, "1")):
        told = answered(pair.ada, typed, "channels", "web", "edge", "--back")
        assert told[0] == status, told
        assert "edge of web goes back from 2 to 1" in told[1]
        assert pair.ada.channels()["edge"] == at


def test_a_channel_goes_where_it_was_said_to_go_or_stays(pair: Pair) -> None:
    ada, bo = pair.ada, pair.bo
    for version in ("1", "2", "3"):
        ada("promote", "web", version, "edge")

    def revoke() -> None:
        bo("revoke", "web", "2", "--why", "it leaks", "--yes")

    status, said = answered(ada, "edge", "channels", "web", "edge", "--back", first=revoke)
    assert "edge of web goes back from 3 to 2" in said
    assert "edge of web would not go back to 2 any more, but to 1. web 2 is revoked by Bo Lind" in said
    assert (status, ada.channels()["edge"]) == (1, "3")
    assert "back at 1" in ada("channels", "web", "edge", "--back", "--yes")


def test_while_the_remote_is_away_it_stays_here_and_says_so(pair: Pair) -> None:
    ada, bo = pair.ada, pair.bo
    hub = ada.ingot.home / "hub.git"
    bo("roles", "--refresh")
    hub.rename(hub.with_name("away.git"))
    assert "Others do not know yet" in bo("promote", "web", "1", "production")
    hub.with_name("away.git").rename(hub)
    ada("promote", "web", "2", "production", "--why", "first on the remote")
    said = bo("promote", "web", "3", "edge", status=1)
    assert "came too late: production of web was moved to 2 by Ada Example" in said
    bo("promote", "web", "3", "edge")
    assert bo.channels() == {"staging": None, "production": "2", "edge": "3"}
