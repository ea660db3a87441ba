"""What comes out of a disk is taken apart without trusting it."""

import gzip
import io
import re
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.adapters.disk_reading import Reading, entries, expression, unpack
from core.errors import RefusedError, ToolError
from core.model.listing import Entry, Listing, globs


def entry(path: str, kind: str = "f", target: str = "") -> Entry:
    return Entry(path, kind, 0o644, 0, 0, 0, 0.0, target)


def record(path: str, kind: str = "f", target: str = "") -> bytes:
    return "\0".join([kind, "644", "0", "0", "5", "1700000000.5", path, target, ""]).encode()


def packed(place: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(place, "w:gz") as archive:
        for member, content in members:
            member.size = len(content) if member.isreg() else 0
            archive.addfile(member, io.BytesIO(content))
    return place


def file(name: str) -> tarfile.TarInfo:
    return tarfile.TarInfo(name)


def link(name: str, target: str) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = tarfile.SYMTYPE, target
    return made


def test_a_reading_has_the_list_and_follows_links_inside_the_disk(tmp_path: Path) -> None:
    listing = record("") + record("etc/os-release", "l", "../usr/lib/os-release") + record("usr/lib/os-release")
    listing = listing.replace(
        b"f\x00644\x000\x000\x005\x001700000000.5\x00\x00", b"d\x00755\x000\x000\x000\x001.0\x00\x00"
    )
    listing += record("etc", "d") + record("usr", "d") + record("usr/lib", "d")
    unpack(
        tmp_path / "disk",
        packed(tmp_path / "packed", (file("listing"), listing), (file("./usr/lib/os-release"), b"ID=x")),
        tmp_path / "reading",
    )
    reading = Reading(tmp_path / "reading")
    assert reading.listing.entries["/"].kind == "d"
    assert reading.content("/etc/os-release") == b"ID=x"
    assert reading.content("/etc/../usr/lib/os-release") == b"ID=x"
    assert reading.content("/etc/passwd") is None


@pytest.mark.parametrize("name", ["../escaped", "./../escaped", "/escaped", "./etc/../../escaped", "escaped", "./"])
def test_no_name_leaves_the_directory(tmp_path: Path, name: str) -> None:
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    unpack(tmp_path, packed(tmp_path / "packed", (file("listing"), record("")), (file(name), b"x")), inside / "c")
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["listing.json", "packed"]


def test_a_link_is_not_made_here_and_so_cannot_be_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    members = [
        (file("listing"), record("")),
        (link("./etc", str(victim)), b""),
        (file("./etc/passwd"), b"x"),
    ]
    unpack(tmp_path, packed(tmp_path / "packed", *members), tmp_path / "reading")
    assert list(victim.iterdir()) == []
    assert (tmp_path / "reading/tree/etc/passwd").read_bytes() == b"x"


@pytest.mark.parametrize("content", [b"", gzip.compress(b"no archive", mtime=0), b"\x1f\x8bgarbage"])
def test_what_is_not_whole_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "packed").write_bytes(content)
    with pytest.raises(ToolError):
        unpack(tmp_path, tmp_path / "packed", tmp_path / "reading")


def test_a_cut_off_answer_is_refused(tmp_path: Path) -> None:
    whole = packed(tmp_path / "packed", (file("listing"), record("x") * 1000)).read_bytes()
    (tmp_path / "packed").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ToolError):
        unpack(tmp_path, tmp_path / "packed", tmp_path / "reading")


@pytest.mark.parametrize("pattern", ["etc/passwd", '/etc/"x', "/etc/$(reboot)", "/etc/'x", "/etc/`x`", "/etc/x\n"])
def test_patterns_that_could_be_more_than_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(RefusedError):
        expression([pattern])


def test_globs_are_what_they_say() -> None:
    wanted = re.compile(expression(["/etc/*.conf", "/home/*/.ssh/**", "/a+b?"]))
    found = [
        path
        for path in (
            "./etc/a.conf",
            "./etc/d/a.conf",
            "./etc/aXconf",
            "./home/u/.ssh/x/y",
            "./home/u/v/.ssh/x",
            "./a+bc",
        )
        if wanted.fullmatch(path)
    ]
    assert found == ["./etc/a.conf", "./home/u/.ssh/x/y", "./a+bc"]


@given(st.lists(st.binary(max_size=12).filter(lambda name: b"\0" not in name)))
def test_any_name_on_the_disk_is_listed(names: list[bytes]) -> None:
    listing = b"".join(record("@").replace(b"@", name) for name in names)
    found = [one.path.encode() for one in entries(listing)]
    assert found == [b"/" + name.decode(errors="backslashreplace").encode() for name in names]


def test_links_that_lead_round_in_a_circle_lead_nowhere() -> None:
    listing = Listing(
        [entry("/", "d"), entry("/a", "l", "b"), entry("/b", "l", "/a"), entry("/c", "l", "/../../d"), entry("/d")]
    )
    assert listing.resolved("/a") is None
    found = listing.resolved("/c")
    assert found is not None
    assert found.path == "/d"


@given(st.text(), st.text())
def test_any_text_is_a_glob_and_matches_itself_where_it_has_no_signs(pattern: str, path: str) -> None:
    globs(pattern).fullmatch(path)
    if not set(pattern) & set("*?["):
        assert globs(pattern).fullmatch(pattern) or not pattern
