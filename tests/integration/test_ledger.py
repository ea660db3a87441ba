"""The ledger in real repositories: one clone, two clones, many processes, and content that nobody of ours wrote."""

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import repository
from msgspec.structs import replace
from repository import git, nobodys_settings

from core.errors import LedgerError, LostRaceError, RefusedError
from core.model.image import Artifact, ImageVersion, UpstreamRecord
from core.store.ledger import Ledger
from core.store.ledger_tree import REF, LedgerTree, Signature, encode, image_path

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

ADA = "Ada Moreau <ada@example.org>"
BO = "Bo Lind <bo@example.org>"


@pytest.fixture(autouse=True)
def own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nobodys_settings(tmp_path / "home", monkeypatch)


def new(root: Path, *options: str) -> Path:
    root.mkdir(parents=True)
    git(root, "init", "-q", *options)
    return root


def image(role: str, version: str, run: str = "run-1", **changes: object) -> ImageVersion:
    made = ImageVersion(
        role=role,
        version=version,
        commit="c" * 40,
        created=1.5,
        run=run,
        built_by=ADA,
        upstream=UpstreamRecord("file", "debian-12.qcow2", "sha256:00"),
        artifacts=(Artifact(f"qemu.{role}", "qcow2", f"/images/{role}/{version}-{run}.qcow2", "sha256:11", 5),),
        template=role,
    )
    return replace(made, **changes)  # pyright: ignore[reportArgumentType] - checked by the dataclass


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return new(tmp_path / "shop")


@pytest.fixture
def clones(tmp_path: Path) -> tuple[Path, Path]:
    return repository.clones(tmp_path)


# One clone


def test_an_image_is_reserved_registered_and_found_again(shop: Path) -> None:
    ledger = Ledger(shop)
    assert ledger.head() is None
    assert ledger.images() == []
    assert ledger.history() == []
    version = ledger.reserve("web", "0.1.0", "run-1", ADA)
    ledger.register(image("web", version), ADA, "asked for release 0.1.0")
    assert version == "0.1.0"
    again = Ledger(shop)
    assert again.images() == [image("web", "0.1.0")]
    assert again.image("web", "0.1.0") == image("web", "0.1.0")
    newest, first = again.history()
    assert (newest.what, newest.why, newest.who) == ("register web 0.1.0", "asked for release 0.1.0", ADA)
    assert (first.what, first.why) == ("reserve web 0.1.0", "for run run-1")
    assert newest.commit == again.head()
    assert time.time() - 600 < newest.at < time.time() + 600
    with pytest.raises(LedgerError, match="no image web 9"):
        again.image("web", "9")


def test_nothing_of_the_users_is_touched(shop: Path) -> None:
    (shop / "file").write_text("x")
    git(shop, "add", "file")
    before = (git(shop, "status", "--porcelain=v2", "--branch"), (shop / ".git/index").read_bytes())
    ledger = Ledger(shop)
    ledger.register(image("web", ledger.reserve("web", "1", "run-1", ADA)), ADA, "")
    assert (git(shop, "status", "--porcelain=v2", "--branch"), (shop / ".git/index").read_bytes()) == before
    assert git(shop, "for-each-ref", "--format=%(refname)") == REF
    assert not (shop / "roles").exists()


def test_a_reservation_is_the_same_runs_and_nobody_elses(shop: Path) -> None:
    ledger = Ledger(shop)
    assert ledger.reserve("web", "0.1.0", "run-1", ADA) == "0.1.0"
    assert Ledger(shop).reserve("web", "0.1.0", "run-1", ADA) == "0.1.0"
    assert ledger.reserve("web", "0.1.0", "run-2", ADA) == "0.1.0.2"
    assert ledger.reserve("db", "0.1.0", "run-3", ADA) == "0.1.0"
    ledger.register(image("web", "0.1.0"), ADA, "")
    assert ledger.reserve("web", "0.1.0", "run-1", ADA) == "0.1.0", "asked again after it was used up"
    assert ledger.reserve("web", "0.1.0", "run-4", ADA) == "0.1.0.3"
    assert {held.run for held in ledger.read().reservations} == {"run-2", "run-3", "run-4"}


