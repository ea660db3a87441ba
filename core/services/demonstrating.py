"""The demo workspace: made from the example that comes with Ingot, a Git repository of its own."""

import shutil
import tempfile
from pathlib import Path

import core
from core import process
from core.errors import RefusedError, WorkspaceError
from core.model.run import RunState
from core.places import Places
from core.services import catalogue
from core.store.index import Index

EXAMPLE = "shop"
_FIRST_TAG = "release-0.1.0"
_MARK = "ingot.toml"


def example() -> Path:
    """The directory of the example: inside the package when installed, beside it in a source tree."""
    package = Path(core.__file__).parent
    for place in (package / "examples" / EXAMPLE, package.parent / "examples" / EXAMPLE):
        if place.is_dir():
            return place
    raise WorkspaceError("This installation of Ingot came without its demo workspace.", "Install Ingot again.")


def make(where: Path) -> bool:
    """Make the demo workspace at `where`, with one commit and the tag release-0.1.0; False when it is there already.

    Raises RefusedError when something else is there: nothing is overwritten.
    """
    if (where / ".git").exists() and (where / _MARK).is_file() and (where / "packer").is_dir():
        return False
    if where.exists() and (not where.is_dir() or any(where.iterdir())):
        raise RefusedError(
            f"{where} exists and is not the demo workspace.",
            "Name a directory that is empty or not there: ingot demo DIR",
        )
    source = example()
    where.parent.mkdir(parents=True, exist_ok=True)
    # Made beside its place and moved there when it is whole: a demo that was interrupted is no demo.
    with tempfile.TemporaryDirectory(prefix=f".{where.name}-", dir=where.parent) as directory:
        new = Path(directory) / where.name
        shutil.copytree(source, new, ignore=shutil.ignore_patterns("__pycache__", ".git"))
        _git(new, "init", "--quiet", "--initial-branch=main")
        _git(new, "add", "--all")
        _git(
            new,
            *_identity(new),
            "commit",
            "--quiet",
            "--no-verify",
            "--message=The shop: a base image and three roles on it",
        )
        _git(new, *_identity(new), "tag", "--annotate", "--message=The first release", _FIRST_TAG)
        if where.exists():
            where.rmdir()
        new.rename(where)
    return True


def needs_first_image(places: Places, root: Path, role: str) -> bool:
    """Whether the role has no image yet and no run is at work on one."""
    found = catalogue.refresh(places, root)
    index = Index(places.index)
    try:
        at_work = any(run.role == role and not run.state.ended for run in index.runs(found.workspace.id))
        done = any(run.role == role and run.state is RunState.SUCCEEDED for run in index.runs(found.workspace.id))
        return not (at_work or done or index.images(found.workspace.id, role))
    finally:
        index.close()


def _identity(repository: Path) -> tuple[str, ...]:
    """The user's own name if Git knows it, else one for the demo."""
    known = process.run_blocking(("git", "config", "user.email"), cwd=repository, env=process.environment())
    return () if known.out.strip() else ("-c", "user.name=Ingot demo", "-c", "user.email=demo@localhost")


def _git(repository: Path, *words: str) -> None:
    process.run_blocking(
        ("git", "-c", "core.hooksPath=/dev/null", "-c", "commit.gpgSign=false", "-c", "tag.gpgSign=false", *words),
        cwd=repository,
        env=process.environment(),
        check=True,
        timeout=60,
    )
