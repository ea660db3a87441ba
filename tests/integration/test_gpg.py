"""Signatures, by the real GnuPG: only those count that a key of the file made, with nothing weak or over about it."""

import contextlib
import shutil
from pathlib import Path

import pytest
from signing import FAKED, Vendor

from core.adapters import gpg
from core.errors import UpstreamError

pytestmark = pytest.mark.skipif(not shutil.which("gpg"), reason="gpg is not installed")

CONTENT = b"the disk"
NAME = "Vendor: Images <images@vendor.example>"


@pytest.fixture(scope="module")
def key(vendor: Vendor) -> str:
    return vendor.new_key(NAME)


@pytest.fixture(scope="module")
def stranger(vendor: Vendor) -> str:
    return vendor.new_key("Somebody <somebody@example.org>")


async def detached(
    place: Path, public: str | bytes, signature: bytes, content: bytes = CONTENT, pinned: str = ""
) -> gpg.Signature:
    for name, what in (("disk", content), ("disk.sig", signature)):
        (place / name).write_bytes(what)
    (place / "key").write_bytes(public.encode() if isinstance(public, str) else public)
    async with gpg.keyring(place / "key", "keys/vendor.asc", place, pinned) as ring:
        return await ring.detached(place / "disk", place / "disk.sig", "the disk")


async def inline(place: Path, public: str, text: bytes) -> tuple[gpg.Signature, bytes]:
    (place / "CHECKSUM").write_bytes(text)
    (place / "key").write_text(public)
    async with gpg.keyring(place / "key", "keys/vendor.asc", place) as ring:
        return await ring.inline(place / "CHECKSUM", "CHECKSUM")


async def test_a_signature_says_by_which_key_and_when(vendor: Vendor, key: str, tmp_path: Path) -> None:
    found = await detached(tmp_path, vendor.public(key), vendor.signature(CONTENT, key), pinned=key)
    assert (found.key.fingerprint, found.key.user, found.by, found.digest) == (key, NAME, key, "SHA512")
    assert found.made > 1.7e9
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "disk.sig", "key"], "nothing is left"


async def test_a_binary_key_file_and_an_armored_signature_do_as_well(vendor: Vendor, key: str, tmp_path: Path) -> None:
    armored = vendor.gpg("--armor", "--detach-sign", "--local-user", key, data=CONTENT)
    found = await detached(tmp_path, vendor.gpg("--export", key), armored)
    assert found.key.fingerprint == key


async def test_a_subkey_signs_for_its_key(vendor: Vendor, tmp_path: Path) -> None:
    key = vendor.new_key("With a subkey <s@example.org>")
    vendor.gpg("--quick-add-key", key, "ed25519", "sign", "never")
    listed = vendor.gpg("--with-colons", "--list-keys", key).decode().splitlines()
    subkey = [line.split(":")[9] for line in listed if line.startswith("fpr")][1]
    signature = vendor.signature(CONTENT, subkey)
    found = await detached(tmp_path, vendor.public(key), signature, pinned=key)
    assert (found.key.fingerprint, found.by) == (key, subkey)


async def test_one_signature_of_several_is_enough(vendor: Vendor, key: str, stranger: str, tmp_path: Path) -> None:
    both = vendor.signature(CONTENT, stranger, key)
    assert (await detached(tmp_path, vendor.public(key), both)).key.fingerprint == key


async def test_changed_content_is_refused(vendor: Vendor, key: str, tmp_path: Path) -> None:
    with pytest.raises(gpg.ChangedError, match="changed since") as caught:
        await detached(tmp_path, vendor.public(key), vendor.signature(CONTENT, key), b"another disk")
    assert NAME in caught.value.what


