"""What is left in an image is found, by its path; what belongs there is not called a leftover."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from core.adapters.disk_reading import expression
from core.adapters.sysprep import arguments, script
from core.model.listing import Entry, Listing
from core.model.seal_check import PATHS, Facts, check, has_ssh_server, host_keys_by
from core.model.seal_items import IDS, ITEMS
from core.model.sealing import MOST_PATHS, Finding, ItemState, SealPlan, SealSettings, in_words, plan
from tests.support.leftovers import BUILD_USER, LEFTOVERS, PASSWD

RUN = Facts(marks=("ingot-run",))
SETTINGS = SealSettings(enabled=True, remove=("/opt/notes/",), users=("builder",))
CLEAN = {
    "/etc/machine-id": "",
    "/etc/passwd": PASSWD,
    "/etc/group": "root:x:0:\nsudo:x:27:ada\n",
    "/etc/shadow": "root:*:1::::::\n",
    "/etc/ssh/sshd_config": "HostKey /etc/ssh/ssh_host_ed25519_key\n",
    "/var/log/wtmp": "",
    "/var/lib/apt/lists/lock": "",
    "/root/.ssh/authorized_keys": "",
    "/etc/systemd/network/80-dhcp.network": "[Match]\nType=ether\n",
    "/etc/sudoers": "%sudo ALL=(ALL:ALL) ALL\nroot ALL=(ALL) ALL\n",
    "/usr/share/doc/openssh/.ssh/authorized_keys": "an example\n",
    "/etc/netplan/01.yaml": "network:\n  # macaddress: 52:54:00:12:34:56\n",
}
"""An image that has all these things and nothing of its making."""


def disk(files: Mapping[str, str], links: Mapping[str, str] | None = None) -> Listing:
    entries = {"/": Entry("/", "d", 0o755, 0, 0, 4096, 0.0)}
    for path in (*files, *(links or {})):
        parts = path.split("/")[1:-1]
        for depth in range(1, len(parts) + 1):
            directory = "/" + "/".join(parts[:depth])
            entries[directory] = Entry(directory, "d", 0o755, 0, 0, 4096, 0.0)
    for path, content in files.items():
        entries[path] = Entry(path, "f", 0o644, 0, 0, len(content), 0.0)
    for path, target in (links or {}).items():
        entries[path] = Entry(path, "l", 0o777, 0, 0, len(target), 0.0, target)
    return Listing(entries.values())


def looked(
    files: Mapping[str, str],
    settings: SealSettings = SETTINGS,
    links: Mapping[str, str] | None = None,
    facts: Facts = RUN,
) -> dict[str, Finding]:
    def content(path: str) -> bytes | None:
        entry = listing.resolved(path)
        return files[entry.path].encode() if entry and entry.path in files else None

    listing = disk(files, links)
    return {finding.id: finding for finding in check(listing, content, settings, facts)}


def found(findings: Mapping[str, Finding]) -> dict[str, tuple[str, ...]]:
    return {name: finding.paths for name, finding in findings.items() if finding.state is ItemState.FOUND}


def test_a_sealed_image_is_clean_and_what_it_cannot_have_is_not_applicable() -> None:
    findings = looked(CLEAN)
    assert found(findings) == {}
    assert findings["ssh-host-keys"].state is ItemState.CLEAN
    assert findings["cloud-init"].state is ItemState.NOT_APPLICABLE
    assert findings["cloud-agents"].state is ItemState.NOT_APPLICABLE


@pytest.mark.parametrize("path", LEFTOVERS)
def test_each_leftover_is_found_under_its_item_and_by_its_path(path: str) -> None:
    item, content = LEFTOVERS[path]
    findings = found(looked(CLEAN | {path: content}))
    paths = {"/opt/notes"} if item == "named-paths" else {path}
    paths = {"/root/.ansible"} if path.startswith("/root/.ansible") else paths
    paths = {"/var/lib/cloud/instances/i-1"} if path.startswith("/var/lib/cloud/instances") else paths
    assert {name: set(where) for name, where in findings.items()} == {item: paths}


def test_all_of_them_at_once_are_each_named_once() -> None:
    every = CLEAN | {path: content for path, (_, content) in LEFTOVERS.items()} | BUILD_USER
    findings = looked(every)
    assert {item for item, _ in LEFTOVERS.values()} | {"build-users"} == set(found(findings)) == set(IDS)
    named = [path for finding in findings.values() for path in finding.paths]
    assert len(named) == len(set(named))


@pytest.mark.parametrize("item", sorted({item for item, _ in LEFTOVERS.values()} | {"build-users"}))
def test_what_is_to_stay_is_not_looked_for(item: str) -> None:
    every = CLEAN | {path: content for path, (_, content) in LEFTOVERS.items()} | BUILD_USER
    findings = looked(every, replace(SETTINGS, keep=(item,)))
    assert findings[item].state is ItemState.KEPT
    assert set(found(findings)) == set(IDS) - {item}


def test_a_build_user_is_found_wherever_it_is_left() -> None:
    assert found(looked(CLEAN | BUILD_USER))["build-users"] == (
        "/etc/group: builder",
        "/etc/passwd: builder",
        "/etc/shadow: builder",
        "/etc/sudoers.d/90-builder: builder",
        "/home/builder",
    )
    assert found(looked(CLEAN | BUILD_USER, replace(SETTINGS, users=()))) == {}
    member = {"/etc/group": "root:x:0:\nsudo:x:27:ada,builder\n"}
    assert found(looked(CLEAN | member)) == {"build-users": ("/etc/group: builder",)}


def test_a_user_that_only_builds_have_is_found_without_being_named() -> None:
    users = PASSWD + "packer:x:1001:1001::/:/bin/sh\nvagrant:x:1002:1002::/:/bin/sh\n"
    assert found(looked(CLEAN | {"/etc/passwd": users})) == {"build-users": ("/etc/passwd: packer",)}
    asked = {"/etc/sudoers.d/v": "vagrant ALL=(ALL) ALL\n"}
    assert "/etc/passwd: vagrant" not in found(looked(CLEAN | {"/etc/passwd": users} | asked))["build-users"]
    root = {"/etc/sudoers.d/v": "vagrant ALL=(ALL) NOPASSWD: ALL\n"}
    assert "/etc/passwd: vagrant" in found(looked(CLEAN | {"/etc/passwd": users} | root))["build-users"]


@pytest.mark.parametrize(
    ("content", "links", "there"),
    [
        ("uninitialized\n", {}, []),
        ("\n", {}, []),
        ("0123456789abcdef\n", {}, ["/etc/machine-id"]),
        ("", {"/var/lib/dbus/machine-id": "/etc/machine-id"}, []),
        ("0123456789abcdef\n", {"/var/lib/dbus/machine-id": "/etc/machine-id"}, ["/etc/machine-id"]),
    ],
)
def test_a_machine_id_counts_once_it_says_something(content: str, links: dict[str, str], there: list[str]) -> None:
    findings = found(looked(CLEAN | {"/etc/machine-id": content}, links=links))
    assert list(findings.get("machine-id", ())) == there


def test_a_machine_id_that_could_not_be_read_is_one() -> None:
    listing = disk({"/etc/machine-id": "x" * 33})
    findings = {one.id: one for one in check(listing, lambda _: None, SETTINGS)}
    assert findings["machine-id"].paths == ("/etc/machine-id",)


def test_a_history_that_goes_nowhere_is_none() -> None:
    assert found(looked(CLEAN, links={"/root/.bash_history": "/dev/null"})) == {}


def test_the_key_of_the_run_is_found_by_what_is_in_it() -> None:
    key = {"/home/ada/.ssh/authorized_keys": "ssh-ed25519 AAAAC3Nza ada\n"}
    known = Facts(marks=("AAAAC3Nza",))
    assert found(looked(CLEAN | key, facts=known))["build-keys"] == ("/home/ada/.ssh/authorized_keys",)
    assert "build-keys" not in found(looked(CLEAN | key))
    assert "build-keys" not in found(looked(CLEAN | key, facts=Facts(marks=("",))))


def test_a_flood_of_leftovers_is_counted_and_not_all_named() -> None:
    files = {f"/var/log/app/{number}.log": "x" for number in range(500)}
    finding = looked(CLEAN | files)["logs"]
    assert (finding.count, len(finding.paths)) == (500, MOST_PATHS)
    assert in_words([finding]) == (
        "logs and the journal (/var/log/app/0.log, /var/log/app/1.log, /var/log/app/10.log and 497 more)"
    )


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1).map(lambda name: "/" + name), st.text()))
def test_whatever_a_disk_is_like_every_item_has_an_answer(files: dict[str, str]) -> None:
    findings = looked(files)
    assert tuple(findings) == IDS
    for finding in findings.values():
        assert bool(finding.paths) == (finding.state is ItemState.FOUND)
        assert finding.count >= len(finding.paths)


@given(st.sampled_from(sorted(LEFTOVERS)), st.sets(st.sampled_from(sorted(LEFTOVERS))))
def test_no_leftover_hides_another(one: str, others: set[str]) -> None:
    files = CLEAN | {path: LEFTOVERS[path][1] for path in (*others, one)}
    alone = found(looked(CLEAN | {one: LEFTOVERS[one][1]}))
    together = found(looked(files))
    for item, paths in alone.items():
        assert set(paths) <= set(together[item])


@pytest.mark.parametrize(
    ("path", "content", "makes"),
    [
        ("/etc/systemd/system/ssh-host-keys.service", "ExecStart=/usr/bin/ssh-keygen -q -t rsa -f /etc/ssh/x\n", True),
        ("/etc/systemd/system/ssh.service.d/keys.conf", "ExecStartPre=/usr/bin/ssh-keygen -A\n", True),
        ("/etc/init.d/sshd", "generate() {\n\tssh-keygen -A\n}\n", True),
        ("/etc/rc.local", "test -f /etc/ssh/x || dpkg-reconfigure openssh-server\n", True),
        ("/etc/systemd/system/ssh.service.d/keys.conf", "# ssh-keygen -A\n", False),
        ("/usr/lib/systemd/system/ssh.service", "ExecStart=/usr/sbin/sshd -D\n", False),
        ("/usr/bin/cloud-init", "", True),
    ],
)
def test_what_makes_host_keys_at_the_first_boot_is_seen(path: str, content: str, makes: bool) -> None:
    files = {path: content, "/usr/sbin/sshd": "x"}
    assert has_ssh_server(disk(files))
    assert host_keys_by(disk(files), lambda name: files[name].encode()) == (path if makes else "")


def test_every_leftover_that_is_told_by_its_content_is_read() -> None:
    read = re.compile(expression(PATHS))
    for path, (item, _) in LEFTOVERS.items():
        if item in ("machine-id", "hardware-addresses", "build-keys"):
            assert read.fullmatch(f".{path}"), path


def test_what_is_to_stay_is_not_sealed_away() -> None:
    every = plan(SealSettings())
    for item in ITEMS:
        less = plan(SealSettings(keep=(item.id,)))
        assert not set(item.operations) & set(less.operations)
        assert set(less.deletes) <= set(every.deletes)
    assert plan(SealSettings(users=("builder",), keep=("build-users",))).users == ()


def test_only_named_operations_are_carried_out() -> None:
    argv = arguments(Path("/d.qcow2"), "qcow2", plan(SETTINGS), "commands")
    operations = argv[argv.index("--operations") + 1].split(",")
    assert operations[-1] == "customize"
    assert not {"defaults", "all", "cron-spool", "net-nmconn", "fs-uuids", "script"} & set(operations)


@given(st.text("abz-._0", min_size=1, max_size=4), st.lists(st.text("abz-._0", min_size=1, max_size=4)))
def test_a_user_goes_and_no_other_does(user: str, others: list[str]) -> None:
    """The rules for Perl mean the same to Python."""
    others = [other for other in others if other != user]
    lines = [line for line in script(SealPlan((), (), (), (user,)), "release").splitlines() if "/etc/group:" in line]
    group = f"{user}:x:1:\n" + "".join(f"{name}:x:2:{','.join((*others, user, *others))}\n" for name in others)
    for line in lines:
        for rule in line.partition("/etc/group:")[2].split("; "):
            _, pattern, by, _ = rule.split("/")
            whole = [re.sub(pattern, by, one, count=1) for one in group.splitlines(keepends=True)]
            group = "".join(whole)
    assert group == "".join(f"{name}:x:2:{','.join((*others, *others))}\n" for name in others)
