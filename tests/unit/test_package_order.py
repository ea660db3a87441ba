"""Which version of a package is the newer one: as dpkg and rpm themselves say it."""

import re
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import process
from core.model.inventory import PackageKind
from core.model.package_order import compared, debian, rpm

VERSIONS = st.from_regex(r"([0-9]:)?[0-9][0-9A-Za-z.+~]{0,8}(-[0-9A-Za-z.+~]{1,4})?", fullmatch=True)
RPM_VERSIONS = st.from_regex(r"[0-9A-Za-z.+~^_]{1,10}", fullmatch=True)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1.0~rc1-1", "1.0-1"),
        ("1.0", "1.0-0.1"),
        ("1.0-1", "1.0-1+b1"),
        ("9.2p1-2+deb12u2", "9.2p1-2+deb12u10"),
        ("2.0", "1:0.1"),
        ("1.0~~", "1.0~"),
        ("1.0a", "1.0+"),
        ("1.2.9", "1.2.10"),
    ],
)
def test_debian_versions(older: str, newer: str) -> None:
    assert (debian(older, newer), debian(newer, older), debian(older, older)) == (-1, 1, 0)


@pytest.mark.skipif(process.find("dpkg") is None, reason="dpkg is not installed")
@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(VERSIONS, VERSIONS), min_size=8, max_size=8))
def test_debian_versions_are_ordered_as_dpkg_orders_them(pairs: list[tuple[str, str]]) -> None:
    script = "".join(
        f"if dpkg --compare-versions {one} lt {other}; then echo -1; "
        f"elif dpkg --compare-versions {one} gt {other}; then echo 1; else echo 0; fi\n"
        for one, other in pairs
    )
    said = subprocess.run(("sh", "-c", script), check=True, capture_output=True, text=True).stdout.split()
    assert [str(debian(one, other)) for one, other in pairs] == said


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1.0~rc1-1", "1.0-1"),
        ("1.0-1", "1.0^20260101-1"),
        ("1.0^20260101-1", "1.0.1-1"),
        ("1.0a", "1.0.1"),
        ("3.0.7-9.el9", "3.0.7-27.el9"),
        ("9:1.0-1", "10:0.1-1"),
        ("1.0^", "1.0^1"),
    ],
)
def test_rpm_versions(older: str, newer: str) -> None:
    assert (rpm(older, newer), rpm(newer, older)) == (-1, 1)


@pytest.mark.skipif(process.find("rpm") is None, reason="rpm is not installed")
@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(RPM_VERSIONS, RPM_VERSIONS), min_size=20, max_size=20))
def test_rpm_versions_are_ordered_as_rpm_orders_them(pairs: list[tuple[str, str]]) -> None:
    lua = "".join(f'print(rpm.vercmp("{one}", "{other}"), "") ' for one, other in pairs)
    said = subprocess.run(("rpm", "--eval", f"%{{lua: {lua}}}"), check=True, capture_output=True, text=True).stdout
    assert [str(rpm(one, other)) for one, other in pairs] == re.findall(r"-?\d", said)


def test_other_versions_are_ordered_as_far_as_that_can_be_said() -> None:
    assert compared(PackageKind.APK, "1.2.3-r9", "1.2.3-r10") == -1
    assert compared(PackageKind.APK, "1.2_rc1-r0", "1.2-r0") == -1
    assert compared(PackageKind.APK, "1.2_p1-r0", "1.2-r0") == 1
    assert compared(PackageKind.PYTHON, "1.9", "1.10.0") == -1
    assert compared(PackageKind.PYTHON, "1.10", "1.10.0") == 0
    assert compared(PackageKind.PYTHON, "1.10rc1", "1.10") is None


@given(st.sampled_from(PackageKind), st.text(max_size=30), st.text(max_size=30))
def test_whatever_a_version_looks_like_the_order_turns_round_with_it(kind: PackageKind, one: str, other: str) -> None:
    there, back = compared(kind, one, other), compared(kind, other, one)
    assert (there is None) == (back is None)
    assert there is None or there == -(back or 0)
