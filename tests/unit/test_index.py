"""The index: what is written is read again, by others too, and a file that cannot be used says what to do."""

import os
import sqlite3
import stat
import threading
from itertools import count
from pathlib import Path

import pytest
from msgspec.structs import replace

from core.errors import EngineError, RefusedError, StoreError
from core.model.image import Artifact, ImageVersion, UpstreamRecord
from core.model.role import Build, Problem, Role, Syntax
from core.model.run import RunRequest, RunState, StageState
from core.model.workspace import Catalogue, GitFacts, Workspace
from core.store.filesystem import filesystem_of
from core.store.index import Index
from core.store.schema import MIGRATIONS
from tests.support.stages import plain_stages

WORKSPACE = Workspace(id="example.org/shop", name="shop", root="/srv/shop")
ROLE = Role(
    name="web",
    template="images/web",
    syntax=Syntax.HCL2,
    builds=(Build("qemu.web", "qemu"),),
    problems=(Problem("images/web/web.pkr.hcl", "odd", line=3),),
    variables={"release": "bookworm"},
)
REQUEST = RunRequest(
    workspace=WORKSPACE,
    role=ROLE,
    commit="c" * 40,
    ref="HEAD",
    builds=("qemu.web",),
    asked_by="Ada <ada@example.org>",
    asked_at=1000.0,
    environment={"AWS_PROFILE": "shop"},
)
STAGES = plain_stages(REQUEST.builds)


def image(role: str = "web", version: str = "0.1.0", created: float = 1.0) -> ImageVersion:
    return ImageVersion(
        role=role,
        version=version,
        commit="c" * 40,
        created=created,
        run="r",
        built_by="Ada <ada@example.org>",
        upstream=UpstreamRecord("archive", "Debian bookworm"),
        artifacts=(Artifact("qemu.web", "qcow2", "/srv/web.qcow2", size=5),),
        template="images/web",
    )


@pytest.fixture
def index(tmp_path: Path):
    opened = Index(tmp_path / "index.sqlite")
    yield opened
    opened.close()


