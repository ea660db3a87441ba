"""What lies beside a file of an image version."""

import stat
from pathlib import Path

from msgspec.structs import replace

from core.model.image import Artifact, ImageVersion, UpstreamRecord
from core.stages import file_manifest
from core.stages.file_manifest import manifest_of, note_of, write_beside

IMAGE = ImageVersion(
    role="web",
    version="0.1.0",
    commit="c" * 40,
    created=1_800_000_000.0,
    run="run",
    built_by="Ada Example <ada@example.org>",
    upstream=UpstreamRecord("file", "debian"),
    artifacts=(),
    template="web",
)
ARTIFACT = Artifact("qemu.web", "raw", "/nowhere", "sha256:0", 1, 1, "here", True)


def test_an_attempt_after_one_that_was_killed_replaces_the_read_only_manifest_and_never_writes_to_it(
    tmp_path: Path,
) -> None:
    file = tmp_path / "qemu.web.raw"
    file.write_bytes(b"disk")
    write_beside(file, manifest_of(IMAGE, ARTIFACT, {}, ""))
    # A second name for what the first attempt wrote: root could write to it, an ordinary user could not.
    first = tmp_path / "first"
    first.hardlink_to(note_of(file))
    write_beside(file, manifest_of(replace(IMAGE, version="0.1.1"), ARTIFACT, {}, ""))
    assert file_manifest.read(first).version == "0.1.0"
    assert file_manifest.read(note_of(file)).version == "0.1.1"
    assert {stat.S_IMODE(path.stat().st_mode) for path in (file, note_of(file))} == {0o444}
    assert {path.name for path in tmp_path.iterdir()} == {"qemu.web.raw", "qemu.web.raw.manifest.json", "first"}
