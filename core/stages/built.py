"""What a finished build left, whoever built it: noted on disk, so that the stage carried out once more gives it instead
of building again."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import msgspec

from core.adapters import ssh_keys
from core.hold import write_whole
from core.stages import file_manifest
from core.stages.artifacts import Made
from core.stages.environment import keys_of
from core.stages.stage import StageJob
from core.stages.work import in_thread


class Built(msgspec.Struct):
    """What the stage gives; Ansible names no upstream, and Packer is not always there."""

    made: list[Made]
    seconds: float
    tasks: int
    source_image: str = ""
    media: str = ""
    packer: str = ""


async def once(job: StageJob, build: Callable[[StageJob], Awaitable[Built]]) -> Mapping[str, object]:
    """What an earlier attempt built, while its files are there; else what `build` makes now. Raises what that raises.

    The keys made for the build are gone when it is done.
    """
    name = job.stage.build
    note = job.directory / "results" / f"{name}.json"
    if (earlier := _earlier(note)) is not None:
        job.say("It was built before the interruption; that is used.")
        return msgspec.to_builtins(earlier)
    built = await build(job)
    for made in (Path(made.path) for made in built.made if made.path):
        # Before the note: one that outlives a power cut must not name a disk that has not.
        await in_thread(file_manifest.flush, made)
    note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    await in_thread(write_whole, note, msgspec.json.encode(built))
    ssh_keys.remove(keys_of(job.directory) / name)
    return msgspec.to_builtins(built)


def _earlier(note: Path) -> Built | None:
    try:
        built = msgspec.json.decode(note.read_bytes(), type=Built)
    except (OSError, msgspec.DecodeError):
        return None
    return built if all(Path(made.path).is_file() for made in built.made if made.path) else None
