"""OVA files (DMTF DSP0243, Open Virtualization Format 1.1): a tar of a descriptor, a manifest and one disk.

The machine that the descriptor asks for has what kernels nearly everywhere have a driver of: an IDE disk, and a network
card that importers replace by their own where they lack it.
"""

import hashlib
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import msgspec

from core.adapters.firmware import BootMode
from core.errors import ToolError

_PIECE = 4 * 1024 * 1024
_USTAR_LIMIT = 8 * 1024**3
"""Bytes of a file in a plain ustar: eleven octal digits."""
_STREAM_OPTIMIZED = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"
_LINUX_64 = 101
"""CIM_OperatingSystem.OsType."""
_DIGEST = re.compile(r"SHA256\((?P<name>[^()\n]+)\)= (?P<digest>[0-9a-f]{64})")

Advance = Callable[[int], None]
"""Told how many bytes have been worked on since it was told last; may raise to end the work."""


class Appliance(msgspec.Struct, frozen=True):
    """What the descriptor says."""

    name: str
    """Of the machine, and of the files in the OVA (a file name, without ending)."""
    product: str
    version: str
    about: str
    """One sentence for who imports it."""
    memory: int
    """MiB."""
    cpus: int
    capacity: int
    """Bytes that the machine sees of its disk."""
    boots_by: BootMode
    created: float
    """When the image version was made: the files in the OVA have that time."""


class Entry(msgspec.Struct, frozen=True):
    """One file in an OVA."""

    name: str
    offset: int
    """Where its content begins in the OVA, in bytes."""
    size: int


def descriptor(of: Appliance, disk_size: int) -> bytes:
    """The OVF descriptor of a machine whose VMDK has so many bytes."""
    disk = quoteattr(f"{of.name}.vmdk")
    items = (
        ("hertz * 10^6", "Number of processors", f"{of.cpus} processors", 1, 3, of.cpus),
        ("byte * 2^20", "Size of the memory", f"{of.memory} MiB of memory", 2, 4, of.memory),
    )
    # VMware's own word for it, which others pass over: the standard has none.
    by_uefi = '      <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>\n'
    firmware = by_uefi if of.boots_by == "uefi" else ""
    hardware = "".join(
        f"""\
      <Item>
        <rasd:AllocationUnits>{units}</rasd:AllocationUnits>
        <rasd:Description>{what}</rasd:Description>
        <rasd:ElementName>{name}</rasd:ElementName>
        <rasd:InstanceID>{number}</rasd:InstanceID>
        <rasd:ResourceType>{kind}</rasd:ResourceType>
        <rasd:VirtualQuantity>{quantity}</rasd:VirtualQuantity>
      </Item>
"""
        for units, what, name, number, kind, quantity in items
    )
    return f"""\
<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" \
xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" \
xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" \
xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData" \
xmlns:vmw="http://www.vmware.com/schema/ovf">
  <References>
    <File ovf:href={disk} ovf:id="disk" ovf:size="{disk_size}"/>
  </References>
  <DiskSection>
    <Info>Disks of the machine</Info>
    <Disk ovf:capacity="{of.capacity}" ovf:capacityAllocationUnits="byte" ovf:diskId="disk1" ovf:fileRef="disk" \
ovf:format="{_STREAM_OPTIMIZED}"/>
  </DiskSection>
  <NetworkSection>
    <Info>Networks of the machine</Info>
    <Network ovf:name="VM Network">
      <Description>The network that the machine is on</Description>
    </Network>
  </NetworkSection>
  <VirtualSystem ovf:id={quoteattr(of.name)}>
    <Info>{escape(of.about)}</Info>
    <Name>{escape(of.name)}</Name>
    <OperatingSystemSection ovf:id="{_LINUX_64}">
      <Info>The operating system</Info>
      <Description>Linux, 64 bit</Description>
    </OperatingSystemSection>
    <ProductSection>
      <Info>The image version</Info>
      <Product>{escape(of.product)}</Product>
      <Version>{escape(of.version)}</Version>
      <FullVersion>{escape(of.version)}</FullVersion>
    </ProductSection>
    <VirtualHardwareSection>
      <Info>The hardware that it needs</Info>
      <System>
        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemIdentifier>{escape(of.name)}</vssd:VirtualSystemIdentifier>
        <vssd:VirtualSystemType>vmx-10</vssd:VirtualSystemType>
      </System>
{hardware}\
      <Item>
        <rasd:Address>0</rasd:Address>
        <rasd:Description>IDE controller</rasd:Description>
        <rasd:ElementName>IDE controller</rasd:ElementName>
        <rasd:InstanceID>3</rasd:InstanceID>
        <rasd:ResourceType>5</rasd:ResourceType>
      </Item>
      <Item>
        <rasd:AddressOnParent>0</rasd:AddressOnParent>
        <rasd:ElementName>Disk</rasd:ElementName>
        <rasd:HostResource>ovf:/disk/disk1</rasd:HostResource>
        <rasd:InstanceID>4</rasd:InstanceID>
        <rasd:Parent>3</rasd:Parent>
        <rasd:ResourceType>17</rasd:ResourceType>
      </Item>
      <Item>
        <rasd:AddressOnParent>7</rasd:AddressOnParent>
        <rasd:AutomaticAllocation>true</rasd:AutomaticAllocation>
        <rasd:Connection>VM Network</rasd:Connection>
        <rasd:ElementName>Network</rasd:ElementName>
        <rasd:InstanceID>5</rasd:InstanceID>
        <rasd:ResourceSubType>VmxNet3</rasd:ResourceSubType>
        <rasd:ResourceType>10</rasd:ResourceType>
      </Item>
{firmware}\
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
""".encode()


