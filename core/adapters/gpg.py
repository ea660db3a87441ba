"""Verifies OpenPGP signatures with GnuPG, against the public keys of one file and nothing else.

GnuPG gets a home of its own for each use: the person's keyring, options and agent, key servers and what this machine
trusts do not exist for it. It is gpg and not gpgv, which takes expired and revoked keys for good ones (gpgv(1)). What
counts is the machine-readable status (GnuPG's doc/DETAILS); its exit status does not tell a signature of somebody else
beside ours from a bad one.
"""

import asyncio
import contextlib
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import msgspec

from core import process
from core.errors import ToolError, UpstreamError
from core.process import Finished

MAX_KEYS = 1_000_000
"""Bytes of a file of keys: a distribution's with all its signatures has a tenth of it."""
MAX_TEXT = 4 * 1024 * 1024
"""Bytes of a signed text; what GnuPG unpacks is bounded by it as well."""
_PATIENCE = 60.0
"""Seconds for reading keys, and for a text."""

# RFC 9580, 9.5 and 9.1. What is not named here could be forged, or is nothing that we know.
_DIGESTS = {"8": "SHA256", "9": "SHA384", "10": "SHA512", "11": "SHA224", "12": "SHA3-256", "14": "SHA3-512"}
_WEAK = {"1": "MD5", "2": "SHA1", "3": "RIPEMD160"}
_OF_FACTORS = frozenset({"1", "2", "3", "16", "17", "20"})
"""Algorithms of keys whose strength is their length: RSA, Elgamal, DSA."""
_BITS = 2048
_NO_KEY = "9"
_CHANGED = "Whoever can change the file could have; do not use it. Look at the vendor's site for what was published."


class ChangedError(UpstreamError):
    """The signature is one of another content."""


class Key(msgspec.Struct, frozen=True):
    """A public key of the file, with its subkeys."""

    fingerprint: str
    user: str
    """The first name that it bears: `Vendor Images <images@vendor.example>`."""
    expires: float | None = None
    """Seconds since the epoch."""
    weak: frozenset[str] = frozenset()
    """Fingerprints of those of its keys, itself among them, that are too short to be trusted."""

    def __str__(self) -> str:
        return f"{self.fingerprint} ({self.user})" if self.user else self.fingerprint


class Signature(msgspec.Struct, frozen=True):
    """A signature that counts."""

    key: Key
    by: str
    """Fingerprint of the key that made it: the key itself or a subkey."""
    made: float
    """Seconds since the epoch, as the signer's clock had it."""
    digest: str
    """The algorithm of the digest that was signed: `SHA512`."""


@dataclass(slots=True)
class Seen:
    """What GnuPG's status says of one signature."""

    word: str = ""
    """`GOODSIG`, `BADSIG`, `EXPSIG`, `EXPKEYSIG`, `REVKEYSIG`, `ERRSIG`."""
    key_id: str = ""
    user: str = ""
    code: str = ""
    """Of ERRSIG: why it could not be looked at."""
    valid: tuple[str, ...] = ()
    """The fields of VALIDSIG."""


@dataclass(slots=True)
class Status:
    """What GnuPG's status says of all."""

    signatures: list[Seen] = field(default_factory=list[Seen])
    texts: int = 0
    """How many signed or unsigned contents there were in one message."""


