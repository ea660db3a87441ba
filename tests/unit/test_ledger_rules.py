"""Who may have a version, what becomes of ours when others were first, and how facts are written down."""

import json
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from core.errors import RefusedError
from core.model.image import Artifact, ImageVersion, UpstreamRecord
from core.store.ledger_rules import FileChange, Owner, check_names, same_building, settle, with_additions, without
from core.store.ledger_tree import (
    Addition,
    Entry,
    Reservation,
    addition_path,
    encode,
    image_path,
    lost_path,
    removal_path,
    reservation_path,
    split_who,
)

WEB = ImageVersion(
    role="web",
    version="0.1.0",
    commit="c" * 40,
    created=1.0,
    run="ours",
    built_by="Ada <ada@example.org>",
    upstream=UpstreamRecord("role", "base 1", role="base", version="1"),
    artifacts=(Artifact("qemu.web", "qcow2", "/images/web.qcow2", "sha256:1", 5),),
    template="web",
    tools={"packer": "1.6.6", "ansible": "2.19"},
)


def owner_of(_path: str, blob: str) -> Owner | None:
    """Blobs here are `kind of whom`: `image of ours`, `broken`."""
    _, _, run = blob.partition(" of ")
    return Owner(run, f"{run.capitalize()} <{run}@example.org>") if run else None


