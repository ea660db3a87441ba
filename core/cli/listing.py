"""`ingot roles`, `images` and `runs`: what there is, for people and for programs."""

import argparse
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import msgspec

from core import text
from core.cli.output import ExitStatus, print_json, say, table
from core.errors import RefusedError
from core.model.decided import Effective
from core.model.image import ImageVersion
from core.model.run import Run, RunState
from core.model.stale import why_outdated
from core.model.states import Verdict
from core.model.workspace import Catalogue
from core.places import Places
from core.services import catalogue, known_roles
from core.store.index import Index

if TYPE_CHECKING:
    from core.services.images import ListedImage

SIGNS = {
    RunState.QUEUED: "·",
    RunState.RUNNING: "◐",
    RunState.WAITING: "!",
    RunState.PAUSED: "⏸",
    RunState.CANCELLING: "◐",
    RunState.SUCCEEDED: "✓",
    RunState.FAILED: "✗",
    RunState.CANCELLED: "✗",
    RunState.LOST: "✗",
}


def roles(arguments: argparse.Namespace) -> int:
    """`ingot roles`: discovery, now; nothing in the repository is executed."""
    places = Places.of(os.environ)
    known_roles.check_in_git(arguments.directory.resolve())
    if arguments.refresh:
        catalogue.refresh_with_others(places, arguments.directory.resolve())
        return ExitStatus.DONE
    found = catalogue.refresh(places, arguments.directory.resolve())
    index = Index(places.index)
    try:
        stale = index.stale(found.workspace.id)
        images = index.images(found.workspace.id)
        newest: dict[str, ImageVersion] = {}
        for image in images:
            newest.setdefault(image.role, image)
    finally:
        index.close()
    outdated = why_outdated(found.roles, images)
    if arguments.json:
        listed = catalogue.as_json(found)
        for role in listed["roles"]:
            image = newest.get(role["name"])
            role["last_image"] = image.version if image else None
            role["stale"] = stale.get(role["name"])
            role["outdated"] = outdated.get(role["name"])
        print_json(listed)
        return ExitStatus.DONE
    if not found.roles:
        say(
            f"No Packer templates in {found.workspace.root}:"
            " looked for *.pkr.hcl, *.pkr.json and JSON files with builders."
        )
    rows: list[tuple[str, ...]] = []
    for role in found.roles:
        image = newest.get(role.name)
        sign, state = ("✗", "broken") if role.problems else ("·", "no image")
        if image and not role.problems:
            sign, state = "✓", image.state.value
        if image and not role.problems and (why := stale.get(role.name)):
            sign, state = "↻", "outdated" if why == outdated.get(role.name) else "stale"
        builds = " ".join(build.name for build in role.builds)
        rows.append(
            (f"{sign} {role.name}", image.version if image else "–", state, text.cut_end(builds, 50), role.template)
        )
    if rows:
        table(("  ROLE", "VERSION", "STATE", "BUILDS", "TEMPLATE"), rows)
    # A mistake in ingot.toml is one of its role and of the workspace: said once.
    of_roles = [problem for role in found.roles for problem in role.problems]
    for problem in dict.fromkeys((*of_roles, *found.problems)):
        where = f"{problem.path}:{problem.line}" if problem.line else problem.path
        say(f"✗ {where}: {problem.reason}{' – ' + problem.fix if problem.fix else ''}")
    for role in found.roles:
        if role.name in stale and not role.problems:
            say(f"↻ {role.name}: {stale[role.name]}")
    return ExitStatus.DONE


def images(arguments: argparse.Namespace) -> int:
    """`ingot images [ROLE]`: image versions, newest first; `--delete VERSION` deletes the files and AMIs of one."""
    from core.services import images as image_service

    places = Places.of(os.environ)
    root = arguments.directory.resolve()
    if arguments.delete:
        return _delete_image(arguments, places)
    known_roles.check_in_git(root)
    found = catalogue.refresh(places, root)
    listed = image_service.listing(places, found.workspace, role=arguments.role or "")
    if arguments.role and not listed:
        known_roles.check_among(arguments.role, [role.name for role in found.roles])
    if arguments.json:
        print_json([_image_as_json(entry) for entry in listed])
        return ExitStatus.DONE
    if not listed:
        name = arguments.role or (found.roles[0].name if found.roles else "ROLE")
        say(f"No images yet: ingot build {name} makes the first.")
        _say_what_is_not_known(found)
        return ExitStatus.DONE
    now = time.time()
    rows = [
        (
            entry.image.role,
            entry.image.version,
            ", ".join((state_words(entry.effective), *entry.image.marks, *(("outdated",) if entry.outdated else ()))),
            "?" if entry.channels is None else " ".join(entry.channels),
            text.age(now - entry.image.created),
            entry.image.commit[:7],
            entry.image.parent,
            " ".join(artifact.format for artifact in entry.image.artifacts),
            _size(entry),
            text.size(entry.size) if entry.on_disk and entry.size is not None else "–",
        )
        for entry in listed
    ]
    headings = ("ROLE", "VERSION", "STATE", "CHANNELS", "AGE", "COMMIT", "PARENT", "ARTIFACTS", "FILES", "ON DISK")
    table(headings, rows, right=(4, 8, 9))
    newest = {entry.image.role: entry for entry in reversed(listed)}
    for name, entry in sorted(newest.items()):
        if entry.outdated:
            image = entry.image
            say(f"↻ {name} {image.version}: parent {image.upstream.role} has newer good {entry.outdated}")
    if any(entry.outdated for entry in newest.values()):
        say("  ingot build --outdated builds them, and what is built on them, again, parents first")
    _say_what_is_not_known(found)
    return ExitStatus.DONE


