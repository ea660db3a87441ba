"""The inventory of a disk, from its paths and a few of its files."""

import lzma
from collections.abc import Mapping
from pathlib import Path

import msgspec
from disk_tree import disk_of, entry
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from core.model.inventory import Inventory, Password, Port, Service, ServiceState, System, Use
from core.model.inventory_taking import inventory_of
from core.model.listing import Entry

RPMDB = lzma.decompress((Path(__file__).parents[1] / "data/packages/rpmdb.sqlite.xz").read_bytes())
OS_RELEASE = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n# A=b\n'
STATUS = "Package: nginx\nStatus: install ok installed\nVersion: 1.22.1-9\nArchitecture: amd64\n\n" * 2
SECRET = "-----BEGIN OPENSSH " + "PRIVATE KEY-----\nabc\n"


def taken(files: Mapping[str, bytes | str | Entry]) -> Inventory:
    listing, content = disk_of(files)
    return inventory_of(listing, content)


def test_the_system_is_named_with_its_kernels_and_architecture() -> None:
    found = taken(
        {
            "/etc/os-release": "-> ../usr/lib/os-release",
            "/usr/lib/os-release": OS_RELEASE,
            "/var/lib/dpkg/status": STATUS,
            "/boot/vmlinuz-6.1.0-28-cloud-amd64": b"",
            "/boot/vmlinuz-0-rescue-1234": b"",
            "/lib/modules/6.1.0-28-cloud-amd64/modules.dep": b"",
        }
    )
    assert found.system == System("debian", "12", "Debian GNU/Linux 12 (bookworm)", "amd64", ("6.1.0-28-cloud-amd64",))
    assert [package.name for package in found.packages] == ["nginx", "nginx"]


def test_packages_of_rpm_are_read_or_it_is_said_why_not() -> None:
    assert len(taken({"/usr/lib/sysimage/rpm/rpmdb.sqlite": RPMDB}).packages) == 2
    unmerged = taken({"/var/lib/rpm/rpmdb.sqlite": RPMDB, "/var/lib/rpm/rpmdb.sqlite-wal": b"x"})
    assert len(unmerged.packages) == 2
    assert "rpmdb.sqlite-wal, which was not read" in unmerged.not_read[0]
    (said,) = taken({"/var/lib/rpm/rpmdb.sqlite": b"no database"}).not_read[:1]
    assert "/var/lib/rpm/rpmdb.sqlite cannot be read" in said
    (said,) = taken({"/var/lib/rpm/Packages": b"Berkeley"}).not_read[:1]
    assert "only rpm itself can read" in said


def test_enabled_and_masked_units_are_services_and_links_to_their_targets() -> None:
    unit, etc = "/lib/systemd/system", "/etc/systemd/system"
    found = taken(
        {
            f"{unit}/ssh.service": "",
            f"{etc}/multi-user.target.wants/ssh.service": f"-> {unit}/ssh.service",
            f"{etc}/sshd.service": f"-> {unit}/ssh.service",
            f"{etc}/cloud-init.service": "-> /dev/null",
            f"{etc}/emptied.service": "",
            f"{etc}/getty.target.wants/getty@tty1.service": f"-> {unit}/getty@.service",
            "/etc/rc3.d/S01ssh": "-> ../init.d/ssh",
            "/etc/rc3.d/S02old": "-> ../init.d/old",
        }
    )
    assert found.services == (
        Service("cloud-init.service", ServiceState.MASKED),
        Service("emptied.service", ServiceState.MASKED),
        Service("getty@tty1.service", ServiceState.ENABLED, ("getty.target",)),
        Service("old", ServiceState.ENABLED, ("init",)),
        Service("ssh.service", ServiceState.ENABLED, ("multi-user.target",)),
    )


def test_ports_are_those_of_enabled_sockets_as_they_were_overridden() -> None:
    unit, etc = "/usr/lib/systemd/system", "/etc/systemd/system"
    wanted = f"{etc}/sockets.target.wants"
    found = taken(
        {
            f"{unit}/ssh.socket": "[Socket]\nListenStream=22\nAccept=no\n",
            f"{wanted}/ssh.socket": f"-> {unit}/ssh.socket",
            f"{etc}/ssh.socket.d/port.conf": "[Socket]\nListenStream=\nListenStream=[::]:2222\nListenStream=/run/x\n",
            f"{unit}/tftp.socket": "[Socket]\nListenDatagram=127.0.0.1:69\n",
            f"{wanted}/tftp.socket": f"-> {unit}/tftp.socket",
            f"{unit}/cups.socket": "[Socket]\nListenStream=631\n",
        }
    )
    assert found.ports == (Port("tcp", 2222, "", "ssh.socket"), Port("udp", 69, "127.0.0.1", "tftp.socket"))


