"""`ingot promote`, `channels`, `deprecate`, `revoke` and `restore`: deciding about image versions from a shell."""

import argparse
import os
import sys
from datetime import datetime
from typing import Any

import msgspec

from core import text
from core.cli.listing import state_words
from core.cli.output import ExitStatus, print_json, say, table
from core.errors import RefusedError
from core.model.channels import ChannelMove
from core.model.promotion import CheckState, blockers, warnings
from core.places import Places
from core.services.dossiers import Dossiers
from core.services.promoting import ChannelView, Consequences, Outcome, Promoting


def promote(arguments: argparse.Namespace) -> int:
    """`ingot promote ROLE VERSION CHANNEL [--check]`."""
    if arguments.check or arguments.json:
        return _checked(arguments)
    return _said(_changing(arguments).promote(arguments.role, arguments.version, arguments.channel, arguments.why))


_SIGNS = {CheckState.OK: "✓", CheckState.WARNING: "!", CheckState.UNKNOWN: "!", CheckState.FAILED: "✗"}


def _checked(arguments: argparse.Namespace) -> int:
    """What is looked at before the channel moves; nothing moves."""
    if not arguments.check:
        raise RefusedError("--json is for --check.", "ingot promote ROLE VERSION CHANNEL --check --json")
    dossiers = Dossiers(Places.of(os.environ), arguments.directory.resolve())
    _, found = dossiers.checks(arguments.role, arguments.version, arguments.channel)
    stopped, left = blockers(found), warnings(found)
    if arguments.json:
        print_json([msgspec.to_builtins(check) for check in found])
    else:
        for check in found:
            say(f"{_SIGNS[check.state]} {check.title:<9} {check.says}")
            if check.next_step:
                say(f"    {check.next_step}")
        say()
        if stopped:
            names = " and ".join(check.title.lower() for check in stopped)
            say(f"It cannot be moved: {names} {'is' if len(stopped) == 1 else 'are'} in the way.")
        elif left:
            say(f"It can be moved; to weigh first: {', '.join(check.title.lower() for check in left)}.")
        else:
            say("It can be moved: all is well.")
    return ExitStatus.FAILED if stopped else ExitStatus.DONE


def deprecate(arguments: argparse.Namespace) -> int:
    """`ingot deprecate ROLE VERSION [--at DATE] [--replacement VERSION]`."""
    promoting = _changing(arguments)
    return _said(
        promoting.deprecate(
            arguments.role,
            arguments.version,
            arguments.why,
            since=_epoch(arguments.at),
            replacement=arguments.replacement,
        )
    )


def revoke(arguments: argparse.Namespace) -> int:
    """`ingot revoke ROLE VERSION --why TEXT [--at DATE]`: says what happens, and asks for the name."""
    promoting, since = _changing(arguments), _epoch(arguments.at)
    name = f"{arguments.role} {arguments.version}"
    found = promoting.consequences(arguments.role, arguments.version, arguments.why, since=since)
    typed = name
    if not arguments.yes:
        if not sys.stdin.isatty():
            raise RefusedError(f"Revoking {name} needs its name typed, and this is no terminal.", "Or say it: --yes")
        _warn(name, found, dated=since is not None)
        typed = input("Type its name to revoke it: ")
    return _said(promoting.revoke(arguments.role, arguments.version, arguments.why, typed=typed, since=since))


def restore(arguments: argparse.Namespace) -> int:
    """`ingot restore ROLE VERSION`."""
    return _said(_changing(arguments).restore(arguments.role, arguments.version, arguments.why))


def channels(arguments: argparse.Namespace) -> int:
    """`ingot channels [ROLE [CHANNEL]] [--back [--yes]]`."""
    if arguments.back:
        if not (arguments.role and arguments.channel):
            raise RefusedError("Which channel of which role?", "ingot channels ROLE CHANNEL --back")
        return _moved_back(arguments)
    found = _promoting(arguments).channels(arguments.role)
    if arguments.channel:
        found = [view for view in found if view.channel == arguments.channel]
        if not found:
            raise RefusedError(f"There is no channel {arguments.channel!r}.", f"See: ingot channels {arguments.role}")
    if arguments.json:
        print_json([_as_json(view) for view in found])
    elif arguments.channel:
        _history(found[0])
    elif not found:
        say("No images yet, so no channel is anywhere: ingot build ROLE makes the first.")
    else:
        table(("ROLE", "CHANNEL", "VERSION", "STATE", "MOVED", "BY", "WHY"), [_row(view) for view in found])
    return ExitStatus.DONE


