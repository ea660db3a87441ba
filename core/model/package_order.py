"""Which of two versions of a package is the newer one, by the rules of who keeps the list that it is in."""

import re

from core.model.inventory import PackageKind


def compared(kind: PackageKind, one: str, other: str) -> int | None:
    """-1 where `one` is older than `other`, 0 where they are equal, 1 where it is newer; None where nobody can say.

    >>> compared(PackageKind.DEB, "1.0~rc1-1", "1.0-1")
    -1
    """
    if one == other:
        return 0
    match kind:
        case PackageKind.DEB:
            return debian(one, other)
        case PackageKind.RPM:
            return rpm(one, other)
        case PackageKind.APK:
            left, right = _apk(one), _apk(other)
        case _:
            left, right = _plain(one), _plain(other)
    return None if left is None or right is None else (left > right) - (left < right)


def debian(one: str, other: str) -> int:
    """As deb-version(7) orders `[epoch:]upstream[-revision]`, and as `dpkg --compare-versions` does.

    >>> debian("1:0.9", "2.0"), debian("1.0", "1.0-0"), debian("1.0+b1", "1.0~b1")
    (1, 0, 1)
    """
    left, right = _debian_parts(one), _debian_parts(other)
    return _sign(left[0], right[0]) or _debian_order(left[1], right[1]) or _debian_order(left[2], right[2])


def rpm(one: str, other: str) -> int:
    """As rpm orders `[epoch:]version[-release]` (rpm's docs/manual/dependencies.md; rpmvercmp)."""
    left, right = _rpm_parts(one), _rpm_parts(other)
    return _sign(left[0], right[0]) or _rpm_order(left[1], right[1]) or _rpm_order(left[2], right[2])


def _debian_parts(version: str) -> tuple[int, str, str]:
    epoch, colon, rest = version.strip().partition(":")
    if not colon:
        epoch, rest = "0", version.strip()
    upstream, dash, revision = rest.rpartition("-")
    return _number(epoch), upstream if dash else rest, revision if dash else ""


def _debian_order(one: str, other: str) -> int:
    """Pieces without digits are compared as texts and pieces of digits as numbers, in turns."""
    left, right = _turns(one), _turns(other)
    for at in range(max(len(left), len(right))):
        text, number = left[at] if at < len(left) else ("", 0)
        other_text, other_number = right[at] if at < len(right) else ("", 0)
        if order := _debian_text(text, other_text) or _sign(number, other_number):
            return order
    return 0


def _debian_text(one: str, other: str) -> int:
    """`~` before the end, the end before letters, letters before all else."""
    for at in range(max(len(one), len(other))):
        order = _sign(_weight(one[at : at + 1]), _weight(other[at : at + 1]))
        if order:
            return order
    return 0


def _weight(character: str) -> int:
    if not character:
        return 0
    if character == "~":
        return -1
    return ord(character) if character.isascii() and character.isalpha() else ord(character) + 256


def _turns(text: str) -> list[tuple[str, int]]:
    return [(words, _number(digits)) for words, digits in re.findall(r"([^0-9]*)([0-9]*)", text) if words or digits]


def _rpm_parts(version: str) -> tuple[int, str, str]:
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    number, _, release = rest.partition("-")
    return _number(epoch), number, release


_RPM_PIECE = re.compile(r"~|\^|[0-9]+|[A-Za-z]+")


def _rpm_order(one: str, other: str) -> int:
    """Pieces of digits and of letters in turn, whatever is between them; `~` is before the end and `^` behind it."""
    left, right = _RPM_PIECE.findall(one), _RPM_PIECE.findall(other)
    for at in range(max(len(left), len(right))):
        mine, theirs = (pieces[at] if at < len(pieces) else "" for pieces in (left, right))
        for sign, when in (("~", -1), ("^", 1)):
            if (mine == sign) == (theirs == sign):
                continue
            # `^` is behind the end alone: what goes on otherwise is newer.
            there = theirs if mine == sign else mine
            order = when if sign == "~" or not there else -1
            return order if mine == sign else -order
        if mine in ("~", "^"):
            continue
        if not mine or not theirs:
            return 1 if mine else -1
        if mine.isdigit() != theirs.isdigit():
            return 1 if mine.isdigit() else -1
        order = _sign(_number(mine), _number(theirs)) if mine.isdigit() else (mine > theirs) - (mine < theirs)
        if order:
            return order
    return 0


_APK = re.compile(
    r"([0-9]+(?:\.[0-9]+)*)([a-z]?)((?:_(?:alpha|beta|pre|rc|cvs|svn|git|hg|p)[0-9]*)*)(?:~[0-9a-f]+)?(?:-r([0-9]+))?"
)
_APK_SUFFIXES = ("alpha", "beta", "pre", "rc", "", "cvs", "svn", "git", "hg", "p")


Key = tuple[tuple[int, ...], str, tuple[tuple[int, int], ...], int]


def _apk(version: str) -> Key | None:
    """A key to order apk's versions by (apk-package(5)); None for what is none."""
    found = _APK.fullmatch(version)
    if not found:
        return None
    suffixes = [
        (_APK_SUFFIXES.index(word), _number(digits)) for word, digits in re.findall(r"_([a-z]+)([0-9]*)", found[3])
    ]
    return (
        tuple(_number(part) for part in found[1].split(".")),
        found[2],
        (*suffixes, (_APK_SUFFIXES.index(""), 0)),
        _number(found[4] or "0"),
    )


def _plain(version: str) -> Key | None:
    """A key for versions that are only numbers; None for the rest, which has rules of its own."""
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)*", version):
        return None
    numbers = [_number(part) for part in version.split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers), "", (), 0


def _sign(one: int, other: int) -> int:
    return (one > other) - (one < other)


def _number(digits: str) -> int:
    """Of any length: Python refuses to read numbers of more than 4300 digits."""
    digits = re.sub(r"[^0-9]", "", digits)[-4000:]
    return int(digits) if digits else 0
