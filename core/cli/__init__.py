"""The `ingot` command: the headless verbs, and the door to the workbench.

Each verb is imported only when it is asked for, so that `ingot --version` stays quick, and no verb but the workbench
itself loads Textual.
"""

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

Verb = Callable[[argparse.Namespace], int]


def _verb(module: str, name: str) -> Verb:
    def carry_out(arguments: argparse.Namespace) -> int:
        verb: Verb = getattr(import_module(f"core.cli.{module}"), name)
        return verb(arguments)

    return carry_out


class _Version(argparse.Action):
    """`--version`, which is read from the installed package only when it is asked for: that takes a while."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from core import __version__

        print(f"ingot {__version__}")
        parser.exit()


def _workbench_parser() -> argparse.ArgumentParser:
    """The words before a verb."""
    top = argparse.ArgumentParser(
        prog="ingot",
        description="A terminal workbench for golden virtual-machine images. Without a verb it opens the workbench.",
        epilog="Exit status: 0 done, 1 failed, 2 refused or not understood (nothing was changed), 3 cancelled,"
        " 130 interrupted (runs go on).",
    )
    top.add_argument("--version", action=_Version, nargs=0, help="say which version this is")
    top.add_argument("-C", dest="directory", type=Path, default=Path(), metavar="DIR", help="work as if started in DIR")
    top.add_argument("--readonly", action="store_true", help="switch every change off")
    top.set_defaults(carry_out=_verb("workbench", "open_workbench"), takes_command=False)
    return top


def parser() -> argparse.ArgumentParser:
    """The words of the command line."""
    top = _workbench_parser()
    verbs = top.add_subparsers(title="verbs", metavar="VERB")

    def add(name: str, module: str, function: str, text: str) -> argparse.ArgumentParser:
        verb = verbs.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        verb.set_defaults(carry_out=_verb(module, function))
        return verb

    def add_json(verb: argparse.ArgumentParser) -> None:
        verb.add_argument("--json", action="store_true", help="print JSON, for programs")

    roles = add("roles", "listing", "roles", "list the roles of the workspace")
    add_json(roles)
    roles.add_argument(
        "--refresh",
        action="store_true",
        help="only bring the index up to date, with what others wrote on a shared ledger; print nothing",
    )

    images = add("images", "listing", "images", "list image versions, or delete the files of one")
    add_json(images)
    images.add_argument("role", nargs="?", help="only those of this role")
    images.add_argument("--delete", metavar="VERSION", help="delete the files and AMIs of this version of the role")
    images.add_argument("--files-only", action="store_true", help="with --delete: leave its AMIs alone")
    images.add_argument("--confirm", metavar="NAME", help="the name `ROLE VERSION`, instead of typing it when asked")

    _add_deciding(add, add_json)
    _add_contents(add, add_json)

    runs = add("runs", "listing", "runs", "list the runs of the workspace, newest first")
    add_json(runs)
    runs.add_argument("--all", action="store_true", help="of every workspace on this machine")
    runs.add_argument("--limit", type=int, default=20, metavar="N", help="at most N (default 20)")

    build = add("build", "building", "build", "build the images of roles")
    build.add_argument("roles", nargs="*", metavar="ROLE")
    build.add_argument("--at", default="HEAD", metavar="REF", help="the commit, branch or tag to build (default HEAD)")
    build.add_argument(
        "--only", action="append", default=[], metavar="BUILD", help="only this build of the role, such as qemu.web"
    )
    build.add_argument(
        "--stale", action="store_true", help="every role whose sources changed since its last image, parents first"
    )
    build.add_argument(
        "--outdated",
        action="store_true",
        help="every role whose last image has a parent with a newer good version, and those built on them",
    )
    build.add_argument("--wait", action="store_true", help="stream the log; the exit status tells the result")
    build.add_argument(
        "--trust", action="store_true", help="trust this workspace: its templates run programs on this machine"
    )
    build.add_argument(
        "--pause",
        choices=("never", "failure", "step"),
        help="hold the machine, and ask, when a step fails or at a breakpoint; or step through the build"
        " (default: never, or what [debug] of ingot.toml says with headless = true)",
    )
    build.add_argument(
        "--stop",
        action="append",
        default=[],
        metavar="WHERE",
        help="step through, and stop at first-provisioner, each-provisioner, clean-up, or a step of Packer's by name",
    )
    build.add_argument("--keep-paused", metavar="TIME", help="clean up when nobody answered for this long (2h, 90m)")
    add_json(build)

    test = add("test", "testing", "test", "boot an image version and test it, again or for the first time")
    test.add_argument("role", metavar="ROLE")
    test.add_argument("version", nargs="?", default="", metavar="VERSION", help="default: the newest of the role")
    test.add_argument(
        "--at", default="", metavar="REF", help="with the suites and settings of this commit (default: the image's own)"
    )
    test.add_argument("--wait", action="store_true", help="stream the log; the exit status tells the result")
    test.add_argument(
        "--trust", action="store_true", help="trust this workspace: its suites run programs on this machine"
    )
    add_json(test)

    tests = add("tests", "testing", "tests", "list what the tests of an image version said, case by case")
    tests.add_argument("role", metavar="ROLE")
    tests.add_argument("version", nargs="?", default="", metavar="VERSION", help="default: the newest of the role")
    add_json(tests)

    logs = add("logs", "building", "logs", "print the log of a run")
    logs.add_argument("run", metavar="RUN", help="its number")
    logs.add_argument(
        "-f", "--follow", action="store_true", help="go on until the run ends; the exit status tells the result"
    )
    logs.add_argument("--stage", metavar="STAGE", help="only this stage, such as build")

    tasks = add("tasks", "tasks", "tasks", "list what Ansible did in the builds of a run, task by task")
    tasks.add_argument("run", metavar="RUN", help="its number")
    tasks.add_argument("--stage", metavar="STAGE", help="only this stage, such as build/qemu.web")
    add_json(tasks)

    cancel = add("cancel", "building", "cancel", "cancel a run; what it started is cleaned up")
    cancel.add_argument("run", metavar="RUN", help="its number")
    cancel.add_argument("--wait", action="store_true", help="until it has ended")
    cancel.add_argument(
        "--yes", action="store_true", help="destroy the machine of a paused run without asking for the role's name"
    )

    debug = add(
        "debug",
        "debugging",
        "debug",
        "list the machines that wait for somebody, or open a shell in one; what is done by hand marks the image",
    )
    debug.usage = "ingot debug [RUN] [--build NAME] [OPTION …] [-- COMMAND …]"
    debug.epilog = (
        "A shell is left with Enter ~ . (as ssh is) or when it ends. COMMAND is run without a terminal and gives its"
        " exit status; one word is a line for the machine's shell, several are run exactly as they are."
    )
    debug.add_argument("run", nargs="?", metavar="RUN", help="its number; not needed where exactly one is paused")
    debug.add_argument("--build", metavar="NAME", help="which of the run's builds, such as qemu.web")
    what = debug.add_mutually_exclusive_group()
    what.add_argument(
        "--ssh-command", action="store_true", help="print a command line for another terminal on this machine"
    )
    what.add_argument("--answer", choices=("retry", "restart", "continue", "keep", "clean-up"), help="answer the pause")
    what.add_argument("--extend", metavar="TIME", help="keep the machine for longer (1h, 90m)")
    what.add_argument("--end", action="store_true", help="end a machine that was kept")
    debug.add_argument("--yes", action="store_true", help="destroy the machine without asking for the role's name")
    debug.add_argument("--on", metavar="HOST", help="the same on another machine, over your own ssh")
    login = debug.add_argument_group(
        "logging in otherwise", "where the machine turns away what is known of it; counts for later connections, too"
    )
    login.add_argument("--user", metavar="NAME", help="log in as this user")
    login.add_argument("--key", metavar="FILE", help="with this private key, a file where the build runs")
    login.add_argument("--ask-password", action="store_true", help="with a password, which is asked and not shown")
    debug.set_defaults(takes_command=True, command=None)
    add_json(debug)

    _add_keeping(add, add_json)

    resume = add("resume", "building", "resume", "give a waiting run the credentials of this shell")
    resume.add_argument("run", metavar="RUN", help="its number")

    cache = add("cache", "machine", "cache", "list caches and leftovers with their sizes, or delete one")
    add_json(cache)
    cache.add_argument("--delete", metavar="NAME", help="delete this one")

    doctor = add(
        "doctor", "machine", "doctor", "look at the tools of this machine: found, version, works, how to install"
    )
    add_json(doctor)

    worker = add(
        "worker",
        "machine",
        "worker",
        "say what the worker does, or stop it (what it runs goes on and is adopted later)",
    )
    add_json(worker)
    worker.add_argument("what", nargs="?", choices=("status", "start", "stop"), default="status")

    demo = add("demo", "demo", "demo", "make the demo workspace, start its first build, and open it")
    demo.add_argument(
        "where", nargs="?", type=Path, default=None, metavar="DIR", help="where to make it (default ~/ingot-shop)"
    )
    demo.add_argument("--no-open", action="store_true", help="do not open the workbench")
    return top


def _add_deciding(
    add: Callable[[str, str, str, str], argparse.ArgumentParser], add_json: Callable[[argparse.ArgumentParser], None]
) -> None:
    """The verbs that decide about image versions: promote, channels, deprecate, revoke, restore."""
    promote = add("promote", "promoting", "promote", "move a channel of a role to an image version")
    channels = add("channels", "promoting", "channels", "list channels, the history of one, or move one back")
    deprecate = add("deprecate", "promoting", "deprecate", "say that an image version is to be used no more")
    revoke = add("revoke", "promoting", "revoke", "forbid an image version, and with it what is built on it")
    restore = add("restore", "promoting", "restore", "take back the last revocation or deprecation of an image version")
    for verb in (promote, deprecate, revoke, restore):
        verb.add_argument("role", metavar="ROLE")
        verb.add_argument("version", metavar="VERSION")
    promote.add_argument("channel", metavar="CHANNEL")
    promote.add_argument(
        "--check",
        "--dry-run",
        action="store_true",
        help="say what is looked at before it moves, and move nothing (exit status 1: something is in the way)",
    )
    add_json(promote)
    channels.add_argument("role", nargs="?", default="", metavar="ROLE", help="only those of this role")
    channels.add_argument("channel", nargs="?", default="", metavar="CHANNEL", help="the history of this one")
    channels.add_argument("--back", action="store_true", help="move it back to what it had before")
    add_json(channels)
    for verb in (promote, channels, deprecate, revoke, restore):
        verb.add_argument(
            "--why", default="", metavar="TEXT", required=verb is revoke, help="the reason, for whoever asks later"
        )
    for verb in (deprecate, revoke):
        verb.add_argument("--at", metavar="DATE", help="from then on: 2026-12-24, 2026-12-24T18:00, …+01:00")
    deprecate.add_argument("--replacement", default="", metavar="VERSION", help="the version to take instead")
    revoke.add_argument("--yes", action="store_true", help="do it without asking for its name")
    channels.add_argument("--yes", action="store_true", help="with --back: move it without asking for its name")


def _add_keeping(
    add: Callable[[str, str, str, str], argparse.ArgumentParser], add_json: Callable[[argparse.ArgumentParser], None]
) -> None:
    """The verbs about files of images on this machine: convert, prune, sweep."""
    convert = add("convert", "converting", "convert", "make other formats of an image version")
    convert.add_argument("role", metavar="ROLE")
    convert.add_argument("version", metavar="VERSION")
    convert.add_argument("formats", nargs="+", metavar="FORMAT", help="qcow2, raw, vhd, vhdx, vmdk or ova")
    convert.add_argument("--wait", action="store_true", help="stream the log; the exit status tells the result")
    prune = add(
        "prune",
        "sweeping",
        "prune",
        "delete the files and AMIs of image versions that [retention] of ingot.toml lets go",
    )
    prune.add_argument("--role", default="", metavar="ROLE", help="only those of this role")
    sweep = add("sweep", "sweeping", "sweep", "list what runs that died left on this machine, and remove it")
    sweep.add_argument("names", nargs="*", metavar="NAME", help="only these of what is listed")
    for verb in (prune, sweep):
        verb.add_argument("--dry-run", action="store_true", help="only say what would go, and why the rest stays")
        verb.add_argument("--yes", action="store_true", help="do it without asking")
    for verb in (convert, prune, sweep):
        add_json(verb)


def _add_contents(
    add: Callable[[str, str, str, str], argparse.ArgumentParser], add_json: Callable[[argparse.ArgumentParser], None]
) -> None:
    """The verbs that say what is in image versions: packages, sbom, diff."""
    packages = add("packages", "contents", "packages", "list what is in an image version: its packages first")
    packages.add_argument("--all", action="store_true", help="also services, ports, users and disk use")
    add_json(packages)
    sbom = add("sbom", "contents", "sbom", "write the bill of materials of an image version (CycloneDX 1.6, JSON)")
    sbom.add_argument("-o", dest="output", type=Path, metavar="FILE", help="into FILE, not to the terminal")
    for verb in (packages, sbom):
        verb.add_argument("role", metavar="ROLE")
        verb.add_argument(
            "version", nargs="?", default="", metavar="VERSION", help="or the name of a channel; default: the newest"
        )
        verb.add_argument("--build", default="", metavar="BUILD", help="only of this build, such as qemu.web")
    diff = add("diff", "contents", "diff", "say what differs between two image versions")
    diff.usage = "ingot diff ROLE [A [B]] [--patch] [--json]\n       ingot diff ROLE:A ROLE:B [--patch] [--json]"
    diff.epilog = (
        "A and B are versions, or names of channels. Without B the newest is meant, without A what the last channel"
        " has, else the version before. The exit status says that they were compared, not whether they differ."
    )
    diff.add_argument("what", nargs="+", metavar="ROLE[:VERSION]")
    diff.add_argument("--patch", action="store_true", help="also print the lines that differ in the sources")
    add_json(diff)


_TIMES = ("--extend", "--keep-paused")


def _joined(words: Sequence[str]) -> list[str]:
    """A time below zero is no option, but a mistake that is told as one: argparse would not say what is wrong."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] in _TIMES and "--" not in joined and re.match(r"-\d", word):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _without_verb(words: Sequence[str]) -> bool:
    """Only where to work and how: then the verbs need not be made for the workbench's first picture."""
    left = iter(words)
    return all(word == "--readonly" or (word == "-C" and not next(left, "-").startswith("-")) for word in left)


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    """What follows `--` is the command of a verb that takes one, whatever it looks like."""
    if _without_verb(words):
        return _workbench_parser().parse_args(words)
    words = _joined(words)
    end = words.index("--") if "--" in words else len(words)
    if "debug" in words[:end] and end < len(words):
        arguments = parser().parse_args(words[:end])
        if arguments.takes_command:
            arguments.command = list(words[end + 1 :])
            return arguments
    return parser().parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """Carry out one command line. Returns its exit status (see core/cli/output.py)."""
    arguments = _parsed(sys.argv[1:] if words is None else words)
    from core.cli.output import ExitStatus, OutputError, complain, flush
    from core.errors import IngotError, RefusedError, WorkspaceError

    try:
        if not arguments.directory.is_dir():
            raise RefusedError(f"{arguments.directory} is not a directory.", "Name one that is: ingot -C DIR")
        status = arguments.carry_out(arguments)
        flush()
        return status
    except IngotError as error:
        if isinstance(error, OutputError):
            _print_no_more()
        complain(error)
        return ExitStatus.REFUSED if isinstance(error, (RefusedError, WorkspaceError)) else ExitStatus.FAILED
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED
    except BrokenPipeError:
        _print_no_more()
        return ExitStatus.DONE


def _print_no_more() -> None:
    """What Python still wants to write at the end goes nowhere: the reader (head, less) has gone, or the disk is
    full."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
