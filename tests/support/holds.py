"""What the tests of holders share: tools to hold, and looking at what becomes of them."""

import asyncio
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

from patience import PATIENCE, until

from core.holding import Exit, Hold, ToolSpec

SECRET = "correct-horse/battery+staple"


def sh(spec: ToolSpec, script: str) -> ToolSpec:
    return replace(spec, argv=("sh", "-c", textwrap.dedent(script)))


def python(spec: ToolSpec, script: str) -> ToolSpec:
    return replace(spec, argv=(sys.executable, "-u", "-c", textwrap.dedent(script)))


async def shows(spec: ToolSpec, text: str) -> None:
    await until(lambda: text in said(spec), f"the log shows {text!r}")


def said(spec: ToolSpec) -> str:
    return spec.log.read_text() if spec.log.exists() else ""


async def end(hold: Hold) -> Exit:
    async with asyncio.timeout(PATIENCE):
        return await hold.wait()


def packer(spec: ToolSpec, place: Path, *flags: str, inline: str) -> ToolSpec:
    """The real one, with a build of no machine that runs a script here. `place` is where its template goes."""
    template = place / "template.pkr.hcl"
    template.write_text(
        textwrap.dedent(
            f"""
            source "null" "web" {{ communicator = "none" }}
            build {{
              sources = ["source.null.web"]
              provisioner "shell-local" {{ inline = ["{inline}"] }}
            }}
            """
        )
    )
    return replace(spec, argv=("packer", "build", *flags, str(template)))


ASKER = r"""
import os, signal, sys, termios, time

def ask(query, colour=""):
    '''As Packer does: no line end, the answer from /dev/tty up to a carriage return, echoed by itself.'''
    sys.stdout.write(f"\x1b[1;32m==> web: {query}\x1b[0m " if colour else f"==> web: {query} ")
    sys.stdout.flush()
    terminal = os.open("/dev/tty", os.O_RDWR)
    before = termios.tcgetattr(terminal)
    modes = termios.tcgetattr(terminal)
    modes[0] &= ~(termios.ICRNL | termios.INLCR | termios.IGNCR)
    modes[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(terminal, termios.TCSANOW, modes)
    answer = b""
    try:
        while (key := os.read(terminal, 1)) != b"\r":
            answer += key
            os.write(terminal, key)
    finally:
        termios.tcsetattr(terminal, termios.TCSANOW, before)
        os.write(terminal, b"\n")
        os.close(terminal)
    return answer.decode()

FAILED = "[c] Clean up and exit, [a] abort without cleanup, or [r] retry step (build may fail even if retry succeeds)?"
PAUSED = "Pausing before cleanup of step 'StepRun'. Press enter to continue."
"""
"""What a tool begins with that asks as Packer does: `ask(FAILED)`."""


def asker(spec: ToolSpec, script: str) -> ToolSpec:
    return python(spec, ASKER + textwrap.dedent(script))