def test_a_reservation_that_was_not_used_can_be_given_back(shop: Path) -> None:
    ledger = Ledger(shop)
    ledger.reserve("web", "0.1.0", "run-1", ADA)
    assert ledger.release("web", "run-1", ADA, "it failed in validate") == "0.1.0"
    assert ledger.release("web", "run-1", ADA) == ""
    assert ledger.reserve("web", "0.1.0", "run-2", ADA) == "0.1.0"


def test_registering_again_changes_nothing_and_another_image_is_refused(shop: Path) -> None:
    ledger = Ledger(shop)
    ledger.register(image("web", "0.1.0"), ADA, "")
    head = ledger.head()
    ledger.register(image("web", "0.1.0", created=99.0), ADA, "")
    assert ledger.head() == head
    for other in (image("web", "0.1.0", "run-2"), image("web", "0.1.0", artifacts=())):
        with pytest.raises(RefusedError, match="another image already"):
            ledger.register(other, BO, "")
    assert ledger.images() == [image("web", "0.1.0")]


def test_a_version_that_another_run_holds_cannot_be_registered(shop: Path) -> None:
    ledger = Ledger(shop)
    ledger.reserve("web", "0.1.0", "run-1", ADA)
    with pytest.raises(LostRaceError, match=r"reserved by Ada Moreau .* \(run run-1\)"):
        ledger.register(image("web", "0.1.0", "run-2"), BO, "")
    assert ledger.images() == []


def test_deleted_files_are_recorded_and_the_fact_stays(shop: Path) -> None:
    ledger = Ledger(shop)
    whole = image("web", "0.1.0", artifacts=(Artifact("q", "qcow2", "/a"), Artifact("q", "raw", "/b")))
    ledger.register(whole, ADA, "")
    ledger.remove_artifacts("web", "0.1.0", ["/a"], BO, "room was needed")
    head = ledger.head()
    ledger.remove_artifacts("web", "0.1.0", ["/a"], BO, "again")
    assert ledger.head() == head
    assert [artifact.location for artifact in ledger.image("web", "0.1.0").artifacts] == ["/b"]
    assert ledger.images() == [ledger.image("web", "0.1.0")]
    assert [(removal.location, removal.by) for removal in ledger.read().removals] == [("/a", BO)]
    assert (
        json.loads(git(shop, "cat-file", "-p", f"{REF}:{image_path('web', '0.1.0')}"))["artifacts"][0]["location"]
        == "/a"
    )
    ledger.register(whole, ADA, "a stage that is carried out again")
    with pytest.raises(RefusedError, match="no artifact /c"):
        ledger.remove_artifacts("web", "0.1.0", ["/c"], BO)


@pytest.mark.parametrize("role", ["../../heads/main", ".git", "web/prod", "日本", "-n", "a b\u202e"])
def test_any_role_can_be_kept(shop: Path, role: str) -> None:
    if not role.isprintable():
        with pytest.raises(RefusedError):
            Ledger(shop).reserve(role, "1", "run-1", ADA)
        return
    ledger = Ledger(shop)
    ledger.register(image(role, ledger.reserve(role, "1", "run-1", ADA)), ADA, "")
    assert [found.role for found in ledger.images()] == [role]
    assert ledger.reserve(role, "1", "run-2", ADA) == "1.2"


@pytest.mark.parametrize("version", ["../1", "", "a b", "-1", "1\n"])
def test_what_is_no_version_is_refused(shop: Path, version: str) -> None:
    with pytest.raises(RefusedError):
        Ledger(shop).reserve("web", version, "run-1", ADA)
    with pytest.raises(RefusedError):
        Ledger(shop).register(image("web", version), ADA, "")


@pytest.mark.parametrize("who", ["", "<>", "a\nb <x\0@y>", "...", "no mail"])
def test_it_works_whoever_asks_and_with_no_identity_at_all(shop: Path, who: str) -> None:
    git(shop, "config", "user.useConfigOnly", "true")
    assert Ledger(shop).reserve("web", "1", "run-1", who) == "1"
    assert Ledger(shop).history()[0].who


def test_a_reason_cannot_forge_a_commit(shop: Path) -> None:
    Ledger(shop).register(image("web", "1"), ADA, "line one\nline two\0\x1b[31m")
    assert Ledger(shop).history()[0].why == "line one\nline two  [31m"


