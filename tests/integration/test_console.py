"""The end of a machine's serial console: of a file, and of a socket such as QEMU's."""

import asyncio
from pathlib import Path

import pytest

from core.adapters import console
from core.errors import NoAnswerError


async def test_of_a_file_the_end(tmp_path: Path) -> None:
    log = tmp_path / "serial.log"
    log.write_bytes(b"x" * 1000 + b"login: ")
    assert await console.tail(str(log), last=8) == b"xlogin: "
    assert await console.tail(str(log)) == log.read_bytes()
    with pytest.raises(NoAnswerError, match="No such file"):
        await console.tail(str(tmp_path / "none"))


async def test_of_a_socket_what_comes_now(tmp_path: Path) -> None:
    place = tmp_path / "s"

    gone = asyncio.Semaphore(0)

    async def boots(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(3):
            writer.write(b"booting\r\n")
            await writer.drain()
        await reader.read()
        writer.close()
        await writer.wait_closed()
        gone.release()

    async with await asyncio.start_unix_server(boots, place) as server:
        assert await console.tail(str(place), listen=0.5) == b"booting\r\n" * 3
        assert await console.tail(str(place), last=4, listen=0.5) == b"ng\r\n"
        for _ in range(2):
            await gone.acquire()
        server.close()
    with pytest.raises(NoAnswerError, match=r"refused|No such file"):
        await console.tail(str(place), listen=0.5)
