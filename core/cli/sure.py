"""What destroys the machine of a run wants the name of its role, typed."""

import sys

from core import text
from core.cli.output import say
from core.errors import RefusedError
from core.model.run import Run


def confirm(run: Run, consequence: str, *, yes: bool) -> None:
    """Raises RefusedError unless the role's name is typed, or `yes`."""
    if yes:
        return
    told = f"The machine of run {run.id} ({run.role}): {consequence}"
    if not sys.stdin.isatty():
        raise RefusedError(f"{told} That needs the name of the role, typed.", "Or say --yes.")
    say(told)
    if input("Type the role's name to do it: ").strip() not in (run.role, text.visible(run.role)):
        raise RefusedError("That is not its name: nothing was done.", f"Its name: {run.role}")
