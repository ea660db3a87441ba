"""Which image of its parent a role is built on, and what a refusal says instead."""

import pytest
from msgspec.structs import replace

from core.errors import UpstreamError
from core.model.decided import Decided, decided
from core.model.image import Artifact, ImageState, ImageVersion, UpstreamRecord
from core.model.role import Upstream, UpstreamKind
from core.model.states import Act, StateChange, Verdict
from core.model.touch import TOUCHED
from core.stages.upstream_role import ami_of, chosen

NOW = 1000.0
GOOD_ONLY = (ImageState.GOOD, ImageState.RELEASED)
WITH_CANDIDATES = (ImageState.CANDIDATE, *GOOD_ONLY)
HERE = Artifact("qemu.base", "qcow2", "/here")


def image(version: str, created: float, *, role: str = "base", on: str = "") -> ImageVersion:
    upstream = UpstreamRecord("role", "", role="vendor", version=on) if on else UpstreamRecord("template", "")
    return ImageVersion(role, version, "c" * 40, created, f"run-{role}-{version}", "Ada", upstream, (HERE,), role)


def change(of: ImageVersion, act: Act, verdict: Verdict = Verdict.UNTESTED, why: str = "") -> StateChange:
    return StateChange(of.role, of.version, of.run, act, "Ada", 1.0, why, verdict=verdict)


def good(of: ImageVersion) -> list[StateChange]:
    return [change(of, Act.TESTED, Verdict.PASSED), change(of, Act.GOOD)]


def of_changes(images: list[ImageVersion], *changes: StateChange) -> Decided:
    by_key: dict[tuple[str, str], tuple[StateChange, ...]] = {}
    for one in changes:
        key = (one.role, one.version)
        by_key[key] = (*by_key.get(key, ()), one)
    return decided(images, by_key, {})


def version_of(
    images: list[ImageVersion],
    known: Decided,
    takes: tuple[ImageState, ...] = GOOD_ONLY,
    parent_run: str = "",
    not_here: tuple[str, ...] = (),
) -> str:
    upstream = Upstream(UpstreamKind.ROLE, role="base", takes=takes)
    of_role = [one for one in images if one.role == "base"]
    found, _ = chosen(of_role, known, upstream, parent_run, lambda one: None if one.version in not_here else HERE, NOW)
    return found.version


OLD, NEW = image("0.1.0", 1.0), image("0.2.0", 2.0)


def test_the_newest_good_one_is_taken_and_not_a_newer_candidate() -> None:
    newest = image("0.3.0", 3.0)
    known = of_changes([OLD, NEW, newest], *good(OLD), *good(NEW))
    assert version_of([OLD, NEW, newest], known) == "0.2.0"
    assert version_of([OLD, NEW, newest], known, ()) == "0.2.0", "what holds where nothing is said"
    assert version_of([OLD, NEW, newest], known, WITH_CANDIDATES) == "0.3.0"
    assert version_of([OLD, NEW, newest], known, not_here=("0.2.0",)) == "0.1.0"
    released = of_changes([OLD, NEW], *good(OLD), *good(NEW), change(NEW, Act.RELEASED))
    assert version_of([OLD, NEW], released) == "0.2.0"
    assert version_of([OLD, NEW], released, (ImageState.GOOD,)) == "0.1.0"


def test_what_was_made_for_this_run_need_not_be_tested_yet() -> None:
    later = image("0.3.0", 3.0)
    known = of_changes([OLD, NEW, later], *good(OLD), *good(later))
    assert version_of([OLD, NEW, later], known, parent_run=NEW.run) == "0.2.0", "whatever else was made meanwhile"
    known = of_changes([OLD, NEW], *good(OLD))
    assert version_of([OLD, NEW], known, parent_run=NEW.run) == "0.2.0"
    assert version_of([OLD, NEW], known, parent_run="another run") == "0.1.0"


