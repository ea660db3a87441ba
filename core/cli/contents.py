"""`ingot packages`, `sbom` and `diff`: what is in an image version, and what differs between two."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from core import text
from core.cli.output import ExitStatus, aligned, print_json, put, say, table
from core.errors import RefusedError
from core.model.amount import amount
from core.model.difference import Change, Changed, Commit, Difference, Grown, PackageChange, Source, in_words
from core.model.difference import Contents as Differing
from core.model.image import ImageVersion
from core.model.inventory import Inventory
from core.places import Places
from core.services.contents import Contents, Found

SIGNS = {Change.ADDED: "+", Change.REMOVED: "-", Change.UP: "▲", Change.DOWN: "▼", Change.CHANGED: "~"}
_MOST_COMMITS = 20


def packages(arguments: argparse.Namespace) -> int:
    """`ingot packages ROLE [VERSION] [--all]`."""
    found = _found(arguments)
    if arguments.json:
        print_json(
            {"role": found.image.role, "version": found.image.version, "builds": msgspec.to_builtins(found.inventories)}
        )
        return ExitStatus.DONE
    for build, inventory in found.inventories.items():
        system = inventory.system
        kernels = f"kernel {' '.join(system.kernels)}" if system.kernels else ""
        about = ", ".join(filter(None, (system.name or system.id, system.architecture, kernels)))
        say(f"{found.image.role} {found.image.version}  {build}  {about}")
        say(_counts(inventory))
        for words in inventory.not_read:
            say(f"! Not read: {words}")
        rows = [(str(one.kind), one.name, one.version, one.architecture, one.source) for one in inventory.packages]
        if rows:
            say()
            table(("KIND", "PACKAGE", "VERSION", "ARCHITECTURE", "SOURCE"), rows)
        if arguments.all:
            _the_rest(inventory)
    for note in found.notes:
        say(f"! {note}")
    return ExitStatus.DONE


def sbom(arguments: argparse.Namespace) -> int:
    """`ingot sbom ROLE [VERSION] [--build BUILD] [-o FILE]`."""
    found = _found(arguments)
    if len(found.inventories) > 1:
        builds = " or ".join(found.inventories)
        raise RefusedError(
            f"{found.image.role} {found.image.version} has several builds.", f"Name one: --build {builds}"
        )
    from core.adapters.sbom import cyclonedx  # loads a library that nothing else here needs

    ((build, inventory),) = found.inventories.items()
    bill = cyclonedx(found.image, build, inventory)
    if arguments.output is None:
        put(bill, end="")  # JSON: the terminal sees ASCII alone
        return ExitStatus.DONE
    try:
        arguments.output.write_text(bill, encoding="utf-8")
    except OSError as error:
        raise RefusedError(
            f"{arguments.output} cannot be written: {error.strerror}.", "Name another file: -o FILE"
        ) from error
    say(f"{arguments.output}: {len(inventory.packages)} packages of {found.image.role} {found.image.version}.")
    return ExitStatus.DONE


def diff(arguments: argparse.Namespace) -> int:
    """`ingot diff ROLE [A [B]]`, or `ROLE:A ROLE:B`. Its status says that it was compared, not whether it differs."""
    role, before, other_role, after = asked(arguments.what)
    found = _contents(arguments).difference(role, before, after, other_role=other_role)
    if arguments.json:
        print_json(_as_json(found))
    else:
        _print(found, patch=arguments.patch)
    return ExitStatus.DONE


def asked(words: Sequence[str]) -> tuple[str, str, str, str]:
    """Role and version before, role and version after; empty for what is not said. Raises RefusedError.

    >>> asked(["web", "0.1.0"]), asked(["base:0.1.0", "web:0.1.0"])
    (('web', '0.1.0', '', ''), ('base', '0.1.0', 'web', '0.1.0'))
    """
    role, colon, before = words[0].partition(":")
    rest = list(words[1:])
    if not colon and rest and ":" not in rest[0]:
        before = rest.pop(0)
    other_role, after = "", ""
    if rest:
        first, colon, second = rest.pop(0).partition(":")
        other_role, after = (first, second) if colon else ("", first)
    if rest:
        raise RefusedError("More than two image versions cannot be compared.", "ingot diff ROLE A B")
    return role, before, other_role, after


def _contents(arguments: argparse.Namespace) -> Contents:
    return Contents(Places.of(os.environ), Path(arguments.directory).resolve())


def _found(arguments: argparse.Namespace) -> Found:
    """Raises RefusedError where nobody looked into it, or not into that build."""
    found = _contents(arguments).inventory(arguments.role, arguments.version or "")
    image = found.image
    if not found.inventories:
        raise RefusedError(" ".join(found.notes), f"What is built from now on is looked into: ingot build {image.role}")
    if arguments.build:
        if arguments.build not in found.inventories:
            raise RefusedError(
                f"{image.role} {image.version} has no inventory of {arguments.build}.",
                f"There is one of {' and '.join(found.inventories)}.",
            )
        return Found(image, {arguments.build: found.inventories[arguments.build]}, found.notes)
    return found


def _counts(inventory: Inventory) -> str:
    can = sum(user.can_log_in for user in inventory.users)
    return " · ".join(
        (
            amount(len(inventory.packages), "package"),
            amount(len(inventory.services), "service"),
            amount(len(inventory.ports), "port"),
            f"{can} of {amount(len(inventory.users), 'user')} can log in",
            f"{text.size(inventory.size)} of files",
        )
    )


def _the_rest(inventory: Inventory) -> None:
    _section("Services", "", [(one.name, one.state.value, " ".join(one.wanted_by)) for one in inventory.services])
    _section(
        "Ports", "", [(f"{one.protocol} {one.number}", one.address or "everywhere", one.by) for one in inventory.ports]
    )
    _section(
        "Users",
        "",
        [
            (
                one.name,
                str(one.uid),
                one.shell,
                "can log in" if one.can_log_in else "–",
                f"password {one.password}" + (", key" if one.keys else ""),
                " ".join(one.groups),
            )
            for one in inventory.users
        ],
    )
    _section("Disk", "", [(one.path, text.size(one.size)) for one in inventory.disk], right=(1,))


def _section(title: str, count: str, rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    if rows:
        say()
        say(f"{title}  {count}".rstrip())
        aligned(rows, right=right, indent="  ")


def _print(found: Difference, *, patch: bool) -> None:
    before, after = found.before, found.after
    second = after.version if after.role == before.role else f"{after.role} {after.version}"
    say(f"{before.role} {before.version} → {second}")
    say(_summary(found))
    for note in found.notes:
        say(f"! {note}")
    for contents in found.contents:
        build = f" of {contents.build}" if len(found.contents) > 1 else ""
        _contents_of(contents, build)
    _section("Built with", in_words(found.tools), [_changed(one) for one in found.tools])
    _commits("Commits", found.commits)
    _commits("Commits that are no longer in it", found.commits_gone)
    _section("Sources", in_words(found.sources), [_source(one) for one in found.sources])
    if patch and found.patch:
        say()
        for line in found.patch.splitlines():
            say(line)


def _contents_of(contents: Differing, build: str) -> None:
    _section(f"System{build}", "", [_changed(one) for one in contents.system])
    _section(f"Packages{build}", in_words(contents.packages), [_package(one) for one in contents.packages])
    for title, changes in (
        ("Services", contents.services),
        ("Ports", contents.ports),
        ("Users", contents.users),
        ("Files", contents.files),
    ):
        _section(f"{title}{build}", in_words(changes), [_changed(one) for one in changes])
    _section(f"Disk use{build}", "", [_grown(one) for one in contents.disk], right=(1, 3, 4))


def _summary(found: Difference) -> str:
    """The whole of it in one line."""
    parts: list[str] = []
    for contents in found.contents:
        for title, changes in (
            ("packages", contents.packages),
            ("system", contents.system),
            ("services", contents.services),
            ("ports", contents.ports),
            ("users", contents.users),
            ("files", contents.files),
        ):
            if changes:
                parts.append(f"{title} {in_words(changes)}")
    if found.contents and all(contents.empty for contents in found.contents):
        parts.append("nothing in it differs")
    if found.upstream:
        parts.append(f"built on {found.upstream.before} → {found.upstream.after}")
    if found.commits or found.commits_gone:
        gone = f" and {len(found.commits_gone)} gone" if found.commits_gone else ""
        parts.append(f"{amount(len(found.commits), 'commit')}{gone}")
    elif found.before.commit == found.after.commit:
        parts.append(f"the same commit, {found.after.commit[:7]}")
    if found.size and (was := text.size(found.size.before)) != (now := text.size(found.size.after)):
        parts.append(f"{was} → {now}")
    return " · ".join(parts) or "Nothing is known to differ."


def _package(one: PackageChange) -> tuple[str, ...]:
    kind = "" if one.kind == "deb" else str(one.kind)
    return (f"{SIGNS[one.change]} {one.name}", *_from_to(one.before, one.after), kind)


def _changed(one: Changed) -> tuple[str, ...]:
    return (f"{SIGNS[one.change]} {one.name}", *_from_to(one.before, one.after))


def _from_to(before: str, after: str) -> tuple[str, ...]:
    return (before, "→", after) if before and after else (before or after, "", "")


def _grown(one: Grown) -> tuple[str, ...]:
    more = one.after - one.before
    return (
        one.path,
        text.size(one.before),
        "→",
        text.size(one.after),
        f"{'+' if more > 0 else '-'}{text.size(abs(more))}",
    )


def _source(one: Source) -> tuple[str, ...]:
    lines = "" if one.added is None or one.removed is None else f"+{one.added} -{one.removed}"
    return f"{SIGNS[one.change]} {one.path}", lines


def _commits(title: str, commits: Sequence[Commit]) -> None:
    rows = [
        (one.hash[:7], text.moment(one.at), one.author, text.cut_end(one.subject, 80))
        for one in commits[:_MOST_COMMITS]
    ]
    _section(title, str(len(commits)), rows)
    if len(commits) > _MOST_COMMITS:
        say(f"  … and {len(commits) - _MOST_COMMITS} before them")


def _as_json(found: Difference) -> dict[str, Any]:
    whole = msgspec.to_builtins(found)
    return {**whole, "before": _image(found.before), "after": _image(found.after)}


def _image(image: ImageVersion) -> dict[str, object]:
    return {"role": image.role, "version": image.version, "commit": image.commit, "created": image.created}
