"""The state of an image version, as decided and as it counts: what may follow what, dates, inheritance, and the way
back."""

from collections.abc import Sequence
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from core.model import report_names
from core.model.channels import ChannelMove, trail_of
from core.model.decided import Decided, decided
from core.model.image import Artifact, ImageState, ImageVersion, UpstreamRecord
from core.model.states import Act, Life, StateChange, Verdict, after, life_of, overtaken, refusal
from core.model.touch import TOUCHED

ADA, BO = "Ada <ada@example.org>", "Bo <bo@example.org>"
TAKES = (ImageState.GOOD, ImageState.RELEASED)


def image(role: str = "web", version: str = "1", on: str = "", **changes: object) -> ImageVersion:
    parent, _, parent_version = on.partition(" ")
    made = ImageVersion(
        role=role,
        version=version,
        commit="c" * 40,
        created=0.0,
        run=f"{role}-{version}",
        built_by=ADA,
        upstream=UpstreamRecord("role", on, role=parent, version=parent_version),
        artifacts=(Artifact("qemu.web", "qcow2", "/images/web"),),
        template="web",
    )
    return replace(made, **changes)  # pyright: ignore[reportArgumentType] - fields of ImageVersion


WEB = image()


def change(act: Act, at: float = 1.0, life: Life | None = None, **more: object) -> StateChange:
    found = StateChange("web", "1", "web-1", act, ADA, at, "a reason", follows=life.follows if life else "")
    return replace(found, **more)  # pyright: ignore[reportArgumentType] - fields of StateChange


def lived(*acts: StateChange | Act, of: ImageVersion = WEB) -> Life:
    """What a sequence of decisions comes to, each made by somebody who knew those before it."""
    life = Life()
    for number, act in enumerate(acts):
        made = act if isinstance(act, StateChange) else change(act, float(number), verdict=Verdict.PASSED)
        made = replace(made, follows=life.follows)
        assert not refusal(of, life, made)
        life = after(life, made)
    return life


GOOD = lived(Act.TESTED, Act.GOOD)


def test_only_what_passed_its_tests_becomes_good() -> None:
    assert "untested" in refusal(WEB, Life(), change(Act.GOOD))
    failed = lived(change(Act.TESTED, verdict=Verdict.PASSED), change(Act.TESTED, verdict=Verdict.FAILED))
    assert "failed" in refusal(WEB, failed, change(Act.GOOD))
    assert "say nothing" in refusal(WEB, Life(), change(Act.TESTED))
    assert GOOD.state(9) is ImageState.GOOD
    assert "only a candidate" in refusal(WEB, GOOD, change(Act.GOOD))


BUILDS = st.from_regex(r"[A-Za-z0-9_]([A-Za-z0-9_.+-]*[A-Za-z0-9_])?", fullmatch=True)


@given(BUILDS, st.uuids())
def test_the_build_is_read_from_the_name_that_was_made_for_its_report(build: str, run: UUID) -> None:
    assert change(Act.TESTED, evidence=report_names.of_test(build, run.hex)).build == build


def test_the_build_of_a_test_of_old_is_read() -> None:
    assert change(Act.TESTED, evidence="test-amazon-ebs.web-9c21d7e4").build == "amazon-ebs.web"
    assert change(Act.TESTED, evidence="").build == ""


def test_a_build_that_failed_is_not_made_up_for_by_another_that_passed() -> None:
    def tested(build: str, run: str, verdict: Verdict) -> StateChange:
        return change(Act.TESTED, verdict=verdict, evidence=report_names.of_test(build, run))

    a, b = "qemu.web-a", "qemu.web"
    earlier = (tested(a, "x", Verdict.PASSED), tested(a, "y", Verdict.FAILED), tested(b, "x", Verdict.PASSED))
    life = lived(*earlier)
    assert life.verdict is Verdict.FAILED
    assert "failed the newest tests of qemu.web-a;" in refusal(WEB, life, change(Act.GOOD))
    again = lived(*earlier, tested(a, "z", Verdict.PASSED))
    assert again.verdict is Verdict.PASSED
    assert not refusal(WEB, again, change(Act.GOOD))


