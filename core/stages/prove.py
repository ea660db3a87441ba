"""Opens the disk that will be registered, read-only, and says what of its making is left in it.

It trusts nothing that the stage *seal* said. Where sealing was asked for, anything found fails the run; else it is on
record. What it read of the disk stays for the stage *inspect*, in `reading/<build>` of the run's directory.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from core import process
from core.adapters import guestfs
from core.adapters.disk_reading import Reading, read_disk
from core.errors import ToolError
from core.model import inventory
from core.model.seal_check import PATHS, Facts, check, has_ssh_server, host_keys_by
from core.model.sealing import Finding, SealReport, in_words
from core.model.stamp import Stamp, differences, read_back
from core.stages import disks, evidence
from core.stages.artifacts import Made
from core.stages.stage import StageJob


async def carry_out(job: StageJob) -> Mapping[str, object]:
    """Gives `proved`, `why` (it was not), `stamp` (why there is none inside), `found` (ids of items), and `file`, by
    which the register sees that nothing wrote to it since. Raises ToolError."""
    build, settings = job.stage.build, job.run.request.role.seal
    made = disks.disk_of(job, build)
    why = _why_not(job, made)
    if why and settings.enabled and made is not None:
        raise ToolError(
            f"The seal of {build} cannot be proven: {why}.", "Install it: sudo apt-get install libguestfs-tools"
        )
    if made is None or why:
        job.say(f"Not looked into: {why}.")
        return {"proved": False, "why": why, "stamp": str(job.result(f"seal/{build}").get("stamp") or why)}
    disk = Path(made.path)
    job.progress(f"reading {disk.name}")
    try:
        await read_disk(disk, made.format, (*PATHS, *inventory.PATHS), reading_of_run(job.directory, build))
    except ToolError as error:
        if settings.enabled:
            raise
        job.say(f"Not looked into: {error.what}")
        return {"proved": False, "why": error.what, "stamp": error.what.rstrip(".")}
    reading = await asyncio.to_thread(Reading, reading_of_run(job.directory, build))
    report, stamp = await asyncio.to_thread(_look, job, reading)
    await evidence.write(job, f"seal-{build}", report)
    _tell(job, report)
    wrong, why_not = _compared(job, stamp, reading.content(guestfs.RELEASE_FILE) is not None)
    if settings.enabled and report.found:
        what = f"{build} is not sealed: {in_words(report.found)}."
        raise ToolError(f"{what} {wrong}".strip(), _next_step(report.found))
    if wrong:
        raise ToolError(wrong, "Let the template write nothing there, or what Ingot gives it. Then build again.")
    return {
        "proved": True,
        "why": "",
        "stamp": why_not,
        "found": [item.id for item in report.found],
        "file": state_of(disk),
    }


def reading_of_run(directory: Path, build: str) -> Path:
    """What was read of the disk that a build made (core/adapters/disk_reading.py), in the run's directory."""
    return directory / "reading" / build


def state_of(disk: Path) -> list[int]:
    """Not the same once anybody has written to the file."""
    found = disk.stat()
    return [found.st_size, found.st_mtime_ns]


def _why_not(job: StageJob, made: Made | None) -> str:
    if made is None:
        return "the build made no disk that can be opened here"
    if process.find("guestfish") is None:
        return "guestfish is not installed"
    return ""


def _look(job: StageJob, reading: Reading) -> tuple[SealReport, Stamp]:
    build, settings = job.stage.build, job.run.request.role.seal
    stamp = read_back(reading.content(guestfs.RELEASE_FILE) or b"")
    report = SealReport(
        build=build,
        sealed=settings.enabled,
        items=check(reading.listing, reading.content, settings, Facts(marks(job))),
        stamp=f"{stamp.role} {stamp.version}".strip(),
        host_keys_by=host_keys_by(reading.listing, reading.content),
        ssh_server=has_ssh_server(reading.listing),
    )
    return report, stamp


def marks(job: StageJob) -> tuple[str, ...]:
    """The comment of the keys that Ingot makes for a run, and what is known of the keys themselves."""
    keys = [path.read_text().split() for path in (job.directory / "public-keys").glob("*.pub")]
    return (f"ingot-{job.run.uid}", *(words[1] for words in keys if len(words) > 1))


def _tell(job: StageJob, report: SealReport) -> None:
    for item in report.items:
        where = f": {in_words([item], most=5)}" if item.count else f": {item.title}"
        job.say(f"{item.state.value:>14}{where}")
    if report.sealed and report.ssh_server and not report.host_keys_by:
        job.say(
            "WARNING: nothing was seen in the image that makes SSH host keys at the first boot: a machine of it may "
            "have no SSH. Let a service run `ssh-keygen -A` before the SSH server (docs/images.md)."
        )
    if not report.sealed:
        job.say(f"not sealed: {in_words(report.found)}." if report.found else "Not sealed, and nothing is left in it.")


def _compared(job: StageJob, stamp: Stamp, there: bool) -> tuple[str, str]:
    """What is wrong about the stamp; and where nothing is, why there may be none."""
    build, sealed = job.stage.build, bool(job.result(f"seal/{job.stage.build}").get("sealed"))
    if not there:
        why = str(job.result(f"seal/{build}").get("stamp") or f"there is no {guestfs.RELEASE_FILE}")
        return (f"{build} does not say what it is: {why}." if sealed else ""), why
    wanted = disks.stamp_of(job)
    if not sealed:  # what its template wrote by itself may say more, and knows less of Ingot
        stamp, wanted = Stamp(stamp.role, stamp.version), Stamp(wanted.role, wanted.version)
    if wrong := differences(stamp, wanted):
        return f"{guestfs.RELEASE_FILE} in {build} names another image: {', '.join(wrong)}.", ""
    job.say(f"Stamped inside as {stamp.role} {stamp.version}.")
    return "", ""


def _next_step(found: tuple[Finding, ...]) -> str:
    advice = next((item.advice for item in found if item.advice), "")
    return advice or f"Remove it in the playbook, or leave it in by name: [seal] keep = ['{found[0].id}']"
