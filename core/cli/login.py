"""Another way to be let into a machine, given on the command line: a user, the file of a key, a password that is asked.

A password is never an argument: those of a process can be read by everybody on the computer.
"""

import argparse
import asyncio
import getpass
import sys

from core import text
from core.errors import DeniedError, RefusedError
from core.model.machine import Machine
from core.services.debugging import Debugging, DebugView


def is_given(arguments: argparse.Namespace) -> bool:
    """Whether there is anything of a login among them."""
    return bool(arguments.user or arguments.key or arguments.ask_password)


def logged_in(debugging: Debugging, view: DebugView, machine: Machine, arguments: argparse.Namespace) -> Machine:
    """The machine with the login that the arguments give, once it has let us in with it; else as it is.

    Raises RefusedError where there is no terminal to ask for a password, ConnectError.
    """
    if not is_given(arguments):
        return machine
    user = arguments.user or machine.login.user
    password = _asked(user, machine) if arguments.ask_password else ""
    given = asyncio.run(debugging.log_in(machine, user, arguments.key or "", password))
    # What a command prints has the standard output for itself.
    told = f"run {view.run.id}: from now on its machine is entered as {given.address}."
    print(text.visible(told), file=sys.stderr)
    return given


def denied(error: DeniedError, view: DebugView) -> DeniedError:
    """The same with what to type."""
    build = f" --build {view.stage.build}" if view.stage is not None and len(view.run.request.builds) > 1 else ""
    return DeniedError(
        error.what,
        f"Log in otherwise: ingot debug {view.run.id}{build} --user NAME, with --key FILE or --ask-password.",
    )


def _asked(user: str, machine: Machine) -> str:
    if not sys.stdin.isatty():
        raise RefusedError("A password is asked for on a terminal, and this is none.", "--key FILE needs none.")
    password = getpass.getpass(f"Password of {user or 'the user'} in {machine.host}: ")
    if not password:
        raise RefusedError("No password was given: nothing was changed.")
    return password
