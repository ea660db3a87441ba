"""A worker of tests: the real one, with stages that run small real tools under real holders.

Each stage runs a shell that notes its name and process id, and waits for a gate that the test opens. What a stage does
beyond that is told by the role's variables: stage name → `fail`, `break`, `stubborn`, `quick`. Where one is stubborn
the worker is to be IMPATIENT.
"""

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from core import process
from core.engine.equipment import Equipment
from core.engine.execution import Pipeline
from core.engine.worker import main
from core.errors import ToolError
from core.model.decided import Decision
from core.model.image import Artifact, ImageVersion
from core.model.run import Run
from core.places import Places
from core.stages.stage import StageJob
from core.store.index import Index
from core.store.ledger_contents import Contents
from core.store.ledger_sharing import Shared

IMPATIENT = "impatient"
"""Its argument, with which it soon kills what does not end."""
SCRIPT = """
trap 'echo "cleaned $STAGE" >>"$NOTES"; exit 130' INT
[ "$HOW" = stubborn ] && trap '' INT TERM
echo "ran $STAGE $$" >>"$NOTES"
echo "hello from $STAGE, the word is $WORD"
until [ -e "$GATES/$STAGE" ] || [ -e "$GATES/all" ]; do sleep 0.05; done
echo "bye from $STAGE"
[ "$HOW" = fail ] && exit 3
exit 0
"""


async def carry_out(job: StageJob) -> Mapping[str, object]:
    how = job.run.request.role.variables.get(job.stage.name, "")
    if how == "break":
        raise KeyError("an unforeseen thing")
    lines: list[str] = []

    def heard(line: str) -> None:
        lines.append(line)
        job.progress(line)

    job.progress(f"doing {job.stage.name}", 0.5)
    if how == "quick":
        return {"lines": lines}
    secrets = dict(job.secrets)
    job.add_secrets(list(secrets.values()))
    gates = job.run.request.environment["GATES"]
    environment = process.environment(
        extra={
            "STAGE": job.stage.name,
            "HOW": how,
            "WORD": "nothing",
            "GATES": gates,
            "NOTES": str(Path(gates) / f"notes-{job.run.id}"),
            **secrets,
        }
    )
    shell = shutil.which("sh") or "/bin/sh"
    ended = await job.tool("shell", [shell, "-c", SCRIPT], cwd=job.places.home, environment=environment, on_line=heard)
    if ended.code != 0:
        raise ToolError(f"sh ended with {ended.code}.", "Look at the log.")
    return {"lines": lines, "before": dict(job.result("checkout")).get("lines", [])}


class NoLedger:
    """These stages touch none."""

    def reserve(self, role: str, wanted: str, run_uid: str, who: str) -> str:
        raise NotImplementedError

    def register(
        self,
        image: ImageVersion,
        who: str,
        why: str,
        transcripts: Mapping[str, bytes] | None = None,
        evidence: Mapping[str, bytes] | None = None,
    ) -> None:
        raise NotImplementedError

    def images(self) -> list[ImageVersion]:
        return []

    def read(self) -> Contents:
        raise NotImplementedError

    def decide(
        self,
        decisions: Sequence[Decision],
        who: str,
        what: str,
        why: str = "",
        *,
        image: ImageVersion | None = None,
        evidence: Mapping[str, bytes] | None = None,
    ) -> Contents:
        raise NotImplementedError

    def add_artifacts(self, image: ImageVersion, artifacts: Sequence[Artifact], who: str, why: str = "") -> None:
        raise NotImplementedError

    @property
    def last_shared(self) -> Shared:
        return Shared("local")


def pipeline(places: Places, index: Index) -> Pipeline:
    def clean_up(run: Run, succeeded: bool) -> None:
        (places.run(run.uid) / "clean").write_text(str(succeeded))

    return Pipeline(dict.fromkeys(("checkout", "upstream", "validate", "build", "register"), carry_out), clean_up)


if __name__ == "__main__":
    sys.exit(
        main(
            Equipment(pipeline=pipeline, ledger=lambda _run: NoLedger(), grace=1.0 if IMPATIENT in sys.argv else 120.0)
        )
    )