def write(target: Path, of: Appliance, disk: Path, advance: Advance) -> None:
    """Write an OVA of a stream-optimised VMDK, which is read once. Blocks; `target` is replaced."""
    size = disk.stat().st_size
    text = descriptor(of, size)
    names = [f"{of.name}.{ending}" for ending in ("ovf", "mf", "vmdk")]
    manifest_size = len(_manifest(names, b"", "0" * 64))
    with target.open("w+b") as out, disk.open("rb") as content:
        out.write(_header(names[0], len(text), of.created) + _padded(text))
        out.write(_header(names[1], manifest_size, of.created))
        manifest_at = out.tell()
        # Its digests have a fixed length: it is written when the disk has gone by.
        out.write(_padded(b"\0" * manifest_size))
        out.write(_header(names[2], size, of.created))
        digest = hashlib.sha256()
        while piece := content.read(_PIECE):
            out.write(piece)
            digest.update(piece)
            advance(len(piece))
        out.write(b"\0" * (-size % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE))  # two empty blocks are the end
        out.write(b"\0" * (-out.tell() % tarfile.RECORDSIZE))
        out.seek(manifest_at)
        out.write(_manifest(names, text, digest.hexdigest()))


def entries(ova: Path) -> list[Entry]:
    """The files in an OVA, in their order. Raises ToolError for what is none."""
    try:
        with tarfile.open(ova, "r:") as tar:
            return [Entry(member.name, member.offset_data, member.size) for member in tar]
    except (tarfile.TarError, OSError) as error:
        raise ToolError(f"{ova} is no OVA: {error}.", "Make it again.") from error


def verify(ova: Path, advance: Advance) -> Entry:
    """Read an OVA back: its files in the right order, each as the manifest says. Gives the disk in it.

    Blocks. Raises ToolError, saying what is wrong.
    """
    found = entries(ova)
    if [Path(entry.name).suffix for entry in found] != [".ovf", ".mf", ".vmdk"]:
        raise ToolError(f"{ova} holds {', '.join(entry.name for entry in found) or 'nothing'}.", "Make it again.")
    with ova.open("rb") as file:
        file.seek(found[1].offset)
        said = {one["name"]: one["digest"] for one in _DIGEST.finditer(file.read(found[1].size).decode())}
        for entry in (found[0], found[2]):
            digest, left = hashlib.sha256(), entry.size
            file.seek(entry.offset)
            while left and (piece := file.read(min(_PIECE, left))):
                digest.update(piece)
                left -= len(piece)
                advance(len(piece))
            if left or said.get(entry.name) != digest.hexdigest():
                raise ToolError(f"{entry.name} in {ova} is not what its manifest says.", "Make it again.")
    return found[2]


def _manifest(names: list[str], text: bytes, disk_digest: str) -> bytes:
    digest = hashlib.sha256(text).hexdigest()
    return f"SHA256({names[0]})= {digest}\nSHA256({names[2]})= {disk_digest}\n".encode()


def _header(name: str, size: int, created: float) -> bytes:
    about = tarfile.TarInfo(name)
    about.size, about.mtime, about.mode = size, int(created), 0o644
    # A disk of 8 GiB and more has no place in a plain ustar: importers read GNU's way of writing its length.
    form = tarfile.USTAR_FORMAT if size < _USTAR_LIMIT else tarfile.GNU_FORMAT
    return about.tobuf(form)


def _padded(content: bytes) -> bytes:
    return content + b"\0" * (-len(content) % tarfile.BLOCKSIZE)
