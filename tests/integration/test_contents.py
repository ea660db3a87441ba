"""What is in an image version and what differs between two, as people and scripts ask: a real ledger, the program."""

import json
import os
import shutil
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import repository
from installed import Ingot
from msgspec.structs import replace

from core.cli.contents import asked
from core.errors import RefusedError
from core.model.channels import ChannelMove
from core.model.difference import Change
from core.model.image import Artifact, ImageState, ImageVersion, UpstreamRecord
from core.model.inventory import (
    File,
    Inventory,
    Package,
    PackageKind,
    Port,
    Service,
    ServiceState,
    System,
    Use,
    User,
)
from core.model.states import Act, StateChange, Verdict
from core.model.test_report import Facts, Report
from core.places import Places
from core.services.contents import Contents
from core.stages.evidence import compressed
from core.store.ledger import Ledger

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

ADA = "Ada Example <ada@example.org>"
DEBIAN = System("debian", "12", "Debian GNU/Linux 12 (bookworm)", "amd64", ("6.1.0-28-cloud-amd64",))
FIRST = Inventory(
    system=DEBIAN,
    packages=(
        Package(PackageKind.DEB, "curl", "7.88.1-10", "amd64"),
        Package(PackageKind.DEB, "openssl", "3.0.15-1~deb12u1", "amd64"),
        Package(PackageKind.DEB, "telnet", "0.17-44", "amd64"),
    ),
    ports=(Port("tcp", 2049, "", "nfs.socket"),),
    users=(User("ada", 1000, "/bin/bash"),),
    files=(File("/etc/motd", 0o644, 0, 0, 10, "a" * 32),),
    disk=(Use("/", 500_000_000),),
)
SECOND = replace(
    FIRST,
    system=replace(DEBIAN, kernels=("6.1.0-30-cloud-amd64",)),
    packages=(
        Package(PackageKind.DEB, "curl", "7.88.1-10+deb12u8", "amd64"),
        Package(PackageKind.DEB, "nginx", "1.22.1-9", "amd64"),
        Package(PackageKind.DEB, "openssl", "3.0.11-1~deb12u2", "amd64"),
    ),
    services=(Service("nginx.service", ServiceState.ENABLED, ("multi-user.target",)),),
    files=(File("/etc/motd", 0o644, 0, 0, 10, "b" * 32),),
    disk=(Use("/", 520_000_000),),
)


class Shop:
    """A workspace whose images are on its ledger as builds and tests put them there."""

    def __init__(self, ingot: Ingot) -> None:
        self.ingot, self.root = ingot, ingot.home / "shop"
        self.root.mkdir()
        self.git("init", "-q", "-b", "main")
        self.created = 1_700_000_000.0

    def git(self, *words: str) -> str:
        return repository.git(self.root, *words, environment=self.ingot.environment)

    def commit(self, message: str, **files: str) -> str:
        named = {name.replace("__", "/"): content for name, content in files.items()}
        return repository.commit(self.root, named, message, self.ingot.environment)

    def register(self, version: str, commit: str, inventory: Inventory | None, role: str = "web") -> ImageVersion:
        self.created += 1000
        name = f"inventory-qemu.{role}"
        image = ImageVersion(
            role=role,
            version=version,
            commit=commit,
            created=self.created,
            run=f"run-of-{role}-{version}",
            built_by=ADA,
            upstream=UpstreamRecord("role", "base 0.1.0", "sha256:" + "1" * 64, role="base", version="0.1.0"),
            artifacts=(Artifact(f"qemu.{role}", "qcow2", f"/images/{version}.qcow2", size=int(self.created)),),
            template=role,
            inputs=("web", "playbook.yml"),
            tools={"packer": "1.6.6"},
            evidence=(name,) if inventory else (),
        )
        reports = {name: compressed(msgspec.json.encode(inventory), ())} if inventory else None
        Ledger(self.root).register(image, ADA, "", evidence=reports)
        return image

    def tested(self, image: ImageVersion, *ports: str) -> None:
        """What a boot test saw."""
        build = f"qemu.{image.role}"
        report = Report(
            image.role, image.version, build, "", "r", image.commit, 0.0, 1.0, "tcg", 1.0, (), Facts(ports=ports)
        )
        name = f"test-{build}-1"
        passed = StateChange(
            image.role, image.version, image.run, Act.TESTED, ADA, image.created, verdict=Verdict.PASSED, evidence=name
        )
        packed = compressed(msgspec.json.encode(report), ())
        Ledger(self.root).decide([passed], ADA, "tested", image=image, evidence={name: packed})

    def channel(self, image: ImageVersion, name: str) -> None:
        move = ChannelMove(
            image.role, name, image.version, image.run, "", ADA, image.created, takes=(ImageState.CANDIDATE,)
        )
        Ledger(self.root).decide([move], ADA, f"promote to {name}")

    def __call__(self, *words: str, status: int = 0) -> str:
        done = self.ingot(*words, cwd=self.root)
        assert done.returncode == status, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    @property
    def contents(self) -> Contents:
        return Contents(Places(self.ingot.home / "state"), self.root)

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "--json"))


