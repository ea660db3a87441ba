"""What stands between a candidate and good, through Ingot against the bare tools run by hand on the same disk.

Real input: the demo workspace's `base`, built and tested once (minutes without hardware virtualisation), or the
directory in DEMO, where that was done before: its home in `home`, its workspace in `shop`. Then, in turn:

- `seal`: the stage of that run against virt-sysprep with the same words on an overlay of the disk that it made.
- `check`: the stages *prove* and *inspect*, which read the disk once, against guestfish that names every file in it.
- `test`: `ingot test base` against two boots of the same QEMU machine until OpenSSH gets in, with its suites run by
  pytest in the second.
- `side_by_side`: two of the latter at once, against one after the other.
- `convert`: `ingot convert base` to three formats against qemu-img that makes and compares each, and sha256sum of both.

Prints JSON; exit status 1 when one takes more than RATIO times what it takes by hand.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Generator
from pathlib import Path
from typing import Any

from core.adapters import formats, guestfs, qemu, ssh_keys, sysprep, test_machine
from core.adapters.formats import Source
from core.adapters.test_machine import Guest
from core.model.formats import FORMATS
from core.model.sealing import SealSettings, plan

RATIO, EXTRA = 1.5, 5.0
"""Times what it takes by hand, and seconds on top."""
MEASURED = ("seal", "check", "test", "convert")
CONVERTED = ("vhd", "vhdx", "vmdk")
ROUNDS = int(os.environ.get("ROUNDS", "2"))


class Demo:
    """The demo workspace with a good image version of `base`."""

    def __init__(self, directory: Path) -> None:
        self.home, self.shop = directory / "home", directory / "shop"
        self.environment = {**os.environ, "INGOT_HOME": str(self.home), "XDG_RUNTIME_DIR": str(directory)}
        os.environ.update(self.environment)
        if not self.home.exists():
            self.ingot("demo", "--no-open", str(self.shop), at=directory)
            self.ingot("logs", "-f", "1")

    def ingot(self, *words: str, at: Path | None = None) -> str:
        argv = (str(Path(sys.executable).parent / "ingot"), *words)
        done = subprocess.run(
            argv, cwd=at or self.shop, env=self.environment, check=True, stdout=subprocess.PIPE, text=True
        )
        return done.stdout

    def newest_run(self) -> dict[str, Any]:
        return json.loads(self.ingot("runs", "--all", "--json"))[0]

    def stages(self, run: dict[str, Any]) -> dict[str, float]:
        """Seconds by stage."""
        return {stage["key"].partition("/")[0]: stage["ended"] - stage["started"] for stage in run["stages"]}

    def disk(self) -> Path:
        (image,) = (image for image in json.loads(self.ingot("images", "--json")) if image["role"] == "base")
        return Path(image["artifacts"][0]["location"])


def timed(words: list[str], environment: dict[str, str], cwd: Path) -> float:
    begun = time.perf_counter()
    subprocess.run(words, env=environment, cwd=cwd, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begun


def sealed_by_hand(demo: Demo, here: Path, disk: Path) -> float:
    """virt-sysprep as the run's log shows it, on an overlay of the disk."""
    log = demo.ingot("logs", "1", "--stage", "seal/qemu.base")
    words = next(line for line in log.splitlines() if line.startswith("$ virt-sysprep"))[2:].split()
    overlay = here / "sealed.qcow2"
    qemu_img = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(disk), str(overlay)]
    timed(qemu_img, demo.environment, here)
    words[words.index("--add") + 1] = str(overlay)
    # Its two files, which went with the stage.
    settings = tomllib.loads((demo.shop / "ingot.toml").read_text())["seal"]
    todo = plan(SealSettings(enabled=True, remove=tuple(settings["remove"])))
    (here / "commands").write_text(sysprep.script(todo, "release"))
    (here / "release").write_text("IMAGE_ID=base\n")
    return timed(words, {**demo.environment, **asyncio.run(guestfs.environment())}, here)


def read_by_hand(demo: Demo, here: Path, disk: Path) -> float:
    words = ["guestfish", "--ro", "-i", "--format=qcow2", "-a", str(disk), "find0", "/", str(here / "names")]
    return timed(words, {**demo.environment, **asyncio.run(guestfs.environment())}, here)