class Keyring(msgspec.Struct, frozen=True):
    """The keys that count, for as long as its block lasts."""

    home: Path
    name: str
    """What the file is called in the workspace."""
    keys: tuple[Key, ...]
    pinned: str = ""
    """The fingerprint of the only one that counts."""

    async def detached(self, signed: Path, signature: Path, what: str, *, limit: float | None = None) -> Signature:
        """The signature of a file that is in another one. `what` names the file; `limit` are seconds. Raises
        UpstreamError when none counts, ToolError."""
        done = await self._gpg("--verify", "--", str(signature), str(signed), limit=limit)
        where = "Look at the url of the signature; some vendors sign the checksums, others the image."
        return self._judged(read_status(_lines(done)), what, where)

    async def inline(self, signed: Path, what: str) -> tuple[Signature, bytes]:
        """The signature of a text that holds its own, and what is signed of it: what stands around that is nobody's.

        Raises UpstreamError when none counts, ToolError.
        """
        content = self.home / "signed"
        content.unlink(missing_ok=True)
        limits = ("--max-output", str(MAX_TEXT), "--output", str(content))
        done = await self._gpg(*limits, "--decrypt", "--", str(signed), limit=_PATIENCE)
        status = read_status(_lines(done))
        where = 'If its signature is in a file of its own, say where: signature = "https://…"'
        signature = self._judged(status, what, where)
        if status.texts != 1 or not content.is_file():
            raise UpstreamError(f"{what} holds more than one text: which of them is signed cannot be told.", _CHANGED)
        return signature, content.read_bytes()

    async def _gpg(self, *words: str, limit: float | None) -> Finished:
        return await _gpg(self.home, *words, limit=limit)

    def _judged(self, status: Status, what: str, where: str) -> Signature:
        """The first signature that counts. One that does not match spoils them all. `where` is what to do when there is
        none."""
        if any(seen.word == "BADSIG" for seen in status.signatures):
            bad = next(seen for seen in status.signatures if seen.word == "BADSIG")
            raise ChangedError(f"{what} is not what {bad.user or bad.key_id} signed: it was changed since.", _CHANGED)
        refusals: list[UpstreamError] = []
        for seen in status.signatures:
            try:
                return self._counting(seen, what)
            except UpstreamError as error:
                # Of several, what is said of a key that we know says more than that others are unknown.
                refusals.insert(0 if seen.valid else len(refusals), error)
        if refusals:
            raise refusals[0]
        raise UpstreamError(f"{what} is not signed: there is no signature in what came.", where)

    def _counting(self, seen: Seen, what: str) -> Signature:
        have = ", ".join(map(str, self.keys))
        if seen.word == "ERRSIG" and seen.code == _NO_KEY:
            raise UpstreamError(
                f"{what} is signed by the key {seen.key_id}, which is not in {self.name} (it has {have}).",
                f"If the vendor has a new key, get it from the vendor by a way that you trust, into {self.name}.",
            )
        if len(seen.valid) < 10:
            raise UpstreamError(
                f"The signature of {what} by {seen.key_id or 'nobody'} cannot be verified: GnuPG says {seen.word} "
                f"{seen.code}".rstrip()
                + ".",
                "It may be made with something that is weak or too new for this GnuPG: look with gpg --verify.",
            )
        by, made, digest, kind, primary = (seen.valid[at] for at in (0, 2, 7, 8, 9))
        key = next((key for key in self.keys if key.fingerprint == primary), None)
        if key is None or (self.pinned and self.pinned != primary):
            raise UpstreamError(
                f"{what} is signed by {key or primary}, and not by {self.pinned}.",
                "If the vendor has a new key, and you are sure of it, put its fingerprint in.",
            )
        signed = f"{what} is signed by {key}"
        if seen.word == "EXPKEYSIG":
            when = f" on {_day(key.expires)}" if key.expires else ""
            raise UpstreamError(
                f"{signed}, and that key expired{when}.",
                f"Get the vendor's renewed key into {self.name}, and commit it.",
            )
        if seen.word == "REVKEYSIG":
            raise UpstreamError(
                f"{signed}, and that key was revoked by its owner.", "Find out why; then pin the vendor's new key."
            )
        if seen.word == "EXPSIG":
            raise UpstreamError(
                f"{signed}, and the signature is no longer valid.", "Take what the vendor signed anew since."
            )
        if seen.word != "GOODSIG" or kind not in ("00", "01"):
            raise UpstreamError(
                f"The signature of {what} is none of its content ({seen.word} {kind}).", "Do not use it."
            )
        if digest not in _DIGESTS:
            raise UpstreamError(
                f"{signed} with {_WEAK.get(digest, f'the digest algorithm {digest}')}, which can be forged.",
                "Ask the vendor for a signature with SHA-256 or better; until then pin a checksum of your own.",
            )
        if weak := key.weak & {by, primary}:
            raise UpstreamError(
                f"{signed}, and the key {next(iter(weak))} is too short to be trusted.", "Take the vendor's new key."
            )
        return Signature(key, by, float(made), _DIGESTS[digest])


@asynccontextmanager
async def keyring(file: Path, name: str, scratch: Path, fingerprint: str = "") -> AsyncGenerator[Keyring]:
    """The keys of a file, binary or in ASCII, called `name` in messages. `scratch` is a directory that nobody else may
    enter.

    Raises UpstreamError where it is no file of public keys or the one that is pinned is not in it, ToolError.
    """
    if process.find("gpg") is None:
        raise ToolError(
            "gpg was not found; without it no signature can be verified.", "Install it: sudo apt-get install gpg"
        )
    home = Path(tempfile.mkdtemp(prefix="gnupg-", dir=scratch))
    try:
        yield Keyring(home, name, await _keys_of(file, name, home, fingerprint), fingerprint)
    finally:
        with contextlib.suppress(FileNotFoundError):
            await asyncio.to_thread(shutil.rmtree, home)


