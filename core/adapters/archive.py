"""Makes a bootable disk from a distribution's own signed archive, with mmdebstrap.

Trust: mmdebstrap lets apt verify the archive's InRelease files against the distribution's keyring and no other, and
through them every package; nothing here can switch that off. The same files are then verified once more with gpgv, for
the record of which key signed them. Where the archive is fetched from is decided by mmdebstrap and by the machine's own
settings.

No step needs root or a loop device: the files come as an archive from mmdebstrap (in a user namespace for ordinary
users), and the disk is written under fakeroot, which keeps their owners (bootable_disk.py). The boot loader is GRUB for
BIOS, taken from the same archive and not from the host, so that a host without it, or with another version, makes the
same disk.

The disk holds no secret and nothing of one machine: no SSH host keys (made at the first boot), no machine id, no
password. Who may log in is said at boot: a public key in the systemd credential `ssh.authorized_keys.root`
(systemd.system-credentials(7); QEMU: `-smbios type=11,value=io.systemd.credential.binary:…`) is put below /run, and so
is on no disk ever.
"""

import asyncio
import contextlib
import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from core import process
from core.adapters import archive_system, bootable_disk
from core.errors import ToolError, UpstreamError
from core.model.role import Upstream
from core.mounts import mounts

KEYRINGS: Mapping[str, Path] = {"debian": Path("/usr/share/keyrings/debian-archive-keyring.gpg")}
"""Distribution → the keyring that its archive must be signed with (of the package debian-archive-keyring)."""

_SMALLEST_DISK = 1 << 30

# What mmdebstrap says when it begins a step → what that is in a few words, and how much of the whole lies behind it
# (shares of the time, measured).
_STEPS: tuple[tuple[str, str, float], ...] = (
    ("running apt-get update", "Verifying the archive's index", 0.02),
    ("downloading packages with apt", "Fetching the first packages", 0.10),
    ("extracting archives", "Unpacking the first packages", 0.16),
    ("installing essential packages", "Setting up the first packages", 0.20),
    ("installing remaining packages", "Installing kernel, systemd, SSH and Python", 0.38),
    ("running --customize-hook", "Fetching the boot loader", 0.80),
    ("cleaning package lists", "Taking the files over", 0.84),
    ("creating tarball", "Taking the files over", 0.85),
)


class Ended(Protocol):
    """How a tool ended."""

    @property
    def code(self) -> int | None: ...


class Tool(Protocol):
    """Runs the long-running tool with its output in a log, such as `StageJob.tool`."""

    def __call__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        cwd: Path,
        environment: Mapping[str, str],
        on_line: Callable[[str], None] | None = None,
    ) -> Awaitable[Ended]: ...


class Release(msgspec.Struct, frozen=True):
    """One signed index of the archive: the suite itself, its updates or its security updates."""

    suite: str
    """As it calls itself: `bookworm`, `bookworm-updates`, `bookworm-security`."""
    date: str
    """The day on which it was made, `YYYY-MM-DD` (UTC)."""
    digest: str
    """`sha256:<hex>` of its InRelease file."""
    fingerprints: tuple[str, ...]
    """Of the keys whose signatures verified."""


class ArchiveRecord(msgspec.Struct, frozen=True):
    """What a disk was made from."""

    distribution: str
    suite: str
    releases: tuple[Release, ...]
    """The suite itself first."""
    keyring: str
    package_count: int
    packages_digest: str
    """`sha256:<hex>` of the sorted list of `name version architecture`, one a line."""
    digest: str
    """`sha256:<hex>` of the disk."""

    @property
    def description(self) -> str:
        """`Debian bookworm, signed archive of 2026-11-14`: the day of its latest part, security updates mostly."""
        latest = max(release.date for release in self.releases)
        return f"{self.distribution.capitalize()} {self.suite}, signed archive of {latest}"

    @property
    def verified(self) -> str:
        return f"signature of {', '.join(self.releases[0].fingerprints)}"


