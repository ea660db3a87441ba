"""Asks two booted machines what the rules of a boot test need to know (core/model/boot_checks.py)."""

import asyncio
import os
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from core.adapters import booted, ssh
from core.adapters.booted import Booted
from core.adapters.communicator import Account, communicator_of
from core.errors import DeniedError, NoAnswerError
from core.model import boot_checks as rules
from core.model.boot_checks import Unit
from core.model.machine import Login, Machine, is_cloud
from core.model.role import DISK_BUILDERS
from core.model.test_report import Case, Facts
from core.stages.environment import keys_of, template_variables
from core.stages.stage import StageJob

if TYPE_CHECKING:
    from core.adapters.ssh import Connection

_ANSWER = 180.0
"""Seconds for one question; without hardware virtualisation it takes a few, on a host with much else to do a minute."""
_SETTLED_AT_LEAST = 60.0
"""Seconds that a machine has to finish its start after it let us in, however late that was."""
_ATTEMPT = 30.0
"""Seconds for one attempt at logging in."""
_UNITS_SHOWN = 10
_LAST_LINES = 15

BUILD_MARKS = ("ingot-", "packer_", "packer ")
"""How the comments of keys begin that builds make: Ingot's, and Packer's."""

PasswordLogin = tuple[str, str]
"""User and password."""


async def ask(connection: "Connection") -> Booted:
    """Raises NoAnswerError when it does not answer whole."""
    _, out, _ = await connection.run(booted.ASKING, timeout=_ANSWER)
    found = booted.read(out)
    if not found.whole:
        raise NoAnswerError("The machine answered only in part.", "Is there a shell in it, at /bin/sh?")
    return found


def facts(machine: Booted) -> Facts:
    """What of the answer is kept as it is."""
    return Facts(machine.kernel, machine.ports, machine.services, machine.disk_used, machine.disk_size)


async def settled(connection: "Connection", left: float) -> tuple[str, list[Unit]]:
    """Wait until systemd has started all there is, for `left` seconds at most; gives its state, and what failed."""
    patience = max(left, _SETTLED_AT_LEAST)
    try:
        _, out, _ = await connection.run("systemctl is-system-running --wait", timeout=patience)
    except NoAnswerError:
        if connection.lost.is_set():
            raise
        _, jobs, _ = await connection.run("systemctl list-jobs --no-pager", timeout=_ANSWER)
        waits = [line.split() for line in jobs.decode(errors="replace").splitlines()]
        names = [words[1] for words in waits if len(words) == 4 and words[3] == "running"]
        return f"still starting after {patience:.0f} s{': ' + ', '.join(names) if names else ''}", []
    state = out.decode(errors="replace").strip()
    _, out, _ = await connection.run("systemctl list-units --failed --no-legend --plain --no-pager", timeout=_ANSWER)
    names = [line.split()[0] for line in out.decode(errors="replace").splitlines() if line.strip()]
    return state, [await _unit(connection, name) for name in names[:_UNITS_SHOWN]]


async def _unit(connection: "Connection", name: str) -> Unit:
    command = f"journalctl --no-pager --output=cat --lines={_LAST_LINES} --unit={shlex.quote(name)}"
    _, out, _ = await connection.run(command, timeout=_ANSWER)
    return Unit(name, out.decode(errors="replace").strip())


async def clock(connection: "Connection") -> Case:
    """Compare its clock with ours."""
    before = time.time()
    _, out, _ = await connection.run("date +%s", timeout=_ANSWER)
    after = time.time()
    said = out.decode(errors="replace").strip()
    if not said.isdecimal():
        return rules.broken(rules.CLOCK, f"`date +%s` says {said[:80]!r}")
    return rules.clock(float(said), before, after)


async def known_logins(job: StageJob, checkout: Path) -> tuple[list[PasswordLogin], list[tuple[str, Path]]]:
    """How builds log in, as far as it is known: the template's passwords and keys that are still there, and passwords
    that templates commonly have."""
    role = job.run.request.role
    variables = {**role.variables, **template_variables({**job.run.request.environment, **job.secrets})}
    accounts: list[Account] = []
    for build in role.builds:
        if build.kind in DISK_BUILDERS or is_cloud(build.kind):
            found = await asyncio.to_thread(communicator_of, role, checkout, variables, build)
            accounts.append(found.account)
    own = [(account.user, account.password) for account in accounts if account.user and account.password]
    job.add_secrets([password for _, password in own])
    common = [
        (user, password) for user in rules.WELL_KNOWN_USERS for password in dict.fromkeys((user, "packer", "vagrant"))
    ]
    keys = [
        (account.user, Path(account.key_file))
        for account in accounts
        if account.user and account.key_file and Path(account.key_file).is_file()
    ]
    ours = keys_of(job.directory) / job.stage.build / "id_ed25519"
    if ours.is_file():
        keys.append(("root", ours))
    return list(dict.fromkeys([*own, *common])), list(dict.fromkeys(keys))


async def keys_that_open(machine: Machine, keys: Sequence[tuple[str, Path]]) -> list[str]:
    """Which of these private keys let their users in. Raises ConnectError when that cannot be told."""
    opened: list[str] = []
    for user, key in keys:
        if await _opens(replace(machine, login=Login(user, key_files=(str(key),)))):
            opened.append(f"the key {key.name} for {user}")
    return opened


async def passwords(
    machine: Machine, logins: Sequence[PasswordLogin], users: Sequence[str], place: Path
) -> tuple[list[str], list[str]]:
    """Whose passwords were tried, and whose let them in. `users` are those that the machine has; `place` is a private
    directory. Raises ConnectError when that cannot be told."""
    tried: list[str] = []
    opened: list[str] = []
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = place / "password"
    for user in dict.fromkeys(user for user, _ in logins):
        if users and user not in users:
            continue
        tried.append(user)
        if not {"password", "keyboard-interactive"} & set(await ssh.methods(replace(machine, login=Login(user)))):
            continue
        for password in (password for other, password in logins if other == user):
            _write_private(file, password)
            if await _opens(replace(machine, login=Login(user, password_file=str(file)))):
                opened.append(user)
                break
    file.unlink(missing_ok=True)
    return tried, opened


async def _opens(machine: Machine) -> bool:
    try:
        connection = await ssh.connect(machine, timeout=_ATTEMPT)
    except DeniedError:
        return False
    await connection.close()
    return True


def _write_private(path: Path, content: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(content)