async def _keys_of(file: Path, name: str, home: Path, fingerprint: str) -> tuple[Key, ...]:
    if file.stat().st_size > MAX_KEYS:
        raise UpstreamError(f"{name} is too large to be a public key.", "Export only the key that signs.")
    if b"PRIVATE KEY" in file.read_bytes():
        raise UpstreamError(
            f"{name} holds a private key.", "Take it out of the repository; only the public half belongs there."
        )
    done = await _gpg(home, "--import", "--", str(file), limit=_PATIENCE)
    keys = read_keys(_lines(await _gpg(home, "--with-colons", "--list-keys", limit=_PATIENCE)))
    if not keys:
        said = done.err.decode(errors="replace").strip().splitlines()
        why = f" (gpg: {said[0].removeprefix('gpg: ')})" if said else ""
        raise UpstreamError(f"{name} holds no public key{why}.", "Put the vendor's public key there, as published.")
    if fingerprint and not any(key.fingerprint == fingerprint for key in keys):
        raise UpstreamError(
            f"{name} has no key {fingerprint}; it has {', '.join(map(str, keys))}.",
            "Compare both with what the vendor publishes, and correct the one that is wrong.",
        )
    return keys


async def _gpg(home: Path, *words: str, limit: float | None) -> Finished:
    argv = ["gpg", "--homedir", str(home), "--no-options", "--batch", "--no-tty", "--no-autostart"]
    argv += ["--disable-dirmngr", "--no-auto-key-locate", "--no-auto-key-retrieve", "--no-auto-check-trustdb"]
    argv += ["--trust-model", "always", "--keyid-format", "long", "--display-charset", "utf-8", "--status-fd", "1"]
    return await process.run([*argv, *words], cwd=home, env=process.environment(), timeout=limit)


def _lines(done: Finished) -> list[str]:
    return done.out.decode(errors="replace").splitlines()


def read_status(lines: Iterable[str]) -> Status:
    """What the lines of `--status-fd` say, one signature after the other."""
    status = Status()
    for line in lines:
        mark, _, rest = line.partition(" ")
        words = rest.split()
        if mark != "[GNUPG:]" or not words:
            continue
        word, values = words[0], words[1:]
        if word == "PLAINTEXT" or (word == "ERROR" and values[:1] == ["proc_pkt.plaintext"]):
            status.texts += 1  # it stops at a second one with that error
        elif word == "NEWSIG":
            status.signatures.append(Seen())
        elif word in ("GOODSIG", "BADSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "ERRSIG", "VALIDSIG"):
            if not status.signatures:
                status.signatures.append(Seen())
            _take(status.signatures[-1], word, values)
    return status


def _take(seen: Seen, word: str, values: Sequence[str]) -> None:
    if word == "VALIDSIG":
        seen.valid = tuple(values)
        return
    if seen.word not in ("", "GOODSIG"):
        return  # what spoils it stays
    seen.word, seen.key_id = word, values[0] if values else ""
    if word == "ERRSIG":
        seen.code = values[5] if len(values) > 5 else ""
    else:
        seen.user = unquote(" ".join(values[1:]))


def read_keys(lines: Iterable[str]) -> tuple[Key, ...]:
    """The keys of `--with-colons --list-keys`."""
    found: list[dict[str, str]] = []
    weak: list[set[str]] = []
    short = False
    for line in lines:
        fields = line.split(":")
        if fields[0] in ("pub", "sub") and len(fields) > 6:
            if fields[0] == "pub":
                found.append({"expires": fields[6]})
                weak.append(set())
            short = fields[3] in _OF_FACTORS and int(fields[2] or 0) < _BITS
        elif fields[0] == "fpr" and len(fields) > 9 and found:
            found[-1].setdefault("fingerprint", fields[9])
            if short:
                weak[-1].add(fields[9])
        elif fields[0] == "uid" and len(fields) > 9 and found:
            found[-1].setdefault("user", _unescaped(fields[9]))
    return tuple(_key(one, frozenset(of)) for one, of in zip(found, weak, strict=True) if "fingerprint" in one)


def _key(found: Mapping[str, str], weak: frozenset[str]) -> Key:
    expires = found["expires"]
    return Key(found["fingerprint"], found.get("user", ""), float(expires) if expires.isdigit() else None, weak)


def _unescaped(text: str) -> str:
    """The colons of a listing are `\\x3a` (doc/DETAILS, field 10)."""
    return text.replace("\\x3a", ":").replace("\\x5c", "\\")


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at))
