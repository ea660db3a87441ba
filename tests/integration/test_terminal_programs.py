"""Full-screen programs in the terminal, cell by cell against tmux's drawing of the same bytes.

A program runs in the terminal widget, on a pty of this machine or over Ingot's own SSH, is worked with, and what it
wrote is recorded. tmux then gets that recording, with the same sizes at the same places, and says what its own screen
shows.
"""

import asyncio
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import ssh_machine as machines
from booted_machine import Booted
from installed import Shop
from local_program import LocalProgram, TerminalApp, plain_environment
from patience import PATIENCE, wait
from ssh_machine import ssh_machine
from textual.pilot import Pilot

from core.adapters import ssh
from core.model.machine import Login, Machine
from tui.terminal.cells import safe
from tui.terminal.emulator import Look, Palette, Rgb
from tui.terminal.stream import Stream
from tui.terminal.widget import Terminal

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")

QUIET = 0.4
"""Seconds without output after which a program has drawn all it wants."""


@dataclass(frozen=True)
class Tried:
    """A program: how it is started and what is typed into it."""

    name: str
    programs: tuple[str, ...]
    arguments: Callable[[Path], list[str]]
    keys: tuple[str, ...]
    shows: str


def text_file(directory: Path) -> Path:
    file = directory / "playbook.yml"
    lines = [f"- name: step {number}\n  command: 'echo \"héllo wörld {number}\" && true'\n" for number in range(60)]
    file.write_text("# 漢字 and e\u0301, a tab:\there\n" + "".join(lines))
    return file


DISKS = ("sda", "20 GB, empty", "sdb", "1 TB", "sdc", "漢字")

PROGRAMS = (
    Tried(
        "vim",
        ("vim", "vim.tiny"),
        lambda where: ["-u", "NONE", "-N", "--cmd", "set nu ruler hls laststatus=2", str(text_file(where))],
        ("j", "j", "o", "h", "i", "escape", "slash", "w", "ö", "r", "enter", "ctrl+f", "v", "j", "j"),
        "step",
    ),
    Tried("less", ("less",), lambda where: ["-N", str(text_file(where))], ("space", "slash", "9", "enter"), "step"),
    Tried("htop", ("htop",), lambda _: ["--delay=100"], ("down", "down", "f6"), "CPU"),
    Tried("top", ("top",), lambda _: ["-d", "100"], ("1", "c"), "load average"),
    Tried(
        "whiptail",
        ("whiptail",),
        lambda _: ["--title", "Installer", "--menu", "Choose a disk — this one’s", "18", "60", "4", *DISKS],
        ("down", "down", "tab"),
        "Installer",
    ),
    Tried(
        "tmux",
        ("tmux",),
        lambda where: ["-f", "/dev/null", "-S", str(where / "inner"), "new-session", "-n", "web", "sh"],
        (*"echo one", "enter", "ctrl+b", "percent_sign", *"echo two", "enter", "ctrl+b", "quotation_mark"),
        "[0]",
    ),
)


class Recorded:
    """A program whose output is kept."""

    def __init__(self, program: Stream) -> None:
        self._program = program
        self.heard_at = 0.0
        self.parts: list[bytearray] = [bytearray()]
        self.sizes: list[tuple[int, int]] = []
        self.goes_on = asyncio.Event()
        """Without it what the program writes is neither drawn nor kept yet: the sizes change between two parts."""
        self.goes_on.set()

    async def read(self) -> bytes:
        data = await self._program.read()
        await self.goes_on.wait()
        self.heard_at = time.monotonic()
        self.parts[-1] += data
        return data

    def write(self, data: bytes) -> None:
        self._program.write(data)

    def resize(self, columns: int, rows: int) -> None:
        if self.parts[-1]:
            self.parts.append(bytearray())
        self.sizes.append((columns, rows))
        self._program.resize(columns, rows)


