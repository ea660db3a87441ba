"""A build through Ingot against the same `packer build` alone: at most 1.02 times as long, plus 0.5 s.

Real Packer, a null source and a provisioner that prints a line each tenth of a second. Both in turn; medians.
`stage` is the build stage, which does what the bare command does; `run` is the whole run, with its private clone,
`packer validate` and the ledger. Prints JSON; exit status 1 when the stage is over budget.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = int(os.environ.get("ROUNDS", "5"))
LINES = int(os.environ.get("LINES", "100"))
RATIO, EXTRA = 1.02, 0.5

TEMPLATE = f"""\
source "null" "web" {{
  communicator = "none"
}}
build {{
  sources = ["source.null.web"]
  provisioner "shell-local" {{
    inline = ["for line in $(seq {LINES}); do echo line $line; sleep 0.1; done"]
  }}
}}
"""


def seconds_of(words: tuple[str, ...], where: Path, environment: dict[str, str]) -> float:
    begun = time.perf_counter()
    subprocess.run(words, cwd=where, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def main() -> int:
    ingot = str(Path(sys.executable).parent / "ingot")
    alone: list[float] = []
    stages: list[float] = []
    runs: list[float] = []
    with tempfile.TemporaryDirectory(prefix="ingot-") as directory:
        here = Path(directory)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": directory,
            "INGOT_HOME": str(here / "state"),
            "XDG_RUNTIME_DIR": directory,
            "LANG": "C.UTF-8",
            "CHECKPOINT_DISABLE": "1",
        }
        shop = here / "shop"
        (shop / "web").mkdir(parents=True)
        (shop / "web/web.pkr.hcl").write_text(TEMPLATE)
        git = ("git", "-c", "user.name=Bench", "-c", "user.email=bench@localhost")
        for words in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "--message=Bench")):
            seconds_of((*git, *words), shop, environment)
        try:
            seconds_of((ingot, "worker", "start"), shop, environment)
            for _ in range(ROUNDS):
                alone.append(seconds_of(("packer", "build", "-color=false", "."), shop / "web", environment))
                begun = time.perf_counter()
                said = subprocess.run(
                    (ingot, "build", "web", "--trust", "--wait", "--json"),
                    cwd=shop, env=environment, check=True, capture_output=True,
                ).stdout  # fmt: skip
                runs.append(time.perf_counter() - begun)
                (run,) = json.loads(said)
                (stage,) = (stage for stage in run["stages"] if stage["key"].startswith("build/"))
                stages.append(stage["ended"] - stage["started"])
        finally:
            subprocess.run((ingot, "worker", "stop"), env=environment, check=False, stdout=subprocess.DEVNULL)
    bare, stage, run = (statistics.median(figures) for figures in (alone, stages, runs))
    figures = {
        "packer_alone_seconds": bare,
        "stage_seconds": stage,
        "run_seconds": run,
        "stage_over_packer_seconds": stage - bare,
        "run_over_packer_seconds": run - bare,
        "ratio": stage / bare,
    }
    print(json.dumps({name: round(figure, 3) for name, figure in figures.items()}, indent=1))  # noqa: T201 - a program
    return 0 if stage <= RATIO * bare + EXTRA else 1


if __name__ == "__main__":
    sys.exit(main())
