"""What servers, networks and disks do to a download: each ends clearly, and none is believed."""

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import Server, file_server
from workshop import FILE_TEMPLATE, Workshop, role

from core.adapters import download
from core.errors import SpaceError, UpstreamError
from core.model.role import Upstream, UpstreamKind
from core.stages import space
from core.stages.work import Meter

MIB = 1024 * 1024


@pytest.fixture
def server() -> Iterator[Server]:
    with file_server() as made:
        yield made


@pytest.fixture
def encrypted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    certificate = tmp_path / "server.pem"
    subprocess.run(
        (
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(certificate), "-out", str(tmp_path / "crt")),
        ),
        check=True,
        capture_output=True,
    )
    certificate.write_bytes(certificate.read_bytes() + (tmp_path / "crt").read_bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "crt"))
    with file_server(certificate) as made:
        yield made


def test_who_leads_from_https_to_http_is_not_followed(encrypted: Server, server: Server, tmp_path: Path) -> None:
    encrypted.files = server.files = {"/disk": b"content"}
    encrypted.redirects = {"/away": f"{server.url}/disk", "/there": f"{encrypted.url}/disk"}
    download.fetch(f"{encrypted.url}/there", tmp_path / "part", Meter(), environment={})
    assert (tmp_path / "part").read_bytes() == b"content"
    for fetch in (
        lambda: download.fetch(f"{encrypted.url}/away", tmp_path / "other", Meter(), environment={}),
        lambda: download.read_small(f"{encrypted.url}/away", Meter(), environment={}),
    ):
        with pytest.raises(UpstreamError, match=r"leads to http://.*not encrypted"):
            fetch()
    assert server.asked == []
    assert not (tmp_path / "other").exists()


def test_who_leads_to_something_else_is_not_followed(server: Server, tmp_path: Path) -> None:
    server.redirects = {"/disk": "ftp://127.0.0.1/disk"}
    with pytest.raises(UpstreamError, match="leads to ftp:"):
        download.fetch(f"{server.url}/disk", tmp_path / "part", Meter(), environment={})


def test_a_list_of_checksums_that_never_ends_is_none(server: Server) -> None:
    server.endless = frozenset({"/SHA256SUMS"})
    server.files = {"/large": bytes(download.SMALL + 1), "/most": bytes(download.SMALL)}
    for name in ("SHA256SUMS", "large"):
        with pytest.raises(UpstreamError, match=r"larger than 4.* no list of checksums"):
            download.read_small(f"{server.url}/{name}", Meter(), environment={})
    assert len(download.read_small(f"{server.url}/most", Meter(), environment={})) == download.SMALL


def test_a_list_that_comes_too_slowly_is_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "SMALL_TIME", 0.0)
    server.files = {"/SHA256SUMS": b"0" * 64}
    with pytest.raises(UpstreamError, match="was not here after"):
        download.read_small(f"{server.url}/SHA256SUMS", Meter(), environment={})


def test_a_list_that_breaks_off_is_not_taken_for_whole(server: Server) -> None:
    server.files, server.cut_after = {"/SHA256SUMS": b"0" * 1000}, 500
    with pytest.raises(UpstreamError, match="Cannot fetch"):
        download.read_small(f"{server.url}/SHA256SUMS", Meter(), environment={})


def test_a_full_disk_is_said_and_not_blamed_on_the_network(server: Server, tmp_path: Path) -> None:
    server.files = {"/disk": bytes(MIB)}
    part = tmp_path / "part"
    part.symlink_to("/dev/full")  # every write there fails as on a full disk
    (tmp_path / "here").write_bytes(bytes(MIB))
    for url in (f"{server.url}/disk", str(tmp_path / "here")):
        with pytest.raises(SpaceError, match="no space left") as caught:
            download.fetch(url, part, Meter(), environment={})
        assert "ingot cache" in caught.value.next_step


def test_what_does_not_fit_or_never_ends_does_not_fill_the_disk(server: Server, tmp_path: Path) -> None:
    server.files = {"/disk": bytes(3 * MIB)}
    server.endless = frozenset({"/endless"})
    part = tmp_path / "part"
    with pytest.raises(SpaceError, match=r"3\.\d MB of it are to come, and 2\.\d MB are free"):
        download.fetch(f"{server.url}/disk", part, Meter(), environment={}, room=lambda: 2 * MIB)
    assert part.stat().st_size == 0
    with pytest.raises(SpaceError, match="more of it comes"):
        download.fetch(
            f"{server.url}/endless", part, Meter(), environment={}, room=lambda: 150 * MIB - part.stat().st_size
        )
    assert part.stat().st_size <= 150 * MIB
    download.fetch(f"{server.url}/disk", part, Meter(), environment={}, room=lambda: 4 * MIB)


async def test_a_run_goes_on_by_itself_when_there_is_room_again(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop = Workshop(tmp_path)
    try:
        workshop.commit({"web/web.pkr.hcl": FILE_TEMPLATE})
        content = bytes(3 * MIB)
        server.files, server.cut_after = {"/disk": content}, 2 * MIB
        upstream = Upstream(
            UpstreamKind.FILE, url=f"{server.url}/disk", checksum=f"sha256:{hashlib.sha256(content).hexdigest()}"
        )
        run = workshop.new_run(role(declares=("ingot_upstream",), upstream=upstream))
        await workshop.until(run, "checkout")
        rooms = iter([space.free(tmp_path), space.MARGIN])  # it is used up while the first part comes
        free = space.free

        def now(path: Path) -> int:
            return next(rooms, None) or free(path)

        monkeypatch.setattr(space, "free", now)
        result = await workshop.stage(run, "upstream")
        assert Path(str(result["path"])).read_bytes() == content
        assert "no room for" in workshop.log(run, "upstream")
        assert [asked for _, asked in server.asked][-1].startswith("bytes=")
    finally:
        workshop.close()