async def make_disk(
    upstream: Upstream,
    destination: Path,
    *,
    say: Callable[[str], None],
    progress: Callable[[str, float | None], None],
    tool: Tool | None = None,
    goes_on: Callable[[], bool] = lambda: False,
) -> ArchiveRecord:
    """Make the disk (compressed qcow2) at `destination`, whose directory exists.

    Until it is whole it has another name, and when it fails or is cancelled nothing is left. `say` gets lines for a
    log, `progress` a few words and a fraction. With `tool` (a holder) mmdebstrap outlives a crash of ours, and the next
    call for the same destination goes on with it; without, it is a child of ours. `goes_on` says, of a cancel, whether
    the tool goes on: what it works in is left to it, and to the next call. Only one call at a time may make one
    destination. Raises UpstreamError for what cannot be made or does not verify, ToolError for a tool that is missing
    or fails.
    """
    size = _checked(upstream)
    keyring = KEYRINGS[upstream.distribution]
    work = destination.with_name(f".{destination.name}.making")
    work.mkdir(mode=0o700, exist_ok=True)
    left = False
    try:
        await _bootstrap(upstream, keyring, work, say, tool or _child(say), progress)
        progress("Putting the disk together", 0.88)
        tree = work / "tree"
        fake = _fakeroot(work)
        await _unpack(work / "root.tar", tree, fake)
        record = tree / ".record"
        releases = await _releases(record, upstream, keyring)
        for release in releases:
            say(f"{release.suite} of {release.date}, signed by {', '.join(release.fingerprints)}")
        packages = "".join(sorted((record / "packages").read_text().splitlines(keepends=True)))
        boot, core = (record / "boot.img").read_bytes(), (record / "core.img").read_bytes()
        shutil.rmtree(record)
        raw = work / "disk.raw"
        await bootable_disk.write(raw, size, tree, boot, core, before=fake)
        progress("Compressing the disk", 0.94)
        made = work / "disk.qcow2"
        convert = ["qemu-img", "convert", "-O", "qcow2", "-c", "-o", "compression_type=zstd", str(raw), str(made)]
        await process.run(convert, check=True)
        digest = await asyncio.to_thread(_sha256, made)
        made.replace(destination)
        say(f"{destination.name}: {destination.stat().st_size / 1e6:.0f} MB, {packages.count(chr(10))} packages")
        return ArchiveRecord(
            distribution=upstream.distribution,
            suite=upstream.suite,
            releases=releases,
            keyring=str(keyring),
            package_count=packages.count("\n"),
            packages_digest=f"sha256:{hashlib.sha256(packages.encode()).hexdigest()}",
            digest=digest,
        )
    except asyncio.CancelledError:
        left = goes_on()
        raise
    finally:
        if not left:
            await _remove(work)


def _checked(upstream: Upstream) -> int:
    """The size of the disk in bytes, if the upstream is one that we can make. Raises UpstreamError."""
    if upstream.distribution not in KEYRINGS:
        raise UpstreamError(
            f"There is no way to make a disk of the distribution {upstream.distribution!r}.",
            f"In ingot.toml, upstream.distribution can be: {', '.join(KEYRINGS)}.",
        )
    if not KEYRINGS[upstream.distribution].is_file():
        raise UpstreamError(
            f"The keys that {upstream.distribution}'s archive is signed with are not on this machine "
            f"({KEYRINGS[upstream.distribution]}).",
            f"Install them: sudo apt-get install {upstream.distribution}-archive-keyring",
        )
    if not re.fullmatch(r"[a-z][a-z0-9-]*", upstream.suite):
        raise UpstreamError(
            f"{upstream.suite!r} is no name of a suite.", 'In ingot.toml, set upstream.suite, such as "bookworm".'
        )
    for package in upstream.packages:
        # Debian policy 5.6.1. Anything else could be a pattern or an option to apt.
        if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", package):
            raise UpstreamError(f"{package!r} is no name of a package.", "Mend upstream.packages in ingot.toml.")
    given = re.fullmatch(r"(\d+)([MGT]?)", upstream.disk_size or "4G")
    size = int(given[1]) << {"": 0, "M": 20, "G": 30, "T": 40}[given[2]] if given else 0
    if size < _SMALLEST_DISK or size > 1 << 41:  # what a partition table of this kind can say: 2 TiB
        raise UpstreamError(
            f"{upstream.disk_size!r} is no size that the disk can have.",
            'In ingot.toml, set upstream.disk_size to 1G or more, such as "4G".',
        )
    return size // (1 << 20) * (1 << 20)


