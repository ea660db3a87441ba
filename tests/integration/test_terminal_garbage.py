"""Binary garbage from a machine in a small terminal: what a `cat` of the wrong file does to a person's session."""

from pathlib import Path

import pytest
import ssh_machine as machines
from local_program import PROMPT, SHELL, TerminalApp, plain_environment
from rich.cells import cell_len
from screen import lines, until
from ssh_machine import ssh_machine

from core.adapters import ssh
from core.text import visible

pytestmark = pytest.mark.skipif(bool(machines.missing()), reason=f"{machines.missing()} is not installed")

COLUMNS, ROWS = 20, 5


async def test_after_a_megabyte_of_garbage_a_reset_gives_a_usable_prompt(tmp_path: Path) -> None:
    app = TerminalApp()
    variables = " ".join(f"{name}='{value}'" for name, value in plain_environment().items())
    with ssh_machine(tmp_path / "machine") as sshd:
        connection = await ssh.connect(sshd.machine())
        try:
            async with app.run_test(size=(COLUMNS + 2, ROWS + 2)) as pilot:
                shell = await connection.shell(COLUMNS, ROWS, command=f"exec env -i {variables} {' '.join(SHELL)}")
                app.terminal.attach(shell)
                app.terminal.focus()
                await until(pilot, lambda: app.terminal.screen_lines()[0].startswith(PROMPT))
                over, read, fresh = tmp_path / "over", tmp_path / "read", tmp_path / "fresh"
                shell.write(f"reset() {{ command reset; touch {fresh}; }}\r".encode())
                # Answers to what the garbage asks of the terminal are read here: a shell would take them for typed.
                words = f"stty -echo; head -c 1M /dev/urandom; touch {over}; read -rt 1 -n 99999; touch {read}\r"
                shell.write(words.encode())

                def is_over() -> bool:
                    shows_cells_alone(app)
                    return over.exists()

                await until(pilot, is_over)
                await until(pilot, read.exists)
                shows_cells_alone(app)
                await pilot.press("ctrl+u", *"reset", "enter")
                await until(pilot, fresh.exists)  # reset waits for a second (ncurses, tset.c)
                await pilot.press("ctrl+u", *"clear; echo $((6*7)) usable", "enter")
                await until(pilot, lambda: app.terminal.screen_lines()[0].startswith("42 usable"))
                await until(pilot, lambda: app.terminal.screen_lines()[1].startswith(PROMPT))
                assert app.ended == []
                assert shell.exit_status is None
        finally:
            await connection.close()


def shows_cells_alone(app: TerminalApp) -> None:
    """What is on the screen is signs alone, and no row of them is longer or shorter than the screen."""
    for line in (*app.terminal.screen_lines(), *lines(app)):
        assert visible(line) == line
    assert [cell_len(line) for line in lines(app)] == [COLUMNS + 2] * (ROWS + 2)