def _moved_back(arguments: argparse.Namespace) -> int:
    """Says what would move, and moves it when the channel's name is typed; what was said is what is moved."""
    promoting, role, channel = _changing(arguments), arguments.role, arguments.channel
    move, passed = promoting.going_back(role, channel)
    if not arguments.yes:
        told = f"{channel} of {role} goes back from {move.before} to {move.version}, for everybody who takes it."
        if not sys.stdin.isatty():
            raise RefusedError(f"{told} That needs the name of the channel, typed.", "Or say --yes.")
        for line in (*passed, told):
            say(line)
        if input("Type the channel's name to move it: ").strip() not in (channel, text.visible(channel)):
            raise RefusedError("That is not its name: nothing was moved.", f"Its name: {channel}")
    return _said(promoting.back(role, channel, arguments.why, expected=move.before, to=move.version))


def _promoting(arguments: argparse.Namespace) -> Promoting:
    return Promoting(Places.of(os.environ), arguments.directory.resolve())


def _changing(arguments: argparse.Namespace) -> Promoting:
    if arguments.readonly:
        raise RefusedError("--readonly is on: nothing is decided.")
    return _promoting(arguments)


def _said(outcome: Outcome) -> int:
    say(outcome.done)
    for note in outcome.notes:
        say(note)
    return ExitStatus.DONE


def _warn(name: str, found: Consequences, *, dated: bool) -> None:
    say(f"{name} will be revoked{' on that date' if dated else ''}: nothing new is built on it or promoted to it.")
    for role, version in found.inherits:
        say(f"  {role} {version} is built on it, and is revoked with it.")
    for end in found.channels:
        what = f"goes back to {end.back_to}" if end.back_to else "is blocked until it is moved"
        say(f"  {end.channel} of {end.role}, at {end.version}, {what}.")


def _history(view: ChannelView) -> None:
    if not view.moves:
        say(f"{view.channel} of {view.role} was never moved: ingot promote {view.role} VERSION {view.channel}")
        return
    if view.blocked:
        say(f"✗ {view.channel} of {view.role} is blocked: {view.version} is {view.blocked}.")
    rows = [
        (text.moment(move.at), move.before or "–", "←" if move.back else "→", move.version, move.by, move.why)
        for move in reversed(view.moves)
    ]
    table(("WHEN", "FROM", "", "TO", "BY", "WHY"), rows)


def _row(view: ChannelView) -> tuple[str, ...]:
    newest: ChannelMove | None = view.moves[-1] if view.moves else None
    state = "–"
    if view.version:
        state = state_words(view.state) if view.state else "not on the ledger"
    if view.blocked:
        state = f"✗ {state}: blocked"
    elif view.rule is None:
        state += " (not in ingot.toml)"
    return (
        view.role,
        view.channel,
        view.version or "–",
        state,
        text.moment(newest.at) if newest else "–",
        newest.by.partition(" <")[0] if newest else "–",
        text.cut_end(newest.why, 50) if newest else "",
    )


def _as_json(view: ChannelView) -> dict[str, Any]:
    return {
        "role": view.role,
        "channel": view.channel,
        "version": view.version or None,
        "state": view.state.state.value if view.state else None,
        "blocked": view.blocked or None,
        "takes": [state.value for state in view.rule.takes] if view.rule else None,
        "on_revoked": view.rule.on_revoked.value if view.rule else None,
        "history": [msgspec.to_builtins(move) for move in view.moves],
    }


def _epoch(date: str | None) -> float | None:
    """Seconds since the epoch of a date; one without a zone is local. Raises RefusedError for what is no date."""
    if date is None:
        return None
    try:
        return datetime.fromisoformat(date).timestamp()
    except (ValueError, OverflowError, OSError):
        raise RefusedError(f"{date!r} is no date.", "Write 2026-12-24, or 2026-12-24T18:00.") from None