async def _bootstrap(
    upstream: Upstream,
    keyring: Path,
    work: Path,
    say: Callable[[str], None],
    tool: Tool,
    progress: Callable[[str, float | None], None],
) -> None:
    """Leave the files of the new system in root.tar. That stays until the disk is made: an attempt after a crash of
    ours finds mmdebstrap ended, and goes on from there."""
    for program in ("mmdebstrap", "mke2fs", "qemu-img", "gpgv", "tar"):
        if process.find(program) is None:
            raise ToolError(
                f"{program} was not found; a disk of {upstream.distribution} cannot be made without it.",
                "Install it: sudo apt-get install mmdebstrap e2fsprogs qemu-utils gpgv",
            )
    temporary = _temporary(work)
    no_keys = temporary / "no-keys"
    no_keys.mkdir(exist_ok=True)
    no_keys.chmod(0o755)
    hook = temporary / "finish"
    if not hook.exists():  # else a living mmdebstrap may be reading it
        part = temporary / "finish.part"
        part.write_text(archive_system.hook())
        part.chmod(0o755)
        part.rename(hook)

    def on_line(line: str) -> None:
        for sign, words, fraction in _STEPS:
            if sign in line:
                progress(words, fraction)

    argv = [
        "mmdebstrap",
        "--variant=minbase",
        "--format=tar",
        # A file takes the place of apt's file of trusted keys, a directory that of the parts beside it: with both, and
        # without mmdebstrap's own guess of a `signed-by`, nothing else that this machine trusts counts.
        f"--keyring={keyring}",
        f"--keyring={no_keys}",
        "--skip=check/signed-by",
        f"--include={','.join((*archive_system.MINIMUM, *upstream.packages))}",
        '--aptopt=Acquire::Languages "none"',
        '--aptopt=APT::Install-Recommends "false"',
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        # Only while it is made: a power cut there leaves no disk at all.
        "--dpkgopt=force-unsafe-io",
        f"--customize-hook={hook}",
        upstream.suite,
        str(work / "root.tar"),
    ]
    proxies = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
    environment = process.environment(extra={"TMPDIR": str(temporary)}, keep=proxies)
    progress(f"Making a minimal {upstream.distribution.capitalize()} {upstream.suite}", 0.0)
    ended = await tool("mmdebstrap", argv, cwd=work, environment=environment, on_line=on_line)
    if ended.code != 0:
        raise UpstreamError(
            f"mmdebstrap could not make {upstream.distribution} {upstream.suite} (exit status {ended.code}).",
            "Its last lines in the log say why; is the archive within reach, and the suite's name right?",
        )


def _child(say: Callable[[str], None]) -> Tool:
    """A tool as a child of ours, whose output is told at its end."""

    async def run(
        name: str,
        argv: Sequence[str],
        *,
        cwd: Path,
        environment: Mapping[str, str],
        on_line: Callable[[str], None] | None = None,
    ) -> Ended:
        finished = await process.run(argv, cwd=cwd, env=environment)
        for line in finished.err.decode(errors="replace").splitlines():
            say(line)
            if on_line:
                on_line(line)
        return finished

    return run


def _temporary(work: Path) -> Path:
    """Where mmdebstrap unpacks: not in `work`, which may be below a directory that only we may enter.

    apt's own user and, in a user namespace, root are others than we. The name is kept in `work`, so that a second
    attempt finds it, and whoever cleans up as well.
    """
    note = work / "temporary"
    if note.is_symlink() and note.is_dir() and note.stat().st_uid == os.getuid():
        return note.readlink()
    # Large files belong in /var/tmp (file-hierarchy(7)): /tmp may be memory.
    directory = Path(tempfile.mkdtemp(prefix="ingot-archive-", dir=os.environ.get("TMPDIR", "/var/tmp")))  # noqa: S108 - made exclusively
    directory.chmod(0o755)
    note.unlink(missing_ok=True)
    note.symlink_to(directory)
    return directory