async def quiet(pilot: Pilot[None], program: Recorded, silence: float = QUIET) -> None:
    """Until it has drawn all it wants and that is painted. What it writes from then on waits for `goes_on`."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() - program.heard_at < silence and time.monotonic() < deadline:
        await pilot.pause(0.05)
    program.goes_on.clear()
    await pilot.pause(0.1)


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Runs a tmux command on a server of the test's own."""

    def run(*words: str) -> str:
        command = ("tmux", "-f", "/dev/null", "-S", str(tmp_path / "tmux"), *words)
        return subprocess.run(
            command, check=True, capture_output=True, text=True, env=plain_environment(TERM="xterm-256color")
        ).stdout

    yield run
    for socket in ("tmux", "inner"):  # its own, and that of the tmux that was tried
        subprocess.run(
            ("tmux", "-S", str(tmp_path / socket), "kill-server"),
            check=False,
            capture_output=True,
            env=plain_environment(),
        )


Drawn = tuple[str, Rgb | None, Rgb | None, bool, bool, bool]
"""A cell: text, foreground, background, bold, underlined, inverse."""


UNTOLD: Drawn = (" ", None, (-1, -1, -1), False, False, False)
"""A cell that was cleared and not written: tmux keeps the colour that it was cleared in and does not say it."""


def cells_of(text: str, width: int, colours: list[Rgb]) -> list[list[Drawn]]:
    """tmux's screen as cells. Its capture has SGR sequences only; their state goes on over the ends of lines."""
    rows: list[list[Drawn]] = []
    state = Look()
    for line in text.split("\n")[:-1]:
        row: list[Drawn] = []
        for sequence, character in re.findall(r"\x1b\[([\d;:]*)m|\x0e|\x0f|(.)", line):
            if character:
                two = safe(character, 2).rstrip() == character and len(safe(character, 2)) == 1
                zero = bool(row) and safe(character, 1) == "\ufffd" and character != "\ufffd" and not two
                if zero:
                    row[-1] = (row[-1][0] + character, *row[-1][1:])
                    continue
                looks = (state.foreground, state.background, state.bold, bool(state.underline), state.inverse)
                row.append((character, *looks))
                if two:
                    row.append(("", *looks))
            else:
                state = after(state, [int(code or 0) for code in re.split("[;:]", sequence)], colours)
        row += [UNTOLD] * (width - len(row))
        rows.append(row[:width])
    return rows


COLOUR_CODES = ((30, 0, "foreground"), (90, 8, "foreground"), (40, 0, "background"), (100, 8, "background"))


def after(look: Look, codes: list[int], colours: list[Rgb]) -> Look:
    """The look after an SGR sequence (ECMA-48, 8.3.117)."""
    while codes:
        code = codes.pop(0)
        if code == 0:
            look = Look()
        elif code in (1, 22):
            look = look._replace(bold=code == 1)
        elif code in (4, 24):
            look = look._replace(underline=code == 4)
        elif code in (7, 27):
            look = look._replace(inverse=code == 7)
        elif code in (39, 49):
            look = look._replace(**{"foreground" if code == 39 else "background": None})
        elif code in (38, 48):
            kind = codes.pop(0)
            colour = colours[codes.pop(0)] if kind == 5 else (codes.pop(0), codes.pop(0), codes.pop(0))
            look = look._replace(**{"foreground" if code == 38 else "background": colour})
        else:
            for first, number, name in COLOUR_CODES:
                if first <= code < first + 8:
                    look = look._replace(**{name: colours[number + code - first]})
    return look


def cells_here(terminal: Terminal, width: int) -> list[list[Drawn]]:
    rows: list[list[Drawn]] = []
    for row in terminal._rows:  # pyright: ignore[reportPrivateUsage] - nobody else asks for the looks
        cells: list[Drawn] = []
        for run in row.runs:
            looks = (
                run.look.foreground,
                run.look.background,
                run.look.bold,
                bool(run.look.underline),
                run.look.inverse,
            )
            if run.cells == len(run.text):
                cells += [(character, *looks) for character in run.text]
            else:
                cells += [(run.text, *looks), *[("", *looks)] * (run.cells - 1)]
        rows.append(cells[:width])
    return rows


