"""A machine that goes down under a full-screen program: the terminal is for the next shell again."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from core.cli.terminal import Modes
from core.secrets import Redactor
from core.services.shells import DebugShell
from core.store.transcripts import TranscriptWriter
from tui.terminal.cells import text_of
from tui.terminal.emulator import Modifiers, Palette, Press
from tui.terminal.ghostty import Ghostty

PALETTE = Palette((211, 215, 222), (15, 18, 22), (122, 169, 247), ((0, 0, 0),) * 16)
PROGRAM = b"\x1b[?1049h\x1b[?1000h\x1b[?1006h\x1b[?2004h\x1b[>1u\x1b[?25l\x1b[2;5r\x1b[HLoad average: 0.31"


class Connection:
    """One that breaks once its shell has said all."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()

    async def close(self) -> None:
        self.lost.set()


class Shell:
    exit_status = None

    def __init__(self, said: bytes, connection: Connection) -> None:
        self._said = said
        self._connection = connection

    async def read(self) -> bytes:
        said, self._said = self._said, b""
        if not said:
            self._connection.lost.set()
        return said

    async def close(self) -> None: ...


async def lost(said: bytes, directory: Path) -> bytes:
    """What a shell gives that said this, and whose connection broke then."""
    connection: Any = Connection()
    opened: Any = Shell(said, connection)

    async def nothing() -> Any:
        raise AssertionError

    shell = DebugShell(
        "root@web",
        connection,
        opened,
        (80, 10),
        connect=nothing,
        gone=nothing,
        transcript=TranscriptWriter(directory / "shell.cast", 80, 10, Redactor()),
        term="xterm-256color",
        on_output=None,
    )
    told = await shell.read() + await shell.read()
    await shell.close()
    return told


@pytest.mark.parametrize(
    "end",
    [b"", b"\x1b]0;a title that was never", b"\x1bPq#0;2;0;0;0", b"\x1b[38;5", "€".encode()[:2]],
    ids=["whole", "title", "picture", "colour", "letter"],
)
async def test_what_a_program_left_on_is_off_and_the_line_stands_below_what_was_shown(
    end: bytes, tmp_path: Path
) -> None:
    told = await lost(b"root@web:~# top\r\n" + PROGRAM + end, tmp_path)
    terminal = Ghostty(80, 10, PALETTE)
    try:
        terminal.feed(told)
        rows = [text_of(row).rstrip() for _, row in terminal.frame(whole=True).changed]
        assert [row for row in rows if row] == [
            "root@web:~# top",
            "[Ingot: the connection to root@web is lost; trying again every 2 s]",
        ]
        assert not terminal.on_alternate_screen
        assert not terminal.wants_mouse
        assert terminal.key(Press("", "c", Modifiers(ctrl=True))) == b"\x03"
        assert terminal.paste("ls") == b"ls"
        assert terminal.frame(whole=True).cursor is not None
        terminal.feed(b"\r\n" * 20)
        assert terminal.view.total > 10, "the margins are gone too"
    finally:
        terminal.close()


async def test_the_terminal_that_was_lent_needs_nothing_more_to_come_back(tmp_path: Path) -> None:
    modes = Modes()
    modes.seen(await lost(PROGRAM, tmp_path))
    assert modes.undo() == b""


async def test_without_a_program_the_line_stands_below_the_prompt(tmp_path: Path) -> None:
    told = await lost(b"one\r\ntwo\r\nroot@web:~# ", tmp_path)
    terminal = Ghostty(80, 10, PALETTE)
    try:
        terminal.feed(told)
        rows = [text_of(row).rstrip() for _, row in terminal.frame(whole=True).changed]
        assert rows[:4] == [
            "one", "two", "root@web:~#", "[Ingot: the connection to root@web is lost; trying again every 2 s]",
        ]  # fmt: skip
    finally:
        terminal.close()
