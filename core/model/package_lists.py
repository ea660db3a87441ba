"""The lists of installed packages that package managers keep as text, and names that tell of packages.

What a disk holds may be damaged, or written by somebody: whatever does not look like a package is left out, and
nothing is raised.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from core.model.inventory import Package, PackageKind

_NOT_THERE = frozenset({"not-installed", "config-files"})
"""States of dpkg's in which none of a package's files is there (dpkg(1), Package states)."""
_PYTHON = re.compile(
    r"/(?:site|dist)-packages/([A-Za-z0-9][A-Za-z0-9._]*)-([^/-]+)(?:-[^/]*)?\.(?:dist-info|egg-info)$"
)
_OF_THE_DISTRIBUTION = re.compile(r"/usr/lib/python3/dist-packages/")
"""Debian's own Python packages: they are in dpkg's list."""
_ENDINGS = (".dist-info", ".egg-info", ".gemspec")
_GEM = re.compile(r"/specifications/(?:default/)?([A-Za-z0-9][\w.-]*)-([0-9][\w.]*)(?:-[\w.-]+)?\.gemspec$")


def dpkg(status: str) -> list[Package]:
    """What `/var/lib/dpkg/status`, or a file of `status.d`, says is installed (deb-control(5))."""
    found: list[Package] = []
    for fields in _stanzas(status):
        name, version = fields.get("package", ""), fields.get("version", "")
        state = fields.get("status", "installed").split()
        if not name or not version or not state or state[-1] in _NOT_THERE:
            continue
        source = fields.get("source", "").split()
        other = source[0] if source and source[0] != name else ""
        found.append(Package(PackageKind.DEB, name, version, fields.get("architecture", ""), other))
    return found


def apk(installed: str) -> list[Package]:
    """What `/lib/apk/db/installed` lists (apk-package(5))."""
    found: list[Package] = []
    for block in re.split(r"\n[ \t]*\n", installed):
        fields = {line[0]: line[2:].strip() for line in block.splitlines() if line[1:2] == ":"}
        name, version = fields.get("P", ""), fields.get("V", "")
        if name and version:
            origin = fields.get("o", "")
            other = origin if origin != name else ""
            found.append(Package(PackageKind.APK, name, version, fields.get("A", ""), other))
    return found


def by_name(paths: Iterable[str]) -> Iterator[Package]:
    """Python packages and Ruby gems, told by the names of files alone.

    Where many copies of one lie about, each version of it is one package.
    """
    seen: set[Package] = set()
    for path in paths:
        if not path.endswith(_ENDINGS):  # of half a million names few do
            continue
        if found := _PYTHON.search(path):
            if _OF_THE_DISTRIBUTION.match(path):
                continue
            package = Package(PackageKind.PYTHON, re.sub(r"[-_.]+", "-", found[1]).lower(), found[2])
        elif found := _GEM.search(path):
            package = Package(PackageKind.GEM, found[1], found[2])
        else:
            continue
        if package not in seen:
            seen.add(package)
            yield package


def _stanzas(text: str) -> Iterator[Mapping[str, str]]:
    """The paragraphs of a control file, by field in small letters; of a field of many lines only the first."""
    fields: dict[str, str] = {}
    for line in text.split("\n"):
        if not line.strip():
            if fields:
                yield fields
            fields = {}
        elif not line[0].isspace():
            name, colon, value = line.partition(":")
            if colon:
                fields.setdefault(name.strip().lower(), value.strip())
    if fields:
        yield fields
