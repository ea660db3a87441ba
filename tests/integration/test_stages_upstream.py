"""What a build starts from: fetched from a real server, verified, kept, found again, and refused when it is wrong."""

import asyncio
import hashlib
import os
import random
import shutil
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import Server, file_server
from leaving_worker import worker_leaves
from patience import PATIENCE, until
from workshop import FILE_TEMPLATE, WHO, Workshop, role

from core.adapters import archive
from core.adapters.archive import ArchiveRecord, Release
from core.errors import SpaceError, UpstreamError
from core.model.image import Artifact, ImageState, ImageVersion, UpstreamRecord
from core.model.role import Upstream, UpstreamKind
from core.model.run import RunState
from core.stages import given, space, upstream_archive

CONTENT = random.Random(20).randbytes(3 * 1024 * 1024 + 17)  # the same in every process that collects these tests
SHA256 = hashlib.sha256(CONTENT).hexdigest()
SHA512 = hashlib.sha512(CONTENT).hexdigest()
DECLARES = ("ingot_version", "ingot_output", "ingot_upstream")


@pytest.fixture
def server() -> Iterator[Server]:
    with file_server() as made:
        yield made


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    made = Workshop(tmp_path)
    made.commit({"web/web.pkr.hcl": FILE_TEMPLATE})
    yield made
    made.close()


def file_upstream(url: str, checksum: str = f"sha256:{SHA256}") -> Upstream:
    return Upstream(UpstreamKind.FILE, url=url, checksum=checksum)


@pytest.mark.parametrize(
    "checksum", [f"sha256:{SHA256}", f"sha512:{SHA512}", "file:SHA256SUMS", "file:bsd.txt"], ids=lambda text: text[:12]
)
async def test_what_was_promised_is_fetched_verified_and_kept(
    workshop: Workshop, server: Server, checksum: str
) -> None:
    server.files = {
        "/disk.qcow2": CONTENT,
        "/SHA256SUMS": f"{'0' * 64}  other.qcow2\n{SHA256} *disk.qcow2\n".encode(),
        "/bsd.txt": f"SHA512 (disk.qcow2) = {SHA512}\n".encode(),
    }
    checksum = checksum.replace("file:", f"file:{server.url}/")
    of = role(declares=DECLARES, upstream=file_upstream(f"{server.url}/disk.qcow2", checksum))
    for expected_requests in (1, 1):  # the second run finds it in the cache
        run = workshop.new_run(of)
        result = await workshop.until(run, "upstream")
        path = Path(str(result["path"]))
        assert path.read_bytes() == CONTENT
        assert path.name == f"{SHA256}.qcow2"
        assert path.parent == workshop.places.cache / "upstreams"
        assert result["digest"] == f"sha256:{SHA256}"
        assert [path for path, _ in server.asked].count("/disk.qcow2") == expected_requests
        workshop.end(run, succeeded=False)


async def test_what_cannot_be_noted_in_the_cache_is_verified_all_the_same(workshop: Workshop, server: Server) -> None:
    server.files = {"/disk.qcow2": CONTENT}
    (workshop.places.cache / "digests").write_text("in the way")
    for _ in range(2):  # the second time from the cache
        run = workshop.new_run(role(declares=DECLARES, upstream=file_upstream(f"{server.url}/disk.qcow2")))
        assert (await workshop.until(run, "upstream"))["digest"] == f"sha256:{SHA256}"
        workshop.end(run, succeeded=False)


async def test_what_is_not_as_promised_is_refused_and_removed(workshop: Workshop, server: Server) -> None:
    server.files = {"/disk.qcow2": CONTENT[:-1] + b"!"}
    run = workshop.new_run(role(declares=DECLARES, upstream=file_upstream(f"{server.url}/disk.qcow2")))
    with pytest.raises(UpstreamError, match="not what was promised"):
        await workshop.until(run, "upstream")
    assert not [path for path in (workshop.places.cache / "upstreams").iterdir() if path.suffix != ".lock"]


async def test_a_fetch_that_breaks_off_goes_on_where_it_was(workshop: Workshop, server: Server) -> None:
    server.files = {"/disk.qcow2": CONTENT}
    server.cut_after = 2 * 1024 * 1024
    run = workshop.new_run(role(declares=DECLARES, upstream=file_upstream(f"{server.url}/disk.qcow2")))
    result = await workshop.until(run, "upstream")
    assert Path(str(result["path"])).read_bytes() == CONTENT
    (_, first), (_, second) = server.asked
    assert first == ""
    assert second.startswith("bytes=")
    assert second != "bytes=0-"


