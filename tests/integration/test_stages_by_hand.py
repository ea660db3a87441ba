"""An image version of a build that somebody touched by hand says so for ever, with what was seen."""

import asyncio
import json
import time
from pathlib import Path

import msgspec
import pytest
from workshop import FILE_TEMPLATE, WHO, Workshop, role

from core import process
from core.errors import LedgerError
from core.model.image import ImageVersion, may_become_good
from core.model.run import RunState
from core.model.touch import TOUCHED, Touch, TouchKind
from core.secrets import MARK, Redactor
from core.store.touches import Touches
from core.store.transcripts import TranscriptWriter

pytestmark = pytest.mark.skipif(process.find("packer") is None, reason="packer is not installed")

SECRET = "a-token-of-the-run"
WEB = FILE_TEMPLATE + 'variable "token" {\n  type = string\n  default = ""\n  sensitive = true\n}\n'


def by_hand(workshop: Workshop, uid: str, *printed: bytes) -> None:
    touches = Touches(workshop.places.run(uid))
    record = touches.add(Touch(TouchKind.SHELL, WHO, time.time(), "file.hello"), recorded=True)
    kept = TranscriptWriter(touches.transcript(record), 80, 24, Redactor())
    for piece in printed:
        kept.output(piece)
    kept.close()


async def test_a_touched_build_is_marked_for_ever(workshop: Workshop) -> None:
    workshop.commit({"web/web.pkr.hcl": WEB})
    run = workshop.new_run(role(), secrets={"PKR_VAR_token": SECRET})
    await workshop.until(run, "build/file.hello")
    by_hand(workshop, run.uid, b"# echo $TOKEN\r\n", SECRET[:5].encode(), SECRET[5:].encode(), b"\r\n")
    await workshop.until(run, "register")
    workshop.end(run, succeeded=True)
    (image,) = workshop.ledger.images()
    assert image.marks == (TOUCHED,)
    assert [(touch.kind, touch.who) for touch in image.touches] == [(TouchKind.SHELL, WHO)]
    assert "touched by hand (Ada Example: shell)" in may_become_good(image)
    transcript = workshop.ledger.transcript(image, image.touches[0].transcript)
    assert json.loads(transcript.splitlines()[0])["version"] == 2
    assert MARK.decode() in transcript.decode()
    assert SECRET not in transcript.decode()
    assert workshop.ledger.read().problems == ()
    manifest = json.loads(Path(f"{image.artifacts[0].location}.manifest.json").read_bytes())
    assert manifest["marks"] == [TOUCHED]
    assert Touches(workshop.places.run(run.uid)).all() == list(image.touches)
    assert f"{TOUCHED}: shell by {WHO}" in workshop.log(run, "register")


@pytest.mark.parametrize("what", ["transcript", "report"])
async def test_what_is_kept_for_ever_waits_for_the_secrets_that_a_restarted_worker_forgot(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr("core.engine.job._SECRETS_COME_WITHIN", 0.0)
    workshop.commit({"web/web.pkr.hcl": WEB})
    run = workshop.new_run(role(), secrets={"PKR_VAR_token": SECRET})
    await workshop.until(run, "build/file.hello")
    if what == "transcript":
        by_hand(workshop, run.uid, f"it is {SECRET}\r\n".encode())
    else:
        (workshop.places.run(run.uid) / "evidence").mkdir()
        (workshop.places.run(run.uid) / "evidence" / "seal-file.hello.json").write_text(f'"it is {SECRET}"')
    workshop.memory.forget(run.uid)
    registering = asyncio.ensure_future(workshop.until(run, "register"))
    await workshop.waits(run, registering)
    assert workshop.ledger.images() == [], "nothing may come onto the ledger that cannot be redacted"
    reason = workshop.again(run).reason
    assert "forgotten PKR_VAR_token" in reason
    assert f"ingot resume {run.id}" in reason
    workshop.memory.give(run.uid, {"PKR_VAR_token": SECRET})
    await registering
    assert workshop.again(run).state is RunState.RUNNING
    (image,) = workshop.ledger.images()
    if what == "transcript":
        kept = workshop.ledger.transcript(image, image.touches[0].transcript)
    else:
        kept = workshop.ledger.evidence(image, "seal-file.hello")
    assert f"it is {MARK.decode()}" in kept.decode()


async def test_a_run_that_waits_before_it_registers_can_be_cancelled(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.engine.job._SECRETS_COME_WITHIN", 0.0)
    workshop.commit({"web/web.pkr.hcl": WEB})
    run = workshop.new_run(role(), secrets={"PKR_VAR_token": SECRET})
    await workshop.until(run, "build/file.hello")
    by_hand(workshop, run.uid, b"# true\r\n")
    workshop.memory.forget(run.uid)
    registering = asyncio.ensure_future(workshop.until(run, "register"))
    await workshop.waits(run, registering)
    registering.cancel()
    await asyncio.wait({registering})
    assert registering.cancelled()
    workshop.end(run, succeeded=False)
    assert (workshop.ledger.images(), workshop.ledger.read().reservations) == ([], ())
    assert not list(workshop.places.images.rglob("*.txt"))


async def test_a_build_that_nobody_touched_bears_no_mark(workshop: Workshop) -> None:
    workshop.commit({"web/web.pkr.hcl": FILE_TEMPLATE})
    run = workshop.new_run(role())
    await workshop.until(run, "register")
    (image,) = workshop.ledger.images()
    assert (image.marks, image.touches, may_become_good(image)) == ((), (), "")
    with pytest.raises(LedgerError):
        workshop.ledger.transcript(image, "none.cast")


async def test_a_flood_does_not_fill_the_ledger(workshop: Workshop) -> None:
    workshop.commit({"web/web.pkr.hcl": FILE_TEMPLATE})
    run = workshop.new_run(role())
    await workshop.until(run, "build/file.hello")
    noise = process.run_blocking(["head", "-c", "600000", "/dev/urandom"], env=process.environment()).out
    for _ in range(6):
        by_hand(workshop, run.uid, *(noise[at : at + 4096] for at in range(0, len(noise), 4096)))
    await workshop.until(run, "register")
    (image,) = workshop.ledger.images()
    assert len(image.touches) == 6
    listed = workshop.git("ls-tree", "-r", "-l", "refs/ingot/ledger").splitlines()
    sizes = [int(line.split()[3]) for line in listed if "/transcripts/" in line]
    assert sizes
    assert max(sizes) <= 256 * 1024
    assert sum(sizes) <= 1024 * 1024
    assert "is too large for the ledger" in workshop.log(run, "register")


def test_a_manifest_of_an_older_ingot_still_decodes() -> None:
    old = (
        b'{"role":"web","version":"1","commit":"c","created":0.0,"run":"r","built_by":"a","upstream":{"kind":"none",'
        b'"description":""},"artifacts":[],"template":"web","marks":["development"]}'
    )
    assert msgspec.json.decode(old, type=ImageVersion).touches == ()