@pytest.mark.parametrize("kind", ["worktree", "sha256", "split index", "bare parent"])
def test_odd_repositories(tmp_path: Path, kind: str) -> None:
    root = new(tmp_path / "odd", *(["--object-format=sha256"] if kind == "sha256" else []))
    place = root
    if kind == "split index":
        git(root, "config", "core.splitIndex", "true")
    if kind == "worktree":
        git(root, "-c", "user.name=a", "-c", "user.email=b", "commit", "-q", "--allow-empty", "-m", "x")
        place = tmp_path / "tree"
        git(root, "worktree", "add", "-q", str(place))
    ledger = Ledger(place)
    ledger.register(image("web", ledger.reserve("web", "1", "run-1", ADA)), ADA, "")
    assert Ledger(root).images() == [image("web", "1")]
    assert not list((root / ".git").glob("sharedindex*"))
    git(root, "fsck", "--strict")


def test_a_read_only_object_store_is_a_clear_error(tmp_path: Path) -> None:
    if os.getuid() != 0:
        root = new(tmp_path / "shop")
        for directory in (root / ".git/objects", *(root / ".git/objects").rglob("*")):
            directory.chmod(0o500)
        with pytest.raises(LedgerError, match="cannot be read or written"):
            Ledger(root).reserve("web", "1", "run-1", ADA)
        return
    # Root may write anywhere: somebody else tries it.
    place = Path(tempfile.mkdtemp())
    try:
        place.chmod(0o755)
        root = new(place / "shop")
        for path in (place, *place.rglob("*")):
            os.chown(path, 12345, 12345)
        (root / ".git/objects").chmod(0o500)
        script = (
            "import os; import core.store.ledger as l; from git.cmd import Git; from pathlib import Path\n"
            "os.setresgid(12345, 12345, 12345); os.setresuid(12345, 12345, 12345)\n"
            f"os.environ.update(HOME={str(place)!r}, GIT_CONFIG_GLOBAL='/dev/null')\n"
            "try: l.Ledger(Path('shop').absolute()).reserve('web', '1', 'run-1', 'Ada <a@b>')\n"
            "except l.LedgerError as error: print(error)\n"
        )
        done = subprocess.run((sys.executable, "-c", script), cwd=place, capture_output=True, text=True, check=False)
        assert "cannot be read or written" in done.stdout, done.stderr
        assert "rights" in done.stdout
    finally:
        shutil.rmtree(place)


# Content that is not ours


def hostile(root: Path, *entries: tuple[str, str, bytes]) -> None:
    """Put files (mode, path, content) onto the ledger behind its back."""
    tree = LedgerTree(Ledger(root)._tree.repository)  # pyright: ignore[reportPrivateUsage] - the other writer
    head = tree.head()
    index = {**os.environ, "GIT_INDEX_FILE": str(root / "hostile-index")}
    subprocess.run(("git", "read-tree", head or "--empty"), cwd=root, env=index, check=True)
    for mode, path, content in entries:
        blob = tree.write(content)
        line = f"{mode} {blob}\t{path}\0".encode()
        subprocess.run(("git", "update-index", "-z", "--index-info"), cwd=root, env=index, input=line, check=True)
    written = subprocess.run(
        ("git", "write-tree"), cwd=root, env=index, capture_output=True, check=True
    ).stdout.decode()
    parents = ("-p", head) if head else ()
    commit = git(
        root, "-c", "user.name=x", "-c", "user.email=x", "commit-tree", written.strip(), *parents, "-m", "hostile"
    )
    git(root, "update-ref", REF, commit)