async def test_a_server_that_is_busy_is_asked_again(workshop: Workshop, server: Server) -> None:
    server.files, server.failures = {"/disk.qcow2": CONTENT}, 1
    run = workshop.new_run(role(declares=DECLARES, upstream=file_upstream(f"{server.url}/disk.qcow2")))
    await workshop.until(run, "upstream")
    assert "503" in workshop.log(run, "upstream")


async def test_the_persons_proxy_is_used_for_the_run(workshop: Workshop, server: Server) -> None:
    server.files = {"http://media.invalid/disk.qcow2": CONTENT}  # as a proxy is asked
    of = role(declares=DECLARES, upstream=file_upstream("http://media.invalid/disk.qcow2"))
    run = workshop.new_run(of, secrets={"http_proxy": server.url})
    await workshop.until(run, "upstream")
    run = workshop.new_run(
        role(declares=DECLARES, upstream=file_upstream(f"{server.url}/disk.qcow2")),
        environment={"no_proxy": "127.0.0.1"},
        secrets={"http_proxy": "http://proxy.invalid:1"},
    )
    server.files["/disk.qcow2"] = CONTENT
    await workshop.until(run, "upstream")


async def test_a_file_that_the_server_does_not_have_is_final(workshop: Workshop, server: Server) -> None:
    run = workshop.new_run(role(declares=DECLARES, upstream=file_upstream(f"{server.url}/disk.qcow2")))
    with pytest.raises(UpstreamError, match="404"):
        await workshop.until(run, "upstream")
    assert len(server.asked) == 1


async def test_a_cached_file_that_was_changed_is_fetched_again(workshop: Workshop, server: Server) -> None:
    server.files = {"/disk.qcow2": CONTENT}
    of = role(declares=DECLARES, upstream=file_upstream(f"{server.url}/disk.qcow2"))
    path = Path(str((await workshop.until(workshop.new_run(of), "upstream"))["path"]))
    path.chmod(0o600)
    path.write_bytes(b"somebody else's")
    run = workshop.new_run(of)
    result = await workshop.until(run, "upstream")
    assert Path(str(result["path"])).read_bytes() == CONTENT
    assert "fetched again" in workshop.log(run, "upstream")


async def test_two_runs_that_need_the_same_file_fetch_it_once(workshop: Workshop, server: Server) -> None:
    server.files = {"/disk.qcow2": CONTENT}
    server.answers.clear()
    of = role(declares=DECLARES, upstream=file_upstream(f"{server.url}/disk.qcow2"))
    runs = [workshop.new_run(of), workshop.new_run(of)]
    for run in runs:
        await workshop.until(run, "checkout")
    both = asyncio.gather(*(workshop.stage(run, "upstream") for run in runs))
    one_waits = {RunState.RUNNING, RunState.WAITING}
    await until(lambda: {workshop.again(run).state for run in runs} == one_waits, "the one that waits is shown so")
    server.answers.set()
    results = await both
    assert {str(result["path"]) for result in results} == {str(results[0]["path"])}
    assert len(server.asked) == 1


async def test_a_cancel_ends_a_fetch_and_keeps_what_came(workshop: Workshop, server: Server) -> None:
    server.files = {"/disk.qcow2": CONTENT}
    server.answers.clear()
    run = workshop.new_run(role(declares=DECLARES, upstream=file_upstream(f"{server.url}/disk.qcow2")))
    await workshop.until(run, "checkout")
    stage = asyncio.create_task(workshop.stage(run, "upstream"))
    await until(lambda: server.asked, "it is asked for")
    stage.cancel()
    server.answers.set()
    with pytest.raises(asyncio.CancelledError):
        await stage
    assert not list((workshop.places.cache / "upstreams").glob("*.qcow2"))


