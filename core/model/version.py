"""The version strings of images: which one a commit gets, what a second build of it is called, how they are ordered.

The rules are pure; who has which name is decided by the ledger.
"""

import re
from collections.abc import Collection, Iterable

LONGEST = 80
"""Characters: an AMI name, with the role's before it, has at most 128 (EC2, CreateImage)."""

_SAFE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9_-])?")
_PIECES = re.compile(r"[0-9]+|[A-Za-z]+")
_BEFORE = frozenset({"dev", "alpha", "a", "beta", "b", "pre", "preview", "rc", "snapshot"})
"""Words of a pre-release: it comes before the version that it is written behind (Semantic Versioning 2.0.0, 11)."""


def is_safe(version: str) -> bool:
    """May it be a version string? Then it is a file name, a cloud tag and part of an AMI name as it stands."""
    return len(version) <= LONGEST and _SAFE.fullmatch(version) is not None


def safe(text: str) -> str:
    """The text as a version string; what may not be in one becomes `-`. Empty where nothing is left of it.

    >>> safe("feature/new login+1")
    'feature-new-login-1'
    """
    cleaned = re.sub(r"[^A-Za-z0-9._-]+", "-", text)
    cleaned = re.sub(r"^[^A-Za-z0-9]+", "", cleaned)[:LONGEST]
    return cleaned.rstrip(".-")


def base_version(tags: Iterable[str], described: str, tag_prefix: str = "") -> str:
    """The version of the first image that is built of a commit.

    `tags` are those on the very commit: the highest one with the prefix names it, without the prefix, and one that
    looks like a number goes before one that does not. Otherwise `described` does: `git describe` by the tags with that
    prefix.

    >>> base_version(["release-0.2.0", "nightly"], "release-0.2.0", "release-")
    '0.2.0'
    >>> base_version([], "release-0.2.0-3-g1a2b3c4", "release-")
    '0.2.0-3-g1a2b3c4'
    """
    named = [version for tag in tags if tag.startswith(tag_prefix) and (version := safe(tag.removeprefix(tag_prefix)))]
    if named:
        return max(named, key=lambda version: (_looks_like_a_number(version), order(version)))
    return safe(described.removeprefix(tag_prefix)) or safe(described) or "0"


def next_free(wanted: str, taken: Collection[str]) -> str:
    """`wanted`, or the first free of `wanted.2`, `wanted.3`, …

    A long `wanted` is cut so that the result stays a version string.

    >>> next_free("0.1.0", {"0.1.0", "0.1.0.2"})
    '0.1.0.3'
    """
    if wanted not in taken:
        return wanted
    for number in range(2, len(taken) + 3):
        ending = f".{number}"
        candidate = wanted[: LONGEST - len(ending)].rstrip(".") + ending
        if candidate not in taken:
            return candidate
    raise AssertionError("one more name than are taken is always free")


Order = tuple[tuple[tuple[int, int, str], ...], str]


def order(version: str) -> Order:
    """A key to sort by: numbers as numbers, pre-releases before their release; the newest comes last.

    >>> sorted(["0.10.0", "0.9.0", "0.10.0-rc1", "0.9.0.2"], key=order)
    ['0.9.0', '0.9.0.2', '0.10.0-rc1', '0.10.0']
    """
    pieces: list[tuple[int, int, str]] = []
    for piece in _PIECES.findall(version):
        if piece.isdigit():
            digits = piece.lstrip("0")
            pieces.append((3, len(digits), digits))  # as numbers compare, whatever their length
        else:
            pieces.append((0 if piece.lower() in _BEFORE else 2, 0, piece))
    return (*pieces, (1, 0, "")), version


def _looks_like_a_number(version: str) -> bool:
    return re.match(r"v?[0-9]", version) is not None