def test_what_was_touched_by_hand_never_becomes_good() -> None:
    touched = image(marks=(TOUCHED,))
    passed = lived(Act.TESTED, of=touched)
    assert "touched by hand" in refusal(touched, passed, change(Act.GOOD))


def test_what_a_manifest_says_of_itself_is_not_believed() -> None:
    liar = image(state=ImageState.RELEASED)
    assert decided([liar], {}, {}).effective(("web", "1"), 9).state is ImageState.CANDIDATE


def test_only_what_is_good_is_released() -> None:
    assert refusal(WEB, Life(), change(Act.RELEASED))
    assert lived(Act.TESTED, Act.GOOD, Act.RELEASED).stored is ImageState.RELEASED
    assert refusal(WEB, lived(Act.TESTED, Act.GOOD, Act.REVOKED), change(Act.RELEASED))


def test_a_date_is_waited_for_and_until_then_the_state_is_the_one_before() -> None:
    life = lived(Act.TESTED, Act.GOOD, change(Act.DEPRECATED, since=100.0), change(Act.REVOKED, since=200.0))
    assert [life.state(now) for now in (99, 100, 199, 200)] == [
        ImageState.GOOD, ImageState.DEPRECATED, ImageState.DEPRECATED, ImageState.REVOKED,
    ]  # fmt: skip
    assert life.stored is ImageState.REVOKED
    coming = life.coming(50)
    assert coming
    assert coming.act is Act.DEPRECATED
    assert life.coming(500) is None


def test_restoring_goes_back_step_by_step_to_the_state_before() -> None:
    life = lived(Act.TESTED, Act.GOOD, Act.DEPRECATED, Act.REVOKED)
    states: list[ImageState] = []
    for _ in range(2):
        life = after(life, change(Act.RESTORED, life=life))
        states.append(life.state(9))
    assert states == [ImageState.DEPRECATED, ImageState.GOOD]
    assert "nothing to take back" in refusal(WEB, life, change(Act.RESTORED))


def test_a_revocation_can_be_brought_forward_and_not_put_off() -> None:
    life = lived(change(Act.REVOKED, since=100.0))
    assert "revoked already" in refusal(WEB, life, change(Act.REVOKED, since=200.0))
    sooner = lived(change(Act.REVOKED, since=100.0), change(Act.REVOKED, at=5.0))
    assert sooner.state(5) is ImageState.REVOKED
    assert "more than deprecated" in refusal(WEB, life, change(Act.DEPRECATED))


def test_who_deprecates_or_restores_must_have_seen_what_is_there_and_a_revocation_holds_anyway() -> None:
    life = lived(Act.DEPRECATED)
    assert overtaken(life, change(Act.RESTORED)) == life.last
    assert overtaken(life, change(Act.DEPRECATED)) == life.last
    assert overtaken(life, change(Act.RESTORED, life=life)) is None
    assert overtaken(life, change(Act.REVOKED)) is None


def test_a_replacement_is_another_version() -> None:
    assert "cannot replace itself" in refusal(WEB, Life(), change(Act.DEPRECATED, replacement="1"))


def test_what_was_decided_about_one_image_does_not_count_for_another_that_has_its_name() -> None:
    theirs = image(run="another run")
    life, broken = life_of(theirs, [change(Act.TESTED, verdict=Verdict.PASSED), change(Act.GOOD)])
    assert life == Life()
    assert len(broken) == 2


def test_a_revocation_without_a_reason_is_refused_and_counts_where_it_is_there() -> None:
    revoked = change(Act.REVOKED, why="")
    assert "only for a reason" in decided([WEB], {}, {}).forbids(revoked, 1)
    there = decided([WEB], {("web", "1"): (revoked,)}, {})
    assert there.effective(("web", "1"), 1).state is ImageState.REVOKED


# Any sequence of decisions

acts = st.builds(
    change,
    st.sampled_from(Act),
    st.floats(0, 50),
    since=st.none() | st.floats(0, 100),
    verdict=st.sampled_from(Verdict),
)


