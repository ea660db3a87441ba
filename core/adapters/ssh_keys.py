"""A fresh SSH key pair for one build: made exclusively, 0600 in a 0700 directory, and removed with everything in it."""

import shutil
from pathlib import Path

import msgspec

from core import process
from core.errors import ToolError


class KeyPair(msgspec.Struct, frozen=True):
    """Where the halves are. Neither repr nor logs hold more than paths."""

    private_file: Path
    public: str
    """One line of an authorized_keys file."""


async def make(directory: Path, comment: str) -> KeyPair:
    """The key pair in `directory`, made now or by an earlier attempt that was cut short after it.

    Ed25519: Packer 1.6 signs with RSA keys in a way (SHA-1) that OpenSSH ≥ 8.8 refuses.
    Raises ToolError when ssh-keygen is missing or fails.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    private, public = directory / "id_ed25519", directory / "id_ed25519.pub"
    if not public.exists():
        private.unlink(missing_ok=True)  # without its public half nobody can have used it
        await process.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(private)],
            env=process.environment(),
            input=b"",
            timeout=60,
            check=True,
        )
    # ssh-keygen makes it with open(O_EXCL, 0600); said again because a umask or a copied directory may differ.
    private.chmod(0o600)
    if private.stat().st_mode & 0o077:
        raise ToolError(
            f"The private key {private} is readable by others.", "Use a file system that keeps permissions."
        )
    return KeyPair(private, public.read_text().strip())


def remove(directory: Path) -> None:
    """Take the keys away. Nothing happens when there are none."""
    shutil.rmtree(directory, ignore_errors=True)