@contextlib.contextmanager
def booted(here: Path, disk: Path, name: str) -> Generator[list[str]]:
    """A machine that lets OpenSSH in; gives the words of it."""
    key = asyncio.run(ssh_keys.make(here / f"key-{name}", name))
    guest = Guest(here / name, name, disk, "qcow2", key, "root", 1024, 2, asyncio.run(qemu.accelerator()))
    asyncio.run(test_machine.prepare(guest))
    port = test_machine.free_port()
    config = here / f"{name}.ssh"
    config.write_text(
        f"Host machine\n HostName 127.0.0.1\n Port {port}\n User root\n IdentityFile {key.private_file}\n"
        " StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n BatchMode yes\n ConnectTimeout 5\n"
        f" ControlMaster auto\n ControlPersist 60\n ControlPath {here}/{name}.socket\n"
    )
    machine = subprocess.Popen(test_machine.arguments(guest, port), stdout=subprocess.DEVNULL)
    try:
        ssh = ["ssh", "-F", str(config), "machine"]
        while subprocess.run([*ssh, "true"], check=False, capture_output=True).returncode:
            time.sleep(0.5)
        yield ["--hosts=ssh://machine", f"--ssh-config={config}"]
    finally:
        subprocess.run(["ssh", "-F", str(config), "-O", "exit", "machine"], check=False, capture_output=True)
        machine.send_signal(signal.SIGTERM)
        machine.wait()
        shutil.rmtree(here / name)


def tested_by_hand(demo: Demo, here: Path, disk: Path) -> float:
    begun = time.perf_counter()
    with booted(here, disk, "first"):
        pass
    with booted(here, disk, "second") as machine:
        pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *machine, "tests/base"]
        timed(pytest, demo.environment, demo.shop)
    return time.perf_counter() - begun


def converted_by_hand(demo: Demo, here: Path, disk: Path) -> float:
    """Each format made, compared with the disk that it was made of, and both with a digest."""
    took = 0.0
    source = Source(disk, "qcow2")
    for name in CONVERTED:
        of, made = FORMATS[name], here / f"disk.{name}"
        for words in (
            ["sha256sum", str(disk)],
            formats.convert(source, made, of.of_qemu, of.options),
            formats.compare(source, Source(made, of.of_qemu)),
            ["sha256sum", str(made)],
        ):
            took += timed(words, demo.environment, here)
        made.unlink()
    return took


def main() -> int:
    seconds: dict[str, list[float]] = {f"{name}{by}": [] for name in MEASURED for by in ("", "_by_hand")}
    with tempfile.TemporaryDirectory(prefix="ingot-") as directory:
        demo = Demo(Path(os.environ.get("DEMO", directory)))
        here = Path(directory)
        try:
            run = next(run for run in json.loads(demo.ingot("runs", "--all", "--json")) if run["id"] == 1)
            took, disk = demo.stages(run), demo.disk()
            seconds["seal"].append(took["seal"])
            seconds["check"].append(took["prove"] + took["inspect"])
            for _ in range(ROUNDS):
                seconds["seal_by_hand"].append(sealed_by_hand(demo, here, disk))
                (here / "sealed.qcow2").unlink()
                seconds["check_by_hand"].append(read_by_hand(demo, here, disk))
                seconds["test_by_hand"].append(tested_by_hand(demo, here, disk))
                demo.ingot("test", "base", "--wait", "--json")
                seconds["test"].append(demo.stages(demo.newest_run())["test"])
            version = json.loads(demo.ingot("images", "--json"))[0]["version"]
            demo.ingot("convert", "base", version, *CONVERTED, "--wait", "--json")
            seconds["convert"].append(demo.stages(demo.newest_run())["convert"])
            seconds["convert_by_hand"].append(converted_by_hand(demo, here, disk))
            begun = time.perf_counter()
            for _ in range(2):
                demo.ingot("test", "base", "--json")
            for run in json.loads(demo.ingot("runs", "--json"))[:2]:
                demo.ingot("logs", "-f", str(run["id"]))
            together = time.perf_counter() - begun
        finally:
            demo.ingot("worker", "stop")
    best = {name: min(of) for name, of in seconds.items()}
    figures: dict[str, Any] = {}
    good = True
    for name in MEASURED:
        ours, by_hand = best[name], best[f"{name}_by_hand"]
        figures[name] = {"seconds": ours, "by_hand_seconds": by_hand, "ratio": ours / by_hand}
        good = good and ours <= RATIO * by_hand + EXTRA
    figures["side_by_side"] = {
        "two_at_once_seconds": together,
        "ratio_to_one_after_the_other": together / 2 / best["test"],
    }
    print(json.dumps(figures, indent=1, default=float))  # noqa: T201 - a program
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
