"""What is looked at before a channel moves: each thing that can be wrong is named, with what to do about it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from core.model.channels import ChannelMove, ChannelRule
from core.model.decided import Decided, Effective, decided
from core.model.dossier import Dossier, Relative, TestRound
from core.model.image import Artifact, ImageState, ImageVersion, UpstreamRecord
from core.model.promotion import Check, CheckState, any_of, blockers, checks, forbidden, warnings
from core.model.sealing import Finding, ItemState, SealReport
from core.model.standing import standing_of
from core.model.states import Act, StateChange, Verdict
from core.model.test_report import Case, Outcome, Report
from core.model.touch import TOUCHED, Touch, TouchKind
from tui.image_sections.overview import SECTION as OVERVIEW
from tui.image_sections.tests import SECTION as TESTS

ADA = "Ada Example <ada@example.org>"
PRODUCTION = ChannelRule("production")
ANYTHING = ChannelRule("staging", tuple(ImageState))


def image(role: str = "web", version: str = "1", on: str = "", created: float = 1.0, **more: object) -> ImageVersion:
    parent, _, at = on.partition(" ")
    upstream = UpstreamRecord("role" if on else "archive", on or "Debian", "sha256:0b", "signature", parent, at)
    artifact = Artifact(f"qemu.{role}", "qcow2", f"/images/{role}.qcow2", stamped_inside=True)
    made = ImageVersion(role, version, "c0ffee12345", created, f"{role}-{version}", ADA, upstream, (artifact,), role)
    return replace(made, **more)  # pyright: ignore[reportArgumentType] - fields of ImageVersion


def sealed(state: ItemState = ItemState.CLEAN, *, asked: bool = True) -> SealReport:
    found = Finding("machine-id", "machine id", state, ("/etc/machine-id",), 1)
    other = Finding("swap", "swap files", ItemState.CLEAN)
    return SealReport("qemu.web", asked, (found, other), "web 1")


def a_round(*cases: Case, build: str = "qemu.web", at: float = 9.0) -> TestRound:
    report = Report("web", "1", build, "", "r", "c", 0, 9, "kvm", 4.0, cases)
    return TestRound(f"test-{build}-1", at, ADA, report.verdict, report=report)


def good(**more: object) -> Dossier:
    """An image version about which nothing is to be said."""
    base = image("base")
    found = Dossier(
        image(on="base 1"),
        Effective(ImageState.GOOD, ImageState.GOOD, Verdict.PASSED),
        ancestors=(Relative(base, Effective(ImageState.GOOD, ImageState.GOOD, Verdict.PASSED)),),
        seals=(sealed(),),
        rounds=(a_round(Case("boot", "answers", Outcome.PASSED)),),
        here=("/images/web.qcow2",),
    )
    return replace(found, **more)  # pyright: ignore[reportArgumentType] - fields of Dossier


def by_id(dossier: Dossier, rule: ChannelRule = PRODUCTION, against: str = "") -> dict[str, Check]:
    return {check.id: check for check in checks(dossier, rule, against)}


def test_nothing_is_to_be_said_of_what_is_well() -> None:
    found = by_id(good())
    assert {check.state for check in found.values()} == {CheckState.OK}
    assert (found["tests"].says, found["sealed"].says) == ("passed, 1 case", "2 items clean")
    assert found["upstream"].says == "Debian, verified by signature", "of the one at the beginning of the line"
    assert found["parents"].says == "base 1, none of them revoked"


def test_of_several_builds_the_one_that_failed_is_named_and_counted_whichever_was_tested_last() -> None:
    artifacts = tuple(Artifact(f"qemu.{name}", "qcow2", f"/images/{name}.qcow2") for name in "ab")
    well, bad = Case("boot", "answers", Outcome.PASSED), Case("boot", "clock", Outcome.FAILED, message="an hour off")
    dossier = good(
        image=image(on="base 1", artifacts=artifacts),
        effective=FAILED,
        rounds=(
            a_round(well, build="qemu.b", at=9),
            a_round(well, bad, build="qemu.a", at=8),
            a_round(bad, bad, bad, build="qemu.b", at=7),
        ),
    )
    assert by_id(dossier, ANYTHING)["tests"].says == "failed: qemu.a: boot, clock: an hour off"
    assert [one.build for one in dossier.decisive] == ["qemu.a"]
    assert TESTS.note(dossier).text == "✗ 1"
    (told,) = (row for row in OVERVIEW.rows(dossier, 20.0) if "failed" in str(row.cells))
    assert "12s ago" in str(told.cells), "when that one was tested"
    passed = good(image=dossier.image, rounds=(a_round(well, build="qemu.a"), a_round(well, well, build="qemu.b")))
    assert by_id(passed)["tests"].says == "passed, 3 cases of 2 builds"
    assert TESTS.note(passed).text == "✓"


CANDIDATE = Effective(ImageState.CANDIDATE, ImageState.CANDIDATE, Verdict.UNTESTED)
FAILED = Effective(ImageState.CANDIDATE, ImageState.CANDIDATE, Verdict.FAILED)
REVOKED = Effective(
    ImageState.REVOKED, ImageState.GOOD, Verdict.PASSED, StateChange("base", "1", "r", Act.REVOKED, ADA, 1.0, "a key")
)
TOUCHES = (Touch(TouchKind.SHELL, ADA, 0.0, "qemu.web"),)


@pytest.mark.parametrize(
    ("dossier", "rule", "check", "state", "blocks", "words"),
    [
        (good(effective=CANDIDATE), PRODUCTION, "good", CheckState.FAILED, True, "takes what is good or released"),
        (good(effective=CANDIDATE), ANYTHING, "tests", CheckState.UNKNOWN, False, "ingot test web 1"),
        (good(effective=REVOKED), ANYTHING, "good", CheckState.FAILED, True, "by Ada Example <ada@example.org>: a key"),
        (
            good(effective=replace(REVOKED, inherited="base 1")),
            PRODUCTION, "good", CheckState.FAILED, True, "revoked with base 1",
        ),
        (
            good(effective=FAILED, rounds=(a_round(Case("tests/web", "port 80", Outcome.FAILED, message="refused")),)),
            ANYTHING, "tests", CheckState.FAILED, True, "tests/web, port 80: refused",
        ),
        (good(seals=()), PRODUCTION, "sealed", CheckState.UNKNOWN, False, "not sealed: no report"),
        (good(seals=(sealed(ItemState.FOUND),)), PRODUCTION, "sealed", CheckState.WARNING, False, "/etc/machine-id"),
        (good(seals=(sealed(ItemState.KEPT),)), PRODUCTION, "sealed", CheckState.OK, False, "1 kept"),
        (good(seals=(sealed(asked=False),)), PRODUCTION, "sealed", CheckState.OK, False, "not sealed, and nothing"),
        (
            good(image=image(on="base 1", marks=(TOUCHED,), touches=TOUCHES), effective=CANDIDATE),
            ANYTHING, "by_hand", CheckState.WARNING, False, "ingot build web --at c0ffee1",
        ),
        (
            good(image=image(on="base 1", marks=(TOUCHED,), touches=TOUCHES), effective=CANDIDATE),
            PRODUCTION, "by_hand", CheckState.FAILED, True, "it never becomes good",
        ),
        (
            good(image=image(on="base 1", outside=("secret.bin",))),
            PRODUCTION, "commit", CheckState.WARNING, False, "secret.bin",
        ),
        (good(revoked=("base 1",)), PRODUCTION, "parents", CheckState.FAILED, True, "base 1 is revoked"),
        (good(outdated="2"), PRODUCTION, "parents", CheckState.WARNING, False, "base 2 is newer and good"),
        (good(ancestors=()), PRODUCTION, "parents", CheckState.UNKNOWN, False, "not on the ledger"),
        (
            good(image=image(upstream=UpstreamRecord("template", "what Packer says")), ancestors=()),
            PRODUCTION, "upstream", CheckState.WARNING, False, "unverified",
        ),
        (
            good(image=image(on="base 1", artifacts=(Artifact("qemu.web", "qcow2", "/images/web.qcow2"),))),
            PRODUCTION, "stamped", CheckState.UNKNOWN, False, "/etc/image-release",
        ),
        (good(image=image(on="base 1", artifacts=())), PRODUCTION, "files", CheckState.FAILED, True, "deleted"),
        (good(missing=("/images/web.qcow2",)), PRODUCTION, "files", CheckState.WARNING, False, "is gone"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_what_to_do(
    dossier: Dossier, rule: ChannelRule, check: str, state: CheckState, blocks: bool, words: str
) -> None:
    found = by_id(dossier, rule)[check]
    assert (found.state, found.blocks) == (state, blocks)
    assert words in f"{found.says} {found.next_step}"
    assert (found in warnings([found])) == (state is not CheckState.OK and not blocks)


def test_nobody_is_sent_to_test_what_never_becomes_good() -> None:
    touched = image(on="base 1", marks=(TOUCHED,), touches=TOUCHES)
    found = checks(good(image=touched, effective=CANDIDATE), PRODUCTION)
    assert [check.id for check in blockers(found)] == [found[0].id] == ["by_hand"]
    assert "Build it again" in found[0].next_step

    move = ChannelMove("web", "production", "1", touched.run, "", "", 0.0, "", PRODUCTION.takes)
    refused = Decided({("web", "1"): touched}).forbids(move, 0.0)
    assert "production takes" in refused
    assert "touched by hand (Ada Example: shell). Build it again" in refused


def test_what_the_ledger_says_against_it_blocks_even_where_no_check_knows_it() -> None:
    found = checks(good(), PRODUCTION, "What was decided about base 1 cannot be read: it may be revoked.")
    assert [check.id for check in blockers(found)] == ["ledger"]


def test_states_are_said_as_people_say_them() -> None:
    assert [any_of(names) for names in ((), ("good",), ("good", "released"), ("a", "b", "c"))] == [
        "nothing",
        "good",
        "good or released",
        "a, b or c",
    ]


ACTS = st.sampled_from([Act.TESTED, Act.GOOD, Act.DEPRECATED, Act.REVOKED, Act.RESTORED])


@given(
    own=st.lists(st.tuples(ACTS, st.sampled_from([Verdict.PASSED, Verdict.FAILED])), max_size=4),
    theirs=st.lists(ACTS, max_size=3),
    takes=st.sets(st.sampled_from(list(ImageState))),
    files=st.booleans(),
)
def test_the_checks_block_exactly_what_the_ledger_refuses(
    own: list[tuple[Act, Verdict]], theirs: list[Act], takes: set[ImageState], files: bool
) -> None:
    """The screen never offers a move that is refused, and never holds one up that is not."""
    base, web = image("base"), image(on="base 1")
    if not files:
        web = replace(web, artifacts=())
    rule = ChannelRule("edge", tuple(takes))
    found = decided([base, web], {}, {})
    for role, act, verdict in [
        *(("base", act, Verdict.PASSED) for act in theirs),
        *(("web", act, verdict) for act, verdict in own),
    ]:
        key = (role, "1")
        change = StateChange(role, "1", f"{role}-1", act, ADA, 1.0, "why", verdict=verdict)
        change = replace(change, follows=found.life(key).follows)
        if not found.forbids(change, 2.0):
            found = found.with_decision(change)
    key = ("web", "1")
    dossier = good(
        image=web,
        effective=found.effective(key, 2.0),
        revoked=tuple(
            f"{one[0]} {one[1]}" for one in found.ancestors(key) if found.life(one).state(2.0) is ImageState.REVOKED
        ),
    )
    against = forbidden(found, web, rule, 2.0)
    assert bool(blockers(checks(dossier, rule, against))) == bool(against)
    assert bool(blockers(checks(dossier, rule))) == bool(against), "the checks know why by themselves"


def moved(before: Decided, role: str, channel: str, version: str) -> Decided:
    at = before.trail(role, channel).version
    return before.with_decision(ChannelMove(role, channel, version, f"{role}-{version}", at, ADA, 1.0))


def made_good(before: Decided, role: str, version: str) -> Decided:
    passed = StateChange(role, version, f"{role}-{version}", Act.TESTED, ADA, 1.0, verdict=Verdict.PASSED)
    return before.with_decision(passed).with_decision(replace(passed, act=Act.GOOD))


def test_the_standing_knows_channels_and_what_is_outdated() -> None:
    images = [image("base", "1", created=1), image("base", "2", created=2), image(on="base 1", created=3)]
    found = made_good(made_good(decided(images, {}, {}), "base", "1"), "web", "1")
    found = moved(moved(found, "web", "production", "1"), "web", "gone", "1")
    rules = (ChannelRule("staging"), PRODUCTION)
    standing = standing_of(found, rules, 2.0)
    assert standing.channels(images[2]) == ("production", "gone"), "in the order of ingot.toml, then the rest"
    assert standing.outdated(images[2]) == "", "the newer base is no good yet"
    standing = standing_of(made_good(found, "base", "2"), rules, 2.0)
    assert standing.outdated(images[2]) == "2"
    other = replace(images[2], run="of somebody else")
    assert standing.channels(other) == ()
    assert standing.effective(other, 2.0).state is ImageState.CANDIDATE, "a version's name can be another image's"
