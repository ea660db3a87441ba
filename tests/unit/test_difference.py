"""What differs between the inventories of two disks."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from core.model.difference import Change, Changed, Grown, contents_between, in_words, package_changes
from core.model.inventory import (
    File,
    Inventory,
    Package,
    PackageKind,
    Password,
    Port,
    Service,
    ServiceState,
    System,
    Use,
    User,
)

MiB = 1024 * 1024
DEB = PackageKind.DEB


def changes(before: list[Package], after: list[Package]) -> list[tuple[str, str, str, str]]:
    return [(str(one.change), one.name, one.before, one.after) for one in package_changes(before, after)]


def test_packages_come_go_and_change_in_both_directions() -> None:
    before = [Package(DEB, "curl", "7.88.1-10"), Package(DEB, "nano", "7.2-1"), Package(DEB, "openssl", "3.0.11-1")]
    after = [Package(DEB, "curl", "7.88.1-10+deb12u5"), Package(DEB, "nginx", "1.22"), Package(DEB, "openssl", "3.0.9")]
    assert changes(before, after) == [
        ("up", "curl", "7.88.1-10", "7.88.1-10+deb12u5"),
        ("removed", "nano", "7.2-1", ""),
        ("added", "nginx", "", "1.22"),
        ("down", "openssl", "3.0.11-1", "3.0.9"),
    ]
    assert in_words(package_changes(before, after)) == "1 up, 1 down, 1 added, 1 removed"


def test_packages_of_one_name_belong_together_by_architecture() -> None:
    before = [Package(DEB, "libc6", "2.36-1", "amd64"), Package(DEB, "libc6", "2.36-1", "i386")]
    after = [Package(DEB, "libc6", "2.36-2", "amd64"), Package(DEB, "libc6", "2.36-1", "i386")]
    assert changes(before, after) == [("up", "libc6", "2.36-1", "2.36-2")]
    both = changes(before, [replace(one, version="2.36-3") for one in before])
    assert both == [("up", "libc6", "2.36-1", "2.36-3"), ("up", "libc6", "2.36-1", "2.36-3")]
    moved = changes([Package(DEB, "tool", "1", "all")], [Package(DEB, "tool", "1", "amd64")])
    assert moved == [("changed", "tool", "1 (all)", "1 (amd64)")]


def test_of_many_kernels_of_rpm_one_came_and_one_went() -> None:
    def kernels(*versions: str) -> list[Package]:
        return [Package(PackageKind.RPM, "kernel-core", version, "x86_64") for version in versions]

    assert changes(kernels("5.14-1", "5.14-2"), kernels("5.14-2", "5.14-3")) == [
        ("up", "kernel-core", "5.14-1", "5.14-3")
    ]
    assert changes(kernels("5.14-1"), kernels("5.14-1", "5.14-2")) == [("added", "kernel-core", "", "5.14-2")]
    assert changes(kernels("1", "2"), kernels("3")) == [
        ("removed", "kernel-core", "1", ""),
        ("removed", "kernel-core", "2", ""),
        ("added", "kernel-core", "", "3"),
    ]


def test_what_else_differs_is_said_in_words() -> None:
    before = Inventory(
        system=System("debian", "12", "Debian 12", "amd64", ("6.1.0-28-amd64",)),
        services=(Service("ssh.service", ServiceState.ENABLED, ("multi-user.target",)),),
        ports=(Port("tcp", 22, "", "sshd"),),
        users=(User("ada", 1000, "/bin/bash", (), Password.NONE),),
        files=(
            File("/etc/hosts", 0o644, 0, 0, 10, "aaaaaaaaaaaa"),
            File("/etc/motd", 0o644, 0, 0, 10, "cccccccccccc"),
            File("/etc/localtime", 0, 0, 0, 20, link="/usr/share/zoneinfo/UTC"),
            File("/etc/key", 0o600, 0, 0, 20),
        ),
        disk=(Use("/", 500 * MiB), Use("/usr", 400 * MiB), Use("/usr/lib", 300 * MiB), Use("/var", MiB)),
    )
    after = Inventory(
        system=System("debian", "12", "Debian 12", "amd64", ("6.1.0-30-amd64",)),
        services=(Service("ssh.service", ServiceState.MASKED),),
        ports=(Port("tcp", 22, "", "sshd"), Port("tcp", 80, "", "nginx"), Port("tcp", 80, "10.0.0.1", "nginx")),
        users=(User("ada", 1000, "/bin/bash", ("sudo",), Password.SET, keys=True),),
        files=(
            File("/etc/hosts", 0o600, 0, 0, 12),
            File("/etc/motd", 0o644, 0, 0, 10, "dddddddddddd"),
            File("/etc/new", 0, 0, 0, 20, link="/x"),
            File("/etc/key", 0o600, 0, 0, 20),
        ),
        disk=(Use("/", 450 * MiB), Use("/usr", 350 * MiB), Use("/var", MiB + 5)),
    )
    found = contents_between("qemu.web", before, after)
    assert found.system == (Changed(Change.UP, "kernel", "6.1.0-28-amd64", "6.1.0-30-amd64"),)
    assert found.services == (Changed(Change.CHANGED, "ssh.service", "enabled by multi-user.target", "masked"),)
    assert found.ports == (Changed(Change.ADDED, "tcp 80", "", "10.0.0.1 by nginx, everywhere by nginx"),)
    assert found.users == (
        Changed(
            Change.CHANGED,
            "ada",
            "uid 1000; /bin/bash",
            "uid 1000; /bin/bash; in sudo; can log in (password or key)",
        ),
    )
    assert found.files == (
        Changed(Change.CHANGED, "/etc/hosts", "mode 0644, 10 bytes", "mode 0600, 12 bytes"),
        Changed(Change.REMOVED, "/etc/localtime", "link to /usr/share/zoneinfo/UTC"),
        Changed(Change.CHANGED, "/etc/motd", "content cccccccc", "content dddddddd"),
        Changed(Change.ADDED, "/etc/new", "", "link to /x"),
    )
    assert found.disk == (Grown("/", 500 * MiB, 450 * MiB), Grown("/usr", 400 * MiB, 350 * MiB))
    assert not found.empty
    assert contents_between("qemu.web", before, before).empty


VALUES = (st.sampled_from(PackageKind), *(st.sampled_from(values) for values in ("ab", "123", "xy")))
PACKAGES = st.lists(st.builds(Package, *VALUES), unique=True)


@given(PACKAGES, PACKAGES)
def test_every_package_that_is_not_in_both_is_told_once_on_its_side(
    before: list[Package], after: list[Package]
) -> None:
    found = package_changes(before, after)
    assert sum(1 for one in found if one.before) == len(set(before) - set(after))
    assert sum(1 for one in found if one.after) == len(set(after) - set(before))
    back = package_changes(after, before)
    turned = {
        Change.UP: Change.DOWN,
        Change.DOWN: Change.UP,
        Change.ADDED: Change.REMOVED,
        Change.REMOVED: Change.ADDED,
    }
    key = [(turned.get(one.change, one.change), one.name, one.after, one.before) for one in back]
    assert sorted(key) == sorted((one.change, one.name, one.before, one.after) for one in found)
