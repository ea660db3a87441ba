"""Bills of materials: valid by the format's own schema, and with the names that the world has for packages."""

import json

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given, settings
from hypothesis import strategies as st

from core.adapters.sbom import cyclonedx, purl
from core.model.image import Artifact, ImageVersion, UpstreamRecord
from core.model.inventory import Inventory, Package, PackageKind, System

DEBIAN = System("debian", "12", "Debian GNU/Linux 12 (bookworm)", "amd64")
IMAGE = ImageVersion(
    role="web",
    version="0.1.0",
    commit="c0ffee" * 6 + "c0ff",
    created=1_700_000_000.0,
    run="1f3c",
    built_by="Ada",
    upstream=UpstreamRecord("role", "base 0.1.0", role="base", version="0.1.0"),
    artifacts=(Artifact("qemu.web", "qcow2", "/x", "sha256:" + "ab" * 32), Artifact("qemu.other", "raw", "/y")),
    template="web",
)


def valid(text: str) -> bool:
    return JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_a_bill_names_the_image_its_system_and_every_package() -> None:
    packages = (
        Package(PackageKind.DEB, "curl", "7.88.1-10+deb12u5", "amd64"),
        Package(PackageKind.DEB, "libcurl4", "7.88.1-10+deb12u5", "amd64", "curl"),
        Package(PackageKind.PYTHON, "flask", "3.1.0"),
        Package(PackageKind.PYTHON, "flask", "3.1.0"),
    )
    text = cyclonedx(IMAGE, "qemu.web", Inventory(system=DEBIAN, packages=packages))
    assert valid(text)
    bill = json.loads(text)
    whole = bill["metadata"]["component"]
    assert (whole["name"], whole["version"], whole["hashes"][0]["content"]) == ("web", "0.1.0", "ab" * 32)
    assert {part["type"]: part["name"] for part in bill["components"] if "purl" not in part} == {
        "operating-system": "debian"
    }
    assert sorted(part["purl"] for part in bill["components"] if "purl" in part) == [
        "pkg:deb/debian/curl@7.88.1-10%2Bdeb12u5?arch=amd64&distro=debian-12",
        "pkg:deb/debian/libcurl4@7.88.1-10%2Bdeb12u5?arch=amd64&distro=debian-12",
        "pkg:pypi/flask@3.1.0",
    ]
    assert cyclonedx(IMAGE, "qemu.web", Inventory(system=DEBIAN, packages=packages)) == text


def test_names_of_packages_of_other_systems() -> None:
    rocky = System("rocky", "9.4")
    package = Package(PackageKind.RPM, "openssl", "1:3.0.7-27.el9", "x86_64")
    assert str(purl(package, rocky)) == ("pkg:rpm/rocky/openssl@3.0.7-27.el9?arch=x86_64&distro=rocky-9.4&epoch=1")
    musl = Package(PackageKind.APK, "musl", "1.2.5-r0", "x86_64")
    assert str(purl(musl, System("alpine", "3.20.1"))) == (
        "pkg:apk/alpine/musl@1.2.5-r0?arch=x86_64&distro=alpine-3.20.1"
    )
    assert purl(Package(PackageKind.APK, "\r", "1"), System("alpine", "3")) is None


WORDS = st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=20)
PACKAGES = st.lists(st.builds(Package, st.sampled_from(PackageKind), WORDS, WORDS, WORDS, WORDS), max_size=3)


@settings(max_examples=40)
@given(st.builds(System, WORDS, WORDS, WORDS), PACKAGES)
def test_whatever_packages_are_called_the_bill_is_valid(system: System, packages: list[Package]) -> None:
    assert valid(cyclonedx(IMAGE, "qemu.web", Inventory(system=system, packages=tuple(packages))))