def carried(changes: list[FileChange], standing: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    after, lost = dict(standing), list[str]()
    for change in changes:
        verdict = settle(change, after, owner_of)
        for path, blob in verdict.edits.items():
            if blob is None:
                del after[path]
            else:
                after[path] = blob
        if verdict.lost:
            lost.append(verdict.lost)
    return after, lost


IMAGE, HELD = image_path("web", "1"), reservation_path("web", "1")


def test_a_free_version_is_carried_over() -> None:
    after, lost = carried([FileChange(HELD, None, "held of ours"), FileChange(IMAGE, None, "image of ours")], {})
    assert after == {HELD: "held of ours", IMAGE: "image of ours"}
    assert not lost


def test_using_up_a_reservation_is_carried_over() -> None:
    changes = [FileChange(IMAGE, None, "image of ours"), FileChange(HELD, "held of ours", None)]
    assert carried(changes, {HELD: "held of ours"}) == ({IMAGE: "image of ours"}, [])


@pytest.mark.parametrize(
    ("standing", "said"),
    [
        ({HELD: "held of theirs"}, "web 1 was reserved by Theirs <theirs@example.org> (run theirs)"),
        ({IMAGE: "image of theirs"}, "web 1 was registered by Theirs <theirs@example.org> (run theirs)"),
        ({HELD: "broken"}, "web 1 was reserved by somebody"),
    ],
)
def test_the_first_has_the_version_and_the_second_loses_no_image(standing: dict[str, str], said: str) -> None:
    changes = [
        FileChange(HELD, None, "held of ours"),
        FileChange(IMAGE, None, "image of ours"),
        FileChange(HELD, "held of ours", None),
    ]
    after, lost = carried(changes, standing)
    assert after == {**standing, lost_path("web", "1", "ours"): "image of ours"}
    assert lost == [said, said]


versions_in_play = st.sampled_from(["1", "1.2", "2"])
paths = st.one_of(
    versions_in_play.map(lambda version: image_path("web", version)),
    versions_in_play.map(lambda version: reservation_path("web", version)),
)


def blobs(whose: str) -> st.SearchStrategy[str]:
    return st.integers(1, 4).map(lambda run: f"fact of {whose}{run}")


@given(
    st.dictionaries(paths, blobs("theirs")),
    st.lists(st.builds(FileChange, paths, st.none() | blobs("ours"), st.none() | blobs("ours"))),
)
def test_carrying_over_never_changes_what_others_have_and_never_loses_an_image_of_ours(
    standing: dict[str, str], changes: list[FileChange]
) -> None:
    changes = [change for change in changes if change.after or "/reserved/" in change.path]
    after, _ = carried(changes, standing)
    assert all(after.get(path) == blob for path, blob in standing.items())
    for change in changes:
        if "/images/" in change.path:
            assert change.after in after.values()
    for path, blob in after.items():
        held = after.get(path.replace("/images/", "/reserved/"))
        if held and path not in standing:
            assert owner_of("", held) == owner_of("", blob), "a version is of one run"


def test_the_same_building_may_be_written_down_twice_and_another_may_not() -> None:
    assert same_building(WEB, replace(WEB, created=99.0))
    assert not same_building(WEB, replace(WEB, run="another"))
    assert not same_building(WEB, replace(WEB, artifacts=()))


def test_removed_artifacts_are_left_out_and_only_those() -> None:
    assert without(WEB, {("web", "0.1.0", "/images/web.qcow2", "")}).artifacts == ()
    assert without(WEB, {("web", "0.1.1", "/images/web.qcow2", "")}) is WEB
    assert without(WEB, {("web", "0.1.0", "/images/web.qcow2", "elsewhere")}) is WEB


@pytest.mark.parametrize(
    ("role", "version"), [("", "1"), ("a\nb", "1"), ("r" * 101, "1"), ("\udcff", "1"), ("web", ""), ("web", "../1")]
)
def test_names_that_cannot_be(role: str, version: str) -> None:
    with pytest.raises(RefusedError):
        check_names(role, version)


def test_equal_facts_are_equal_bytes() -> None:
    other = replace(WEB, tools={"ansible": "2.19", "packer": "1.6.6"})
    assert encode(other) == encode(WEB)
    assert msgspec.json.decode(encode(WEB), type=ImageVersion) == WEB
    assert list(json.loads(encode(WEB))) == sorted(json.loads(encode(WEB)))
    assert encode(Reservation("web", "1", "r", "Ada", 1.0)).count(b"\n") == 7


@given(st.text(min_size=1, max_size=100).filter(str.isprintable))
def test_any_role_has_a_place_of_its_own(role: str) -> None:
    path = image_path(role, "0.1.0")
    folder = path.split("/")[1]
    assert path.count("/") == 3
    assert re.fullmatch(r"[A-Za-z0-9_%-][A-Za-z0-9._%-]*", folder)
    entry = Entry(path, "", regular=True, size=0)
    assert (entry.role, entry.kind, entry.version) == (role, "images", "0.1.0")


@pytest.mark.parametrize("role", [".", "..", ".git", "GIT~1", "a/../b", "-n"])
def test_hostile_roles_stay_where_they_are_put(role: str) -> None:
    parts = image_path(role, "1").split("/")
    assert len(parts) == 4
    assert parts[1] not in (".", "..", ".git", "GIT~1")


@pytest.mark.parametrize(
    "path",
    [
        "roles/web/images/1.txt", "roles/web/1.json", "roles/web/images/a/b/1.json", "README", "roles/web/other/1.json",
    ],
)  # fmt: skip
def test_other_files_are_no_facts(path: str) -> None:
    assert Entry(path, "", regular=True, size=0).kind == ""


def test_removals_of_different_artifacts_lie_beside_each_other() -> None:
    assert removal_path("web", "1", "/a") != removal_path("web", "1", "/b")


@given(st.text())
def test_anybody_can_sign(who: str) -> None:
    name, mail = split_who(who)
    assert name
    assert mail
    assert not set("<>\n\0") & set(name + mail)


def test_a_name_and_mail_are_taken_apart() -> None:
    assert split_who("Ada Moreau <ada@example.org>") == ("Ada Moreau", "ada@example.org")
    assert split_who("<>") == ("unknown", "unknown")
    assert split_who("ada") == ("ada", "unknown")


VHD = Artifact("qemu.web", "vhd", "/images/web.vhd", "sha256:2", 7, host="here")


def added(artifact: Artifact, at: float = 5.0, run: str = "ours", version: str = "0.1.0") -> Addition:
    return Addition("web", version, run, artifact, "Ada <ada@example.org>", at)


def test_what_was_made_later_is_among_the_artifacts_after_those_that_were_registered() -> None:
    (found,) = with_additions([WEB], [added(VHD)])
    assert found == replace(WEB, artifacts=(*WEB.artifacts, VHD))
    assert with_additions([WEB], []) == [WEB]


def test_what_was_made_of_another_building_is_no_artifact_of_this_one() -> None:
    assert with_additions([WEB], [added(VHD, run="theirs")]) == [WEB]
    assert with_additions([WEB], [added(VHD, version="0.1.1")]) == [WEB]


def test_of_two_at_one_place_the_newest_counts_also_where_the_first_was_registered() -> None:
    again = replace(VHD, digest="sha256:3")
    (found,) = with_additions([WEB], [added(again, at=6.0), added(VHD, at=5.0)])
    assert found.artifacts == (*WEB.artifacts, again)
    restored = replace(WEB.artifacts[0], digest="sha256:4")
    (found,) = with_additions([WEB], [added(restored)])
    assert found.artifacts == (restored,)


def test_the_same_path_on_two_machines_is_two_files() -> None:
    there = replace(VHD, host="there", digest="sha256:9")
    (found,) = with_additions([WEB], [added(VHD), added(there)])
    assert found.artifacts == (*WEB.artifacts, VHD, there)
    assert without(found, {("web", "0.1.0", VHD.location, "here")}).artifacts == (*WEB.artifacts, there)
    assert without(found, {("web", "0.1.0", VHD.location, "")}).artifacts == WEB.artifacts


def test_the_same_artifact_has_one_place_and_another_content_another() -> None:
    assert addition_path("web", "1", VHD) == addition_path("web", "1", replace(VHD, size=None))
    others = [replace(VHD, digest="sha256:3"), replace(VHD, location="/b"), replace(VHD, format="raw")]
    assert len({addition_path("web", "1", one) for one in (VHD, *others)}) == 4
    assert removal_path("web", "1", "/a") != removal_path("web", "1", "/a", "here")