def _fakeroot(work: Path) -> list[str]:
    """What to put before a program that has to see the true owners of the files: nothing for root."""
    if os.geteuid() == 0:
        return []
    if process.find("fakeroot") is None:
        raise ToolError(
            "fakeroot was not found; without it, or root, the disk's files would have the wrong owners.",
            "Install it: sudo apt-get install fakeroot",
        )
    owners = work / "owners"
    owners.write_bytes(b"")
    return ["fakeroot", "-i", str(owners), "-s", str(owners), "--"]


async def _unpack(archive: Path, tree: Path, fake: Sequence[str]) -> None:
    if tree.exists():  # of an attempt that was killed
        await asyncio.to_thread(_force_remove, tree)
    tree.mkdir()
    await process.run([*fake, "tar", "-xpf", str(archive), "--numeric-owner", "-C", str(tree)], check=True)


async def _releases(record: Path, upstream: Upstream, keyring: Path) -> tuple[Release, ...]:
    """The indices that apt took, verified once more. Raises UpstreamError."""
    found: list[Release] = []
    for file in sorted(record.glob("*_InRelease")):
        text = file.read_bytes()
        checked = await process.run(["gpgv", "--status-fd", "1", "--keyring", str(keyring), str(file)])
        status = checked.out.decode(errors="replace").splitlines()
        good = tuple(sorted({line.split()[2] for line in status if line.startswith("[GNUPG:] VALIDSIG ")}))
        if not good or any(line.startswith("[GNUPG:] BADSIG ") for line in status):
            raise UpstreamError(
                f"The index {file.name} of the archive is not signed by a key in {keyring}.",
                "Do not use this archive or mirror; look at where the machine's apt settings lead.",
            )
        fields = dict(re.findall(r"^(Codename|Date): (.+)$", text.decode(errors="replace"), re.MULTILINE))
        found.append(
            Release(
                fields.get("Codename", "?"), fields.get("Date", "?"), f"sha256:{hashlib.sha256(text).hexdigest()}", good
            )
        )
    found.sort(key=lambda release: (release.suite != upstream.suite, release.suite))
    if not found or found[0].suite != upstream.suite:
        raise UpstreamError(
            f"The archive that answered has no signed index of {upstream.suite}.",
            "Look at the suite's name in ingot.toml (its codename, not `stable`).",
        )
    return tuple(found)


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return f"sha256:{hashlib.file_digest(opened, 'sha256').hexdigest()}"


async def _remove(work: Path) -> None:
    """Everything that an attempt wrote. In a user namespace others own some of it: those only mmdebstrap can remove."""
    note = work / "temporary"
    if note.is_symlink():
        temporary = note.readlink()
        # Of a mmdebstrap that was killed as root: this machine's own /proc and /sys among them. The last first.
        place = temporary.resolve()
        if mounted := [str(one.point) for one in await asyncio.to_thread(mounts) if one.point.is_relative_to(place)]:
            await process.run(["umount", "--lazy", "--", *reversed(mounted)], check=True)
        with contextlib.suppress(FileNotFoundError):
            try:
                await asyncio.to_thread(shutil.rmtree, temporary)
            except PermissionError:
                left = [str(path) for path in temporary.iterdir()]
                await process.run(["mmdebstrap", "--unshare-helper", "rm", "-rf", "--", *left])
                shutil.rmtree(temporary, ignore_errors=True)
    await asyncio.to_thread(_force_remove, work)


def _force_remove(directory: Path) -> None:
    """A tree with directories that we own and may not write to is removed all the same."""

    def allow(function: Callable[..., object], path: str, _: object) -> None:
        Path(path).parent.chmod(stat.S_IRWXU)
        with contextlib.suppress(FileNotFoundError):
            Path(path).chmod(stat.S_IRWXU)
        function(path)

    shutil.rmtree(directory, onerror=allow)
