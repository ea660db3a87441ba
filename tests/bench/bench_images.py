"""Formats of an image version through Ingot against the same work by hand.

A disk of a gigabyte with a third of it in use, real qemu-img, both in turn; medians. `convert` is the bare `qemu-img
convert`; `by_hand` is that with what makes it trustworthy: `qemu-img compare` and `sha256sum`. `stage` is the convert
stage of a run, which does the same and brings it on the ledger; `run` is `ingot convert … --wait` from the command to
its end. Prints JSON; exit status 1 when the stage is over budget.
"""

import hashlib
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from core.model.image import Artifact, ImageVersion, UpstreamRecord
from core.places import Places
from core.services import catalogue
from core.stages.leftovers import workspace_key
from core.store.ledger import Ledger

ROUNDS = int(os.environ.get("ROUNDS", "3"))
MIB = 1 << 20
SIZE = int(os.environ.get("MIB", "1024")) * MIB
FORMATS = {
    "raw": ("raw", ()),
    "vhd": ("vpc", ("-o", "subformat=fixed,force_size=on")),
    "vmdk": ("vmdk", ("-o", "subformat=streamOptimized")),
}
RATIO, EXTRA = 1.25, 2.0
"""Over the same work by hand; seconds."""
WHO = "Bench <bench@localhost>"


def seconds_of(words: tuple[str, ...], environment: dict[str, str]) -> float:
    begun = time.perf_counter()
    subprocess.run(words, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def disk(path: Path, environment: dict[str, str]) -> None:
    """Half of what is in use is as good as random, half is text: as on a system's disk."""
    plain = path.with_suffix(".plain")
    content = random.Random(1)
    with plain.open("wb") as file:
        for at in range(0, SIZE, 6 * MIB):
            file.seek(at)
            file.write(content.randbytes(MIB) + b"".join(b"line %d of a log\n" % n for n in range(60_000))[:MIB])
        file.truncate(SIZE)
    seconds_of(("qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(plain), str(path)), environment)
    plain.unlink()


def registered(shop: Path, places: Places, environment: dict[str, str], versions: int) -> Path:
    """Image versions of one disk, one a round and format; gives the disk of the first."""
    workspace, ledger = catalogue.identify(shop), Ledger(shop)
    first: Path | None = None
    for number in range(versions):
        place = places.images / workspace_key(workspace) / "web" / str(number)
        place.mkdir(parents=True)
        file = place / "qemu.web.qcow2"
        if first is None:
            first = file
            disk(file, environment)
        else:
            file.hardlink_to(first)
        digest = hashlib.sha256(first.read_bytes()).hexdigest()
        artifact = Artifact(
            "qemu.web", "qcow2", str(file), f"sha256:{digest}", file.stat().st_size, SIZE, socket.gethostname()
        )
        upstream = UpstreamRecord("file", "debian")
        image = ImageVersion("web", str(number), "c" * 40, time.time(), f"r{number}", WHO, upstream, (artifact,), "web")
        ledger.register(image, WHO, "")
    assert first is not None
    return first


def main() -> int:
    ingot = str(Path(sys.executable).parent / "ingot")
    found: dict[str, dict[str, list[float]]] = {
        name: {"convert": [], "by_hand": [], "stage": [], "run": []} for name in FORMATS
    }
    with tempfile.TemporaryDirectory(prefix="ingot-") as directory:
        here = Path(directory)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": directory,
            "INGOT_HOME": str(here / "state"),
            "XDG_RUNTIME_DIR": directory,
            "LANG": "C.UTF-8",
        }
        os.environ.update({"INGOT_HOME": environment["INGOT_HOME"], "XDG_RUNTIME_DIR": directory, "HOME": directory})
        shop, places = here / "shop", Places(here / "state")
        places.create()
        git = ("git", "-c", "user.name=Bench", "-c", "user.email=bench@localhost")
        seconds_of((*git, "init", "--quiet", str(shop)), environment)
        seconds_of((*git, "-C", str(shop), "commit", "--quiet", "--allow-empty", "--message=Bench"), environment)
        source = registered(shop, places, environment, ROUNDS)
        try:
            seconds_of((ingot, "worker", "start"), environment)
            for version in range(ROUNDS):
                for name, (of_qemu, options) in FORMATS.items():
                    target, of = str(here / f"by-hand.{name}"), found[name]
                    convert = ("qemu-img", "convert", "-f", "qcow2", "-O", of_qemu, *options, str(source), target)
                    of["convert"].append(seconds_of(convert, environment))
                    compare = ("qemu-img", "compare", "-f", "qcow2", "-F", of_qemu, str(source), target)
                    checked = seconds_of(compare, environment) + seconds_of(("sha256sum", target), environment)
                    of["by_hand"].append(of["convert"][-1] + checked)
                    Path(target).unlink()
                    begun = time.perf_counter()
                    words = (ingot, "-C", str(shop), "convert", "web", str(version), name, "--wait", "--json")
                    said = subprocess.run(words, env=environment, check=True, capture_output=True).stdout
                    of["run"].append(time.perf_counter() - begun)
                    (stage,) = json.loads(said)["stages"]
                    of["stage"].append(stage["ended"] - stage["started"])
        finally:
            subprocess.run((ingot, "worker", "stop"), env=environment, check=False, stdout=subprocess.DEVNULL)
    figures: dict[str, dict[str, float]] = {}
    good = True
    for name, of in found.items():
        bare, by_hand, stage, run = (statistics.median(of[key]) for key in ("convert", "by_hand", "stage", "run"))
        figures[name] = {
            "convert_seconds": bare,
            "by_hand_seconds": by_hand,
            "stage_seconds": stage,
            "run_seconds": run,
            "ratio_to_convert": stage / bare,
            "ratio_to_by_hand": stage / by_hand,
        }
        good = good and stage <= RATIO * by_hand + EXTRA
    rounded = {name: {key: round(value, 3) for key, value in of.items()} for name, of in figures.items()}
    print(json.dumps({"convert": rounded}, indent=1))  # noqa: T201 - a program
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