async def test_a_strangers_signature_is_refused_whoever_this_user_trusts(
    vendor: Vendor, key: str, stranger: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GNUPGHOME", str(vendor.home))  # which has the stranger's key, with ultimate trust
    monkeypatch.setenv("HOME", str(vendor.home))
    with pytest.raises(UpstreamError, match=r"not in keys/vendor\.asc \(it has .*Vendor") as caught:
        await detached(tmp_path, vendor.public(key), vendor.signature(CONTENT, stranger))
    assert stranger[-16:] in caught.value.what
    assert "keys/vendor.asc" in caught.value.next_step


async def test_another_key_of_the_file_is_not_the_one_that_is_pinned(
    vendor: Vendor, key: str, stranger: str, tmp_path: Path
) -> None:
    with pytest.raises(UpstreamError, match=f"is signed by {stranger}.* and not by {key}"):
        await detached(tmp_path, vendor.public(key, stranger), vendor.signature(CONTENT, stranger), pinned=key)
    with pytest.raises(UpstreamError, match=f"has no key {key}; it has {stranger}"):
        await detached(tmp_path, vendor.public(stranger), vendor.signature(CONTENT, stranger), pinned=key)


async def test_an_expired_key_is_refused_with_the_day(vendor: Vendor, tmp_path: Path) -> None:
    old = vendor.new_key("Old <old@example.org>", expires="1y", at=FAKED)
    signature = vendor.signature(CONTENT, old, at="20200601T000000")
    with pytest.raises(UpstreamError, match="that key expired on 2020-12-31") as caught:
        await detached(tmp_path, vendor.public(old), signature)
    assert "renewed key" in caught.value.next_step


async def test_a_revoked_key_is_refused(vendor: Vendor, tmp_path: Path) -> None:
    gone = vendor.new_key("Gone <gone@example.org>")
    signature = vendor.signature(CONTENT, gone)
    assert (await detached(tmp_path, vendor.public(gone), signature)).key.fingerprint == gone
    vendor.revoke(gone)
    with pytest.raises(UpstreamError, match="that key was revoked"):
        await detached(tmp_path, vendor.public(gone), signature)


async def test_a_signature_that_is_over_is_refused(vendor: Vendor, key: str, tmp_path: Path) -> None:
    lasting = vendor.new_key("Lasting <l@example.org>", at=FAKED)
    by = ("--local-user", lasting, "--default-sig-expire", "1d", "--detach-sign")
    signature = vendor.gpg(*by, data=CONTENT, at="20200601T000000")
    with pytest.raises(UpstreamError, match="no longer valid"):
        await detached(tmp_path, vendor.public(lasting), signature)


async def test_digests_and_keys_that_can_be_forged_do_not_count(vendor: Vendor, key: str, tmp_path: Path) -> None:
    with pytest.raises(UpstreamError, match="SHA1, which can be forged"):
        await detached(tmp_path, vendor.public(key), vendor.signature(CONTENT, key, digest="SHA1"))
    short = vendor.new_key("Short <short@example.org>", kind="rsa1024")
    with pytest.raises(UpstreamError, match="too short to be trusted"):
        await detached(tmp_path, vendor.public(short), vendor.signature(CONTENT, short))


@pytest.mark.parametrize("signature", [b"", b"not a signature", b"<html>404</html>"])
async def test_what_is_no_signature_is_refused(vendor: Vendor, key: str, tmp_path: Path, signature: bytes) -> None:
    with pytest.raises(UpstreamError, match="is not signed"):
        await detached(tmp_path, vendor.public(key), signature)


async def test_a_signed_text_in_the_place_of_a_signature_is_refused(vendor: Vendor, key: str, tmp_path: Path) -> None:
    with pytest.raises(UpstreamError):
        await detached(tmp_path, vendor.public(key), vendor.clearsigned(b"something else", key))


@pytest.mark.parametrize(
    ("public", "reason"),
    [("", "holds no public key"), ("-----BEGIN PGP", "holds no public key"), ("x" * 1_000_001, "too large")],
    ids=("empty", "cut off", "large"),
)
async def test_what_is_no_key_is_said(vendor: Vendor, key: str, tmp_path: Path, public: str, reason: str) -> None:
    with pytest.raises(UpstreamError, match=reason):
        await detached(tmp_path, public, vendor.signature(CONTENT, key))


async def test_a_private_key_in_the_repository_is_pointed_out(vendor: Vendor, key: str, tmp_path: Path) -> None:
    private = vendor.gpg("--armor", "--export-secret-keys", key)
    with pytest.raises(UpstreamError, match="holds a private key"):
        await detached(tmp_path, private, vendor.signature(CONTENT, key))


async def test_of_a_text_that_holds_its_signature_only_what_is_signed_counts(
    vendor: Vendor, key: str, tmp_path: Path
) -> None:
    text = vendor.clearsigned(b"SHA256 (disk) = 00\n", key)
    found, content = await inline(tmp_path, vendor.public(key), b"SHA256 (before) = 11\n\n" + text + b"after = 22\n")
    assert found.key.fingerprint == key
    assert content == b"SHA256 (disk) = 00\n"


async def test_a_text_that_was_changed_or_never_signed_is_refused(
    vendor: Vendor, key: str, stranger: str, tmp_path: Path
) -> None:
    text = vendor.clearsigned(b"SHA256 (disk) = 00\n", key)
    public = vendor.public(key)
    with pytest.raises(gpg.ChangedError):
        await inline(tmp_path, public, text.replace(b"= 00", b"= 01"))
    with pytest.raises(UpstreamError, match="is not signed"):
        await inline(tmp_path, public, b"SHA256 (disk) = 00\n")
    with pytest.raises(UpstreamError, match=r"not in keys/vendor\.asc"):
        await inline(tmp_path, public, vendor.clearsigned(b"SHA256 (disk) = 00\n", stranger))


async def test_two_texts_in_one_file_are_refused(vendor: Vendor, key: str, tmp_path: Path) -> None:
    text = vendor.clearsigned(b"SHA256 (disk) = 00\n", key)
    with pytest.raises(UpstreamError, match="more than one text"):
        await inline(tmp_path, vendor.public(key), text + text)


async def test_what_unpacks_to_more_than_a_text_is_refused(vendor: Vendor, key: str, tmp_path: Path) -> None:
    bomb = vendor.gpg("--sign", "--compress-level", "9", "--local-user", key, data=bytes(64 * 1024 * 1024))
    assert len(bomb) < 1024 * 1024
    with pytest.raises(UpstreamError, match="not signed"):
        await inline(tmp_path, vendor.public(key), bomb)


async def test_no_agent_and_nothing_of_the_users_is_touched(
    vendor: Vendor, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    (place := tmp_path / "place").mkdir()
    await detached(place, vendor.public(key), vendor.signature(CONTENT, key))
    assert list(home.iterdir()) == []
    for running in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            assert str(place) not in running.read_text(errors="replace")
