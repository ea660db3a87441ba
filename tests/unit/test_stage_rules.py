"""Small rules of the stages: which format a file has, what a checksum file says."""

from pathlib import Path

import pytest

from core.adapters import download
from core.model.workspace import Workspace
from core.stages.artifacts import format_of
from core.stages.environment import template_variables
from core.stages.leftovers import file_name, workspace_key
from core.stages.upstream_promise import checksum_in

A, B = "a" * 64, "b" * 128


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (f"{A}  web.iso\n", ("sha256", A)),
        (f"{A.upper()} *./web.iso\n", ("sha256", A)),
        (f"SHA512 (web.iso) = {B}\n", ("sha512", B)),
        (f"# comment\nSHA256 (other.iso) = {A}\nSHA512 (pool/web.iso) = {B}\n", ("sha512", B)),
        (f"{A}\n", ("sha256", A)),
        (f"{'d' * 32}  web.iso\n", None),
        (f"{A}  web.iso.sig\n", None),
        (f"{A}  notweb.iso\n", None),
        ("", None),
    ],
)
def test_the_digest_of_a_file_is_found_in_every_usual_list(listed: str, expected: tuple[str, str] | None) -> None:
    assert checksum_in(listed, "web.iso") == expected


@pytest.mark.parametrize(
    ("name", "content", "kind", "expected"),
    [
        ("disk", b"QFI\xfb" + bytes(600), "qemu", "qcow2"),
        ("disk.img", bytes(600), "qemu", "raw"),
        ("disk", bytes(1024), "qemu", "raw"),
        ("web.vmx", bytes(600), "qemu", "file"),
        ("disk.vmdk", b"KDMV" + bytes(600), "vmware-iso", "vmdk"),
        ("disk", bytes(600) + b"conectix" + bytes(504), "qemu", "vhd"),
        ("disk", b"conectix" + bytes(600), "qemu", "vhd"),
        ("web.ova", bytes(257) + b"ustar" + bytes(600), "virtualbox-iso", "ova"),
        ("hello.txt", b"hello", "file", "file"),
        ("web.box", b"\x1f\x8b" + bytes(600), "vagrant", "file"),
        ("empty", b"", "file", "file"),
    ],
)
def test_a_format_is_told_by_what_is_in_the_file(
    tmp_path: Path, name: str, content: bytes, kind: str, expected: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert format_of(tmp_path / name, kind) == expected


@pytest.mark.parametrize(
    ("name", "declared", "expected"),
    [
        ("logs.tar", "qcow2", "file"),
        ("logs.tar", "raw", "raw"),
        ("disk", "raw", "raw"),
        ("disk.img", "qcow2", "raw"),  # a post-processor's, by its name
    ],
)
def test_what_tells_nothing_is_a_raw_disk_only_where_the_template_makes_such(
    tmp_path: Path, name: str, declared: str, expected: str
) -> None:
    (tmp_path / name).write_bytes(bytes(10240))
    assert format_of(tmp_path / name, "qemu", declared) == expected


def test_of_an_environment_only_what_packer_takes_for_variables_is_a_templates() -> None:
    given = {"PKR_VAR_user": "ada", "PKR_VAR_": "x", "PKR_user": "bo", "PACKER_LOG": "1", "XPKR_VAR_user": "eve"}
    assert template_variables(given) == {"user": "ada", "": "x"}


def test_directories_of_workspaces_are_told_apart_and_recognised() -> None:
    ours = Workspace("example.org/shop", "shop", "/srv/shop")
    theirs = Workspace("example.com/shop", "../shop", "/srv/shop")
    assert workspace_key(ours).startswith("shop-")
    assert workspace_key(ours) != workspace_key(theirs)
    assert "/" not in workspace_key(theirs)
    assert file_name("../../etc/passwd") == "_.._etc_passwd"
    assert file_name("0.1.0-3-g1a2b3c4") == "0.1.0-3-g1a2b3c4"


def test_passwords_in_urls_are_not_shown() -> None:
    assert download.shown("https://ada:geheim@example.org/a.iso?token=1#x") == "https://example.org/a.iso"
    assert download.shown("media/a.iso") == "media/a.iso"