def followed(changes: Sequence[StateChange]) -> list[StateChange]:
    """The same, each made by somebody who knew what counted before it."""
    found: list[StateChange] = []
    for one in changes:
        life, _ = life_of(WEB, found)
        found.append(replace(one, follows=life.follows))
    return found


@given(st.lists(acts, max_size=12), st.floats(0, 200))
def test_good_is_only_reached_by_a_pass_and_a_revocation_only_left_by_restoring(
    made: list[StateChange], now: float
) -> None:
    changes = followed(made)
    life, broken = life_of(WEB, changes)
    counted = [one for one in changes if not any(one is other for other in broken)]  # equal ones may follow
    if life.reached is not ImageState.CANDIDATE:
        before = [one.act for one in counted[: [one.act for one in counted].index(Act.GOOD)]]
        assert Act.TESTED in before
    for end in range(len(counted)):
        earlier, _ = life_of(WEB, counted[:end])
        later, _ = life_of(WEB, counted[: end + 1])
        if earlier.state(now) is ImageState.REVOKED and later.state(now) is not ImageState.REVOKED:
            assert counted[end].act is Act.RESTORED
    assert len(life.layers) <= 2


@given(st.lists(acts, max_size=8), st.sampled_from([Act.DEPRECATED, Act.REVOKED]), st.none() | st.floats(0, 100))
def test_restoring_takes_back_exactly_what_was_decided_last(
    made: list[StateChange], act: Act, since: float | None
) -> None:
    before, _ = life_of(WEB, followed(made))
    one = change(act, 60.0, before, since=since)
    if refusal(WEB, before, one) or any(layer.act is act for layer in before.layers):
        return
    then = after(before, one)
    back = after(then, change(Act.RESTORED, 61.0, then))
    assert (back.reached, back.layers, back.verdict) == (before.reached, before.layers, before.verdict)


# Ancestors


@st.composite
def families(draw: st.DrawFn) -> tuple[list[ImageVersion], dict[tuple[str, str], tuple[StateChange, ...]], float]:
    """Images built on each other (in circles, too: a ledger can hold any), some of them revoked, some restored."""
    count = draw(st.integers(1, 7))
    images = [image("web", str(number), on=f"web {draw(st.integers(0, count))}") for number in range(count)]
    changes: dict[tuple[str, str], tuple[StateChange, ...]] = {}
    for one in images:
        if draw(st.booleans()):
            revoked = StateChange(
                "web", one.version, one.run, Act.REVOKED, ADA, 1, "x", draw(st.none() | st.floats(2, 9))
            )
            restored = replace(revoked, act=Act.RESTORED, at=2, since=None, follows=revoked.mark)
            changes["web", one.version] = (revoked, restored) if draw(st.booleans()) else (revoked,)
    return images, changes, draw(st.floats(0, 12))


@given(families())
def test_an_image_is_revoked_exactly_when_it_or_something_it_is_built_on_is(
    family: tuple[list[ImageVersion], dict[tuple[str, str], tuple[StateChange, ...]], float],
) -> None:
    images, changes, now = family
    standing = decided(images, changes, {})
    for one in images:
        key = (one.role, one.version)
        line = [key, *standing.ancestors(key)]
        own = [standing.life(each).state(now) is ImageState.REVOKED for each in line]
        effective = standing.effective(key, now)
        assert (effective.state is ImageState.REVOKED) == any(own)
        assert bool(effective.inherited) == (any(own) and not own[0])
        assert all(key in standing.descendants(ancestor) for ancestor in line[1:])