class Flushing:
    """Takes the place of `flush`: as long as a slow disk would."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()

    def __call__(self, _: Path) -> None:
        self.begun.set()
        self.go_on.wait(PATIENCE)


@pytest.fixture
def flushing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Flushing]:
    made = Flushing()
    monkeypatch.setattr(given, "flush", made)
    yield made
    made.go_on.set()


async def test_a_fetch_that_is_interrupted_before_it_is_safe_on_the_disk_can_go_on(
    workshop: Workshop, flushing: Flushing
) -> None:
    (workshop.root / "media").mkdir()
    (workshop.root / "media" / "disk.iso").write_bytes(CONTENT)
    run = workshop.new_run(role(declares=DECLARES, upstream=file_upstream("media/disk.iso")))
    await workshop.until(run, "checkout")
    stage = asyncio.create_task(workshop.stage(run, "upstream"))
    await until(flushing.begun.is_set, "it is made safe")
    stage.cancel()
    store = workshop.places.cache / "upstreams"
    (part,) = (path for path in store.iterdir() if path.suffix != ".lock")
    # A worker that ends does not wait for a slow disk: this is what the next one finds.
    assert part.stat().st_mode & stat.S_IWUSR
    flushing.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await stage
    assert Path(str((await workshop.until(run, "upstream"))["path"])).read_bytes() == CONTENT
    kept = sorted(path.name for path in store.iterdir() if path.suffix != ".lock")
    assert kept == [f"{SHA256}.fetched.json", f"{SHA256}.iso"]


async def test_a_disk_of_an_archive_that_is_interrupted_before_it_is_safe_on_the_disk_leaves_no_note_alone(
    workshop: Workshop, flushing: Flushing, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []

    async def make_disk(_: Upstream, destination: Path, **__: object) -> ArchiveRecord:
        destination.write_bytes(CONTENT)
        made.append(destination)
        release = Release("bookworm", "2026-11-14", f"sha256:{'0' * 64}", ("A" * 40,))
        return ArchiveRecord("debian", "bookworm", (release,), "keys.gpg", 1, f"sha256:{'0' * 64}", f"sha256:{SHA256}")

    monkeypatch.setattr(archive, "make_disk", make_disk)
    monkeypatch.setattr(upstream_archive, "ARCHIVE_ROOM", 0)
    upstream = Upstream(UpstreamKind.ARCHIVE, distribution="debian", suite="bookworm")
    run = workshop.new_run(role(declares=DECLARES, upstream=upstream))
    await workshop.until(run, "checkout")
    stage = asyncio.create_task(workshop.stage(run, "upstream"))
    await until(flushing.begun.is_set, "it is made safe")
    stage.cancel()
    flushing.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await stage
    store = workshop.places.cache / "upstreams"
    assert sorted(path.suffix for path in store.iterdir()) == [".json", ".lock", ".qcow2"]
    path = Path(str((await workshop.until(run, "upstream"))["path"]))
    assert (path.parent, path.read_bytes(), len(made)) == (store, CONTENT, 1)


async def test_a_file_in_the_users_tree_needs_its_checksum_too(workshop: Workshop) -> None:
    (workshop.root / "media").mkdir()
    (workshop.root / "media" / "disk.iso").write_bytes(CONTENT)
    run = workshop.new_run(role(declares=DECLARES, upstream=file_upstream("media/disk.iso")))
    result = await workshop.until(run, "upstream")
    assert Path(str(result["path"])).suffix == ".iso"
    run = workshop.new_run(role(declares=DECLARES, upstream=file_upstream("media/disk.iso", "")))
    with pytest.raises(UpstreamError, match="no checksum"):
        await workshop.until(run, "upstream")


@pytest.mark.parametrize("checksum", ["md5:" + "0" * 32, "sha1:" + "0" * 40, "sha256:12", "none"])
async def test_checksums_that_anybody_can_forge_do_not_count(workshop: Workshop, checksum: str) -> None:
    run = workshop.new_run(role(declares=DECLARES, upstream=file_upstream("http://127.0.0.1:9/a.iso", checksum)))
    with pytest.raises(UpstreamError, match="none that counts"):
        await workshop.until(run, "upstream")


async def test_what_a_template_fetches_itself_is_left_to_it(workshop: Workshop) -> None:
    of = role(upstream=file_upstream("http://127.0.0.1:9/user:secret@host/a.iso"))
    result = await workshop.until(workshop.new_run(of), "upstream")
    assert result["path"] == ""
    record = result["record"]
    assert isinstance(record, dict)
    assert record["verified"] == "sha256 (by Packer)"
    result = await workshop.until(workshop.new_run(role()), "upstream")
    record = result["record"]
    assert isinstance(record, dict)
    assert (record["kind"], record["verified"]) == ("template", "")


# --- another role's image


def parent_image(workshop: Workshop, version: str, created: float, *, content: bytes = CONTENT) -> Path:
    disk = workshop.root.parent / f"base-{version}.qcow2"
    disk.write_bytes(content)
    workshop.ledger.register(
        ImageVersion(
            role="base",
            version=version,
            commit=workshop.git("rev-parse", "HEAD"),
            created=created,
            run=f"run-{version}",
            built_by=WHO,
            upstream=UpstreamRecord("template", "media"),
            artifacts=(
                Artifact("qemu.base", "qcow2", str(disk), f"sha256:{SHA256}", len(CONTENT), host=socket.gethostname()),
            ),
            template="base",
            state=ImageState.CANDIDATE,
        ),
        WHO,
        "for a test",
    )
    return disk


ON_BASE = Upstream(UpstreamKind.ROLE, role="base", takes=(ImageState.CANDIDATE,))


async def test_a_role_is_built_on_the_newest_image_of_its_parent(workshop: Workshop) -> None:
    parent_image(workshop, "0.1.0", 1.0)
    newest = parent_image(workshop, "0.2.0", 2.0)
    run = workshop.new_run(role(declares=DECLARES, upstream=ON_BASE))
    result = await workshop.until(run, "upstream")
    assert (result["path"], result["format"]) == (str(newest), "qcow2")
    assert result["record"] == {
        "kind": "role",
        "description": "base 0.2.0",
        "digest": f"sha256:{SHA256}",
        "verified": "ledger",
        "role": "base",
        "version": "0.2.0",
        "details": {
            "commit": workshop.git("rev-parse", "HEAD"),
            "run": "run-0.2.0",
            "build": "qemu.base",
            "state": "candidate",
        },
    }
    run = workshop.new_run(role(declares=DECLARES, upstream=ON_BASE))
    await workshop.until(run, "upstream")
    assert "was verified before" in workshop.log(run, "upstream")
    newest.unlink()
    run = workshop.new_run(role(declares=DECLARES, upstream=ON_BASE))
    assert str((await workshop.until(run, "upstream"))["path"]).endswith("base-0.1.0.qcow2")


async def test_a_parent_that_is_not_there_is_said_with_how_to_have_it(workshop: Workshop) -> None:
    run = workshop.new_run(role(declares=DECLARES, upstream=ON_BASE))
    with pytest.raises(UpstreamError, match="no image of base yet") as caught:
        await workshop.until(run, "upstream")
    assert caught.value.next_step == "Build it first: ingot build base"


async def test_a_parents_disk_that_was_changed_is_refused(workshop: Workshop) -> None:
    disk = parent_image(workshop, "0.1.0", 1.0)
    of = role(declares=DECLARES, upstream=ON_BASE)
    await workshop.until(workshop.new_run(of), "upstream")  # it was verified once
    disk.write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(UpstreamError, match="is not the disk that was registered"):
        await workshop.until(workshop.new_run(of), "upstream")


# --- room


async def test_a_build_waits_for_room_and_says_how_much(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    run = workshop.new_run(role())
    await workshop.until(run, "validate")
    monkeypatch.setattr(space, "MARGIN", space.free(workshop.places.home) + 1024**3)
    stage = asyncio.create_task(workshop.stage(run, "build/file.hello"))
    await workshop.waits(run, stage)
    assert "disk space" in workshop.again(run).reason
    stage.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stage


async def test_what_can_never_fit_fails_at_once(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    run = workshop.new_run(role())
    await workshop.until(run, "validate")
    monkeypatch.setattr(space, "MARGIN", 1 << 60)
    with pytest.raises(SpaceError, match="whole file system"):
        await workshop.stage(run, "build/file.hello")


STANDS_FOR_MMDEBSTRAP = """\
#!/bin/sh
echo x >> {traces}/begun
until [ -e {traces}/go-on ]; do sleep 0.1; done
[ -d "$TMPDIR" ] && echo 'E: what it works in is there' >&2
exit 25
"""


@pytest.mark.skipif(
    not archive.KEYRINGS["debian"].is_file() or not all(shutil.which(name) for name in ("mke2fs", "qemu-img", "gpgv")),
    reason="debian-archive-keyring, mke2fs, qemu-img or gpgv is not installed",
)
async def test_a_worker_that_leaves_lets_mmdebstrap_go_on_in_its_directory(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traces = tmp_path / "traces"
    traces.mkdir()
    program = traces / "mmdebstrap"
    program.write_text(STANDS_FOR_MMDEBSTRAP.format(traces=traces))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{traces}:{os.environ['PATH']}")
    monkeypatch.setattr(upstream_archive, "ARCHIVE_ROOM", 0)
    upstream = Upstream(UpstreamKind.ARCHIVE, distribution="debian", suite="bookworm")
    run = workshop.new_run(role(declares=DECLARES, upstream=upstream))
    await workshop.until(run, "checkout")
    first = asyncio.create_task(workshop.stage(run, "upstream"))
    await until((traces / "begun").exists, "mmdebstrap works")
    await worker_leaves(workshop.around, first)
    (traces / "go-on").touch()
    with pytest.raises(UpstreamError, match="mmdebstrap could not"):  # this one never makes anything
        await workshop.stage(run, "upstream")
    assert (traces / "begun").read_text() == "x\n"
    assert "what it works in is there" in workshop.log(run, "upstream")
    assert not list((workshop.places.cache / "upstreams").glob(".*"))
