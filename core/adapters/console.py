"""What a machine printed on its serial console: the end of a file, or what comes out of QEMU's socket from now on."""

import asyncio
import contextlib
import stat
from pathlib import Path

from core.errors import NoAnswerError

LAST = 64 * 1024
"""Bytes of a console that are looked at: a boot prints about as much."""
LISTENED = 1.0
"""Seconds that a socket is listened to. QEMU keeps nothing for whoever comes later."""


async def tail(console: str, *, last: int = LAST, listen: float = LISTENED) -> bytes:
    """The last bytes of a console: of a file those that are there, of a UNIX socket those that come within `listen`
    seconds. Escape sequences and all, as the machine printed them.

    Raises NoAnswerError when it is gone, or somebody else listens to the socket (QEMU serves one at a time).
    """
    path = Path(console)
    try:
        if stat.S_ISSOCK(path.stat().st_mode):
            return await _listened(path, last, listen)
        return await asyncio.to_thread(_end_of, path, last)
    except OSError as error:
        raise NoAnswerError(
            f"The console {console} cannot be read: {error.strerror or error}.", "The machine may be gone."
        ) from error


def _end_of(path: Path, last: int) -> bytes:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - last))
        return file.read(last)


async def _listened(path: Path, last: int, seconds: float) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    heard = bytearray()
    try:
        async with asyncio.timeout(seconds):
            while piece := await reader.read(LAST):
                heard += piece
                del heard[:-last]
    except TimeoutError:
        pass
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return bytes(heard)