def test_users_are_told_with_what_opens_their_door_and_no_hash_of_a_password() -> None:
    found = taken(
        {
            "/etc/passwd": (
                "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1::/:/usr/sbin/nologin\n"
                "ada:x:1000:1000:Ada,,,:/home/ada:/bin/bash\nopen:x:1001:1001::/home/open:/bin/sh\n"
                "old:$6$inpasswd:1002:1002::/home/old:/bin/sh\nodd:x:y:1::/:/bin/sh\nbroken:x\n"
            ),
            "/etc/shadow": "root:!:1::::::\ndaemon:*:1::::::\nada:$y$hash$secret:1::::::\nopen::1::::::\n",
            "/etc/group": "sudo:x:27:ada,root\nadm:x:4:ada\nbroken\n",
            "/root/.ssh/authorized_keys": "ssh-ed25519 AAAA",
        }
    )
    users = {user.name: user for user in found.users}
    assert [user.name for user in found.users] == ["odd", "root", "daemon", "ada", "open", "old"]
    assert (users["root"].password, users["root"].keys, users["root"].can_log_in) == (Password.NONE, True, True)
    assert (users["ada"].password, users["ada"].groups) == (Password.SET, ("adm", "sudo"))
    assert (users["open"].password, users["old"].password) == (Password.EMPTY, Password.SET)
    assert not users["daemon"].can_log_in
    kept = msgspec.json.encode(found)
    assert b"secret" not in kept
    assert b"inpasswd" not in kept


def test_without_shadow_it_is_not_said_that_a_user_cannot_log_in() -> None:
    (user,) = taken({"/etc/passwd": "ada:x:1000:1000::/home/ada:/bin/bash\n"}).users
    assert (user.password, user.can_log_in) == (Password.UNKNOWN, True)


def test_files_of_the_setup_are_compared_by_content_and_secrets_only_named() -> None:
    found = taken(
        {
            "/etc/nginx/nginx.conf": "worker_processes 2;",
            "/etc/ssl/key.conf": SECRET,  # a key where nobody expects one
            "/etc/ssh/ssh_host_ed25519_key": SECRET,
            "/etc/shadow": "root:!:1::::::",
            "/etc/mysql/debian.cnf": entry("/etc/mysql/debian.cnf", b"x" * 9, mode=0o600),
            "/etc/localtime": "-> /usr/share/zoneinfo/UTC",
            "/etc/ssl/certs/one.pem": "",
            "/etc/machine-id": "1",
            "/usr/bin/sudo": entry("/usr/bin/sudo", b"", mode=0o4755),
            "/usr/bin/true": "",
        }
    )
    files = {file.path: file for file in found.files}
    assert set(files) == {
        "/etc/nginx/nginx.conf", "/etc/ssl/key.conf", "/etc/ssh/ssh_host_ed25519_key", "/etc/shadow",
        "/etc/mysql/debian.cnf", "/etc/localtime", "/usr/bin/sudo",
    }  # fmt: skip
    assert [path for path, file in files.items() if file.digest] == ["/etc/nginx/nginx.conf"]
    assert files["/etc/localtime"].link == "/usr/share/zoneinfo/UTC"
    assert files["/usr/bin/sudo"].mode == 0o4755


def test_of_what_not_everybody_may_read_there_is_no_digest_but_of_who_may_do_what() -> None:
    modes = {"/etc/app.conf": 0o640, "/etc/open.conf": 0o644, "/etc/sudoers.d/ada": 0o440}
    listing, _ = disk_of({path: entry(path, b"x", mode=mode) for path, mode in modes.items()})
    files = inventory_of(listing, lambda path: b"x").files
    assert [file.path for file in files if file.digest] == ["/etc/open.conf", "/etc/sudoers.d/ada"]


def test_what_directories_take() -> None:
    found = taken(
        {
            "/usr/lib/x": entry("/usr/lib/x", b"12345"),
            "/usr/share/big": replace(entry("/usr/share/big"), size=20 << 20),
            "/vmlinuz": entry("/vmlinuz", b"12"),
        }
    )
    assert found.disk == (Use("/", (20 << 20) + 7), Use("/usr", (20 << 20) + 5), Use("/usr/share", 20 << 20))
    assert found.size == (20 << 20) + 7


NAMES = st.sampled_from(
    ["/etc/passwd", "/etc/shadow", "/etc/group", "/etc/os-release", "/var/lib/dpkg/status", "/lib/apk/db/installed",
     "/var/lib/rpm/rpmdb.sqlite", "/lib/systemd/system/a.socket", "/etc/systemd/system/x.wants/a.socket"]
)  # fmt: skip
LINES = st.lists(st.sampled_from(["ListenStream=99999", "ListenStream=[:]:1", "a:b:c:d:e:f:g", ":::::::", "=", "P:x"]))


@given(st.dictionaries(NAMES, st.one_of(st.binary(max_size=200), LINES.map(lambda lines: "\n".join(lines).encode()))))
def test_whatever_is_in_the_files_there_is_an_inventory_that_can_be_kept(
    files: Mapping[str, bytes | str | Entry],
) -> None:
    found = taken(files)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Inventory) == found