@pytest.fixture
def shop(make_ingot: Callable[[], Ingot], monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    return Shop(make_ingot())


def test_two_versions_are_compared_from_their_packages_to_the_lines_of_their_playbook(shop: Shop) -> None:
    one = shop.commit("Web", web__web_pkr="a\n", **{"playbook.yml": "a\nb\n", "README": "x"})
    first = shop.register("0.1.0", one, FIRST)
    shop.commit("Serve \x1b[31mpages", **{"playbook.yml": "a\nc\nd\n"})
    two = shop.commit("Tell more", README="y")
    second = shop.register("0.2.0", two, SECOND)
    said = shop("diff", "web", "0.1.0", "0.2.0", "--patch")
    lines = said.splitlines()
    assert lines[0] == "web 0.1.0 → 0.2.0"
    assert "packages 1 up, 1 down, 1 added, 1 removed" in lines[1]
    assert "2 commits" in lines[1]
    assert "  ▲ curl     7.88.1-10         →  7.88.1-10+deb12u8" in lines
    assert "  ▼ openssl  3.0.15-1~deb12u1  →  3.0.11-1~deb12u2" in lines
    assert "  + nginx    1.22.1-9" in lines
    assert "  - telnet   0.17-44" in lines
    assert "  ▲ kernel  6.1.0-28-cloud-amd64  →  6.1.0-30-cloud-amd64" in lines
    assert "  + nginx.service  enabled by multi-user.target" in lines
    assert "  ~ /etc/motd  content aaaaaaaa  →  content bbbbbbbb" in lines
    assert "  ~ playbook.yml  +2 -1" in lines
    assert "+c" in lines
    assert "README" not in said  # the role is not built from it
    assert "\x1b" not in said

    found = shop.json("diff", "web", "0.1.0", "0.2.0")
    assert (found["before"]["version"], found["after"]["commit"]) == (first.version, second.commit)
    assert [commit["subject"] for commit in found["commits"]] == ["Tell more", "Serve \x1b[31mpages"]
    assert [one["change"] for one in found["contents"][0]["packages"]] == ["up", "added", "down", "removed"]
    assert [one["path"] for one in found["contents"][0]["disk"]] == ["/"]

    back = shop.contents.difference("web", "0.2.0", "0.1.0")
    assert (len(back.commits), len(back.commits_gone)) == (0, 2)


def test_ports_are_compared_as_boot_tests_saw_them_or_it_is_said_that_one_was_not_booted(shop: Shop) -> None:
    commit = shop.commit("Web")
    first, second = shop.register("1", commit, FIRST), shop.register("2", commit, FIRST)
    shop.tested(first, "tcp 0.0.0.0:22 sshd", "tcp [::]:22 sshd", "udp 127.0.0.53%lo:53 systemd-resolve")
    found = shop.contents.difference("web", "1", "2")
    assert "web 2 was not booted in a test" in found.notes[0]
    assert found.contents[0].ports == ()
    shop.tested(second, "tcp 0.0.0.0:22 sshd", "tcp 0.0.0.0:80 nginx")
    ports = shop.contents.difference("web", "1", "2").contents[0].ports
    assert {(one.change, one.name) for one in ports} == {(Change.ADDED, "tcp 80"), (Change.REMOVED, "udp 53")}
    assert shop.contents.inventory("web", "1").inventories["qemu.web"].ports == (
        Port("tcp", 22, "", "sshd"),
        Port("tcp", 2049, "", "nfs.socket"),
        Port("udp", 53, "127.0.0.53%lo", "systemd-resolve"),
    )


def test_what_a_channel_has_is_compared_with_the_newest(shop: Shop) -> None:
    def compared(*words: str) -> tuple[str, str]:
        role, before, other, after = asked(["web", *words] if not words or ":" not in words[0] else words)
        found = shop.contents.difference(role, before, after, other_role=other)
        return found.before.version, found.after.version

    commit = shop.commit("Web")
    images = [shop.register(version, commit, FIRST) for version in ("1", "2", "3")]
    assert compared() == ("2", "3")  # no channel has anything: the one before
    shop.channel(images[0], "staging")
    assert compared() == ("1", "3")
    assert compared("2") == ("2", "3")
    assert compared("2", "staging") == ("2", "1")
    assert compared("web:staging", "web:2") == ("1", "2")
    with pytest.raises(RefusedError, match="production of web is nowhere"):
        compared("production", "3")
    with pytest.raises(RefusedError, match="Did you mean staging"):
        compared("stagging")
    with pytest.raises(RefusedError, match="no role 'wep'"):
        compared("wep:1")
    with pytest.raises(RefusedError, match="More than two"):
        compared("1", "2", "3")
    assert "nothing in it differs · the same commit" in shop("diff", "web", "1", "2")


def test_what_a_role_adds_to_the_one_that_it_is_built_on(shop: Shop) -> None:
    commit = shop.commit("Web")
    shop.register("0.1.0", commit, FIRST, role="base")
    shop.register("0.1.0", commit, SECOND)
    (contents,) = shop.contents.difference("base", "0.1.0", other_role="web").contents
    assert contents.build == "qemu.base → qemu.web"
    assert [one.name for one in contents.packages] == ["curl", "nginx", "openssl", "telnet"]


def test_where_nobody_looked_into_an_image_the_rest_is_compared_and_that_is_said(shop: Shop) -> None:
    shop.register("1", shop.commit("Web"), None)
    shop.register("2", shop.commit("More"), FIRST)
    shop.register("3", "c" * 40, FIRST)
    said = shop("diff", "web", "1", "2")
    assert "! Nobody looked into web 1 when it was built" in said
    assert "1 commit" in said
    assert "is not in this clone" in shop.contents.difference("web", "2", "3").notes[0]
    assert "Nobody looked into web 1" in shop("packages", "web", "1", status=2)
    assert "Nobody looked into web 1" in shop("sbom", "web", "1", status=2)


def test_packages_are_listed_and_written_as_a_bill_of_materials(shop: Shop) -> None:
    shop.register("1", shop.commit("Web"), SECOND)
    said = shop("packages", "web", "1", "--all")
    assert said.startswith("web 1  qemu.web  Debian GNU/Linux 12 (bookworm), amd64, kernel 6.1.0-30-cloud-amd64\n")
    assert "3 packages · 1 service · 1 port" in said
    assert "deb   curl     7.88.1-10+deb12u8  amd64" in said
    assert "  ada  1000  /bin/bash  can log in  password unknown" in said
    bill = json.loads(shop("sbom", "web"))
    assert {part["name"] for part in bill["components"]} == {"debian", "curl", "nginx", "openssl"}
    target = shop.root / "web.cdx.json"
    assert "3 packages of web 1" in shop("sbom", "web", "1", "-o", str(target))
    assert json.loads(target.read_text()) == bill
    assert "no inventory of qemu.other" in shop("packages", "web", "1", "--build", "qemu.other", status=2)
