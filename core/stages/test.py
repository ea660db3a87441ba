"""The boot test of one build: a throwaway machine boots from its disk or AMI, is looked at, and the role's suites run
in it.

What is booted is the registered artifact: a disk here, through an overlay; an AMI in its cloud, where the machine is
also looked into for what nobody could read of a disk (core/stages/machine_seal.py). The report goes on the ledger with
the verdict; the last build's test makes the image version good when all of it passed and nothing else forbids it.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from msgspec.structs import replace

from core import process, text
from core.adapters import packer, qemu, ssh_keys, test_machine
from core.adapters.aws_machines import Launching
from core.adapters.ssh_keys import KeyPair
from core.adapters.test_machine import Guest
from core.errors import RefusedError, ToolError
from core.hold import write_whole
from core.model import report_names
from core.model.image import Artifact, ImageState, ImageVersion
from core.model.pipeline import Purpose
from core.model.states import Act, StateChange, Verdict
from core.model.test_report import Case, Outcome, Report, first_bad, fitting
from core.secrets import Redactor
from core.stages import cloud_plan, evidence
from core.stages.booting import LocalMachine
from core.stages.booting_cloud import CloudMachine, Site
from core.stages.environment import checkout_of, keys_of
from core.stages.examination import Examination
from core.stages.given import verified_again
from core.stages.machine_seal import MachineSeal
from core.stages.stage import StageJob
from core.stages.throwaway import Throwaway
from core.stages.work import in_thread

ROOM = 2_000_000
"""Characters of what suites said that go on the ledger with one report."""
AMI = "ami"
_SIGNS = {Outcome.PASSED: "✓", Outcome.FAILED: "✗", Outcome.ERROR: "✗", Outcome.SKIPPED: "–"}


async def carry_out(job: StageJob) -> Mapping[str, object]:
    """Gives `verdict`, `evidence` (the name of the report) and `cases`, how many there were. Raises ToolError when the
    image version has not passed."""
    image = await asyncio.to_thread(_image, job)
    artifact = _artifact(image, job.stage.build) if image else None
    if image is None or artifact is None:
        job.say("There is no disk on this machine that could be booted, and no AMI, so nothing is tested.")
        return {"verdict": Verdict.UNTESTED.value, "evidence": "", "cases": 0}
    note = job.directory / "results" / f"test-{job.stage.build}.json"
    report = _earlier(note)
    if report is None:
        await job.end_earlier()
        try:
            report = await _tested(job, image, artifact)
        except cloud_plan.NotEnteredError as error:
            job.say(f"Nothing is tested. {error.what}")
            return {"verdict": Verdict.UNTESTED.value, "evidence": "", "cases": 0}
        await asyncio.to_thread(_note, job, note, report)
    else:
        job.say("It was tested before the interruption.")
    name = report_names.of_test(job.stage.build, job.run.uid)
    await _decide(job, image, report, name)
    if report.verdict is not Verdict.PASSED:
        bad = report.counted(Outcome.FAILED, Outcome.ERROR)
        raise ToolError(
            f"{job.stage.build} did not pass: {first_bad(report.cases) or 'nothing could be looked at'}.",
            f"{image.role} {image.version} stays {image.state.value}; {bad} of {len(report.cases)} cases are not well: "
            f"ingot tests {image.role} {image.version}",
        )
    return {"verdict": report.verdict.value, "evidence": name, "cases": len(report.cases)}


def _secrets(job: StageJob) -> list[str]:
    """What suites may print and nobody may keep. Reads the template: in a thread."""
    return [*job.secrets.values(), *packer.sensitive_values(job.run.request.role, checkout_of(job))]


def _note(job: StageJob, note: Path, report: Report) -> None:
    """For an attempt after this one; gone with the run (leftovers.py)."""
    note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(note, Redactor(_secrets(job)).redact(msgspec.json.encode(report)))


def _earlier(note: Path) -> Report | None:
    try:
        return msgspec.json.decode(note.read_bytes(), type=Report)
    except (OSError, msgspec.DecodeError):
        return None


def _image(job: StageJob) -> ImageVersion | None:
    """The image version that this run made, or is about."""
    request = job.run.request
    for image in job.ledger.images():
        if request.purpose is Purpose.BUILD and image.run == job.run.uid:
            return image
        if request.purpose is not Purpose.BUILD and (image.role, image.version) == (request.role.name, request.version):
            return image
    return None


def _artifact(image: ImageVersion, build: str) -> Artifact | None:
    """The disk that the build itself made, before those that were converted from it; else its AMI, the first one where
    it is in several regions."""
    of_build = [one for one in image.artifacts if one.build == build]
    disks = (one for one in of_build if one.format in test_machine.FORMATS and Path(one.location).is_file())
    return next(disks, None) or next((one for one in of_build if one.format == AMI), None)


class _Machines(msgspec.Struct, frozen=True):
    """What is examined."""

    first: Throwaway
    second: Throwaway
    where: str
    """`kvm`, `tcg`, or the type of the machine in a cloud."""
    look: MachineSeal | None = None


async def _tested(job: StageJob, image: ImageVersion, artifact: Artifact) -> Report:
    # Before anything boots: suites and the machine itself may print them, and passwords of builds are tried.
    await job.wait_for_secrets()
    job.add_secrets(await asyncio.to_thread(_secrets, job))
    keys = keys_of(job.directory) / f"test-{job.stage.build}"
    key = await ssh_keys.make(keys, f"test-of-{job.run.uid}")
    began = time.time()
    kept = False
    try:
        async with (_in_cloud if artifact.format == AMI else _here)(job, image, artifact, key) as machines:
            test = Examination(job, image, machines.first, machines.second, keys, machines.look)
            try:
                cases = await test.cases()
            finally:
                kept = test.kept
    finally:
        if not kept:
            await asyncio.to_thread(ssh_keys.remove, keys)
    for case in cases:
        _say(job, case)
    look = machines.look
    return Report(
        role=image.role,
        version=image.version,
        build=job.stage.build,
        artifact=artifact.digest or artifact.location,
        run=job.run.uid,
        commit=job.run.request.commit,
        started=began,
        ended=time.time(),
        accelerator=machines.where,
        boot_seconds=test.first.seconds,
        cases=fitting(cases, ROOM),
        facts=test.facts,
        seal=await _noted(job, "seal", look.seal) if look else "",
        inventory=await _noted(job, "inventory", look.inventory) if look else "",
    )


async def _noted(job: StageJob, kind: str, report: object) -> str:
    """The name of a report that goes on the ledger with the verdict; empty without one."""
    if report is None:
        return ""
    name = f"{kind}-{job.stage.build}-{job.run.uid[-8:]}"
    await evidence.write(job, name, report)
    return name


@asynccontextmanager
async def _here(job: StageJob, image: ImageVersion, artifact: Artifact, key: KeyPair) -> AsyncGenerator[_Machines]:
    """Two machines of QEMU's on overlays."""
    if process.find("qemu-system-x86_64") is None:
        raise ToolError(
            "QEMU is not installed, so no machine can be booted from the image.",
            "Install it (Debian: apt install qemu-system-x86), then: ingot test; or set [test] enabled = false.",
        )
    settings = job.run.request.role.test
    name = f"{image.role} {image.version}"
    if artifact.digest:
        await verified_again(job, Path(artifact.location), artifact.digest, name)
    accelerator = await qemu.accelerator()
    firmware = await test_machine.firmware_of(Path(artifact.location), artifact.format)

    def guest(number: int) -> Guest:
        return Guest(
            directory=job.directory / "test" / f"{job.stage.build}-{number}",
            name=f"test-{job.run.uid}-{job.stage.build}-{job.stage.attempt}-{number}",
            disk=Path(artifact.location),
            disk_format=artifact.format,
            key=key,
            user=settings.user,
            memory=settings.memory,
            cpus=settings.cpus,
            accelerator=accelerator,
            firmware=firmware,
        )

    by = "UEFI" if firmware else "BIOS"
    disk = Path(artifact.location).name
    job.say(f"Booting {disk} of {name} twice by {by}, each time on a fresh overlay ({accelerator}).")
    yield _Machines(LocalMachine(job, guest(1), name), LocalMachine(job, guest(2), name), accelerator)


