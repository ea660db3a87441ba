"""Host keys in files, and fingerprints on a cloud's console."""

from pathlib import Path

import pytest

from core.adapters import ssh_pins
from core.adapters.ssh_pins import HostKey
from core.errors import HostKeyError
from core.model.machine import KeyProof

A, B = (f"SHA256:{letter * 43}" for letter in "AB")
# As cloud-init prints it (tools/write-ssh-key-fingerprints), through syslog to the console.
CONSOLE = f"""\
[   12.3] cloud-init[412]: Generating public/private ed25519 key pair.
ci-info: | ed25519 | SHA256:{"c" * 43} | - | who may log in |
<14>May  3 09:11:10 ec2: #############################################################
<14>May  3 09:11:10 ec2: -----BEGIN SSH HOST KEY FINGERPRINTS-----
<14>May  3 09:11:10 ec2: 256 {A} root@ip-10-0-0-7 (ECDSA)
<14>May  3 09:11:10 ec2: 256 {B} root@ip-10-0-0-7 (ED25519)
<14>May  3 09:11:10 ec2: -----END SSH HOST KEY FINGERPRINTS-----
-----BEGIN SSH HOST KEY KEYS-----
"""


def test_the_consoles_fingerprints_are_those_between_cloud_inits_marks() -> None:
    assert ssh_pins.shown_fingerprints(CONSOLE) == {A, B}
    assert ssh_pins.shown_fingerprints(CONSOLE.replace("\n", "\r\n")) == {A, B}


@pytest.mark.parametrize("cut", ["", "no marks", CONSOLE[: CONSOLE.index("-----END")], f"login: {A}"])
def test_a_console_that_does_not_show_them_all_shows_none(cut: str) -> None:
    assert ssh_pins.shown_fingerprints(cut) == frozenset()


def test_of_two_boots_the_last_counts() -> None:
    later = CONSOLE.replace(A, f"SHA256:{'D' * 43}")
    assert A not in ssh_pins.shown_fingerprints(CONSOLE + later)


def test_a_pin_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "known_hosts"
    first, second = HostKey("ssh-ed25519", b"one"), HostKey("ssh-ed25519", b"two")
    assert ssh_pins.pinned(path) == ()
    assert ssh_pins.pin(path, "Web.Example.org", 22, first) == (first,)
    assert ssh_pins.pin(path, "web", 2222, second) == (first,)
    assert path.read_text() == "web.example.org ssh-ed25519 b25l\n"
    assert ssh_pins.address("::1", 2222) == "[::1]:2222"


def test_without_room_for_the_pin_there_is_no_shell(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostKeyError, match="cannot be pinned"):
        ssh_pins.pin(tmp_path / "file" / "known_hosts", "web", 22, HostKey("ssh-ed25519", b"one"))


def test_what_the_console_showed_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "known_hosts"
    ssh_pins.note_shown(path, ())
    assert ssh_pins.shown(path) == frozenset()
    ssh_pins.note_shown(path, {A, B})
    assert ssh_pins.shown(path) == {A, B}
    assert [one.name for one in path.parent.iterdir()] == ["known_hosts.shown"]


def test_what_a_pin_was_compared_with(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "known_hosts"
    assert ssh_pins.proof(path) is KeyProof.NONE
    key = HostKey("ssh-ed25519", b"a key")
    ssh_pins.pin(path, "192.0.2.7", 22, key)
    assert ssh_pins.proof(path) is KeyProof.FIRST_CONTACT
    ssh_pins.note_shown(path, [key.fingerprint, "SHA256:" + "b" * 43])
    assert ssh_pins.proof(path) is KeyProof.CONSOLE
    ssh_pins.note_shown(path, ["SHA256:" + "b" * 43])
    assert ssh_pins.proof(path) is KeyProof.OTHER
