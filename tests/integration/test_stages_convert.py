"""Formats of an image version, made by the real qemu-img: each holds the same disk, and none is ever half."""

import asyncio
import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from leaving_nothing import processes
from leaving_worker import worker_leaves
from msgspec.structs import replace
from patience import wait

from core import process
from core.adapters import formats, ova
from core.adapters.firmware import BootMode
from core.errors import LedgerError, RefusedError, SpaceError, ToolError, UpstreamError
from core.model.formats import FORMATS, MIB
from core.model.image import Artifact, ImageVersion, UpstreamRecord
from core.model.pipeline import Purpose, stages_of
from core.model.run import Run, RunRequest, RunState, StageState
from core.model.states import Act, StateChange, Verdict
from core.services import sweeping
from core.stages import convert, file_manifest, space
from core.stages.leftovers import clean_up, version_directory
from core.stages.work import Meter
from core.store.ledger import Ledger
from tests.support.workshop import WHO, Workshop, role

pytestmark = [
    pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed"),
    pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed"),
]

SIZE = 20 * MIB + 3 * 512
"""Of the disk: no whole MiB, which a VHD must be."""
WEB = role("web", build="qemu.web")


class Images(Workshop):
    """A workshop with an image version whose disk is on the ledger."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self.commit({"README.md": "shop"})

    def image(self, version: str = "0.1.0", disk_format: str = "qcow2") -> ImageVersion:
        request = self.request(version, ())
        place = version_directory(self.places, request, version)
        place.mkdir(mode=0o700, parents=True)
        plain = self.places.home / "plain"
        content = random.Random(version)
        with plain.open("wb") as file:
            file.write(content.randbytes(MIB))
            file.seek(9 * MIB + 12345)
            file.write(b"in the middle" * 50_000)
            file.truncate(SIZE)
        disk = place / f"qemu.web.{disk_format}"
        qemu_img("convert", "-f", "raw", "-O", disk_format, str(plain), str(disk))
        plain.unlink()
        disk.chmod(0o444)
        digest = "sha256:" + sha256(disk.read_bytes()).hexdigest()
        artifact = Artifact(
            "qemu.web", disk_format, str(disk), digest, disk.stat().st_size, SIZE, socket.gethostname(), True
        )
        made = ImageVersion(
            role="web",
            version=version,
            commit="c" * 40,
            created=1_800_000_000.0,
            run=f"run-{version}",
            built_by=WHO,
            upstream=UpstreamRecord("file", "debian"),
            artifacts=(artifact,),
            template="web",
            tools={"packer": "1.6.6"},
        )
        self.ledger.register(made, WHO, "")
        return made

    def request(self, version: str, wanted: tuple[str, ...]) -> RunRequest:
        return RunRequest(
            workspace=self.workspace,
            role=WEB,
            commit="c" * 40,
            ref=version,
            builds=("qemu.web",),
            asked_by=WHO,
            asked_at=time.time(),
            purpose=Purpose.CONVERT,
            version=version,
            formats=wanted,
        )

    def conversion(self, *wanted: str, version: str = "0.1.0") -> Run:
        request = self.request(version, wanted)
        run = self.index.add_run(request, stages_of(request.role, request.builds, request.purpose))
        self.index.set_run_state(run.uid, RunState.RUNNING)
        return self.again(run)

    def convert(self, *wanted: str, version: str = "0.1.0") -> Run:
        run = self.conversion(*wanted, version=version)
        asyncio.run(self.stage(run, "convert"))
        self.end(run, succeeded=True)
        return run

    def artifacts(self, version: str = "0.1.0") -> dict[str, Artifact]:
        return {artifact.format: artifact for artifact in self.ledger.image("web", version).artifacts}

    def decide(self, act: Act, version: str = "0.1.0") -> None:
        known = self.ledger.read().decided
        life = known.life(("web", version))
        change = StateChange("web", version, f"run-{version}", act, WHO, time.time(), "x", follows=life.follows)
        if act is Act.TESTED:
            change = replace(change, verdict=Verdict.PASSED)
        self.ledger.decide([change], WHO, f"{act} web {version}")

    def place(self, version: str = "0.1.0") -> Path:
        return version_directory(self.places, self.request(version, ()), version)

    def files(self, version: str = "0.1.0") -> set[str]:
        return {path.name for path in self.place(version).iterdir()}


def qemu_img(*words: str) -> str:
    return subprocess.run(("qemu-img", *words), check=True, capture_output=True, text=True).stdout


def nothing(_: int) -> None:
    """Nobody is shown how far it is."""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Images]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("INGOT_HOME", str(tmp_path / "home"))
    made = Images(tmp_path)
    yield made
    made.close()


def test_every_format_holds_the_same_disk_as_outside_tools_see_it(shop: Images) -> None:
    image = shop.image()
    source = image.artifacts[0]
    run = shop.convert(*FORMATS)
    made = shop.artifacts()
    assert list(made) == ["qcow2", "raw", "vhd", "vhdx", "vmdk", "ova"]
    for name, artifact in made.items():
        path = Path(artifact.location)
        assert path == shop.place() / f"qemu.web.{name}"
        assert artifact.digest == "sha256:" + sha256(path.read_bytes()).hexdigest()
        assert (artifact.size, artifact.host, artifact.stamped_inside) == (
            path.stat().st_size, socket.gethostname(), True,
        )  # fmt: skip
        assert path.stat().st_mode & 0o777 == 0o444
        if name in ("qcow2", "ova"):
            continue
        of_qemu = FORMATS[name].of_qemu
        about = json.loads(qemu_img("info", "-f", of_qemu, "--output=json", str(path)))
        assert about["virtual-size"] == artifact.virtual_size == (21 * MIB if name == "vhd" else SIZE)
        assert "identical" in qemu_img("compare", "-f", "qcow2", "-F", of_qemu, source.location, str(path))
        assert path.stat().st_blocks * 512 < 12 * MIB, "holes stay holes"
        note = json.loads((shop.place() / f"qemu.web.{name}.manifest.json").read_text())
        assert (note["role"], note["version"], note["run"]) == ("web", "0.1.0", image.run)
        assert (note["artifact"]["digest"], note["stamp"]) == (artifact.digest, "")
        assert set(note["tools"]) == {"packer", "ingot", "qemu"}
    log = shop.log(run, "convert")
    assert "qcow2: it is there already" in log
    assert "qemu.web.vhd: the disk gets 1047040 bytes more" in log
    assert not (shop.places.run(run.uid) / "convert").exists()
    assert shop.files() == {f"qemu.web.{name}{end}" for name in FORMATS for end in ("", ".manifest.json")} - {
        "qemu.web.qcow2.manifest.json"  # that of the stage before, which this test does not have
    }
    said = subprocess.run(
        ("git", "log", "-1", "--format=%an %s %b", "refs/ingot/ledger"), cwd=shop.root, capture_output=True, text=True
    ).stdout
    assert said.split() == ["Ada", "Example", "add", "ova", "to", "web", "0.1.0", "made", "by", "run", run.uid]


def test_a_vhd_is_fixed_and_a_whole_number_of_mib_by_its_own_footer(shop: Images) -> None:
    shop.image()
    shop.convert("vhd")
    path = shop.place() / "qemu.web.vhd"
    assert formats.vhd_footer(path) == formats.VhdFooter(fixed=True, size=21 * MIB, whole=True)
    assert path.stat().st_size == 21 * MIB + 512
    broken = shop.places.home / "broken.vhd"
    raw = bytearray(path.read_bytes())
    raw[-512 + 30] ^= 1
    broken.write_bytes(raw)
    assert formats.vhd_footer(broken) == formats.VhdFooter(fixed=True, size=21 * MIB, whole=False)
    broken.write_bytes(path.read_bytes()[MIB:])
    assert formats.vhd_footer(broken) == formats.VhdFooter(fixed=True, size=21 * MIB, whole=False)
    broken.write_bytes(b"x" * 4096)
    assert formats.vhd_footer(broken) is None
    growing = shop.places.home / "growing.vhd"
    qemu_img("create", "-f", "vpc", "-o", "subformat=dynamic", str(growing), "8M")
    found = formats.vhd_footer(growing)
    assert found is not None
    assert not found.fixed


def test_an_ova_is_a_tar_that_others_read_with_a_descriptor_and_a_manifest(shop: Images, tmp_path: Path) -> None:
    image = shop.image()
    run = shop.convert("ova")
    path = shop.place() / "qemu.web.ova"
    listed = subprocess.run(("tar", "tf", str(path)), check=True, capture_output=True, text=True).stdout.split()
    assert listed == ["qemu.web.ovf", "qemu.web.mf", "qemu.web.vmdk"]
    assert path.read_bytes()[257:262] == b"ustar"
    subprocess.run(("tar", "xf", str(path), "-C", str(tmp_path)), check=True)
    for line in (tmp_path / "qemu.web.mf").read_text().splitlines():
        name, _, digest = line.removeprefix("SHA256(").partition(")= ")
        assert digest == sha256((tmp_path / name).read_bytes()).hexdigest()
    vmdk = tmp_path / "qemu.web.vmdk"
    about = json.loads(qemu_img("info", "--output=json", str(vmdk)))
    assert about["format-specific"]["data"]["create-type"] == "streamOptimized"
    assert "identical" in qemu_img("compare", "-F", "vmdk", image.artifacts[0].location, str(vmdk))
    spaces = {
        "ovf": "http://schemas.dmtf.org/ovf/envelope/1",
        "rasd": "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData",
    }
    at = f"{{{spaces['ovf']}}}"
    envelope = ElementTree.parse(tmp_path / "qemu.web.ovf").getroot()
    file, disk = envelope.find("ovf:References/ovf:File", spaces), envelope.find("ovf:DiskSection/ovf:Disk", spaces)
    assert file is not None
    assert disk is not None
    assert (file.get(f"{at}href"), file.get(f"{at}size")) == ("qemu.web.vmdk", str(vmdk.stat().st_size))
    assert (disk.get(f"{at}capacity"), disk.get(f"{at}fileRef")) == (str(SIZE), file.get(f"{at}id"))
    items = envelope.findall(".//ovf:Item", spaces)
    kinds = [item.findtext("rasd:ResourceType", namespaces=spaces) for item in items]
    assert kinds == ["3", "4", "5", "17", "10"], "processors, memory, an IDE controller, its disk, a network card"
    assert items[3].findtext("rasd:HostResource", namespaces=spaces) == f"ovf:/disk/{disk.get(f'{at}diskId')}"
    assert items[3].findtext("rasd:Parent", namespaces=spaces) == items[2].findtext(
        "rasd:InstanceID", namespaces=spaces
    )
    for item in items:  # the schema has them in the order of the alphabet
        names = [child.tag for child in item]
        assert names == sorted(names)
    assert envelope.findtext(".//ovf:ProductSection/ovf:Version", namespaces=spaces) == "0.1.0"
    assert not list((shop.places.run(run.uid)).glob("convert/*")), "the VMDK that it was made of is gone"


def test_an_ova_takes_the_vmdk_that_is_there(shop: Images) -> None:
    shop.image()
    shop.convert("vmdk")
    run = shop.convert("ova")
    assert "writing qemu.web.vmdk" not in shop.log(run, "convert")
    assert not (shop.places.run(run.uid) / "tools" / "convert" / "convert-qemu.web.vmdk").exists()
    entry = ova.verify(shop.place() / "qemu.web.ova", nothing)
    with (shop.place() / "qemu.web.ova").open("rb") as file:
        file.seek(entry.offset)
        assert file.read(entry.size) == (shop.place() / "qemu.web.vmdk").read_bytes()


def appliance(boots_by: BootMode) -> ova.Appliance:
    return ova.Appliance("web <1>", "web", "0.1.0", "web & more", 1024, 2, MIB, boots_by, 1_800_000_000.0)


def test_an_ova_says_that_its_machine_boots_by_uefi() -> None:
    vmware = "{http://www.vmware.com/schema/ovf}"
    hardware = "{http://schemas.dmtf.org/ovf/envelope/1}VirtualHardwareSection"
    config = f".//{hardware}/{vmware}Config"
    found = ElementTree.fromstring(ova.descriptor(appliance("uefi"), 1)).find(config)
    assert found is not None
    assert (found.get(f"{vmware}key"), found.get(f"{vmware}value")) == ("firmware", "efi")
    assert ElementTree.fromstring(ova.descriptor(appliance("bios"), 1)).find(config) is None


@pytest.mark.parametrize("place", [600, 3000, 50_000])
def test_an_ova_in_which_a_byte_is_another_does_not_verify(tmp_path: Path, place: int) -> None:
    disk = tmp_path / "disk.vmdk"
    disk.write_bytes(os.urandom(100_000))
    about = appliance("bios")
    made = tmp_path / "web.ova"
    ova.write(made, about, disk, nothing)
    assert ova.verify(made, nothing).size == 100_000
    assert made.stat().st_size % tarfile.RECORDSIZE == 0
    with made.open("r+b") as file:
        file.seek(place)
        was = file.read(1)
        file.seek(place)
        file.write(bytes((was[0] ^ 1,)))
    with pytest.raises(ToolError, match="is not what its manifest says"):
        ova.verify(made, nothing)


def test_what_is_no_ova_or_another_tar_does_not_verify(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"no tar at all" * 100)
    with pytest.raises(ToolError, match="is no OVA"):
        ova.verify(tmp_path / "x", nothing)
    with tarfile.open(tmp_path / "y", "w") as tar:
        tar.add(tmp_path / "x", "x.vmdk")
    with pytest.raises(ToolError, match=r"holds x\.vmdk"):
        ova.verify(tmp_path / "y", nothing)


def test_a_raw_disk_is_a_source_too_and_is_never_taken_for_what_a_guest_wrote_in_it(shop: Images) -> None:
    image = shop.image(disk_format="raw")
    disk = Path(image.artifacts[0].location)
    lying = shop.places.home / "lying"
    qemu_img("create", "-q", "-f", "qcow2", "-b", "/etc/hostname", "-F", "raw", str(lying), "1M")
    disk.chmod(0o600)
    with disk.open("r+b") as file:
        file.write(lying.read_bytes())
    digest = sha256(disk.read_bytes()).hexdigest()
    artifact = replace(image.artifacts[0], digest=f"sha256:{digest}")
    shop.ledger.register(replace(image, version="0.1.1", run="run-0.1.1", artifacts=(artifact,)), WHO, "")
    shop.convert("qcow2", version="0.1.1")
    made = shop.artifacts("0.1.1")["qcow2"]
    assert made.virtual_size == SIZE
    assert "identical" in qemu_img("compare", "-f", "raw", "-F", "qcow2", str(disk), made.location)


def test_at_the_end_of_a_build_only_what_is_good_is_converted(shop: Images) -> None:
    shop.image()
    request = replace(shop.request("", ()), purpose=Purpose.BUILD, role=replace(WEB, formats=("raw",)))
    keys = stages_of(request.role, request.builds, request.purpose)
    assert keys[-1] == "convert"

    def built(version: str) -> Run:
        run = shop.index.add_run(request, keys)
        shop.index.set_run_state(run.uid, RunState.RUNNING)
        shop.index.update_stage(run.uid, "register", state=StageState.SUCCEEDED, result={"version": version})
        asyncio.run(shop.stage(run, "convert"))
        return run

    assert "There is no image version" in shop.log(built(""), "convert")
    log = shop.log(built("0.1.0"), "convert")
    assert "web 0.1.0 is candidate: only what is good is converted" in log
    assert "ingot convert web 0.1.0 raw" in log
    shop.decide(Act.TESTED)
    shop.decide(Act.GOOD)
    assert set(shop.artifacts()) == {"qcow2"}
    built("0.1.0")
    assert set(shop.artifacts()) == {"qcow2", "raw"}


def test_of_what_is_revoked_nothing_is_made(shop: Images) -> None:
    shop.image()
    shop.decide(Act.REVOKED)
    with pytest.raises(RefusedError, match=r"web 0\.1\.0 is revoked"):
        shop.convert("raw")
    assert shop.files() == {"qemu.web.qcow2"}


def test_a_disk_that_is_not_the_registered_one_is_not_converted(shop: Images) -> None:
    image = shop.image()
    disk = Path(image.artifacts[0].location)
    disk.chmod(0o600)
    with disk.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"!")
    with pytest.raises(UpstreamError, match="is not the disk that was registered as web"):
        shop.convert("raw")
    assert shop.files() == {"qemu.web.qcow2"}


def test_a_format_that_does_not_hold_the_same_is_thrown_away(shop: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    image = shop.image()
    other = shop.image("0.2.0")
    right = formats.convert
    wrong = formats.Source(Path(other.artifacts[0].location), "qcow2")

    def of_another(_: formats.Source, target: Path, of: str, options: tuple[str, ...], *, into: bool) -> list[str]:
        return right(wrong, target, of, options, into=into)

    monkeypatch.setattr(formats, "convert", of_another)
    run = shop.conversion("raw")
    with pytest.raises(ToolError, match="Content mismatch"):
        asyncio.run(shop.stage(run, "convert"))
    shop.end(run, succeeded=False)
    assert shop.files() == {"qemu.web.qcow2"}
    assert shop.ledger.image("web", "0.1.0").artifacts == image.artifacts
    assert not (shop.places.run(run.uid) / "convert").exists()


def test_a_full_disk_leaves_nothing_half(shop: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.image()
    limited = shop.places.home / "bin"
    limited.mkdir()
    (limited / "qemu-img").write_text(
        "#!/bin/sh\n"
        f'case "$1" in convert) for last; do :; done; head -c 1000000 /dev/zero > "$last"\n'
        'echo "qemu-img: error while writing at byte 1000000: No space left on device" >&2; exit 1;; esac\n'
        f'exec {shutil.which("qemu-img")} "$@"\n'
    )
    (limited / "qemu-img").chmod(0o755)
    monkeypatch.setenv("PATH", f"{limited}:{os.environ['PATH']}")
    run = shop.conversion("raw", "vhd")
    with pytest.raises(SpaceError, match="No space left") as raised:
        asyncio.run(shop.stage(run, "convert"))
    assert "ingot sweep" in raised.value.next_step
    shop.end(run, succeeded=False)
    assert shop.files() == {"qemu.web.qcow2"}
    assert set(shop.artifacts()) == {"qcow2"}
    assert not (shop.places.run(run.uid) / "convert").exists()


def test_a_disk_that_fills_ends_the_conversion_before_nothing_can_be_written_any_more(
    shop: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.image()
    run = shop.conversion("raw")
    staged = shop.places.run(run.uid) / "convert" / "qemu.web.raw"

    def endless(*_: object, **__: object) -> list[str]:
        return ["sh", "-c", f"echo half > {staged}; exec sleep 600.5"]

    def filling(_: Path) -> int:
        return 0 if staged.exists() else 1 << 40

    monkeypatch.setattr(formats, "convert", endless)
    monkeypatch.setattr(space, "free", filling)
    with pytest.raises(SpaceError, match=r"qemu\.web\.raw has no room on it"):
        asyncio.run(asyncio.wait_for(shop.stage(run, "convert"), 120))
    assert process.run_blocking(["pgrep", "-f", "sleep 600.5"]).code == 1
    assert not staged.exists()
    assert shop.files() == {"qemu.web.qcow2"}


class Interrupted:
    """A conversion to raw whose worker leaves while qemu-img writes, which it ends when `gate` is there; and then the
    disk has next to no room."""

    def __init__(self, shop: Images, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shop = shop
        self.run = shop.conversion("raw")
        directory = shop.places.run(self.run.uid)
        self.staged = directory / "convert" / "qemu.web.raw"
        self.gate = shop.places.home / "gate"
        self.end = directory / "tools" / "convert" / "convert-qemu.web.raw" / "exit.json"
        written = formats.convert

        def slowly(*words: Any, **more: Any) -> list[str]:
            gate = f"echo half > {self.staged}; until [ -e {self.gate} ]; do sleep 0.05; done"
            return ["sh", "-c", f'{gate}; exec "$@"', "sh", *written(*words, **more)]

        monkeypatch.setattr(formats, "convert", slowly)
        asyncio.run(asyncio.wait_for(self._leave(), 120))

        def next_to_none(_: Path) -> Any:
            return shutil._ntuple_diskusage(1 << 40, 0, convert.LEAST - 1)  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]

        monkeypatch.setattr(space.shutil, "disk_usage", next_to_none)

    async def _leave(self) -> None:
        working = asyncio.ensure_future(self.shop.stage(self.run, "convert"))
        while not self.staged.exists():
            await asyncio.sleep(0.05)
            assert not working.done(), working.result()
        await worker_leaves(self.shop.around, working)

    def finish(self) -> None:
        """What qemu-img writes, while no worker lives."""
        self.gate.touch()
        wait(self.end.exists, "it has ended")

    def again(self) -> None:
        asyncio.run(asyncio.wait_for(self.shop.stage(self.run, "convert"), 120))


def test_a_conversion_that_ended_while_no_worker_lived_needs_no_more_room(
    shop: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.image()
    interrupted = Interrupted(shop, monkeypatch)
    interrupted.finish()
    interrupted.again()
    assert set(shop.artifacts()) == {"qcow2", "raw"}
    assert "Waiting" not in shop.log(interrupted.run, "convert")


def test_a_conversion_that_is_adopted_without_room_is_ended_and_leaves_nothing(
    shop: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.image()
    interrupted = Interrupted(shop, monkeypatch)
    with pytest.raises(SpaceError, match=r"qemu\.web\.raw has no room on it") as raised:
        interrupted.again()
    assert raised.value.kept == "Nothing half is left; what was made before is whole."
    assert interrupted.end.exists(), "nobody writes any more"
    assert not interrupted.staged.exists()
    assert shop.files() == {"qemu.web.qcow2"}


def test_a_conversion_whose_file_was_taken_away_for_want_of_room_before_the_worker_died_says_so(
    shop: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.image()
    with monkeypatch.context() as patched:
        interrupted = Interrupted(shop, patched)
        interrupted.finish()
        interrupted.staged.unlink()
    with pytest.raises(ToolError, match=r"qemu\.web\.raw was written before the interruption, and is gone") as raised:
        interrupted.again()
    assert "ingot convert" in raised.value.next_step
    shop.end(interrupted.run, succeeded=False)
    shop.convert("raw")
    assert set(shop.artifacts()) == {"qcow2", "raw"}


def test_a_failure_without_room_is_a_full_disk_whatever_qemu_img_calls_it(
    shop: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.image()

    def none(_: Path) -> int:
        return 0

    def failing(*_: object, **__: object) -> list[str]:
        return ["sh", "-c", "echo qemu-img: error while writing at byte 5: Invalid argument; exit 1"]

    monkeypatch.setattr(formats, "convert", failing)
    monkeypatch.setattr(convert, "_EVERY", 600.0)
    monkeypatch.setattr(space, "free", none)
    with pytest.raises(SpaceError, match="is full: error while writing at byte 5: Invalid argument"):
        shop.convert("raw")


def test_what_was_made_before_a_failure_stays(shop: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.image()
    right = formats.compare

    def compare(one: formats.Source, other: formats.Source) -> list[str]:
        return right(one, other) if "raw" in other.path.name else ["false"]

    monkeypatch.setattr(formats, "compare", compare)
    with pytest.raises(ToolError):
        shop.convert("vhdx", "raw")
    assert set(shop.artifacts()) == {"qcow2", "raw"}
    assert shop.files() == {"qemu.web.qcow2", "qemu.web.raw", "qemu.web.raw.manifest.json"}


def test_when_the_ledger_cannot_be_written_the_file_goes_again(shop: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.image()

    def broken(*_: object) -> None:
        raise LedgerError("The ledger is on a full disk.")

    monkeypatch.setattr(Ledger, "add_artifacts", broken)
    with pytest.raises(LedgerError, match="full disk"):
        shop.convert("raw")
    assert shop.files() == {"qemu.web.qcow2"}


def test_a_cancel_ends_qemu_img_and_leaves_nothing(shop: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.image()

    def endless(*_: object, **__: object) -> list[str]:
        return ["sleep", "600"]

    monkeypatch.setattr(formats, "convert", endless)
    run = shop.conversion("raw")

    async def cancelled() -> None:
        working = asyncio.ensure_future(shop.stage(run, "convert"))
        while not (shop.places.run(run.uid) / "tools" / "convert" / "convert-qemu.web.raw" / "holder.json").exists():
            await asyncio.sleep(0.05)
            assert not working.done(), working.result()
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working

    asyncio.run(asyncio.wait_for(cancelled(), 120))
    clean_up(shop.places, shop.again(run), succeeded=False)
    assert processes(shop.places) == []
    assert shop.files() == {"qemu.web.qcow2"}
    assert set(shop.artifacts()) == {"qcow2"}


def test_what_a_dead_run_left_is_not_swept_while_the_next_takes_it_over(
    shop: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = shop.image()
    dead = shop.conversion("raw")
    target = shop.place() / "qemu.web.raw"
    qemu_img("convert", "-O", "raw", image.artifacts[0].location, str(target))
    digest = "sha256:" + sha256(target.read_bytes()).hexdigest()
    artifact = replace(image.artifacts[0], format="raw", location=str(target), digest=digest)
    file_manifest.write_beside(target, file_manifest.manifest_of(image, artifact, {}, ""))
    convert.run_note(target).write_text(dead.uid)
    shop.index.set_run_state(dead.uid, RunState.LOST)
    assert [one.path for one in sweeping.listing(shop.places)] == [str(target)]
    digested, swept = convert.file_digest, list[sweeping.Leftover]()

    def meanwhile(path: Path, meter: Meter) -> str:
        swept.extend(sweeping.listing(shop.places))
        return digested(path, meter)

    monkeypatch.setattr(convert, "file_digest", meanwhile)
    shop.convert("raw")
    assert swept == []
    assert shop.artifacts()["raw"] == artifact, "taken as it was"
    assert shop.files() == {"qemu.web.qcow2", "qemu.web.raw", "qemu.web.raw.manifest.json"}


def test_killed_before_the_ledger_knows_it_the_file_is_taken_as_it_is(
    shop: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.image()
    run = shop.conversion("raw", "vhdx")

    class KilledError(BaseException):
        pass

    def killed(*_: object) -> None:
        raise KilledError

    def nobody_takes_it_away(*_: object) -> bool:
        return True

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "add_artifacts", killed)
        patched.setattr(convert, "_recorded", nobody_takes_it_away)
        with pytest.raises(KilledError):
            asyncio.run(shop.stage(run, "convert"))
    assert (shop.place() / ".qemu.web.raw.run").read_text() == run.uid, "what tells a sweep whose it is"
    before = (shop.place() / "qemu.web.raw").stat().st_mtime_ns
    asyncio.run(shop.stage(run, "convert"))
    assert set(shop.artifacts()) == {"qcow2", "raw", "vhdx"}
    assert (shop.place() / "qemu.web.raw").stat().st_mtime_ns == before
    assert not list(shop.place().glob(".*"))
    asyncio.run(shop.stage(run, "convert"))
    assert shop.log(run, "convert").count("it is there already") == 2
