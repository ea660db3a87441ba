"""The last stage that writes to a disk: it takes out what the build left, where the role says so, and stamps it.

Carried out again after it was killed it does the same again, on the same disk: a file that is gone is not missed, and
the file system's journal and QEMU's order of writes keep the disk whole. It lies in the run's directory until then, and
nothing is registered of a disk that was not sealed to the end.
"""

import shlex
import time
from collections.abc import Mapping
from pathlib import Path

from core import process, text
from core.adapters import guestfs, sysprep
from core.errors import ToolError
from core.model.sealing import plan
from core.model.stamp import release_text
from core.stages import disks
from core.stages.artifacts import Made
from core.stages.stage import StageJob

_LINES_OF_AN_ERROR = 20
_RELEASE, _COMMANDS = "release", "commands"
"""Files that virt-sysprep reads, by names without a colon or a space: it takes those for more."""


async def carry_out(job: StageJob) -> Mapping[str, object]:
    """Gives `sealed` and `stamp`: why there is none inside, empty where there is. Raises ToolError."""
    settings = job.run.request.role.seal
    files = [one for one in disks.made_by(job, job.stage.build) if one.path]
    if settings.enabled:
        disks.only_one(job, job.stage.build)
    made = disks.disk_of(job, job.stage.build)
    if made is None:
        if settings.enabled and files:
            raise ToolError(
                "What the build made is no disk that can be opened here, so it cannot be sealed.",
                "Seal the machine from inside as its last step (docs/images.md), and set [seal] enabled = false.",
            )
        job.say("The build made no disk that can be opened here: there is nothing to seal.")
        return {"sealed": False, "stamp": "it is no disk"}
    disk = Path(made.path)
    await disks.ready(job, made)
    if not settings.enabled:
        job.progress(f"stamping {disk.name}, or reading its stamp")
        why_not = await disks.stamped(job, made, time.time())
        await disks.sound(job, made)
        stamp = f"not stamped: {why_not}" if why_not else "stamped"
        job.say(f"{disk.name}: not sealed (ingot.toml has no [seal]); {stamp}.")
        return {"sealed": False, "stamp": why_not}
    if process.find(sysprep.PROGRAM) is None:
        raise ToolError(
            f"{disk.name} cannot be sealed: {sysprep.PROGRAM} is not installed.",
            "Install it (sudo apt-get install guestfs-tools), or set [seal] enabled = false in ingot.toml.",
        )
    await _seal(job, made)
    await disks.sound(job, made)
    for name in (Path(one.path).name for one in files if one != made):
        job.say(f"{name} is no disk that can be opened here: it is registered as it is, and nobody looked into it.")
    return {"sealed": True, "stamp": ""}


async def _seal(job: StageJob, made: Made) -> None:
    settings = job.run.request.role.seal
    disk = Path(made.path)
    place = job.directory / "seal" / job.stage.build
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    todo = plan(settings)
    (place / _RELEASE).write_text(release_text(disks.stamp_of(job, time.time())))
    (place / _COMMANDS).write_text(sysprep.script(todo, _RELEASE))
    argv = sysprep.arguments(disk, disks.of_qemu(made.format), todo, _COMMANDS)
    job.say(f"$ {shlex.join(argv)}")
    job.progress("starting virt-sysprep")
    said: list[str] = []

    def heard(line: str) -> None:
        said.append(text.from_bytes(line.encode(errors="surrogateescape")))
        del said[:-_LINES_OF_AN_ERROR]
        # `[  18.2] Performing "machine-id" ...`
        job.progress(said[-1].partition("] ")[2] or said[-1])

    ended = await job.tool(sysprep.PROGRAM, argv, cwd=place, environment=await guestfs.environment(), on_line=heard)
    if ended.code != 0:
        raise sysprep.failed(disk, said)
    kept = f", but for {', '.join(settings.keep)}" if settings.keep else ""
    job.say(f"{disk.name}: sealed{kept}, and stamped as {job.run.role} {job.run.version}.")
