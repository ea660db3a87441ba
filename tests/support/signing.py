"""A vendor with keys, as they are made for real: everything in a home of GnuPG that a test has for itself."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

FAKED = "20200101T000000"
"""A time long ago, at which keys are made that have expired since."""


@dataclass(frozen=True)
class Vendor:
    """Signs. Close it at the end: GnuPG starts an agent."""

    home: Path

    def gpg(self, *words: str, data: bytes = b"", at: str = "") -> bytes:
        faked = ("--faked-system-time", at) if at else ()
        argv = ("gpg", "--homedir", str(self.home), "--batch", "--yes", "--pinentry-mode", "loopback", *faked)
        return subprocess.run((*argv, "--passphrase", "", *words), input=data, capture_output=True, check=True).stdout

    def new_key(self, name: str, *, kind: str = "ed25519", expires: str = "never", at: str = "") -> str:
        """Gives its fingerprint."""
        self.gpg("--quick-gen-key", name, kind, "sign", expires, at=at)
        listed = self.gpg("--with-colons", "--list-keys", f"={name}").decode().splitlines()
        return next(line.split(":")[9] for line in listed if line.startswith("fpr"))

    def public(self, *keys: str) -> str:
        return self.gpg("--armor", "--export", *keys).decode()

    def signature(self, content: bytes, *keys: str, digest: str = "SHA512", at: str = "") -> bytes:
        """Detached."""
        return self.gpg("--digest-algo", digest, "--detach-sign", *_by(keys), data=content, at=at)

    def clearsigned(self, content: bytes, *keys: str) -> bytes:
        return self.gpg("--clearsign", *_by(keys), data=content)

    def revoke(self, key: str) -> None:
        """With the certificate that GnuPG laid down when the key was made; its first line guards against accidents."""
        certificate = (self.home / "openpgp-revocs.d" / f"{key}.rev").read_text().replace(":-----BEGIN", "-----BEGIN")
        self.gpg("--import", data=certificate.encode())

    def close(self) -> None:
        subprocess.run(("gpgconf", "--homedir", str(self.home), "--kill", "all"), check=False)


def _by(keys: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word for key in keys for word in ("--local-user", f"{key}!"))
