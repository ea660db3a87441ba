"""Pruning by the rules of ingot.toml: a dry run says what would go and why the rest stays, and then that goes."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from forged import FORGER, forge, forge_good
from msgspec.structs import replace

from core.adapters.git import GitRepository
from core.errors import LedgerError, RefusedError
from core.model.channels import ChannelMove
from core.model.image import Artifact, ImageState
from core.model.machine import Machine, MachineState
from core.model.run import RunState
from core.model.states import Act, StateChange, Verdict
from core.services import retention
from core.store.ledger_tree import LedgerTree, Signature
from tests.integration.test_images_service import ADA, Shop

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

DAY = 86400.0


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    made = Shop(tmp_path)
    (made.root / "ingot.toml").write_text('[retention]\nkeep = 1\nyounger = "30d"\n')
    return made


def old(shop: Shop, role: str, version: str, days: float = 60, *, good: bool = True, on: str = "") -> None:
    image = shop.image(role, version, on=on, created=time.time() - days * DAY)
    if good:
        tested = StateChange(role, version, image.run, Act.TESTED, ADA, time.time(), verdict=Verdict.PASSED)
        shop.ledger.decide([tested, StateChange(role, version, image.run, Act.GOOD, ADA, time.time())], ADA, "good")


def stays(shop: Shop, role: str = "") -> dict[str, str]:
    return {one.name: one.fate.stays for one in retention.plan(shop.places, shop.root, role).judged}


def prune(shop: Shop, *names: str) -> dict[str, str]:
    done = retention.prune(shop.places, shop.root, names, ADA)
    return {one.name: one.error.what if one.error else "" for one in done}


def test_a_plan_says_what_goes_what_comes_back_and_why_the_rest_stays(shop: Shop) -> None:
    for version, days in (("4", 40), ("3", 50), ("2", 60), ("1", 70)):
        old(shop, "web", version, days)
    move = ChannelMove("web", "production", "2", "run-of-web-2", "", ADA, time.time(), takes=(ImageState.GOOD,))
    shop.ledger.decide([move], ADA, "promote")
    plan = retention.plan(shop.places, shop.root)
    assert stays(shop) == {"web 4": "the newest good one", "web 3": "", "web 2": "production has it", "web 1": ""}
    assert {one.name for one in plan.going} == {"web 3", "web 1"}
    assert plan.freed == sum(one.size for one in plan.going) >= 2 * 8192
    assert shop.directory("web", "1").is_dir(), "a plan deletes nothing"


def test_pruning_deletes_what_was_named_by_way_of_the_ledger(shop: Shop) -> None:
    for version, days in (("3", 40), ("2", 50), ("1", 60)):
        old(shop, "web", version, days)
    assert prune(shop, "web 1", "web 3") == {"web 1": ""}, "of those named, what may go"
    assert [shop.directory("web", version).is_dir() for version in "123"] == [False, True, True]
    assert shop.ledger.history()[0].what == "remove files of web 1"
    assert set(stays(shop)) == {"web 3", "web 2"}, "what has no files here is not judged"


def test_children_go_before_their_parents_and_those_that_stay_keep_them(shop: Shop) -> None:
    old(shop, "base", "1", 90)
    old(shop, "web", "1", 80, on="base 1")
    old(shop, "base", "2", 70)
    old(shop, "web", "2", 60, on="base 2")
    old(shop, "base", "3", 50)
    assert stays(shop) == {
        "base 3": "the newest good one",
        "base 2": "web 2 is built on it",
        "base 1": "",
        "web 2": "the newest good one",
        "web 1": "",
    }
    assert list(prune(shop, "base 1", "web 1").items()) == [("web 1", ""), ("base 1", "")]
    assert stays(shop, "base")["base 2"] == "web 2 is built on it"


def test_judged_for_one_role_those_of_others_stay_and_keep_what_they_are_built_on(shop: Shop) -> None:
    old(shop, "base", "1", 90)
    old(shop, "base", "2", 70)
    old(shop, "web", "1", 80, on="base 1")
    old(shop, "web", "2", 60)
    assert stays(shop, "base") == {"base 2": "the newest good one", "base 1": "web 1 is built on it"}
    assert stays(shop)["base 1"] == ""
    with pytest.raises(RefusedError, match="no image of a role 'wep'"):
        stays(shop, "wep")


def test_runs_and_kept_machines_keep_what_they_use(shop: Shop) -> None:
    old(shop, "base", "1", 90)
    old(shop, "base", "2", 70)
    run = shop.run("web", on="base")
    assert stays(shop)["base 1"] == f"run {run.id} needs it"
    shop.chose(run, str(shop.directory("base", "1") / "qemu.web.qcow2"))
    shop.index.save_machine(Machine(run.uid, "build/qemu.web", "qemu.web", "qemu", state=MachineState.KEPT))
    shop.index.set_run_state(run.uid, RunState.FAILED, "x")
    assert stays(shop)["base 1"] == f"the kept machine of run {run.id} needs it"
    shop.index.save_machine(Machine(run.uid, "build/qemu.web", "qemu.web", "qemu", state=MachineState.GONE))
    assert stays(shop)["base 1"] == ""


def test_without_a_rule_nothing_goes_and_a_slip_is_no_rule(shop: Shop) -> None:
    for version, days in (("2", 60), ("1", 70)):
        old(shop, "web", version, days)
    for said in ("", "[retention]\nkeeep = 1\n", "[retention\n"):
        (shop.root / "ingot.toml").write_text(said)
        plan = retention.plan(shop.places, shop.root)
        assert (plan.going, [rule.says_something for rule in plan.rules.values()]) == ((), [False])
    (shop.root / "ingot.toml").write_text("[retention]\nkeep = 1\n[roles.web.retention]\nkeep = 2\n")
    assert stays(shop)["web 1"] == "number 2 of 2"


def test_what_happened_since_the_plan_counts(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    for version, days in (("3", 40), ("2", 50), ("1", 60)):
        old(shop, "web", version, days)
    plan = retention.plan(shop.places, shop.root)
    move = ChannelMove("web", "production", "1", "run-of-web-1", "", ADA, time.time(), takes=(ImageState.GOOD,))
    shop.ledger.decide([move], ADA, "promote")

    def as_it_was(*_: object, **__: object) -> retention.Plan:
        return plan

    assert prune(shop, "web 1", "web 2") == {"web 2": ""}
    monkeypatch.setattr(retention, "plan", as_it_was)
    (error,) = prune(shop, "web 1").values()
    assert "web 1 is what production of web has" in error
    assert shop.directory("web", "1").is_dir()


def test_nothing_goes_while_a_part_of_the_ledger_cannot_be_read(shop: Shop) -> None:
    for version, days in (("2", 60), ("1", 70)):
        old(shop, "web", version, days)
    shop.image("web", "0", created=1.0)
    tree = LedgerTree(GitRepository(shop.root))
    head = tree.head()
    edits = {"roles/web/channels/production/1.json": tree.write(b"{}")}
    assert tree.swap(tree.commit(head, edits, "by hand", Signature(ADA)), head)
    with pytest.raises(LedgerError, match="cannot be told while a part of the ledger cannot be read"):
        prune(shop, "web 1")
    assert shop.directory("web", "1").is_dir()


AGAINST = "is against the rules"
LOOK = ": git log refs/ingot/ledger"
IN_DOUBT = f"{AGAINST}, so that it is in doubt which images of web are good{LOOK}"


def test_what_was_decided_against_the_rules_keeps_its_role_and_no_other(shop: Shop) -> None:
    for role in ("db", "web"):
        for version, days in (("3", 60), ("2", 65)):
            old(shop, role, version, days)
    old(shop, "web", "1", 70, good=False)
    forge_good(shop.root, "web", "1", "run-of-web-1")
    assert stays(shop) == {
        "db 3": "the newest good one",
        "db 2": "",
        "web 3": f"what was decided about web 1 {IN_DOUBT}",
        "web 2": f"what was decided about web 1 {IN_DOUBT}",
        "web 1": f"what was decided about it {AGAINST}{LOOK}",
    }
    assert prune(shop, "db 2", "web 2", "web 1") == {"db 2": ""}


def test_what_is_deprecated_by_rules_of_others_keeps_what_is_then_the_newest_good_one(shop: Shop) -> None:
    for version, days in (("5", 60), ("4", 65)):
        old(shop, "web", version, days)
    forge(shop.root, StateChange("web", "5", "run-of-web-5", Act.DEPRECATED, FORGER, 1.0, follows="what is not there"))
    assert stays(shop)["web 4"] == f"what was decided about web 5 {IN_DOUBT}"
    assert prune(shop, "web 4") == {}


def test_what_is_built_on_an_image_that_is_restored_by_rules_of_others_stays_with_its_role(shop: Shop) -> None:
    old(shop, "base", "1", 90)
    old(shop, "web", "3", 80)
    old(shop, "web", "4", 70)
    old(shop, "web", "5", 60, on="base 1")
    for version, days in (("2", 60), ("1", 65)):
        old(shop, "db", version, days)
    revoked = StateChange("base", "1", "run-of-base-1", Act.REVOKED, ADA, time.time(), why="it leaks")
    shop.ledger.decide([revoked], ADA, "revoke")
    assert {name for name, why in stays(shop).items() if not why} == {"base 1", "web 5", "web 3", "db 1"}
    forge(shop.root, replace(revoked, act=Act.RESTORED, by=FORGER, follows="what is not there"))
    assert stays(shop) == {
        "base 1": f"what was decided about it {AGAINST}{LOOK}",
        "db 2": "the newest good one",
        "db 1": "",
        "web 5": f"what was decided about base 1, which it is built on, {AGAINST}{LOOK}",
        "web 4": f"what was decided about base 1 {IN_DOUBT}",
        "web 3": f"what was decided about base 1 {IN_DOUBT}",
    }
    assert prune(shop, "web 5", "web 3", "db 1") == {"db 1": ""}


def test_nothing_goes_while_the_remote_cannot_be_reached(shop: Shop) -> None:
    (shop.root / "ingot.toml").write_text('[retention]\nkeep = 1\n[ledger]\nremote = "origin"\n')
    for version, days in (("2", 60), ("1", 70)):
        old(shop, "web", version, days)
    subprocess.run(("git", "remote", "add", "origin", "/nowhere/hub.git"), cwd=shop.root, check=True)
    assert retention.plan(shop.places, shop.root).offline
    with pytest.raises(LedgerError, match="others may use by now"):
        prune(shop, "web 1")
    assert shop.directory("web", "1").is_dir()


def test_a_child_with_files_elsewhere_keeps_its_parent(shop: Shop) -> None:
    old(shop, "base", "1", 90)
    old(shop, "base", "2", 70)
    web = shop.image("web", "1", on="base 1")
    shop.ledger.add_artifacts(web, [replace(web.artifacts[0], format="ami", location="eu:ami-1", host="")], ADA)
    assert stays(shop)["base 1"] == "web 1 is built on it, and has files elsewhere"


def test_a_child_at_the_same_path_on_another_machine_keeps_its_parent(shop: Shop) -> None:
    old(shop, "base", "1", 90)
    old(shop, "base", "2", 70)
    there = Artifact(
        "qemu.web", "qcow2", str(shop.directory("web", "1") / "qemu.web.qcow2"), "sha256:2", host="build-9"
    )
    shop.image("web", "1", on="base 1", artifacts=(there,))
    assert stays(shop) == {
        "base 2": "the newest good one",
        "base 1": "web 1 is built on it, and has files elsewhere",
    }, "what lies in the place of web 1 here is no file of it"


def test_what_was_left_when_deleting_failed_goes_too(shop: Shop) -> None:
    for version, days in (("2", 60), ("1", 70)):
        old(shop, "web", version, days)
    file = shop.ledger.image("web", "1").artifacts[0].location
    shop.ledger.remove_artifacts("web", "1", [file], ADA, "then it crashed")
    assert prune(shop, "web 1") == {"web 1": ""}
    assert not shop.directory("web", "1").exists()
