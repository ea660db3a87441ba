"""Bills of materials in the form of CycloneDX, by the library that the makers of the format keep.

The library takes a tenth of a second to load: only who asks for a bill of materials pays that.
"""

# The library's own decorators hide its constructors from type checkers.
# pyright: reportCallIssue=false, reportAttributeAccessIssue=false, reportArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from core import __version__
from core.model.image import ImageVersion
from core.model.inventory import Inventory, Package, PackageKind, System

_NAMES = uuid.UUID("b4c5ae7b-8a0c-4f4e-9d0c-6f1f6c3f3a52")
"""What the serial numbers of our bills are made in: the same image has the same one, whenever it is asked for."""
_TYPES = {
    PackageKind.DEB: "deb",
    PackageKind.RPM: "rpm",
    PackageKind.APK: "apk",
    PackageKind.PYTHON: "pypi",
    PackageKind.GEM: "gem",
}
_OF_A_DISTRIBUTION = (PackageKind.DEB, PackageKind.RPM, PackageKind.APK)


def cyclonedx(image: ImageVersion, build: str, inventory: Inventory) -> str:
    """The bill of materials of one build of an image version: JSON, CycloneDX 1.6.

    The same image gives the same text, byte for byte.
    """
    whole = Component(
        # "A packaging and/or runtime format … through virtualization technology" (CycloneDX 1.6, component types).
        type=ComponentType.CONTAINER,
        name=image.role,
        version=image.version,
        bom_ref=f"image:{image.role}@{image.version}",
        hashes=[
            HashType(alg=HashAlgorithm.SHA_256, content=artifact.digest.removeprefix("sha256:"))
            for artifact in image.artifacts
            if artifact.build == build and artifact.digest.startswith("sha256:")
        ][:1],
        properties=[
            Property(name="ingot:build", value=build),
            Property(name="ingot:commit", value=image.commit),
            Property(name="ingot:run", value=image.run),
            Property(name="ingot:upstream", value=image.parent),
        ],
    )
    bill = Bom(
        serial_number=uuid.uuid5(_NAMES, f"{image.run}/{image.role}/{image.version}/{build}"),
        metadata=BomMetaData(
            component=whole,
            timestamp=datetime.fromtimestamp(image.created, UTC),
            tools=ToolRepository(
                components=[Component(type=ComponentType.APPLICATION, name="ingot", version=__version__)]
            ),
        ),
        components=_components(inventory),
    )
    bill.register_dependency(whole, bill.components)
    return JsonV1Dot6(bill).output_as_string(indent=2) + "\n"


def _components(inventory: Inventory) -> Iterator[Component]:
    system = inventory.system
    if system.id:
        yield Component(
            type=ComponentType.OPERATING_SYSTEM,
            name=system.id,
            version=system.version or None,
            description=system.name or None,
            bom_ref=f"os:{system.id}",
        )
    for package in inventory.packages:
        name = purl(package, system)
        yield Component(
            type=ComponentType.LIBRARY,
            name=package.name,
            version=package.version,
            purl=name,
            bom_ref=name.to_string() if name else None,
            properties=[Property(name="ingot:source", value=package.source)] if package.source else (),
        )


def purl(package: Package, system: System) -> PackageURL | None:
    """The package's name all over the world: `pkg:deb/debian/curl@7.88.1-10?arch=amd64&distro=debian-12`.

    None for one whose name or version no package can have: who wrote the disk wrote it.
    """
    if not (_is_word(package.name) and _is_word(package.version)):
        return None
    if package.kind not in _OF_A_DISTRIBUTION:
        return PackageURL(type=_TYPES[package.kind], name=package.name, version=package.version)
    qualifiers = {"arch": package.architecture}
    version = package.version
    if package.kind is PackageKind.RPM and ":" in version:  # the type's rules want it there (purl-spec, rpm)
        qualifiers["epoch"], _, version = version.partition(":")
    distribution = system.id if _is_word(system.id) else ""
    if distribution:
        qualifiers["distro"] = f"{distribution}-{system.version}" if system.version else distribution
    given = {key: value for key, value in qualifiers.items() if _is_word(value)}
    return PackageURL(_TYPES[package.kind], distribution or None, package.name, version, given)


def _is_word(text: str) -> bool:
    """Letters, digits and signs of ASCII, without white space."""
    return text.isascii() and text.isprintable() and " " not in text and any(one.isalnum() for one in text)
