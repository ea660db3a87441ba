"""What a role is called, from where its template is: a word that its maintainer would use, unique and safe.

A name is used in Git references, file names, tags and argument lists: letters, digits, `.`, `_` and `-`, beginning
with a letter or digit, at most 64 characters.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence

LONGEST = 64

_EMPTY_WORDS = frozenset(
    {
        "amis", "box", "box-config", "boxes", "build", "builder", "builders", "builds", "config", "configs",
        "configuration", "default", "defaults", "env", "environment", "environments", "envs", "example", "examples",
        "fixtures", "hcl", "hcl2", "image", "images", "img", "imgs", "index", "infra", "infrastructure", "json",
        "machine", "machines", "main", "os", "packer", "packer-build", "packer-template", "packer-templates",
        "packer_template", "packer_templates", "pkrvars", "provisioning", "root", "source", "sources", "src",
        "template", "templates", "test-fixtures", "testdata", "tpl", "var", "var-files", "variable", "variables",
        "varfiles", "vars", "vm", "vms",
    }
)  # fmt: skip
"""Words that say what kind of thing it is, not which."""

_QUALIFIER = re.compile(
    r"v?[0-9][0-9._-]*(?:r[0-9])?|x86_64|x86-64|amd64|arm64|aarch64|x64|x86|i386|i686|ppc64le|s390x|riscv64"
    r"|server|desktop|minimal|core|full|gui|cloud|lts|latest|stable|stream|uefi|efi|bios"
    r"|dev|devel|development|test|testing|qa|stage|staging|preprod|prod|production|live|sandbox"
    r"|local|ci|lab|small|medium|large"
    r"|(us|eu|ap|ca|sa|me|af|cn)(-gov)?-(north|south|east|west|central|northeast|southeast|northwest|southwest)-?[0-9]",
    re.IGNORECASE,
)
"""Words that say which one of something, and so need the something before them: `web-prod`, `CentOS-7-server`."""


def is_sensible(word: str) -> bool:
    """It names a thing, if only together with others."""
    return bool(safe(word)) and word.lower() not in _EMPTY_WORDS


def is_qualifier(word: str) -> bool:
    """It says which one of something: a number, an architecture, a stage, a region."""
    if _QUALIFIER.fullmatch(word):
        return True
    pieces = re.split(r"[._-]", word)
    return len(pieces) > 1 and all(_QUALIFIER.fullmatch(piece) for piece in pieces)


def safe(text: str) -> str:
    """The text with everything but letters, digits, `.`, `_` and `-` replaced; empty when nothing is left.

    >>> safe("--help")
    'help'
    >>> safe("web server\\n")
    'web-server'
    """
    ascii_only = re.sub(r"[^A-Za-z0-9._-]+", "-", text)
    # "..", ".lock" at the end and "." at the end are refused in references (git-check-ref-format(1)).
    single = re.sub(r"\.{2,}", ".", ascii_only)
    name = re.sub(r"^[^A-Za-z0-9]+|(?:[^A-Za-z0-9]|\.lock(?![A-Za-z0-9]))+$", "", single, flags=re.IGNORECASE)
    if len(name) > LONGEST:
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        name = f"{name[: LONGEST - 9].rstrip('._-')}-{digest}"
    return name


def is_safe(name: str) -> bool:
    return bool(name) and safe(name) == name


_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,127}")
FILE_NAMES = "letters, digits, “.”, “_”, “+” and “-”, at most 128; it begins with a letter, a digit or “_”"
"""The same in words, for those who have to name something so."""


def is_file_name(name: str) -> bool:
    """It can be the name of a file as it is: no path, nothing hidden, no option, and the same on every file system.

    >>> is_file_name("qemu.web-1_2"), is_file_name("a/b"), is_file_name("..")
    (True, False, False)
    """
    return _FILE_NAME.fullmatch(name) is not None


def candidate(words: Sequence[str]) -> tuple[str, int]:
    """The shortest sensible name from the words of a path (outermost first), and how many words from the end it used.

    Words that say nothing are passed over, qualifiers take what is before them along. Without any sensible word: the
    empty string.

    >>> candidate(["packer", "web"])
    ('web', 1)
    >>> candidate(["CentOS", "7", "server"])
    ('CentOS-7-server', 3)
    """
    taken: list[str] = []
    for used, word in enumerate(reversed(words), start=1):
        if not is_sensible(word) or (taken and word.lower() == taken[0].lower()):
            continue
        taken.insert(0, word)
        if not is_qualifier(word):
            return safe("-".join(taken)), used
    return safe("-".join(taken)), len(words)


def unique(paths: Sequence[Sequence[str]], fallback: str) -> list[str]:
    """A name for each path of words, in their order: all different, and the same whatever the order.

    Those that would be called the same get more of their path, all of them alike. `fallback` (the workspace's name) is
    for paths that say nothing.
    """
    names: list[str] = []
    depths: list[int] = []
    for words in paths:
        name, used = candidate(words)
        names.append(name or safe(fallback) or "image")
        depths.append(used)
    longest = max((len(words) for words in paths), default=0)
    for _ in range(longest):
        for index in _clashes(names, paths):
            names[index], depths[index] = _longer(paths[index], depths[index], names[index])
    for count in range(2, longest + 1):
        for index in _clashes(names, paths):  # only words that say nothing tell them apart
            names[index] = safe("-".join(paths[index][-count:])) or names[index]
    return _numbered(names, paths)


def _clashes(names: Sequence[str], paths: Sequence[Sequence[str]] | None = None) -> list[int]:
    """Those of the names that are there more than once; with `paths`, only where those can tell them apart."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(names):
        groups[name.lower()].append(index)  # some file systems do not tell Web from web
    if paths is not None:
        different = {name: {tuple(paths[index]) for index in group} for name, group in groups.items()}
        groups = {name: group for name, group in groups.items() if len(different[name]) > 1}
    return [index for group in groups.values() if len(group) > 1 for index in group]


def _longer(words: Sequence[str], used: int, name: str) -> tuple[str, int]:
    """The name with the next word of the path before it that says something."""
    while used < len(words):
        used += 1
        word = words[-used]
        if is_sensible(word) and not name.lower().startswith(f"{word.lower()}-"):
            return safe(f"{word}-{name}"), used
    return name, used


def _numbered(names: Sequence[str], paths: Sequence[Sequence[str]]) -> list[str]:
    """The names, all but the first by path of those that are still the same with a number behind: 2, 3, …"""
    numbered = list(names)
    taken = {name.lower() for name in names}
    seen: set[str] = set()
    for index in sorted(_clashes(names), key=lambda index: (names[index].lower(), list(paths[index]), index)):
        name = names[index]
        if name.lower() not in seen:
            seen.add(name.lower())
            continue
        number = 2
        while (wanted := safe(f"{name[: LONGEST - 6]}-{number}")).lower() in taken:
            number += 1
        taken.add(wanted.lower())
        numbered[index] = wanted
    return numbered