def all_colours(palette: Palette) -> list[Rgb]:
    """The 256 colours: ours, then the cube and the greys that all terminals have (xterm's 256colres.pl)."""
    steps = (0, 95, 135, 175, 215, 255)
    cube = [(red, green, blue) for red in steps for green in steps for blue in steps]
    greys = [(grey, grey, grey) for grey in range(8, 248, 10)]
    return [*palette.ansi, *cube, *greys]


def differences(ours: list[list[Drawn]], theirs: list[list[Drawn]]) -> str:
    found = [
        f"row {y} cell {x}: {mine} here, {other} in tmux"
        for y, (row, others) in enumerate(zip(ours, theirs, strict=True))
        for x, (mine, other) in enumerate(zip(row, others, strict=True))
        if visible_part(mine) != visible_part(other) and not excused(mine, other, last=x == len(row) - 1)
    ]
    return "\n".join(found[:8])


def excused(mine: Drawn, other: Drawn, *, last: bool) -> bool:
    """Where tmux does not say what it shows, or differs from xterm, which is what programs expect.

    Text up to the last column and then EL: xterm clears the last cell, tmux does not (top's headings do that).
    """
    return not mine[0].strip() and (other is UNTOLD or last)


def visible_part(cell: Drawn) -> Drawn:
    """The foreground of a blank is not seen."""
    text, _, background, _, underline, inverse = cell
    if text.strip() or underline or inverse:
        return cell
    return text, None, background, False, underline, inverse


SIZES = [(80, 24), (120, 40)]


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "120x40"])
@pytest.mark.parametrize("tried", PROGRAMS, ids=[tried.name for tried in PROGRAMS])
async def test_a_full_screen_program_is_drawn_as_tmux_draws_it(
    tried: Tried, size: tuple[int, int], tmp_path: Path, tmux: Callable[..., str]
) -> None:
    program = LocalProgram(command(tried, tmp_path), *size, cwd=tmp_path)
    try:
        recorded, ours, colours = await worked_with(tried, program, size)
    finally:
        program.close()
    is_drawn_by_tmux(tmux, tmp_path, recorded, ours, colours)


@pytest.mark.skipif(bool(machines.missing()), reason=f"{machines.missing()} is not installed")
@pytest.mark.parametrize("name", ["vim", "htop", "tmux"])
async def test_over_ssh_a_program_is_drawn_as_tmux_draws_it(
    name: str, tmp_path: Path, tmux: Callable[..., str]
) -> None:
    tried = next(tried for tried in PROGRAMS if tried.name == name)
    variables = [f"{key}={value}" for key, value in plain_environment().items() if key != "TERM"]
    words = ["env", "-C", str(tmp_path), *variables, *command(tried, tmp_path)]
    with ssh_machine(tmp_path / "machine") as sshd:
        connection = await ssh.connect(sshd.machine())
        try:
            shell = await connection.shell(*SIZES[0], command=f"exec {shlex.join(words)}")
            recorded, ours, colours = await worked_with(tried, shell, SIZES[0])
        finally:
            await connection.close()
    is_drawn_by_tmux(tmux, tmp_path, recorded, ours, colours)


