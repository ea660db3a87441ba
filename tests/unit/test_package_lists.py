"""The lists of installed packages, as dpkg, apk and rpm write them and as a damaged disk may have them."""

import lzma
import sqlite3
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import process
from core.model import package_lists, rpm_database
from core.model.inventory import Package, PackageKind

STATUS = Path("/var/lib/dpkg/status")
RPMDB = lzma.decompress((Path(__file__).parents[1] / "data/packages/rpmdb.sqlite.xz").read_bytes())

APK = """\
C:Q1LzQJ0g/xO2b3QnHq9oE5ZJ2mVuo=
P:musl
V:1.2.5-r0
A:x86_64
o:musl
F:lib
R:ld-musl-x86_64.so.1

P:ssl_client
V:1.36.1-r29
A:x86_64
o:busybox
"""


@pytest.mark.skipif(process.find("dpkg-query") is None or not STATUS.is_file(), reason="this machine has no dpkg")
def test_what_dpkg_says_is_installed_here() -> None:
    asked = ("dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package} ${Version} ${Architecture}\\n")
    said = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.splitlines()
    there = {line.partition(" ")[2] for line in said if not line.startswith(("config-files", "not-installed"))}
    found = package_lists.dpkg(STATUS.read_text())
    assert {f"{one.name} {one.version} {one.architecture}" for one in found} == there


def test_what_was_removed_is_not_there_and_what_stands_alone_is() -> None:
    status = (
        "Package: kept\nStatus: install ok installed\nVersion: 1:2-3\nArchitecture: amd64\nSource: kept-source (2-3)\n"
        "Description: one\n more of it\n .\n Package: not-one\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n"
        "Package: half\nStatus: install reinstreq half-installed\nVersion: 4\n"
    )
    assert package_lists.dpkg(status) == [
        Package(PackageKind.DEB, "kept", "1:2-3", "amd64", "kept-source"),
        Package(PackageKind.DEB, "half", "4"),
    ]
    assert package_lists.dpkg("Package: base-files\nVersion: 12.4\n") == [
        Package(PackageKind.DEB, "base-files", "12.4")  # of an image without dpkg: status.d has no states
    ]


def test_what_apk_installed() -> None:
    assert package_lists.apk(APK) == [
        Package(PackageKind.APK, "musl", "1.2.5-r0", "x86_64"),
        Package(PackageKind.APK, "ssl_client", "1.36.1-r29", "x86_64", "busybox"),
    ]


def test_what_rpm_installed() -> None:
    assert rpm_database.rpm(RPMDB) == [
        Package(PackageKind.RPM, "hello", "2:1.4-3.el9", "noarch"),
        Package(PackageKind.RPM, "hello-libs", "2:1.4-3.el9", "noarch", "hello"),
    ]


def test_a_database_whose_packages_never_end_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "rpmdb.sqlite"
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS hnum, '' AS blob FROM n"
    connection = sqlite3.connect(path)
    connection.execute(f"CREATE VIEW Packages AS {endless}")
    connection.commit()
    connection.close()
    with pytest.raises(rpm_database.NotReadableError, match="no table"):
        rpm_database.rpm(path.read_bytes())


def test_python_packages_and_gems_are_told_by_names() -> None:
    paths = [
        "/opt/app/lib/python3.11/site-packages/Flask_Login-0.6.3.dist-info",
        "/opt/other/lib/python3.11/site-packages/flask_login-0.6.3.dist-info",
        "/usr/local/lib/python3.11/dist-packages/PyYAML-6.0.1-py3.11.egg-info",
        "/usr/lib/python3/dist-packages/six-1.16.0.dist-info",
        "/var/lib/gems/3.1.0/specifications/rack-test-2.1.0.gemspec",
        "/usr/lib/ruby/gems/3.1.0/specifications/default/json-2.6.1.gemspec",
        "/etc/motd",
    ]
    assert list(package_lists.by_name(paths)) == [
        Package(PackageKind.PYTHON, "flask-login", "0.6.3"),
        Package(PackageKind.PYTHON, "pyyaml", "6.0.1"),
        Package(PackageKind.GEM, "rack-test", "2.1.0"),
        Package(PackageKind.GEM, "json", "2.6.1"),
    ]


CONTROL = st.lists(
    st.sampled_from(
        ["Package: a", "Version: 1", "Status:", "Status: x y installed", "", " more", ":", "P:", "P:x", "V:1"]
    )
)


@given(st.one_of(st.text(), CONTROL.map("\n".join)))
def test_a_damaged_list_raises_nothing(text: str) -> None:
    for package in (*package_lists.dpkg(text), *package_lists.apk(text), *package_lists.by_name(text.splitlines())):
        assert package.name
        assert package.version


@given(
    st.lists(st.tuples(st.integers(0, len(RPMDB) - 1), st.integers(0, 255)), max_size=40), st.integers(0, len(RPMDB))
)
def test_a_damaged_database_is_said_or_gives_what_is_whole(changes: list[tuple[int, int]], length: int) -> None:
    damaged = bytearray(RPMDB)
    for at, byte in changes:
        damaged[at] = byte
    with suppress(rpm_database.NotReadableError):
        rpm_database.rpm(bytes(damaged[: length or None]))


@given(st.binary(max_size=200))
def test_a_damaged_header_gives_what_is_whole(header: bytes) -> None:
    assert isinstance(rpm_database._values(header), dict)  # pyright: ignore[reportPrivateUsage]
