"""The stage that makes one image: one Packer process for one source, watched until it ends.

Packer runs under a holder, so a worker that dies in the middle changes nothing: the stage, carried out again, adopts
it. Gives `made` (files and cloud images), what Packer found as the upstream, and how long it took.
"""

import asyncio
import shlex
import time
from collections.abc import Mapping
from pathlib import Path

from core import text
from core.adapters.packer_output import OutputReader
from core.errors import ToolError
from core.hold import Held
from core.holding import Exit
from core.model.ansible_build import KIND
from core.model.failure import Failure
from core.model.pause import Pause
from core.stages import build_ansible, built, space
from core.stages.access import Watcher
from core.stages.artifacts import declared_by, made_by, unnamed
from core.stages.built import Built
from core.stages.environment import Preparation, prepare
from core.stages.pace import Pace
from core.stages.paused import Pauses, in_a_sentence, what_failed
from core.stages.stage import StageJob
from core.stages.work import in_thread


async def carry_out(job: StageJob) -> Mapping[str, object]:
    """Raises ToolError with what went wrong in one sentence when Packer fails."""
    if (build := job.run.request.role.build(job.stage.build)) is not None and build.kind == KIND:
        return await build_ansible.carry_out(job)
    return await built.once(job, _build)


async def _build(job: StageJob) -> Built:
    preparation = await prepare(job, job.stage.build)
    declared = await asyncio.to_thread(declared_by, preparation)
    await space.for_build(job, preparation.build, preparation.role.name)
    job.places.cache.joinpath("packer").mkdir(mode=0o700, parents=True, exist_ok=True)
    preparation.output.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = preparation.build.name
    reader = OutputReader()
    pace = Pace.of(job, name)

    def look(line: str) -> None:
        watcher.feed(line)
        pauses.heard(line)
        if step := reader.feed(line):
            job.progress(step.text, pace.reached(step.marker))

    async def held(asked: Held) -> Pause:
        watcher.look_again()  # in the background: the pause is shown at once, and a dead machine answers late
        return await pauses.held(asked)

    pauses = Pauses(job, preparation)
    arguments = preparation.arguments("build", pauses.options)
    job.progress("starting Packer")
    if pace.whole:
        job.say(f"$ {shlex.join(['packer', *arguments[1:]])}")
    began = time.time()
    async with Watcher(job, preparation) as watcher:
        ended = await job.tool(
            "packer",
            arguments,
            cwd=preparation.directory,
            environment=preparation.environment,
            on_line=look,
            prompts=pauses.rules,
            prompt_limit=pauses.limit,
            on_held=held,
            events=True,
        )
    log = job.places.log(job.run.uid, job.stage.key)
    if ended.code != 0 and not pauses.mended(ended):
        found = await asyncio.to_thread(what_failed, log)
        raise pauses.end_of(ended) or _failure(preparation, ended, reader, found)
    made = await asyncio.to_thread(made_by, preparation, declared, reader, ended.started or began)
    if pauses.mended(ended):
        made = made or await asyncio.to_thread(unnamed, preparation, declared, reader, _region(job))
        job.say(
            "Every step went well in the end. Packer calls it failed as one was retried, and runs no post-processor."
        )
        if not made and preparation.build.kind != "null":
            raise ToolError(
                f"{name}: all its steps went well after the retry, but Packer does not say what it made of that, "
                "and it was not found.",
                "Let the template put it into `ingot_output` (docs/templates.md). Then build again.",
            )
    # Packer 1.6 takes an `-only` that nothing matches for a job well done.
    elif not made and not reader.results and (reader.nothing_built or not reader.finished):
        raise ToolError(
            f"Packer built nothing: {preparation.role.template} has no build {name} at this commit.",
            "ingot roles shows what it has.",
        )
    seconds = ended.ended - ended.started
    if not pauses.any:  # how long a person took to answer is no measure
        await in_thread(pace.keep)
    named = ", ".join(one.location or Path(one.path).name for one in made)
    job.say(f"Built in {text.duration(seconds)}: {named or 'nothing to keep'}.")
    return Built(
        made=made,
        source_image=reader.source_image,
        media=reader.media,
        packer=preparation.packer.version_text,
        seconds=seconds,
        tasks=reader.tasks,
    )


def _region(job: StageJob) -> str:
    machine = job.machine()
    return machine.region if machine else ""


def _failure(preparation: Preparation, ended: Exit, reader: OutputReader, found: Failure | None) -> ToolError:
    next_step = "Look at the first error in the log, mend it, commit, and build again."
    if found and found.error:
        why = in_a_sentence(found).rstrip(".")
        next_step = found.next_step or next_step
    elif reader.error:
        why = reader.error.strip().rstrip(".")
    elif ended.signal:
        why = f"Packer was ended by signal {ended.signal}"
    else:
        why = f"Packer ended with exit status {ended.code}"
    return ToolError(f"{preparation.build.name}: {why}.", next_step)