@pytest.mark.parametrize(
    ("mode", "path", "content", "said"),
    [
        ("100644", "roles/web/images/9.json", b"{not json", "is not a manifest"),
        ("100644", "roles/web/images/9.json", b"[" * 100_000, "is not a manifest"),
        ("100644", "roles/web/images/9.json", b'{"role": 5}', "is not a manifest"),
        ("100644", "roles/web/images/9.json", b"\xff\xfe\0", "is not a manifest"),
        ("100644", "roles/web/images/9.json", encode(image("db", "9")), "another role or version"),
        ("100644", "roles/web/images/9.json", b" " * (2 << 20), "has 2097152 bytes"),
        ("120000", "roles/web/images/9.json", b"/etc/passwd", "is no plain file"),
        ("100755", "roles/web/images/9.json", b"#!/bin/sh", "is no plain file"),
        ("100644", "roles/web/images/..%2F..%2Fetc.json", b"{}", "is not a manifest"),
        ("100644", "roles/web/verdicts/9.json", b"{}", "nothing that this version of Ingot knows"),
        ("100644", "roles/we\nb\x1b[2J/x", b"{}", "nothing that this version of Ingot knows"),
        ("100644", "roles/web/reserved/9.json", b"null", "is not a manifest"),
    ],
    ids=[
        "no json", "deep", "wrong type", "binary", "elsewhere", "huge", "link", "program", "path trick", "unknown kind",
        "control characters", "broken reservation",
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named_and_hides_nothing(
    shop: Path, mode: str, path: str, content: bytes, said: str
) -> None:
    ledger = Ledger(shop)
    ledger.register(image("web", "1"), ADA, "")
    hostile(shop, (mode, path, content))
    found = ledger.read()
    assert ledger.images() == [image("web", "1")]
    assert len(found.problems) == 1
    assert said in found.problems[0].what
    assert repr(path) in found.problems[0].what
    assert found.problems[0].next_step
    assert ledger.reserve("web", "9", "run-9", ADA) == (
        "9" if path.split("/")[2:] != ["images", "9.json"] else "9.2"
    ) or ("reserved" in path)
    if path == "roles/web/images/9.json":
        with pytest.raises(LedgerError, match="On the ledger"):
            ledger.image("web", "9")
        with pytest.raises(LedgerError, match="On the ledger"):
            ledger.register(image("web", "9"), ADA, "")


def test_a_ledger_that_is_no_commit_is_a_clear_error(shop: Path) -> None:
    blob = git(shop, "hash-object", "-w", "--stdin", given=b"x")
    git(shop, "update-ref", REF, blob)
    with pytest.raises(LedgerError, match="is not a commit"):
        Ledger(shop).images()


@pytest.mark.parametrize("damage", ["", "garbage\n", "0" * 40 + "\n"])
def test_a_damaged_ref_is_not_taken_for_an_empty_ledger(shop: Path, damage: str) -> None:
    ledger = Ledger(shop)
    ledger.register(image("web", "1"), ADA, "")
    (shop / ".git" / REF).write_text(damage)
    with pytest.raises(LedgerError):
        ledger.images()
    with pytest.raises(LedgerError):
        ledger.reserve("web", "1", "run-2", ADA)


def test_what_is_no_repository_is_not_taken_for_an_empty_ledger(shop: Path, tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="not a git repository"):
        Ledger(tmp_path).images()
    if os.getuid() == 0:
        os.chown(shop, 12345, 12345)
        os.chown(shop / ".git", 12345, 12345)
        with pytest.raises(LedgerError, match="belongs to another user"):
            Ledger(shop).images()


def test_a_missing_object_is_a_clear_error(shop: Path) -> None:
    ledger = Ledger(shop)
    ledger.register(image("web", "1"), ADA, "")
    ledger.register(image("web", "2"), ADA, "")
    blob = git(shop, "rev-parse", f"{REF}:{image_path('web', '2')}")
    (shop / ".git/objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(LedgerError):
        ledger.image("web", "2")
    assert ledger.images() == [image("web", "1")]


# Many at once on one machine


def test_many_threads_reserve_and_register_and_nothing_is_lost(shop: Path) -> None:
    def build(number: int) -> str:
        ledger = Ledger(shop)
        version = ledger.reserve("web", "0.1.0", f"run-{number}", ADA)
        ledger.register(image("web", version, f"run-{number}"), ADA, "")
        return version

    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(build, range(12)))
    assert sorted(made) == sorted(["0.1.0", *(f"0.1.0.{number}" for number in range(2, 13))])
    found = Ledger(shop).read()
    assert {found_image.run for found_image in found.images} == {f"run-{number}" for number in range(12)}
    assert not found.reservations


def test_a_stale_lock_is_said_and_not_waited_for_without_end(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.store.ledger_sharing.PATIENCE", 0.5)
    ledger = Ledger(shop)
    ledger.reserve("web", "1", "run-1", ADA)
    (shop / ".git" / f"{REF}.lock").write_text("")
    with pytest.raises(LedgerError, match=r"ledger\.lock"):
        ledger.reserve("web", "1", "run-2", ADA)


# Two clones that share a remote


def test_two_clones_get_two_versions_and_both_see_both(clones: tuple[Path, Path]) -> None:
    one, two = (Ledger(clone, "origin") for clone in clones)
    assert one.reserve("web", "0.1.0", "run-1", ADA) == "0.1.0"
    assert one.last_shared.state == "sent"
    assert two.reserve("web", "0.1.0", "run-2", BO) == "0.1.0.2"
    two.register(image("web", "0.1.0.2", "run-2"), BO, "")
    one.register(image("web", "0.1.0", "run-1"), ADA, "")
    two.fetch()
    assert one.head() == two.head()
    assert [found.version for found in two.images()] == ["0.1.0", "0.1.0.2"]
    assert one.images() == two.images()
    assert one.share().state == "same"


RACE = """
import sys
from pathlib import Path
from core.model.image import ImageVersion, UpstreamRecord
from core.store.ledger import Ledger
root, me, times, register = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4] == "register"
ledger = Ledger(root, "origin")
for turn in range(times):
    run = f"{me}-{turn}"
    version = ledger.reserve("web", "0.1.0", run, f"{me} <{me}@example.org>")
    assert ledger.last_shared.state != "offline", ledger.last_shared
    if register and turn % 3 == 0:
        ledger.register(
            ImageVersion(role="web", version=version, commit="c" * 40, created=1.0, run=run, built_by=me,
                         upstream=UpstreamRecord("file", "x"), artifacts=(), template="web"), f"{me} <x>", "race")
    print(run, version, flush=True)
"""


def race(clones: tuple[Path, Path], times: int) -> None:
    """Each clone reserves (and now and then registers) again and again, in a process of its own."""
    processes = [
        subprocess.Popen(
            (sys.executable, "-c", RACE, str(root), me, str(times), "register"),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for root, me in zip(clones, ("ada", "bo"), strict=True)
    ]  # fmt: skip
    results = [process.communicate(timeout=600) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], [said for _, said in results]
    won = dict(line.split() for out, _ in results for line in out.splitlines())
    assert len(won) == len(set(won.values())) == 2 * times
    one, two = (Ledger(root, "origin") for root in clones)
    for ledger in (one, two, one):
        ledger.share()
    assert one.head() == two.head()
    found = one.read()
    assert not found.problems
    assert not found.lost
    whose = {held.run: held.version for held in (*found.reservations, *found.images)}
    assert whose == won
    assert {made.run for made in found.images} == {run for run in won if int(run.partition("-")[2]) % 3 == 0}


def test_clones_that_race_for_one_name_each_get_another(clones: tuple[Path, Path]) -> None:
    race(clones, 12)


@pytest.mark.long
def test_clones_that_race_a_hundred_times_each_get_another(clones: tuple[Path, Path]) -> None:
    race(clones, 100)


def offline(clone: Path) -> None:
    git(clone, "remote", "set-url", "origin", "/nowhere/hub.git")


def online(clone: Path) -> None:
    git(clone, "remote", "set-url", "origin", str(clone.parent / "hub.git"))


def test_offline_it_stays_local_and_says_so(clones: tuple[Path, Path]) -> None:
    ledger = Ledger(clones[0], "origin")
    offline(clones[0])
    assert ledger.reserve("web", "0.1.0", "run-1", ADA) == "0.1.0"
    assert ledger.last_shared.state == "offline"
    assert "/nowhere/hub.git" in ledger.last_shared.reason
    ledger.register(image("web", "0.1.0"), ADA, "")
    online(clones[0])
    assert ledger.share().state == "sent"
    other = Ledger(clones[1], "origin")
    other.fetch()
    assert other.images() == [image("web", "0.1.0")]


def test_without_a_remote_sharing_says_why_not(shop: Path) -> None:
    shared = Ledger(shop).share()
    assert shared.state == "local"
    assert "ledger.remote" in shared.reason


def test_what_both_wrote_while_apart_is_all_kept(clones: tuple[Path, Path]) -> None:
    one, two = (Ledger(clone, "origin") for clone in clones)
    one.register(image("base", "1"), ADA, "")
    two.fetch()
    offline(clones[0])
    one.register(image("web", "1"), ADA, "while the link was down")
    one.remove_artifacts("base", "1", [image("base", "1").artifacts[0].location], ADA, "room")
    two.register(image("db", "1"), BO, "")
    two.reserve("web", "2", "run-7", BO)
    online(clones[0])
    assert one.share() == one.last_shared
    two.fetch()
    assert one.head() == two.head()
    assert [(found.role, len(found.artifacts)) for found in two.images()] == [("base", 0), ("db", 1), ("web", 1)]
    replayed = {change.what: change for change in two.history()}["register web 1"]
    assert (replayed.who, replayed.why) == (ADA, "while the link was down")


def test_an_image_registered_offline_under_a_name_that_others_had_loses_the_name_only(
    clones: tuple[Path, Path],
) -> None:
    one, two = (Ledger(clone, "origin") for clone in clones)
    one.reserve("base", "1", "run-0", ADA)
    two.fetch()
    offline(clones[1])
    assert two.reserve("web", "0.1.0", "run-2", BO) == "0.1.0"
    two.register(image("web", "0.1.0", "run-2"), BO, "")
    two.register(image("db", "7", "run-3"), BO, "")
    one.register(image("web", one.reserve("web", "0.1.0", "run-1", ADA)), ADA, "")
    online(clones[1])
    with pytest.raises(
        LostRaceError, match=r"web 0\.1\.0 was registered by Ada Moreau <ada@example\.org> \(run run-1\)"
    ):
        two.share()
    one.fetch()
    assert one.head() == two.head()
    assert one.image("web", "0.1.0").run == "run-1"
    assert one.image("db", "7").run == "run-3"
    assert [lost.run for lost in one.read().lost] == ["run-2"]
    assert not one.read().problems
    assert two.share().state == "same"
    assert two.reserve("web", "0.1.0", "run-4", BO) == "0.1.0.2"


def test_a_reservation_lost_while_offline_is_replaced_when_the_run_asks_again(clones: tuple[Path, Path]) -> None:
    one, two = (Ledger(clone, "origin") for clone in clones)
    offline(clones[1])
    assert two.reserve("web", "0.1.0", "run-2", BO) == "0.1.0"
    one.reserve("web", "0.1.0", "run-1", ADA)
    online(clones[1])
    with pytest.raises(LostRaceError, match=r"web 0\.1\.0 was reserved by Ada"):
        two.register(image("web", "0.1.0", "run-2"), BO, "")
    assert two.reserve("web", "0.1.0", "run-2", BO) == "0.1.0.2"
    two.register(image("web", "0.1.0.2", "run-2"), BO, "")


def test_a_rewritten_remote_ledger_is_not_followed(clones: tuple[Path, Path], tmp_path: Path) -> None:
    one, two = (Ledger(clone, "origin") for clone in clones)
    one.register(image("web", "1"), ADA, "")
    two.fetch()
    git(tmp_path / "hub.git", "update-ref", "-d", REF)
    fresh = new(tmp_path / "fresh")
    Ledger(fresh).register(image("web", "1", "forged"), BO, "")
    git(fresh, "push", "-q", str(tmp_path / "hub.git"), REF)
    with pytest.raises(LedgerError, match="was rewritten"):
        two.fetch()
    assert two.image("web", "1").run == "run-1"


def test_malformed_objects_of_a_remote_do_not_come_in(clones: tuple[Path, Path], tmp_path: Path) -> None:
    evil = new(tmp_path / "evil")
    blob = git(evil, "hash-object", "-w", "--stdin", given=b"{}")
    inner = git(evil, "mktree", given=f"100644 blob {blob}\tx\n".encode())
    raw = b"40000 ..\0" + bytes.fromhex(inner)
    tree = git(evil, "hash-object", "-t", "tree", "-w", "--stdin", "--literally", given=raw)
    commit = git(evil, "-c", "user.name=x", "-c", "user.email=x", "commit-tree", tree, "-m", "evil")
    git(evil, "push", "-q", str(tmp_path / "hub.git"), f"{commit}:{REF}")
    ledger = Ledger(clones[0], "origin")
    with pytest.raises(LedgerError, match="holds something malformed"):
        ledger.reserve("web", "1", "run-1", ADA)
    assert ledger.head() is None


def test_a_remote_that_refuses_says_why(clones: tuple[Path, Path], tmp_path: Path) -> None:
    hook = tmp_path / "hub.git/hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho no ledgers here >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(LedgerError, match="refuses the ledger"):
        Ledger(clones[0], "origin").reserve("web", "1", "run-1", ADA)


@pytest.mark.parametrize("remote", ["--upload-pack=x", "upstream", "a b", "ext::sh -c x", "../x"])
def test_a_remote_that_is_none_is_refused(clones: tuple[Path, Path], remote: str) -> None:
    with pytest.raises((LedgerError, RefusedError)):
        Ledger(clones[0], remote).reserve("web", "1", "run-1", ADA)


def test_sharing_runs_nothing_that_the_repository_names(clones: tuple[Path, Path], tmp_path: Path) -> None:
    ran, evil = tmp_path / "ran", tmp_path / "evil"
    evil.write_text(f'#!/bin/sh\necho "$0 $*" >>{ran}\nexit 1\n')
    evil.chmod(0o755)
    clone = clones[0]
    for hook in ("pre-push", "reference-transaction", "post-update"):
        shutil.copy(evil, clone / ".git/hooks" / hook)
    for key in ("remote.origin.uploadpack", "remote.origin.receivepack", "core.sshCommand", "core.gitProxy"):
        git(clone, "config", key, str(evil))
    ran.unlink(missing_ok=True)
    ledger = Ledger(clone, "origin")
    ledger.register(image("web", ledger.reserve("web", "1", "run-1", ADA)), ADA, "")
    assert ledger.last_shared.state == "sent"
    git(clone, "remote", "set-url", "origin", "ssh://localhost:1/x")
    assert ledger.share().state == "offline"
    git(clone, "config", "protocol.ext.allow", "always")
    git(clone, "remote", "set-url", "origin", f"ext::{evil}")
    with pytest.raises(LedgerError, match="helper program"):
        ledger.share()
    assert not ran.exists(), ran.read_text()


def test_a_git_that_cannot_be_started_is_not_held_against_the_place_of_temporary_files(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = LedgerTree(Ledger(shop)._tree.repository)  # pyright: ignore[reportPrivateUsage] - the other writer

    def commit() -> str:
        with pytest.raises(LedgerError) as refused:
            tree.commit(None, {}, "nothing", Signature(ADA))
        return str(refused.value)

    with monkeypatch.context() as change:
        change.setattr(tempfile, "tempdir", str(shop / "gone"))
        assert "temporary files have no place. No such file or directory." in commit()
    for error in (OSError(errno.EMFILE, "Too many open files"), OSError("Too many open files")):

        def refuse(*_: object, error: OSError = error) -> int:
            raise error

        with monkeypatch.context() as change:
            change.setattr(os, "memfd_create", refuse)
            said = commit()
        assert "Git could not be started: Too many open files." in said
        assert "TMPDIR" not in said
    assert tree.commit(None, {}, "nothing", Signature(ADA))


def test_ten_thousand_images_are_read_at_once(shop: Path) -> None:
    lines: list[bytes] = []
    for number in range(10_000):
        content = encode(image("web", f"0.{number}"))
        lines.append(f"blob\nmark :{number + 1}\ndata {len(content)}\n".encode() + content + b"\n")
    lines.append(f"commit {REF}\ncommitter x <x> 1 +0000\ndata 1\nx\n".encode())
    lines += [f"M 100644 :{number + 1} {image_path('web', f'0.{number}')}\n".encode() for number in range(10_000)]
    git(shop, "fast-import", "--quiet", given=b"".join(lines))
    ledger = Ledger(shop)
    found = ledger.images()
    assert len(found) == 10_000
    assert found[-1].version == "0.9999"
    assert ledger.reserve("web", "0.9999", "run-2", ADA) == "0.9999.2"