def test_the_file_is_private_from_the_first_moment_and_so_are_its_companions(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        opened = Index(tmp_path / "index.sqlite")
        opened.trust(WORKSPACE, "ada")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    opened.close()
    assert modes == {"index.sqlite": 0o600, "index.sqlite-wal": 0o600, "index.sqlite-shm": 0o600}


def test_a_run_is_read_as_it_was_asked_for(index: Index) -> None:
    run = index.add_run(REQUEST, STAGES)
    again = index.run(run.uid)
    assert again == run
    assert run.request == REQUEST
    assert (run.id, run.state, run.version, run.started) == (1, RunState.QUEUED, "", None)
    assert [stage.key for stage in run.stages] == list(STAGES)
    assert index.run(1) == run == index.run("1")
    assert index.run(2) is None


def test_uids_of_later_runs_sort_after_those_of_earlier_ones(tmp_path: Path) -> None:
    moments = iter([1.0, 2_000_000_000.0])
    opened = Index(tmp_path / "index.sqlite", clock=lambda: next(moments))
    first, second = (opened.add_run(REQUEST, STAGES).uid for _ in range(2))
    opened.close()
    assert first < second
    assert len(first) == len(second) == 21


def test_runs_come_newest_first_and_can_be_narrowed(index: Index) -> None:
    other = replace(REQUEST, workspace=replace(WORKSPACE, id="other"))
    runs = [index.add_run(request, STAGES) for request in (REQUEST, other, REQUEST)]
    index.set_run_state(runs[0].uid, RunState.CANCELLED)
    assert [run.id for run in index.runs()] == [3, 2, 1]
    assert [run.id for run in index.runs(WORKSPACE.id)] == [3, 1]
    assert [run.id for run in index.runs(active_only=True)] == [3, 2]
    assert [run.id for run in index.runs(limit=1)] == [3]


def test_moments_of_a_run_are_noted_once(tmp_path: Path) -> None:
    moments = iter([100.0, 101.0, 102.0, 103.0, 104.0])
    opened = Index(tmp_path / "index.sqlite", clock=lambda: next(moments))
    uid = opened.add_run(REQUEST, STAGES).uid
    for state in (RunState.RUNNING, RunState.WAITING, RunState.RUNNING, RunState.SUCCEEDED):
        opened.set_run_state(uid, state, f"because of {state}")
    run = opened.run(uid)
    opened.close()
    assert run is not None
    assert (run.created, run.started, run.ended, run.reason) == (100.0, 101.0, 104.0, "because of succeeded")


def test_a_state_that_may_not_follow_is_refused_and_nothing_is_written(index: Index) -> None:
    uid = index.add_run(REQUEST, STAGES).uid
    with pytest.raises(RefusedError, match="Run 1 is queued and cannot become succeeded"):
        index.set_run_state(uid, RunState.SUCCEEDED)
    run = index.run(uid)
    assert run is not None
    assert run.state is RunState.QUEUED
    with pytest.raises(EngineError, match="no run nothing"):
        index.set_run_state("nothing", RunState.RUNNING)


def test_a_stage_keeps_what_is_told_of_it(index: Index) -> None:
    uid = index.add_run(REQUEST, STAGES).uid
    index.update_stage(uid, "validate", state=StageState.RUNNING, attempt=1, started=5.0, progress="packer validate")
    index.update_stage(uid, "validate", fraction=0.5)
    assert index.stage_result(uid, "validate") == {}
    result: dict[str, object] = {"packer": "1.6.6", "n": [1, None]}
    index.update_stage(uid, "validate", state=StageState.SUCCEEDED, ended=6.0, result=result)
    run = index.run(uid)
    assert run is not None
    stage = run.stage("validate")
    assert stage is not None
    assert (stage.state, stage.attempt, stage.started, stage.ended) == (StageState.SUCCEEDED, 1, 5.0, 6.0)
    assert (stage.progress, stage.fraction) == ("packer validate", 0.5)
    assert index.stage_result(uid, "validate") == result
    assert run.current == stage
    with pytest.raises(EngineError, match="no stage sealing"):
        index.update_stage(uid, "sealing", progress="x")


def test_cancelling_a_queued_run_ends_it_at_once(index: Index) -> None:
    uid = index.add_run(REQUEST, STAGES).uid
    index.ask_cancel(uid, "Ada <ada@example.org>")
    run = index.run(uid)
    assert run is not None
    assert run.state is RunState.CANCELLED
    assert run.ended is not None
    with pytest.raises(RefusedError, match="it was cancelled"):
        index.ask_cancel(uid, "Bob")


def test_cancelling_a_running_run_is_a_message_and_the_first_asker_stays(index: Index) -> None:
    uid = index.add_run(REQUEST, STAGES).uid
    index.set_run_state(uid, RunState.RUNNING)
    index.ask_cancel(uid, "Ada")
    index.ask_cancel(uid, "Bob")
    run = index.run(uid)
    assert run is not None
    assert (run.state, run.cancel_asked_by) == (RunState.RUNNING, "Ada")


def test_others_see_a_change_and_its_number_grows(tmp_path: Path) -> None:
    mine, theirs = Index(tmp_path / "index.sqlite"), Index(tmp_path / "index.sqlite")
    seen = mine.data_version(), theirs.data_version()
    assert seen == (mine.data_version(), theirs.data_version())
    uid = mine.add_run(REQUEST, STAGES).uid
    changed = mine.data_version(), theirs.data_version()
    assert changed[0] > seen[0]
    assert changed[1] > seen[1]
    assert theirs.run(uid) == mine.run(uid)
    mine.close()
    theirs.close()


def test_threads_and_processes_may_write_at_once(tmp_path: Path) -> None:
    opened = [Index(tmp_path / "index.sqlite") for _ in range(2)]

    def add(which: Index) -> None:
        for _ in range(20):
            which.add_run(REQUEST, STAGES)

    threads = [threading.Thread(target=add, args=(which,)) for which in opened * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(run.id for run in opened[0].runs()) == list(range(1, 81))
    for which in opened:
        which.close()


def test_workspaces_are_remembered_with_the_place_where_they_were_opened_last(tmp_path: Path) -> None:
    moments = count()
    opened = Index(tmp_path / "index.sqlite", clock=lambda: float(next(moments)))
    clone = replace(WORKSPACE, root="/home/ada/shop")
    for workspace in (WORKSPACE, replace(WORKSPACE, id="other", root="/srv/other"), clone):
        opened.remember_workspace(workspace)
    assert [known.root for known in opened.workspaces()] == ["/home/ada/shop", "/srv/other"]
    assert opened.workspace_at("/srv/shop") == WORKSPACE
    assert opened.workspace_at("/nowhere") is None
    assert not opened.trusted(WORKSPACE)
    opened.trust(WORKSPACE, "ada")
    assert opened.trusted(WORKSPACE)
    opened.close()


def test_a_catalogue_is_kept_for_each_clone(index: Index) -> None:
    here = Catalogue(WORKSPACE, GitFacts(commit="a" * 40, branch="main"), (ROLE,), read_at=1.0)
    there = Catalogue(replace(WORKSPACE, root="/home/ada/shop"), GitFacts(branch="topic"), (), read_at=2.0)
    index.save_catalogue(here)
    index.save_catalogue(there)
    assert index.catalogue(WORKSPACE.id) == there
    assert index.catalogue(WORKSPACE.id, "/srv/shop") == here
    assert index.catalogue("nothing") is None
    assert index.workspace_at("/srv/shop") == WORKSPACE


def test_images_follow_their_ledger(index: Index) -> None:
    index.replace_images(WORKSPACE.id, [image(), image("db", "0.2.0", 3.0), image("web", "0.2.0", 2.0)], "head1")
    assert [(found.role, found.version) for found in index.images(WORKSPACE.id)] == [
        ("db", "0.2.0"),
        ("web", "0.2.0"),
        ("web", "0.1.0"),
    ]
    assert index.images(WORKSPACE.id, "db") == [image("db", "0.2.0", 3.0)]
    assert index.ledger_head(WORKSPACE.id) == "head1"
    before = index.data_version()
    index.replace_images(WORKSPACE.id, [image(), image("db", "0.2.0", 3.0), image("web", "0.2.0", 2.0)], "head1")
    assert index.data_version() == before, "what did not change is not written"
    index.replace_images(WORKSPACE.id, [replace(image(), marks=("development",))], "head2")
    assert index.images(WORKSPACE.id) == [replace(image(), marks=("development",))]
    assert index.ledger_head(WORKSPACE.id) == "head2"
    assert index.images("other") == []


def test_stale_roles_are_replaced_as_a_whole(index: Index) -> None:
    index.save_stale(WORKSPACE.id, {"web": "playbooks/web.yml changed", "db": "never built"})
    index.save_stale(WORKSPACE.id, {"db": "never built"})
    assert index.stale(WORKSPACE.id) == {"db": "never built"}


def test_a_damaged_file_says_what_is_safe_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreError) as caught:
        Index(path)
    assert f"mv {path} {path}.damaged" in caught.value.next_step
    assert "No image is lost" in caught.value.kept


def test_damage_in_the_middle_is_told_too(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    opened = Index(path)
    for _ in range(200):
        opened.add_run(REQUEST, STAGES)
    opened.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))
    with pytest.raises(StoreError, match="is damaged"):
        Index(path).runs()


def test_an_index_of_a_newer_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    Index(path).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="newer Ingot"):
        Index(path)
    assert path.read_bytes() == before


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="Cannot open"):
        Index(tmp_path / "file" / "index.sqlite")


def test_where_nothing_was_ever_kept_a_private_directory_is_made(tmp_path: Path) -> None:
    Index(tmp_path / "new" / "home" / "index.sqlite").close()
    assert (tmp_path / "new" / "home").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/data/x", "ext4"),
        ("/srv/shared/x", "nfs4"),
        ("/srv/sharedother", "ext4"),
        ("/home/with space/x", "fuse.sshfs"),
        ("/covered/x", "cifs"),
    ],
)
def test_the_file_system_is_that_of_the_nearest_mount(path: str, kind: str) -> None:
    mounts = "\n".join(
        (
            "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
            "22 21 0:40 / /srv/shared rw,relatime shared:2 master:3 - nfs4 server:/export rw",
            r"23 21 0:41 / /home/with\040space rw - fuse.sshfs ada@host: rw",
            "24 21 8:2 / /covered rw - xfs /dev/sdb rw",
            "25 24 0:42 / /covered rw - cifs //server/share rw",
        )
    )
    assert filesystem_of(Path(path), mounts) == kind
