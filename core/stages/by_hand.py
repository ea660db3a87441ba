"""What was done by hand in a run, as its image version carries it: the mark, the touches, and the transcripts."""

import asyncio
from pathlib import Path

from msgspec.structs import replace

from core import text
from core.adapters import packer
from core.model.image import ImageVersion
from core.model.touch import TOUCHED, Touch
from core.stages.environment import checkout_of
from core.stages.stage import StageJob
from core.store import transcripts
from core.store.touches import Touches

MOST = 1024 * 1024
"""Bytes of all transcripts of one image version on the ledger, compressed."""


async def marked(job: StageJob, image: ImageVersion) -> ImageVersion:
    """The image with the mark and the touches of its run; as it is where nothing was done by hand."""
    touches = await asyncio.to_thread(Touches(job.directory).all)
    if not touches:
        return image
    for touch in touches:
        job.say(f"{TOUCHED}: {touch.kind.value} by {touch.who}, {text.moment(touch.when)}")
    marks = image.marks if TOUCHED in image.marks else (*image.marks, TOUCHED)
    return replace(image, marks=marks, touches=tuple(touches))


async def packed(job: StageJob, image: ImageVersion) -> dict[str, bytes]:
    """The transcripts of the image's touches, compressed, by their names. Says in the log what had no room."""
    if not any(touch.transcript for touch in image.touches):
        return {}
    await job.wait_for_secrets()
    # Once more: whoever opened the shell knew the secrets of his own terminal, and these are the run's.
    role = job.run.request.role
    known = await asyncio.to_thread(packer.sensitive_values, role, checkout_of(job))
    return await asyncio.to_thread(_packed, job, image.touches, [*job.secrets.values(), *known])


def _packed(job: StageJob, touches: tuple[Touch, ...], secrets: list[str]) -> dict[str, bytes]:
    kept: dict[str, bytes] = {}
    room = MOST
    for touch in touches:
        path = Touches(job.directory).transcript(touch)
        if not touch.transcript or not path.is_file():
            continue
        raw = transcripts.redacted(path.read_bytes(), secrets)
        small = transcripts.compressed(raw, min(room, transcripts.LARGEST_SHARED))
        left_out = len(raw) - transcripts.length(small)
        if left_out > 0:
            job.say(f"The transcript {touch.transcript} is too large for the ledger: {text.size(left_out)} are cut.")
        if small:
            kept[Path(touch.transcript).name] = small
            room -= len(small)
    return kept
