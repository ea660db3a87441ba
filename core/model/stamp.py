"""Who an image is, as it says by itself: `/etc/image-release`, in the form of os-release(5)."""

from datetime import UTC, datetime

import msgspec


class Stamp(msgspec.Struct, frozen=True):
    """What is written into an image."""

    role: str
    version: str
    commit: str = ""
    run: str = ""
    built: float | None = None
    """Seconds since 1970."""
    upstream: str = ""
    """The digest of what it was built on."""


def release_text(stamp: Stamp) -> str:
    """The file's content. Its first two lines are those that an image which wrote it itself has to have.

    >>> print(release_text(Stamp("web", "0.1.0", built=0.0)), end="")
    IMAGE_ROLE="web"
    IMAGE_VERSION="0.1.0"
    IMAGE_BUILT="1970-01-01T00:00:00Z"
    """
    built = datetime.fromtimestamp(stamp.built, UTC) if stamp.built is not None else None
    values = {
        "ROLE": stamp.role,
        "VERSION": stamp.version,
        "COMMIT": stamp.commit,
        "RUN": stamp.run,
        "BUILT": f"{built:%Y-%m-%dT%H:%M:%SZ}" if built else "",
        "UPSTREAM": stamp.upstream,
    }
    return "".join(f'IMAGE_{name}="{value}"\n' for name, value in values.items() if value)


def read_back(release: bytes) -> Stamp:
    """What the file says, however else its template wrote it; empty where it does not say it."""
    lines = (line.partition("=") for line in release.decode(errors="replace").splitlines())
    found = {name.strip(): value.strip().strip("\"'") for name, _, value in lines}
    try:
        built = datetime.fromisoformat(found.get("IMAGE_BUILT", "")).timestamp()
    except ValueError:
        built = None
    role, version, commit, run, upstream = (
        found.get(f"IMAGE_{name}", "") for name in ("ROLE", "VERSION", "COMMIT", "RUN", "UPSTREAM")
    )
    return Stamp(role, version, commit, run, built, upstream)


def differences(found: Stamp, wanted: Stamp) -> list[str]:
    """What an image says of itself that is not so. Role and version have to be there; the rest only counts if it is.

    >>> differences(Stamp("web", "0.1.0"), Stamp("web", "0.1.1", commit="c"))
    ['its version is 0.1.0 and not 0.1.1']
    """
    said: list[str] = []
    for name in ("role", "version", "commit", "run", "upstream"):
        there, should = getattr(found, name), getattr(wanted, name)
        if there != should and (there or name in ("role", "version")):
            said.append(f"its {name} is {there or 'not said'} and not {should or 'known'}")
    return said