@asynccontextmanager
async def _in_cloud(job: StageJob, image: ImageVersion, artifact: Artifact, key: KeyPair) -> AsyncGenerator[_Machines]:
    """Two machines of the AMI in its region. Raises ToolError where there can be none: the image stays as it is."""
    name, again = f"{image.role} {image.version}", f"ingot test {image.role} {image.version}"
    planned = await asyncio.to_thread(cloud_plan.plan_of, job, image, artifact, key, key.private_file.parent)
    plan, account = planned.plan, planned.account
    try:
        ec2 = await asyncio.to_thread(Launching, plan.machine.region, account.environment, account.endpoint)
        kind = plan.machine.instance_type or await asyncio.to_thread(ec2.small_type, plan.ami)
        plan = replace(plan, machine=replace(plan.machine, instance_type=kind))
        job.say(f"Launching {plan.ami} of {name} twice in {ec2.region} ({kind}).")
        async with Site(job, ec2, plan) as site:
            look = MachineSeal(job, image, key.public)
            yield _Machines(CloudMachine(site, 1), CloudMachine(site, 2), kind, look)
    except ToolError as error:
        kept = f"{name} is not tested, and stays {image.state.value}."
        raise ToolError(error.what, f"{error.next_step}\nThen: {again}".strip(), kept=kept) from error


