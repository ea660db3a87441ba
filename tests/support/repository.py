"""Repositories of tests, made by Git itself."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest


def git(where: Path, *words: str, given: bytes = b"", environment: Mapping[str, str] | None = None) -> str:
    """What Git prints in that directory; in the environment of the tests where no other is given."""
    done = subprocess.run(("git", *words), cwd=where, input=given, env=environment, check=True, capture_output=True)
    return done.stdout.decode().strip()


def new(root: Path, who: str = "Ada Example", environment: Mapping[str, str] | None = None) -> Path:
    """An empty one in which somebody works; their address is their first name's, at example.org."""
    root.mkdir(parents=True, exist_ok=True)
    address = f"{who.split()[0].lower()}@example.org"
    for words in (
        ("init", "-q", "--initial-branch=main"),
        ("config", "user.name", who),
        ("config", "user.email", address),
    ):
        git(root, *words, environment=environment)
    return root


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)


def commit(
    root: Path, files: Mapping[str, str], message: str = "Work", environment: Mapping[str, str] | None = None
) -> str:
    """Write the files and commit all there is, if anything; gives the commit."""
    write(root, files)
    git(root, "add", "--all", environment=environment)
    git(root, "commit", "--quiet", "--allow-empty", "--message", message, environment=environment)
    return git(root, "rev-parse", "HEAD", environment=environment)


def clones(place: Path) -> tuple[Path, Path]:
    """Two of an empty repository, `hub.git` beside them."""
    git(place, "init", "-q", "--bare", "hub.git")
    for name in ("one", "two"):
        git(place, "clone", "-q", "hub.git", name)
    return place / "one", place / "two"


def nobodys_settings(home: Path, patch: pytest.MonkeyPatch, settings: str = "") -> None:
    """Git, whoever starts it, finds no settings but these, and no name of a person in its environment."""
    home.mkdir(exist_ok=True)
    (home / "gitconfig").write_text(settings)
    patch.setenv("HOME", str(home))
    patch.setenv("GIT_CONFIG_GLOBAL", str(home / "gitconfig"))
    patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "EMAIL", "GIT_DIR", "GIT_WORK_TREE"):
        patch.delenv(name, raising=False)