@pytest.mark.parametrize("parent_run", ["", "run-base-0.2.0"])
@pytest.mark.parametrize("takes", [GOOD_ONLY, WITH_CANDIDATES])
def test_nothing_revoked_is_ever_built_on(takes: tuple[ImageState, ...], parent_run: str) -> None:
    known = of_changes([NEW], *good(NEW), change(NEW, Act.REVOKED, why="a hole in it"))
    with pytest.raises(UpstreamError, match=r"0\.2\.0 is revoked by Ada: a hole in it") as caught:
        version_of([NEW], known, takes, parent_run)
    assert caught.value.next_step == "Build it again: ingot build base"


@pytest.mark.parametrize("parent_run", ["", "run-base-0.2.0"])
def test_nothing_that_is_built_on_what_is_revoked(parent_run: str) -> None:
    vendor = image("12", 0.5, role="vendor")
    child = replace(NEW, upstream=UpstreamRecord("role", "", role="vendor", version="12"))
    known = of_changes([vendor, child], *good(vendor), *good(child), change(vendor, Act.REVOKED, why="stolen key"))
    with pytest.raises(UpstreamError, match=r"0\.2\.0 is built on vendor 12, which is revoked by Ada: stolen key"):
        version_of([vendor, child], known, parent_run=parent_run)


def test_nothing_of_which_a_decision_cannot_be_read() -> None:
    vendor = image("12", 0.5, role="vendor")
    child = replace(NEW, upstream=UpstreamRecord("role", "", role="vendor", version="12"))
    known = of_changes([vendor, child], *good(child))
    for unreadable in (("vendor", "12"), ("base", "0.2.0")):
        with pytest.raises(
            UpstreamError, match=f"may be revoked: what was decided about {' '.join(unreadable)} cannot"
        ):
            version_of([vendor, child], replace(known, unreadable=frozenset({unreadable})), WITH_CANDIDATES)


def test_nothing_whose_newest_tests_failed() -> None:
    known = of_changes([NEW], *good(NEW), change(NEW, Act.TESTED, Verdict.FAILED))
    with pytest.raises(UpstreamError, match="failed its newest tests") as caught:
        version_of([NEW], known)
    assert "ingot tests base 0.2.0" in caught.value.next_step


def test_a_refusal_says_what_there_is_and_how_to_go_on() -> None:
    images = [image(f"0.{number}.0", number) for number in range(5)]
    passed, became = good(images[0])
    over = replace(change(images[0], Act.DEPRECATED), follows=became.mark)
    known = of_changes(images, passed, became, over)
    with pytest.raises(UpstreamError) as caught:
        version_of(images, known)
    assert caught.value.what == (
        "It is built on base, and no image of base can be built on: "
        "0.4.0 is a candidate; 0.3.0 is a candidate; 0.2.0 is a candidate; and 2 more."
    )
    assert "ingot test base 0.4.0" in caught.value.next_step
    assert 'takes = ["candidate", "good", "released"]' in caught.value.next_step


def test_who_was_in_it_by_hand_is_not_sent_to_test_it() -> None:
    touched = replace(NEW, marks=(TOUCHED,))
    with pytest.raises(UpstreamError, match=r"0\.2\.0 is a candidate, and was touched by hand") as caught:
        version_of([touched], of_changes([touched]))
    assert caught.value.next_step == "Build it again: ingot build base"


def test_where_it_is_instead_is_said() -> None:
    away = replace(NEW, artifacts=(replace(HERE, host="builder-7"),))
    with pytest.raises(UpstreamError, match=r"from this machine \(it is on builder-7\)") as caught:
        version_of([away], of_changes([away], *good(away)), not_here=("0.2.0",))
    assert caught.value.next_step == "Build it here: ingot build base"
    with pytest.raises(UpstreamError, match="no image of base yet"):
        version_of([], Decided())


def test_an_ami_is_taken_where_amis_are_made() -> None:
    both = replace(NEW, artifacts=(HERE, Artifact("amazon-ebs.base", "ami", "eu-central-1:ami-1")))
    found = ami_of(both)
    assert found is not None
    assert found.location == "eu-central-1:ami-1"
    assert ami_of(NEW) is None