def _say(job: StageJob, case: Case) -> None:
    what = f"{_SIGNS[case.outcome]} {case.suite}: {case.name}"
    job.say(f"{what}: {case.message}" if case.message else what)
    if case.outcome.bad:
        for line in case.output.splitlines():
            job.say(f"    {line}")


async def _decide(job: StageJob, image: ImageVersion, report: Report, name: str) -> None:
    """Put the report and its verdict on the ledger, and with the last build's pass that the image version is good. The
    same once more changes nothing."""
    who = job.run.request.asked_by
    key = (image.role, image.version)
    run = f"by run {job.run.uid}"
    decided = (await asyncio.to_thread(job.ledger.read)).decided
    if any((change.evidence, change.run) == (name, image.run) for change in decided.changes.get(key, ())):
        job.say("What came of it is on the ledger already.")
        return
    secrets = await asyncio.to_thread(_secrets, job)
    # In a thread: a report of two megabytes holds up the worker's loop, and with it all other runs.
    packed = await asyncio.to_thread(_packed, job, report, name, secrets)
    why = f"{report.counted(Outcome.PASSED)} of {len(report.cases)} cases of {report.build} passed"
    if first := first_bad(report.cases):
        why += f"; {first}"
    why = Redactor(secrets).redact(why.encode()).decode(errors="replace")
    verdict = report.verdict if report.verdict is Verdict.PASSED else Verdict.FAILED
    tested = StateChange(
        image.role, image.version, image.run, Act.TESTED, who, report.ended, why, verdict=verdict, evidence=name,
        follows=decided.life(key).follows,
    )  # fmt: skip
    good = StateChange(
        image.role, image.version, image.run, Act.GOOD, who, report.ended, f"tested {run}",
        follows=decided.life(key).follows,
    )  # fmt: skip
    decisions = [tested]
    reason = _why_not_good(job, image, verdict)
    if not reason and verdict is Verdict.PASSED:
        reason = decided.with_decision(tested).forbids(good, report.ended)
        if not reason:
            decisions.append(good)
    what = f"test {image.role} {image.version}: {verdict.value}"
    job.progress("writing to the ledger")
    try:
        await in_thread(job.ledger.decide, decisions, who, what, run, image=image, evidence=packed)
    except RefusedError as error:  # somebody decided in between
        if len(decisions) == 1:
            raise
        reason, decisions = error.what, [tested]
        await in_thread(job.ledger.decide, decisions, who, what, run, image=image, evidence=packed)
    passed = report.counted(Outcome.PASSED)
    took = text.duration(report.ended - report.started)
    job.say(f"{passed} of {len(report.cases)} cases passed, in {took}.")
    if good in decisions:
        job.say(f"{image.role} {image.version} is good.")
    elif verdict is Verdict.PASSED and image.state is ImageState.CANDIDATE:
        job.say(f"{image.role} {image.version} stays candidate: {reason}")
    if job.ledger.last_shared.state == "offline":
        job.say(f"Others do not know yet: the ledger's remote cannot be reached ({job.ledger.last_shared.reason}).")


def _packed(job: StageJob, report: Report, name: str, secrets: Sequence[str]) -> dict[str, bytes]:
    """What goes on the ledger with the verdict."""
    beside = [one for one in (report.seal, report.inventory) if one]
    return {
        name: evidence.compressed(msgspec.json.encode(report), secrets),
        **{one: evidence.compressed(evidence.read(job, one), secrets) for one in beside},
    }


def _why_not_good(job: StageJob, image: ImageVersion, verdict: Verdict) -> str:
    """What of the other builds is in the way; empty where this was the last, and all have passed."""
    if verdict is not Verdict.PASSED:
        return "it did not pass"
    here = job.stage.build
    for build in dict.fromkeys(artifact.build for artifact in image.artifacts):
        if build == here:
            continue
        stage = job.run.stage(f"{job.stage.name}/{build}")
        if stage is None:
            return f"its build {build} was not tested here: ingot test {image.role} {image.version} tests all of them."
        said = str(job.result(stage.key).get("verdict") or "")
        if said != Verdict.PASSED:
            return f"its build {build} is {said or 'still to be tested'}."
    return ""