def _say_what_is_not_known(found: Catalogue) -> None:
    for problem in found.problems:
        if problem.path in (catalogue.LEDGER, catalogue.INDEX):  # what cannot be read there may be a revocation
            say(f"✗ {problem.reason}{' – ' + problem.fix if problem.fix else ''}")


def _size(entry: "ListedImage") -> str:
    """What its files hold, as the workbench says it: what they take on the disk is less, where there are holes in them.
    Where only AMIs are known, what their machines see as the disk: EC2 has less of it."""
    if entry.image.size is not None:
        return text.size(entry.image.size)
    disks = [artifact.virtual_size for artifact in entry.image.artifacts if artifact.virtual_size is not None]
    return f"disk {text.size(sum(disks))}" if disks else "–"


def state_words(effective: Effective) -> str:
    """The state of an image version with what makes it, in one cell: `revoked with base 0.1.0`."""
    words = effective.state.value
    if effective.inherited:
        words += f" with {effective.inherited}"
    elif effective.because and effective.because.replacement:
        words += f" for {effective.because.replacement}"
    if effective.coming:
        words += f", {effective.coming.act} from {text.moment(effective.coming.begins)}"
    return words + (", tests failed" if effective.verdict is Verdict.FAILED else "")


def _image_as_json(entry: "ListedImage") -> dict[str, Any]:
    """`state` is the one that counts now; what was decided about this very image is in `stored_state`."""
    effective = entry.effective
    return {
        **msgspec.to_builtins(entry.image),
        "stored_state": effective.stored.value,
        "verdict": effective.verdict.value,
        "because": msgspec.to_builtins(effective.because),
        "inherited_from": effective.inherited or None,
        "coming": msgspec.to_builtins(effective.coming),
        "channels": None if entry.channels is None else list(entry.channels),
        "outdated": entry.outdated or None,
        "on_disk": entry.on_disk,
        "size": entry.size,
        "children": entry.children,
    }


def _delete_image(arguments: argparse.Namespace, places: Places) -> int:
    from core.adapters.git import GitRepository
    from core.services import deleting

    if arguments.readonly:
        raise RefusedError("--readonly is on: nothing is deleted.")
    if not arguments.role:
        raise RefusedError("Which role's image?", f"ingot images ROLE --delete {arguments.delete}")
    name = f"{arguments.role} {arguments.delete}"
    typed = arguments.confirm
    root = arguments.directory.resolve()
    only = arguments.files_only
    if typed is None:
        if not sys.stdin.isatty():
            raise RefusedError(f"Deleting the files of {name} needs its name.", f"--confirm '{name}'")
        goes = deleting.going(places, root, arguments.role, arguments.delete, files_only=only)
        for line in goes.lines:
            say(f"– {line}")
        say(f"{name} goes with that; that it existed stays on the ledger.")
        typed = input("Type its name to delete it: ")
    repository = GitRepository.find(root)
    who = repository.identity() if repository else ""
    freed = deleting.delete(places, root, arguments.role, arguments.delete, typed=typed, who=who, files_only=only)
    say(f"Deleted the files of {name}: {freed}.")
    return ExitStatus.DONE


def runs(arguments: argparse.Namespace) -> int:
    """`ingot runs`: the record of runs, newest first."""
    places = Places.of(os.environ)
    workspace_id = None if arguments.all else catalogue.identify(arguments.directory.resolve()).id
    index = Index(places.index)
    try:
        listed = index.runs(workspace_id, limit=arguments.limit)
    finally:
        index.close()
    if arguments.json:
        print_json([run_as_json(run) for run in listed])
        return ExitStatus.DONE
    if not listed:
        say("No runs yet: ingot build ROLE starts one.")
        return ExitStatus.DONE
    now = time.time()
    rows: list[tuple[str, ...]] = []
    for run in listed:
        current = run.current
        doing = run.reason or (current.progress if current and not run.state.ended else "")
        took = text.duration((run.ended or now) - run.started) if run.started else "–"
        rows.append(
            (
                f"{SIGNS[run.state]} {run.id}",
                run.role,
                run.request.purpose.value,
                run.state.value,
                current.key if current else "–",
                run.version or run.request.version or "–",
                took,
                text.age(now - run.created),
                text.cut_end(doing, 60),
            )
        )
    table(("  RUN", "ROLE", "WHAT", "STATE", "STAGE", "VERSION", "TOOK", "AGE", ""), rows, right=(6, 7))
    return ExitStatus.DONE


def run_as_json(run: Run) -> dict[str, object]:
    """A run for programs: what happened, without the whole role that it was asked for."""
    return {
        "id": run.id,
        "uid": run.uid,
        "workspace": run.workspace_id,
        "role": run.role,
        "purpose": run.request.purpose.value,
        "state": run.state.value,
        "reason": run.reason,
        "version": run.version or run.request.version or None,
        "commit": run.request.commit,
        "ref": run.request.ref,
        "asked_by": run.request.asked_by,
        "created": run.created,
        "started": run.started,
        "ended": run.ended,
        "stages": msgspec.to_builtins(run.stages),
    }
