"""A signed upstream, whole: a key in the repository, a real server, the real GnuPG; and all that must be refused."""

import hashlib
import random
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
from file_server import Server, file_server
from msgspec.structs import replace
from signing import FAKED, Vendor
from workshop import FILE_TEMPLATE, Workshop, role

from core.errors import IngotError, UpstreamError
from core.model.role import Upstream, UpstreamKind
from core.stages.leftovers import clean_up

pytestmark = pytest.mark.skipif(not shutil.which("gpg"), reason="gpg is not installed")

DISK = random.Random(21).randbytes(1024 * 1024 + 3)
SHA512 = hashlib.sha512(DISK).hexdigest()
LIST = f"{'0' * 128}  other.qcow2\n{SHA512}  disk.qcow2\n".encode()
DECLARES = ("ingot_version", "ingot_output", "ingot_upstream")


@dataclass
class Site:
    """A vendor's server, and a workspace that has the vendor's key."""

    server: Server
    workshop: Workshop
    vendor: Vendor
    key: str

    def upstream(self, kind: str, **more: str) -> Upstream:
        """Of the three ways in which vendors sign."""
        url = self.server.url
        plain = Upstream(UpstreamKind.FILE, url=f"{url}/disk.qcow2", key="keys/vendor.asc")
        match kind:
            case "list":
                plain = replace(plain, checksum=f"file:{url}/SHA512SUMS", signature=f"{url}/SHA512SUMS.sign")
            case "inline":
                plain = replace(plain, checksum=f"file:{url}/CHECKSUM")
            case _:
                plain = replace(plain, signature=f"{url}/disk.qcow2.sig")
        return replace(plain, **more)  # pyright: ignore[reportArgumentType] - they are all texts

    async def result(self, upstream: Upstream) -> dict[str, object]:
        run = self.workshop.new_run(role(declares=DECLARES, upstream=upstream))
        try:
            return await self.workshop.until(run, "upstream")
        finally:
            clean_up(self.workshop.places, self.workshop.again(run), succeeded=False)

    async def refused(self, upstream: Upstream) -> UpstreamError:
        """The reason; nothing that could be taken for verified is left."""
        with pytest.raises(UpstreamError) as caught:
            await self.result(upstream)
        assert self.kept == []
        assert caught.value.next_step
        return caught.value

    @property
    def kept(self) -> list[str]:
        """What is in the cache under a name by which builds find it, and the notes about it."""
        store = self.workshop.places.cache / "upstreams"
        files = store.iterdir() if store.is_dir() else ()
        return sorted(path.name for path in files if path.suffix not in (".lock", ".part"))


@pytest.fixture
def site(tmp_path: Path, vendor: Vendor) -> Iterator[Site]:
    key = vendor.new_key(f"Vendor {tmp_path.name} <images@vendor.example>")
    workshop = Workshop(tmp_path)
    with file_server() as server:
        server.files = {
            "/disk.qcow2": DISK,
            "/SHA512SUMS": LIST,
            "/SHA512SUMS.sign": vendor.signature(LIST, key),
            "/CHECKSUM": b"SHA512 (disk.qcow2) = " + b"f" * 128 + b"\n" + vendor.clearsigned(LIST, key),
            "/disk.qcow2.sig": vendor.signature(DISK, key),
        }
        workshop.commit({"web/web.pkr.hcl": FILE_TEMPLATE, "keys/vendor.asc": vendor.public(key)})
        yield Site(server, workshop, vendor, key)
    workshop.close()


KINDS = ("list", "inline", "image")


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_signed_is_kept_and_the_lineage_says_by_whom(site: Site, kind: str) -> None:
    for _ in range(2):  # the second run finds it in the cache
        result = await site.result(site.upstream(kind, fingerprint=site.key))
        assert Path(str(result["path"])).read_bytes() == DISK
        record = cast("dict[str, object]", result["record"])
        assert site.key in str(record["verified"])
        assert "images@vendor.example" in str(record["verified"])
        details = cast("dict[str, str]", record["details"])
        assert (details["key"], details["key file"]) == (site.key, "keys/vendor.asc")
        assert details["signed on"] > "2020"
    assert len(site.kept) == 2
    assert [path for path, _ in site.server.asked].count("/disk.qcow2") == 1


async def test_a_list_that_nobody_signed_is_said_to_be_that(site: Site) -> None:
    result = await site.result(site.upstream("list", signature="", key=""))
    record = cast("dict[str, object]", result["record"])
    assert str(record["verified"]).endswith("/SHA512SUMS, which is not signed")


def other_disk(site: Site) -> None:
    site.server.files["/disk.qcow2"] = DISK[:-1] + b"!"


def other_list(site: Site) -> None:
    site.server.files["/SHA512SUMS"] = LIST.replace(b"0000  other", b"0001  other")
    site.server.files["/CHECKSUM"] = site.server.files["/CHECKSUM"].replace(b"0000  other", b"0001  other")
    other_disk(site)


