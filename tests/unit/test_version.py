"""Version strings: one for each image, whatever tags look like."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.version import LONGEST, base_version, is_safe, next_free, order, safe

versions = st.from_regex(r"[a-z0-9](?:[a-z0-9._-]{0,10}[a-z0-9])?", fullmatch=True)


@pytest.mark.parametrize(
    ("tags", "described", "prefix", "expected"),
    [
        (["release-0.2.0"], "release-0.2.0", "release-", "0.2.0"),
        (["release-0.9.0", "release-0.10.0"], "release-0.9.0", "release-", "0.10.0"),
        (["release-1.0-rc1", "release-1.0"], "release-1.0", "release-", "1.0"),
        (["v9", "release-0.1"], "v9", "release-", "0.1"),
        (["nightly", "v1.2"], "nightly", "", "v1.2"),
        (["nightly"], "nightly", "", "nightly"),
        (["release-"], "release-", "release-", "release"),
        ([], "release-0.2.0-14-gabcdef0", "release-", "0.2.0-14-gabcdef0"),
        ([], "abcdef0", "release-", "abcdef0"),
        (["team/web/1.0+5"], "x", "team/", "web-1.0-5"),
        (["../../etc"], "x", "", "etc"),
        (["版本"], "版本", "", "0"),
    ],
)
def test_the_version_of_a_commit(tags: list[str], described: str, prefix: str, expected: str) -> None:
    assert base_version(tags, described, prefix) == expected


@given(st.lists(st.text(max_size=100)), st.text(max_size=100), st.text(max_size=5))
def test_any_tags_give_a_safe_version(tags: list[str], described: str, prefix: str) -> None:
    assert is_safe(base_version(tags, described, prefix))


@given(st.text(max_size=200))
def test_a_safe_version_is_a_plain_file_name(text: str) -> None:
    cleaned = safe(text)
    assert safe(cleaned) == cleaned
    if cleaned:
        assert is_safe(cleaned)
        assert re.fullmatch(r"[A-Za-z0-9._-]+", cleaned)
        assert not cleaned.startswith((".", "-"))


@pytest.mark.parametrize(
    "bad", ["", ".", "..", ".hidden", "-n", "a/b", "a b", "a\n", "a\0", "é", "x" * (LONGEST + 1), "1."]
)
def test_what_is_no_version_string(bad: str) -> None:
    assert not is_safe(bad)


@given(st.from_regex(r"[a-z0-9]{1,85}", fullmatch=True), st.integers(0, 30))
def test_every_build_of_a_commit_gets_another_safe_name(wanted: str, times: int) -> None:
    wanted = wanted[:LONGEST]
    taken: set[str] = set()
    for _ in range(times):
        name = next_free(wanted, taken)
        assert name not in taken
        assert is_safe(name)
        taken.add(name)


@given(versions, st.sets(versions))
def test_the_wanted_name_is_given_when_it_is_free(wanted: str, taken: set[str]) -> None:
    assert (next_free(wanted, taken) == wanted) is (wanted not in taken)


def test_numbers_are_ordered_as_numbers_and_pre_releases_come_first() -> None:
    ordered = ["0.2.0-rc1", "0.2.0-rc2", "0.2.0", "0.2.0-3-gabc1234", "0.2.0.2", "0.10.0-beta.2", "0.10.0", "1.0"]
    assert sorted(sorted(ordered, reverse=True), key=order)[-3:] == ["0.10.0-beta.2", "0.10.0", "1.0"]
    assert sorted(ordered, key=order).index("0.2.0") == 2


@given(st.integers(0, 10**30), st.integers(0, 10**30))
def test_a_higher_number_comes_later(first: int, second: int) -> None:
    assert (order(f"1.{first}") < order(f"1.{second}")) is (first < second)


@given(st.text(max_size=30), st.text(max_size=30))
def test_two_different_versions_are_never_equal_in_order(first: str, second: str) -> None:
    assert (order(first) == order(second)) is (first == second)