def test_a_child_is_revoked_with_its_parent_and_restored_with_it_and_nothing_is_copied() -> None:
    base, web = image("base", "1"), image("web", "1", on="base 1")
    revoked = StateChange("base", "1", base.run, Act.REVOKED, BO, 5, "no TLS")
    standing = decided([base, web], {("base", "1"): (revoked,)}, {})
    effective = standing.effective(("web", "1"), 6)
    assert (effective.state, effective.stored, effective.inherited, effective.because) == (
        ImageState.REVOKED, ImageState.CANDIDATE, "base 1", revoked,
    )  # fmt: skip
    assert ("web", "1") not in standing.lives
    back = StateChange("base", "1", base.run, Act.RESTORED, BO, 7, follows=revoked.mark)
    assert standing.with_decision(back).effective(("web", "1"), 8).state is ImageState.CANDIDATE
    passed = standing.with_decision(change(Act.TESTED, verdict=Verdict.PASSED))
    assert "built on base 1, which is revoked by Bo" in passed.forbids(change(Act.GOOD), 6)


# Channels


def move(to: str, before: str = "", **more: object) -> ChannelMove:
    found = ChannelMove("web", "production", to, f"web-{to}", before, ADA, 1.0, takes=TAKES)
    return replace(found, **more)  # pyright: ignore[reportArgumentType] - fields of ChannelMove


def all_good(*images: ImageVersion) -> Decided:
    standing = decided(images, {}, {})
    for one in images:
        about = StateChange(one.role, one.version, one.run, Act.TESTED, ADA, 1, verdict=Verdict.PASSED)
        for made in (about, replace(about, act=Act.GOOD)):
            assert not standing.forbids(made, 1)
            standing = standing.with_decision(made)
    return standing


def test_a_channel_takes_only_the_states_that_it_says() -> None:
    standing = decided([WEB], {}, {})
    assert "is candidate, and production takes what is good or released" in standing.forbids(move("1"), 9)
    assert not standing.forbids(move("1", takes=(ImageState.CANDIDATE,)), 9)
    assert not all_good(WEB).forbids(move("1"), 9)
    assert "no image web 2" in standing.forbids(move("2"), 9)


def test_no_channel_takes_what_is_revoked_or_failed_or_gone_or_cannot_be_read() -> None:
    standing = all_good(WEB)
    every = move("1", takes=tuple(ImageState))
    revoked = standing.with_decision(change(Act.REVOKED))
    assert "web 1 is revoked by Ada" in revoked.forbids(every, 9)
    failed = standing.with_decision(change(Act.TESTED, verdict=Verdict.FAILED))
    assert "failed" in failed.forbids(every, 9)
    assert "were deleted" in all_good(image(artifacts=())).forbids(every, 9)
    assert "cannot be read" in replace(standing, unreadable=frozenset({("web", "1")})).forbids(every, 9)
    child = all_good(image("base"), image(on="base 1"))
    assert "base 1 cannot be read" in replace(child, unreadable=frozenset({("base", "1")})).forbids(every, 9)
    assert "another image" in standing.forbids(replace(every, run="else"), 9)


def test_a_channel_that_was_moved_meanwhile_is_not_moved_again() -> None:
    standing = all_good(WEB, image(version="2")).with_decision(move("1"))
    assert standing.overtaken_by(move("2")) == move("1")
    assert standing.overtaken_by(move("2", "1")) is None
    assert "at 1 already" in standing.forbids(move("1", "1"), 9)
    assert standing.channels_at(("web", "1")) == ("production",)


@given(st.lists(st.sampled_from(["1", "2", "3", "back"]), max_size=15))
def test_the_way_back_is_the_way_that_was_come(steps: list[str]) -> None:
    moves: list[ChannelMove] = []
    expected: list[str] = []
    for step in steps:
        trail = trail_of(moves)
        if step != "back":
            moves.append(move(step, trail.version))
            expected.append(step)
        elif len(trail.way) > 1:
            there = trail.way[-2]
            moves.append(move(there.version, trail.version, back=True))
            # Steps that led to where the channel was anyway are one step on the way back.
            expected.pop()
    trail = trail_of(moves)
    assert trail.version == (expected[-1] if expected else "")
    assert [one.version for one in trail.way] == expected
    assert not trail.broken


def test_a_move_from_where_the_channel_was_not_does_not_count() -> None:
    trail = trail_of([move("1"), move("3", "2"), move("2", "1")])
    assert (trail.version, trail.broken) == ("2", (move("3", "2"),))