def no_signature(site: Site) -> None:
    for name in ("/SHA512SUMS.sign", "/disk.qcow2.sig"):
        del site.server.files[name]
    site.server.files["/CHECKSUM"] = LIST


def nothing_in_the_signature(site: Site) -> None:
    site.server.files |= {"/SHA512SUMS.sign": b"", "/disk.qcow2.sig": b"", "/CHECKSUM": LIST}


def signed_by_a_stranger(site: Site) -> None:
    stranger = site.vendor.new_key(f"Stranger to {site.key}")
    site.server.files |= {
        "/SHA512SUMS.sign": site.vendor.signature(LIST, stranger),
        "/disk.qcow2.sig": site.vendor.signature(DISK, stranger),
        "/CHECKSUM": site.vendor.clearsigned(LIST, stranger),
    }


def expired_key(site: Site) -> None:
    old = site.vendor.new_key(f"Old key before {site.key}", expires="1y", at=FAKED)
    by = ("--local-user", old)
    at = "20200601T000000"
    site.server.files |= {
        "/SHA512SUMS.sign": site.vendor.signature(LIST, old, at=at),
        "/disk.qcow2.sig": site.vendor.signature(DISK, old, at=at),
        "/CHECKSUM": site.vendor.gpg("--clearsign", *by, data=LIST, at=at),
    }
    site.workshop.commit({"keys/vendor.asc": site.vendor.public(old)})


def revoked_key(site: Site) -> None:
    site.vendor.revoke(site.key)
    site.workshop.commit({"keys/vendor.asc": site.vendor.public(site.key)})


def no_key(site: Site) -> None:
    site.workshop.git("rm", "--quiet", "keys/vendor.asc")
    site.workshop.commit({"README": "the key is gone"})


def key_out_of_the_checkout(site: Site) -> None:
    (site.workshop.root.parent / "key.asc").write_text(site.vendor.public(site.key))
    (site.workshop.root / "keys/vendor.asc").unlink()
    (site.workshop.root / "keys/vendor.asc").symlink_to(site.workshop.root.parent / "key.asc")
    site.workshop.commit({"README": "the key is a link out of the repository"})


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (other_disk, "not what was promised|changed since"),
        (other_list, "changed since"),
        (no_signature, "404|not signed"),
        (nothing_in_the_signature, "not signed"),
        (signed_by_a_stranger, "which is not in keys/vendor.asc"),
        (expired_key, "expired on 2020-12-31"),
        (revoked_key, "was revoked"),
        (no_key, "no file keys/vendor.asc in commit"),
        (key_out_of_the_checkout, "no file keys/vendor.asc in commit"),
    ],
    ids=lambda what: getattr(what, "__name__", ""),
)
async def test_what_cannot_be_trusted_is_refused_and_not_kept(
    site: Site, broken: Callable[[Site], None], reason: str
) -> None:
    broken(site)
    for kind in KINDS:
        error = await site.refused(site.upstream(kind))
        assert re.search(reason, error.what), error.what
        assert not list((site.workshop.places.cache / "upstreams").glob(".*.part")), kind


async def test_a_key_that_was_revoked_since_spoils_what_is_in_the_cache(site: Site) -> None:
    for kind in KINDS:
        await site.result(site.upstream(kind))
    revoked_key(site)
    for kind in KINDS:
        with pytest.raises(UpstreamError, match="was revoked"):
            await site.result(site.upstream(kind))


async def test_a_new_image_of_the_vendor_takes_the_place_of_the_cached_one(site: Site) -> None:
    await site.result(site.upstream("image"))
    newer = DISK + b"newer"
    site.server.files |= {"/disk.qcow2": newer, "/disk.qcow2.sig": site.vendor.signature(newer, site.key)}
    result = await site.result(site.upstream("image"))
    assert Path(str(result["path"])).read_bytes() == newer


async def test_a_checksum_and_a_signature_of_the_image_both_have_to_hold(site: Site) -> None:
    both = site.upstream("image", checksum=f"sha512:{SHA512}")
    record = cast("dict[str, object]", (await site.result(both))["record"])
    assert str(record["verified"]).startswith("sha512 and signature of ")
    site.server.files["/disk.qcow2.sig"] = site.vendor.signature(b"another", site.key)
    with pytest.raises(UpstreamError, match="changed since"):
        await site.result(both)


async def test_what_a_template_fetches_itself_cannot_be_signed(site: Site) -> None:
    run = site.workshop.new_run(role(upstream=site.upstream("list")))
    with pytest.raises(IngotError, match="fetches its media by itself") as caught:
        await site.workshop.until(run, "upstream")
    assert "ingot_upstream" in caught.value.next_step
