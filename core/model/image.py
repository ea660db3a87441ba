"""An image version, its artifacts, and where it came from: what the ledger holds for ever."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from core.model.touch import TOUCHED, Touch


class ImageState(StrEnum):
    """Of an image version: as decided, and as it counts (core/model/states.py, core/model/decided.py)."""

    CANDIDATE = "candidate"
    GOOD = "good"
    RELEASED = "released"
    DEPRECATED = "deprecated"
    REVOKED = "revoked"


class Artifact(msgspec.Struct, frozen=True):
    """One concrete form of an image version."""

    build: str
    """The build that made it, `qemu.web`."""
    format: str
    """`qcow2`, `raw`, `vhd`, `vmdk`, `ova`, `ami`."""
    location: str
    """Absolute path of a file, or `region:ami-…`."""
    digest: str = ""
    """`sha256:<hex>` of the file; empty for what the cloud keeps."""
    size: int | None = None
    """Bytes that the file takes."""
    virtual_size: int | None = None
    """Bytes that the machine sees as its disk."""
    host: str = ""
    """The machine that has the file; empty for the cloud."""
    stamped_inside: bool = False
    """`/etc/image-release` in it was read back and says this version."""
    account: str = ""
    """Number of the account of the cloud that has it; empty for a file, and where nobody noted it."""


class UpstreamRecord(msgspec.Struct, frozen=True):
    """What a build started from, and how far that can be trusted."""

    kind: str
    description: str
    """In words: `Debian bookworm, signed archive of 2026-11-14`, `base 0.1.0`, …"""
    digest: str = ""
    """`sha256:<hex>` of what was used."""
    verified: str = ""
    """How it was verified: `sha256`, `signature of …`, `ledger`; empty means unverified."""
    role: str = ""
    version: str = ""
    """The parent image version where the upstream is another role's image."""
    details: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])


class ImageVersion(msgspec.Struct, frozen=True):
    """One immutable building of one role."""

    role: str
    version: str
    commit: str
    created: float
    run: str
    """Uid of the run that made it."""
    built_by: str
    upstream: UpstreamRecord
    artifacts: tuple[Artifact, ...]
    template: str
    inputs: tuple[str, ...] = ()
    """Paths that it was built from: what staleness looks at."""
    tools: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    """`packer` → `1.6.6`, …"""
    outside: tuple[str, ...] = ()
    """Files that were there and Git does not hold; never a digest of them."""
    state: ImageState = ImageState.CANDIDATE
    """As it counted when the ledger was read; a manifest says `candidate` for ever, the rest was decided later."""
    marks: tuple[str, ...] = ()
    """`touched by hand`; what else is among them is of another Ingot, and shown as it is."""
    evidence: tuple[str, ...] = ()
    """Names of the reports that were registered with it, which lie beside it on the ledger: `seal-qemu.web`, …"""
    touches: tuple[Touch, ...] = ()
    """What was done by hand to the machines that it was made of, the oldest first."""

    @property
    def parent(self) -> str:
        """`base 0.1.0`, or the upstream in words."""
        return f"{self.upstream.role} {self.upstream.version}" if self.upstream.role else self.upstream.description

    @property
    def size(self) -> int | None:
        sizes = [artifact.size for artifact in self.artifacts if artifact.size is not None]
        return sum(sizes) if sizes else None


def may_become_good(image: ImageVersion) -> str:
    """Why this image version can never be `good`; empty where nothing about how it was made is in the way.

    What is in code can be built again and looked at; what was done by hand cannot.

    >>> from msgspec.structs import replace
    >>> from core.model.touch import Touch, TouchKind
    >>> image = ImageVersion("web", "0.1.0", "c0ffee12345", 0.0, "r", "Ada", UpstreamRecord("none", ""), (), "web")
    >>> may_become_good(image)
    ''
    >>> touch = Touch(TouchKind.SHELL, "Ada Example <ada@example.org>", 0.0, "qemu.web")
    >>> may_become_good(replace(image, marks=(TOUCHED,), touches=(touch,)))
    'web 0.1.0 was touched by hand (Ada Example: shell). Build it again from code: ingot build web --at c0ffee1'
    """
    if TOUCHED not in image.marks and not image.touches:
        return ""
    done: dict[str, None] = {}
    for touch in image.touches:
        done[f"{touch.who.partition(' <')[0] or 'somebody'}: {touch.kind.value}"] = None
    by = f" ({', '.join(done)})" if done else ""
    return (
        f"{image.role} {image.version} was touched by hand{by}. "
        f"Build it again from code: ingot build {image.role} --at {image.commit[:7]}"
    )
