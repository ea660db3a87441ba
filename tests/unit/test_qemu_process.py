"""What a QEMU's command line says of its console, screen, monitor, disks and ports."""

import shlex
from pathlib import Path

import pytest

from core.adapters.qemu_process import QemuProcess, disk_use, parse


def read(line: str) -> QemuProcess:
    return parse(7, shlex.split(f"qemu-system-x86_64 {line}"), Path("/work"))


def test_a_machine_as_packer_starts_it() -> None:
    """The options of Packer 1.6.6's qemu builder, as they stand in /proc."""
    found = read(
        "-netdev user,id=user.0,hostfwd=tcp::3059-:22 -device virtio-net,netdev=user.0 -vnc 127.0.0.1:17 -boot c "
        "-name web.qcow2 -machine type=pc,accel=tcg -m 1024M -smp cpus=2,sockets=2 -cpu max "
        "-drive file=output/web/web.qcow2,if=virtio,cache=writeback,discard=unmap,format=qcow2 "
        "-serial file:/logs/serial.log -qmp unix:web.monitor,server,nowait"
    )
    assert found == QemuProcess(
        7,
        consoles=("/logs/serial.log",),
        vnc="127.0.0.1:5917",
        monitor="/work/web.monitor",
        disks=("/work/output/web/web.qcow2",),
        forwarded=(3059,),
        memory=1 << 30,
        cpus=2,
    )


def test_what_a_disk_takes_on_this_host(tmp_path: Path) -> None:
    disk = tmp_path / "web.raw"
    with disk.open("wb") as file:
        file.write(b"x" * 2**20)
        file.truncate(10 * 2**30)
    process = QemuProcess(7, disks=(str(disk), str(tmp_path / "gone"), "/dev/zero"))
    assert 2**20 <= disk_use(process, tmp_path) < 2**21
    assert disk_use(process, tmp_path / "elsewhere") == 0


@pytest.mark.parametrize(
    ("line", "console"),
    [
        ("-serial unix:/run/s.sock,server,nowait", "/run/s.sock"),
        ("-serial mon:unix:s.sock,server=on", "/work/s.sock"),
        ("-chardev socket,id=c0,path=/run/c.sock,server=on,wait=off -serial chardev:c0", "/run/c.sock"),
        ("-chardev stdio,id=c0,logfile=/log -device isa-serial,chardev=c0", "/log"),
        ("-serial none -chardev file,path=/a,,b,id=x -serial chardev:x", "/a,b"),
        ("-serial stdio", ""),
        ("-serial pty -nographic", ""),
        ("-serial telnet:localhost:4321,server", ""),
        ("-serial", ""),
        ("", ""),
    ],
)
def test_the_first_console_that_can_be_read(line: str, console: str) -> None:
    assert read(line).console == console


@pytest.mark.parametrize(
    ("value", "vnc"),
    [
        (":3", "127.0.0.1:5903"),
        ("0.0.0.0:1,password", "0.0.0.0:5901"),
        ("unix:v.sock", "/work/v.sock"),
        ("none", ""),
    ],
)
def test_the_screen(value: str, vnc: str) -> None:
    assert read(f"-vnc {value}").vnc == vnc


def test_arguments_that_are_no_options_do_no_harm() -> None:
    assert read("disk.img --serial file:x -- -drive if=none -netdev user,hostfwd=udp::1-:1").consoles == ("/work/x",)
