"""Whose files may go: never what somebody uses, never the newest good one, and nothing that no rule is for."""

import hypothesis.strategies as st
from hypothesis import given

from core.model.image import ImageState
from core.model.retention import Fate, Key, Retention, Stored, children_first, fates
from core.model.states import Verdict

DAY = 86400.0
NOW = 1000 * DAY
GOOD, CANDIDATE, RELEASED = ImageState.GOOD, ImageState.CANDIDATE, ImageState.RELEASED
FIRM = (GOOD, RELEASED)


def stored(version: str, days: float, state: ImageState = GOOD, role: str = "web", **more: object) -> Stored:
    return Stored(role, version, NOW - days * DAY, state, **more)  # pyright: ignore[reportArgumentType] - fields of it


def why(*given: Stored, rule: Retention) -> dict[str, str]:
    rules = {one.role: rule for one in given}
    return {fate.stored.version: fate.stays for fate in fates(given, rules, NOW)}


def test_the_newest_so_many_good_ones_stay_and_what_is_young() -> None:
    found = why(
        stored("5", 1), stored("4", 10), stored("3", 20), stored("2", 40), stored("1", 50),
        rule=Retention(keep=2, younger=30 * DAY),
    )  # fmt: skip
    assert found == {"5": "the newest good one", "4": "number 2 of 2", "3": "younger than 30d", "2": "", "1": ""}


def test_only_good_ones_are_counted_and_what_is_bad_goes() -> None:
    found = why(
        stored("9", 1, CANDIDATE),
        stored("8", 2, CANDIDATE, verdict=Verdict.FAILED),
        stored("7", 3),
        stored("6", 4, CANDIDATE),
        stored("5", 5, ImageState.DEPRECATED),
        stored("4", 6, ImageState.REVOKED),
        stored("3", 7),
        stored("2", 8),
        rule=Retention(keep=2),
    )
    assert found == {
        "9": "newer than 7, and may become good",
        "8": "",
        "7": "the newest good one",
        "6": "",
        "5": "",
        "4": "",
        "3": "number 2 of 2",
        "2": "",
    }


def test_where_none_is_good_candidates_count_that_did_not_fail() -> None:
    found = why(
        stored("3", 1, CANDIDATE, verdict=Verdict.FAILED),
        stored("2", 2, CANDIDATE),
        stored("1", 3, CANDIDATE),
        stored("0", 4, CANDIDATE),
        rule=Retention(keep=2),
    )
    none = "of which none is good yet"
    assert found == {"3": "", "2": f"the newest, {none}", "1": f"number 2 of 2, {none}", "0": ""}


def test_what_is_used_or_released_stays_with_the_reason() -> None:
    found = why(
        stored("4", 1),
        stored("3", 90, uses=("production",)),
        stored("2", 91, uses=("run 7", "a machine of run 8"), state=ImageState.REVOKED),
        stored("1", 92, RELEASED),
        rule=Retention(younger=DAY),
    )
    assert found["3"] == "production"
    assert found["2"] == "run 7 and a machine of run 8"
    assert found["1"] == "released"


def test_a_parent_stays_for_as_long_as_a_child_does_and_goes_with_the_last() -> None:
    base = [stored("2", 1, role="base"), stored("1", 90, role="base", children=(("web", "1"), ("web", "2")))]
    old = stored("1", 80)
    rule = Retention(keep=1)
    assert why(*base, old, stored("2", 2), rule=rule)["1"] == ""
    by_key = {fate.stored.key: fate for fate in fates([*base, old, stored("2", 2)], {"base": rule, "web": rule}, NOW)}
    assert by_key["base", "1"].stays == "web 2 is built on it"
    gone = [*base[:1], stored("1", 90, role="base", children=(("web", "1"),)), old, stored("2", 2)]
    going = [fate.stored for fate in fates(gone, {"base": rule, "web": rule}, NOW) if fate.goes]
    assert [one.key for one in children_first(going)] == [("web", "1"), ("base", "1")]
    away = [*base[:1], stored("1", 90, role="base", children=(("api", "1"),))]
    found = {fate.stored.version: fate.stays for fate in fates(away, {"base": rule}, NOW)}
    assert found["1"] == "api 1 is built on it", "its files are elsewhere"


def test_a_role_without_a_rule_keeps_everything() -> None:
    given = [stored("1", 999), stored("2", 998, ImageState.REVOKED)]
    assert not any(fate.goes for fate in fates(given, {}, NOW))
    assert not any(fate.goes for fate in fates(given, {"web": Retention()}, NOW))


KEYS: list[Key] = [(role, str(number)) for role in ("base", "web") for number in range(4)]


@st.composite
def anything(draw: st.DrawFn) -> list[Stored]:
    found: list[Stored] = []
    for key in draw(st.lists(st.sampled_from(KEYS), unique=True)):
        children: list[Key] = []
        if key[0] == "base":
            children = draw(st.lists(st.sampled_from([*KEYS[4:], ("api", "1")]), unique=True, max_size=3))
        found.append(
            Stored(
                *key,
                created=draw(st.sampled_from([NOW - days * DAY for days in (0, 1, 5, 5, 50)])),
                state=draw(st.sampled_from(ImageState)),
                verdict=draw(st.sampled_from(Verdict)),
                uses=draw(st.sampled_from([(), (), ("production",)])),
                children=tuple(children),
            )
        )
    return found


RULES = st.builds(Retention, keep=st.none() | st.integers(1, 5), younger=st.none() | st.sampled_from([DAY, 30 * DAY]))


@given(anything(), st.dictionaries(st.sampled_from(["base", "web"]), RULES))
def test_never_what_is_used_nor_the_newest_good_nor_what_a_rule_keeps(
    all_of_them: list[Stored], rules: dict[str, Retention]
) -> None:
    found = fates(all_of_them, rules, NOW)
    assert [fate.stored for fate in found] == all_of_them
    going = {fate.stored.key for fate in found if fate.goes}
    for fate in found:
        one, rule = fate.stored, rules.get(fate.stored.role, Retention())
        newer_good = [
            other
            for other in all_of_them
            if other.role == one.role
            and other.state in FIRM
            and (other.created, other.version) > (one.created, one.version)
        ]
        if not fate.goes:
            continue
        assert not one.uses
        assert rule.says_something
        assert one.state is not RELEASED
        assert rule.younger is None or NOW - one.created >= rule.younger
        assert all(child in going for child in one.children)
        if one.state is GOOD:
            assert len(newer_good) >= max(rule.keep or 0, 1)
    # In the order of deleting, nothing goes before its child.
    ordered = [one.key for one in children_first([fate.stored for fate in found if fate.goes])]
    assert set(ordered) == going
    by_key = {one.key: one for one in all_of_them}
    for place, key in enumerate(ordered):
        assert not set(by_key[key].children) & set(ordered[place:])


@given(anything(), RULES, st.integers(1, 3))
def test_a_rule_that_keeps_more_never_lets_more_go(all_of_them: list[Stored], rule: Retention, more: int) -> None:
    if rule.keep is None:
        return
    wider = Retention(rule.keep + more, rule.younger)

    def going(by: Retention) -> set[Key]:
        found: list[Fate] = fates(all_of_them, {"base": by, "web": by}, NOW)
        return {fate.stored.key for fate in found if fate.goes}

    assert going(wider) <= going(rule)