@pytest.mark.vm
@pytest.mark.long
@pytest.mark.xdist_group("shop")
@pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="qemu-system-x86_64 is not installed")
async def test_in_a_virtual_machine_programs_are_drawn_as_tmux_draws_them(
    shop: Shop, boot: Callable[[Path], Booted], tmp_path: Path, tmux: Callable[..., str]
) -> None:
    """Those of the machine's own system, which takes its time for each answer."""
    booted = boot(Path(shop.image("base")["artifacts"][0]["location"]))
    install = "apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install vim-tiny htop tmux"
    booted(install, seconds=900)
    machine = Machine(
        run_uid="1",
        stage_key="build/qemu.web",
        build="qemu.web",
        kind="qemu",
        host="127.0.0.1",
        port=booted.port,
        login=Login("root", (str(booted.key),)),
        known_hosts=str(tmp_path / "keys" / "known_hosts"),
    )
    connection = await ssh.connect(machine)
    try:
        for name, program in (("vim", "vim.tiny"), ("htop", "htop"), ("tmux", "tmux")):
            where = tmp_path / f"with-{name}"
            where.mkdir()
            tried = next(tried for tried in PROGRAMS if tried.name == name)
            words = [program, *tried.arguments(where)]
            files = {file.name: file.read_text() for file in where.iterdir()}
            booted(f"mkdir -p {where}")
            for file, text in files.items():
                booted(f"cat > {where / file} <<'EOF'\n{text}EOF\n")
            shell = await connection.shell(
                *SIZES[0], command=f"cd {where}; export LANG=C.UTF-8; exec {shlex.join(words)}"
            )
            recorded, ours, colours = await worked_with(tried, shell, SIZES[0], silence=4.0)
            is_drawn_by_tmux(tmux, where, recorded, ours, colours)
            tmux("kill-server")
    finally:
        await connection.close()


def command(tried: Tried, where: Path) -> list[str]:
    program = next((found for name in tried.programs if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"{tried.name} is not installed")
    return [program, *tried.arguments(where)]


async def worked_with(
    tried: Tried, program: Stream, size: tuple[int, int], silence: float = QUIET
) -> tuple[Recorded, list[list[list[Drawn]]], list[Rgb]]:
    """The program is worked with, and then the terminal gets another size: what it wrote, what is drawn after either,
    and in which colours."""
    columns, rows = size
    later = (columns - 13, rows - 5)
    app = TerminalApp()
    running = Recorded(program)
    async with app.run_test(size=(columns + 2, rows + 2)) as pilot:
        app.terminal.attach(running)
        app.terminal.focus()
        deadline = time.monotonic() + PATIENCE
        while tried.shows not in "\n".join(app.terminal.screen_lines()):
            assert time.monotonic() < deadline, app.terminal.screen_lines()
            await pilot.pause(0.1)
        await quiet(pilot, running, silence)
        running.goes_on.set()
        for key in tried.keys:
            await pilot.press("space" if key == " " else key)
            await pilot.pause(0.03)
        await quiet(pilot, running, silence)
        first = cells_here(app.terminal, columns)
        await pilot.resize_terminal(later[0] + 2, later[1] + 2)
        running.goes_on.set()
        await pilot.pause(0.2)
        running.heard_at = time.monotonic()
        await quiet(pilot, running, silence)
        second = cells_here(app.terminal, later[0])
        painter = app.terminal._painter  # pyright: ignore[reportPrivateUsage]
        assert painter is not None
    assert running.sizes == [size, later]
    assert len(running.parts) == 2, "nothing was drawn after the size changed"
    return running, [first, second], all_colours(painter.palette)


def is_drawn_by_tmux(
    tmux: Callable[..., str], where: Path, recorded: Recorded, ours: list[list[list[Drawn]]], colours: list[Rgb]
) -> None:
    """After each part of what the program wrote tmux shows what is drawn here, in the same colours."""
    script = "stty raw -echo; "
    for number, part in enumerate(recorded.parts):
        (where / f"part{number}").write_bytes(part)
        script += f"while [ ! -e go{number} ]; do sleep 0.02; done; cat part{number}; "
    columns, rows = (str(number) for number in recorded.sizes[0])
    start = ("new-session", "-d", "-x", columns, "-y", rows, "-c", str(where), "--", "sh", "-c", script + "sleep 600")
    tmux(*start, ";", "set", "-g", "status", "off", ";", "set", "-g", "window-size", "manual")
    for number, ((width, height), here) in enumerate(zip(recorded.sizes, ours, strict=True)):

        def differs(width: int = width, here: list[list[Drawn]] = here) -> str:
            there = tmux("capture-pane", "-e", "-p", "-N")
            return differences(here, cells_of(there, width, colours))

        tmux("resize-window", "-x", str(width), "-y", str(height))
        (where / f"go{number}").touch()
        wait(lambda differs=differs: not differs(), "tmux has read it all and shows the same", differs)
