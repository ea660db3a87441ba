"""Reads and writes single files in disk images, with libguestfs' guestfish.

libguestfs boots a small machine of its own around the disk, so nothing is mounted here and no root is needed. That
takes some 12 s without hardware virtualisation, whatever is then done in it: each call does all in one.

guestfish has no conditions, but its `<!` takes the output of a command, run here, as more commands. Nothing that the
disk says gets into such output but the plain name of a device: guestfish would carry out anything else.
"""

import asyncio
import re
import tempfile
from pathlib import Path

from core import process
from core.adapters import qemu
from core.errors import ToolError
from core.model.passed_on import LIBGUESTFS

RELEASE_FILE = "/etc/image-release"
"""Where an image says what it is (os-release(5) form)."""

_PATIENCE = 600.0
"""Seconds: a busy machine without hardware virtualisation has been seen to need 90."""

_NO_SYSTEM = "no-operating-system"
"""No command of guestfish's: it stops there, and names it."""
_MOUNTED = r"""sed -nE '1s|^([A-Za-z0-9:/_.+-]+)$|{mount} "\1" /|p' roots | grep . || echo {nothing}"""

# Read-only at first: even mounting otherwise writes to a disk.
_OPEN = f"""\
run
inspect-os | cat > roots
<! {_MOUNTED.format(mount="mount-ro", nothing=_NO_SYSTEM)}
"""
UNLESS_IT_SAYS_SO = r"""touch before; LC_ALL=C sed "s/[[:space:]\"']//g" before > found; """ + (
    "LC_ALL=C grep -qvxFf found enough && cat write"
)
"""Shell: gives the file `write` unless `before` has all lines of `enough`, but for white space and quotes."""
# A line that begins with `-` may fail.
_STAMP = f"""\
-download {RELEASE_FILE} before
<! {UNLESS_IT_SAYS_SO} || true
download {RELEASE_FILE} after
"""
_WRITE = f"""\
umount /
<! {_MOUNTED.format(mount="mount", nothing=_NO_SYSTEM)}
-rm {RELEASE_FILE}
upload wanted {RELEASE_FILE}
chmod 0644 {RELEASE_FILE}
chown 0 0 {RELEASE_FILE}
sync
"""


async def read_file(disk: Path, path: str, disk_format: str = "") -> bytes | None:
    """The content of a file in the disk, None if there is none. The disk is opened read-only.

    `path` is absolute, as the system in the disk sees it; links are followed. Raises ToolError when the disk cannot be
    opened or has no operating system.
    """
    quoted = '"' + process.name_argument(path, "The path").replace("\\", "\\\\").replace('"', '\\"') + '"'
    with tempfile.TemporaryDirectory(prefix="ingot-") as directory:
        script = f"is-file {quoted} followsymlinks:true\n-download {quoted} content\n"
        there = await _guestfish(disk, disk_format, script, Path(directory), "--ro")
        if there.strip() != "true":
            return None
        return (Path(directory) / "content").read_bytes()


async def stamp(disk: Path, content: str, disk_format: str = "", *, enough: int | None = None) -> bytes:
    """Make `/etc/image-release` in the disk say `content`; gives what was then read back.

    Where it has the first `enough` lines of that already (all, if None), in whatever order and quotes, the disk stays
    as it is, bit for bit. Raises ToolError.
    """
    with tempfile.TemporaryDirectory(prefix="ingot-") as name:
        directory = Path(name)
        (directory / "wanted").write_text(content)
        (directory / "enough").write_text(needed(content, enough))
        (directory / "write").write_text(_WRITE)
        await _guestfish(disk, disk_format, _STAMP, directory, "--rw")
        after = (directory / "after").read_bytes()
    if not after:
        raise ToolError(f"{RELEASE_FILE} in {disk} could not be written.", "Is the file system in it full?")
    return after


def needed(content: str, enough: int | None = None) -> str:
    """The first lines of a stamp as UNLESS_IT_SAYS_SO compares them."""
    return "".join(re.sub(r"[\s\"']", "", line) + "\n" for line in content.splitlines()[:enough])


async def _guestfish(disk: Path, disk_format: str, script: str, directory: Path, access: str) -> str:
    """Carry out a script with the disk's root file system mounted; local names in it are relative to `directory`."""
    return await guestfish(disk, disk_format, _OPEN + script, directory, access)


async def guestfish(disk: Path, disk_format: str, script: str, directory: Path, *options: str) -> str:
    """Carry out a script of guestfish's; gives what it printed. Raises ToolError."""
    stated = [f"--format={disk_format}"] if disk_format else []
    argv = ["guestfish", *options, *stated, "-a", str(disk.absolute())]
    env = await environment()
    finished = await process.run(argv, cwd=directory, env=env, input=script.encode(), timeout=_PATIENCE)
    if finished.code != 0:
        raise await asyncio.to_thread(explained, disk, finished.err.decode(errors="replace"))
    return finished.out.decode(errors="replace")


async def environment() -> dict[str, str]:
    """What libguestfs' programs are told: to start QEMU by themselves, and without /dev/kvm where it does not work."""
    settings = {"LIBGUESTFS_BACKEND": "direct"}
    if await qemu.accelerator() == "tcg":
        # /dev/kvm may be there and not work: libguestfs would try it and fail.
        settings["LIBGUESTFS_BACKEND_SETTINGS"] = "force_tcg"
    return process.environment(extra=settings, keep=LIBGUESTFS)


def explained(disk: Path, said: str, program: str = "guestfish") -> ToolError:
    """What a program of libguestfs said, and what to do about it."""
    unreadable = [kernel for kernel in sorted(Path("/boot").glob("vmlinuz-*")) if not _readable(kernel)]
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    last = re.sub(r"^(\S+: error|libguestfs: error): ", "", lines[-1]) if lines else "it did not say why"
    if "supermin" in said and (unreadable or "Permission denied" in said):
        # Ubuntu keeps its kernels to root; supermin copies one into the appliance.
        return ToolError(
            f"libguestfs cannot look into {disk}: it may not read this machine's kernel"
            f"{f' ({unreadable[-1]})' if unreadable else ''}.",
            "Let it: sudo chmod +r /boot/vmlinuz-*",
        )
    if "supermin" in said:
        return ToolError(
            f"libguestfs cannot look into {disk}: it found no kernel on this machine to start its appliance with.",
            "Install one: sudo apt-get install linux-image-cloud-amd64",
        )
    if _NO_SYSTEM in said or "no operating system" in said:
        return ToolError(
            f"There is no operating system in {disk} that libguestfs knows.", "Is it the disk that the machine boots?"
        )
    return ToolError(f"{program} could not look into {disk}: {last}.", "`libguestfs-test-tool` says whether it works.")


def _readable(file: Path) -> bool:
    try:
        with file.open("rb"):
            return True
    except OSError:
        return False
