"""The first picture with real data, from process start, against a bare Textual app that draws one line.

Both run on a real pty, in turn, several times; the fastest of each counts, so that a busy machine says little. Budget:
1.5 times the bare app. Also: the idle workbench, memory and share of a core. Prints JSON; exit status 1 over budget.
"""

import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from shop import fill, open_shop

BUDGET = 1.5
IDLE_SHARE = 0.01
IDLE_MEMORY = 120_000_000
ROUNDS = int(os.environ.get("ROUNDS", "7"))
IDLE = float(os.environ.get("IDLE", "10"))
"""Seconds that the idle workbench is watched for."""

BARE = """
from textual.app import App
from textual.widgets import Static
class Bare(App):
    def compose(self):
        yield Static("the only line")
Bare().run()
"""


def picture(argv: list[str], until: bytes, environment: dict[str, str], cwd: Path) -> tuple[float, int, int]:
    """Start a program on a pty; seconds until it has drawn `until`, its process id and the terminal."""
    begun = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execve(argv[0], argv, environment)
    ioctl(terminal, TIOCSWINSZ, struct.pack("HHHH", 42, 140, 0, 0))
    seen = b""
    while until not in seen:
        if not select.select([terminal], [], [], 30)[0] or time.perf_counter() - begun > 60:
            os.close(terminal)
            raise TimeoutError(seen[-2000:].decode(errors="replace"))
        seen += os.read(terminal, 65536)
    return time.perf_counter() - begun, pid, terminal


def end(pid: int, terminal: int) -> None:
    """The program is killed and collected: how it quits is for other tests."""
    os.close(terminal)  # first: a program that has something left to say does not end before somebody reads it
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def drain(terminal: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if select.select([terminal], [], [], left)[0]:
            os.read(terminal, 65536)


def used(pid: int) -> tuple[float, int]:
    """Processor time in seconds and resident memory in bytes (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE")


def main() -> int:
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as directory:
        shop = open_shop(Path(directory))
        fill(shop)
        for role in ("base", "frontend"):
            template = shop.root / f"packer/{role}/{role}.pkr.hcl"
            template.parent.mkdir(parents=True)
            template.write_text(f'source "null" "{role}" {{}}\nbuild {{\n  sources = ["null.{role}"]\n}}\n')
        subprocess.run(["git", "init", "-q", str(shop.root)], check=True)
        for run in shop.index.runs(active_only=True):
            shop.index.ask_cancel(run.uid, "bench")
        shop.index.close()
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": directory,
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            "INGOT_HOME": str(shop.places.home),
            "XDG_RUNTIME_DIR": directory,
        }
        ours = [str(Path(sys.executable).with_name("ingot")), "-C", str(shop.root)]
        bare = [sys.executable, "-c", BARE]
        here = Path(__file__).parents[2]
        first: list[float] = []
        least: list[float] = []
        for _ in range(ROUNDS):
            seconds, *program = picture(bare, b"the only line", environment, here)
            least.append(seconds)
            end(*program)
            seconds, *program = picture(ours, b"frontend", environment, here)
            first.append(seconds)
            end(*program)
        figures["bare_seconds"], figures["ingot_seconds"] = min(least), min(first)
        figures["ratio"] = min(first) / min(least)
        _, pid, terminal = picture(ours, b"frontend", environment, here)
        drain(terminal, 8)
        before, _ = used(pid)
        drain(terminal, IDLE)
        after, memory = used(pid)
        end(pid, terminal)
        figures["idle_share_of_a_core"], figures["idle_memory_bytes"] = (after - before) / IDLE, memory
        # The workbench woke one for the runs that were cancelled.
        subprocess.run([*ours, "worker", "stop"], env=environment, check=True, stdout=subprocess.DEVNULL)
    print(json.dumps({name: round(figure, 4) for name, figure in figures.items()}, indent=1))  # noqa: T201 - a program
    good = figures["ratio"] <= BUDGET and figures["idle_share_of_a_core"] < IDLE_SHARE and memory < IDLE_MEMORY
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
