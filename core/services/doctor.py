"""What this machine has of what Ingot works with: found, which version, does it work, who needs it, how to get it."""

import asyncio
import os
import re
import shutil
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum
from importlib import metadata
from pathlib import Path

import msgspec
from msgspec.structs import replace

from core import __version__, process
from core.errors import IngotError, RefusedError, ToolError
from core.model.role import DISK_BUILDERS, Role, Syntax, UpstreamKind
from core.places import Places


class Health(StrEnum):
    """What was found."""

    OK = "ok"
    NOTE = "note"
    """It works, with something that a person should know."""
    MISSING = "missing"
    BROKEN = "broken"


class Finding(msgspec.Struct, frozen=True):
    """One line of the doctor's report."""

    name: str
    health: Health
    version: str = ""
    detail: str = ""
    """What is wrong or notable, in a sentence."""
    needed_by: str = ""
    install: str = ""
    """How to get or mend it."""
    required: bool = False
    """Without it something that is wanted here cannot be built (`needed`)."""

    @property
    def sign(self) -> str:
        """`✗` only for what stands in the way; what is missing and not needed here is `·`."""
        if self.health in (Health.OK, Health.NOTE):
            return "✓" if self.health is Health.OK else "!"
        return "✗" if self.required else "·"

    @property
    def stands_in_the_way(self) -> bool:
        return self.required and self.health in (Health.MISSING, Health.BROKEN)


class _Tool(msgspec.Struct, frozen=True):
    name: str
    ask: Sequence[str]
    """The command that prints its version."""
    package: str
    needed_by: str
    oldest: tuple[int, ...] = ()


_TOOLS = (
    _Tool("git", ("git", "--version"), "git", "workspaces and the ledger", oldest=(2, 31)),
    _Tool("packer", ("packer", "version"), "packer", "building images", oldest=(1, 6)),
    _Tool("qemu", ("qemu-system-x86_64", "--version"), "qemu-system-x86", "building and booting images"),
    _Tool("qemu-img", ("qemu-img", "--version"), "qemu-utils", "reading and converting disk images"),
    _Tool("guestfish", ("guestfish", "--version"), "libguestfs-tools", "stamping and looking into disk images"),
    _Tool(
        "virt-sysprep",
        ("virt-sysprep", "--version"),
        "guestfs-tools",
        "sealing images ([seal] in ingot.toml)",
    ),
    _Tool(
        "ansible",
        ("ansible-playbook", "--version"),
        "ansible-core",
        "playbooks: builds by Ansible, and templates with an ansible provisioner",
    ),
    _Tool("mmdebstrap", ("mmdebstrap", "--version"), "mmdebstrap", "upstreams from a signed archive"),
    _Tool("gpgv", ("gpgv", "--version"), "gpgv", "upstreams from a signed archive"),
    _Tool("gpg", ("gpg", "--version"), "gpg", "upstreams that a vendor signs", oldest=(2, 2)),
    _Tool("ssh", ("ssh", "-V"), "openssh-client", "reaching a machine"),
    _Tool("git-lfs", ("git-lfs", "--version"), "git-lfs", "workspaces that keep files in Git LFS"),
)

_VERSION = re.compile(r"\d+(?:\.\d+)+")


def roles_of(directory: Path) -> tuple[Role, ...]:
    """The roles of the workspace that holds a directory; none outside of one, or where it cannot be read."""
    from core.adapters.git import GitRepository
    from core.services.catalogue import discover

    try:
        return discover(directory).roles if GitRepository.find(directory) else ()
    except IngotError:
        return ()


def needed(roles: Sequence[Role]) -> frozenset[str]:
    """The names of the findings without which one of these roles cannot be built; without roles, what most need."""
    if not roles:
        return frozenset({"ingot", "git", "packer", "qemu", "qemu-img", "guestfish", "kernel"})
    found = {"ingot", "git"}
    for role in roles:
        kinds = {build.kind for build in role.builds}
        disks = bool(kinds & DISK_BUILDERS)
        wants = {
            "packer": role.syntax is not Syntax.ANSIBLE,
            "ansible": role.syntax is Syntax.ANSIBLE or "ansible" in role.provisioners,
            "ssh": role.syntax is Syntax.ANSIBLE or "ansible" in role.provisioners,
            "qemu": bool(kinds & {"qemu", "ansible"}) or (disks and role.test.enabled),
            "qemu-img": disks or bool(role.formats) or role.upstream.kind is UpstreamKind.ARCHIVE,
            **dict.fromkeys(("guestfish", "kernel", "virt-sysprep"), disks and role.seal.enabled),
            **dict.fromkeys(("mmdebstrap", "gpgv"), role.upstream.kind is UpstreamKind.ARCHIVE),
            "gpg": role.upstream.kind is UpstreamKind.FILE and bool(role.upstream.key),
        }
        found.update(name for name, wanted in wants.items() if wanted)
    return frozenset(found)


def refuse_what_is_missing(roles: Sequence[Role]) -> None:
    """Raise RefusedError, naming all at once, where this machine has not got what the roles need. Looks only whether it
    is there, and starts nothing: what is there and does not work, a run says."""
    missing: dict[str, str] = {}
    for role in roles:
        wanted = needed([role])
        missing |= {
            tool.name: _package(tool) for tool in _TOOLS if tool.name in wanted and process.find(tool.ask[0]) is None
        }
        if "kernel" in wanted and (kernel := _kernel()).health is Health.MISSING:
            missing[kernel.name] = kernel.install.removeprefix("apt install ")
    if not missing:
        return
    names = " and ".join(role.name for role in roles) if len(roles) < 4 else f"{len(roles)} roles"
    raise RefusedError(
        f"{names} cannot be built here: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing.",
        f"{_how_to_install(' '.join(dict.fromkeys(missing.values())))}. `ingot doctor` says more.",
    )


def _package(tool: _Tool) -> str:
    return tool.package if shutil.which("apt-get") else tool.name


def _how_to_install(packages: str) -> str:
    return f"apt install {packages}" if shutil.which("apt-get") else f"install {packages} with your package manager"


async def examine(places: Places, environment: Mapping[str, str], roles: Sequence[Role] = ()) -> tuple[Finding, ...]:
    """Look at everything, side by side. QEMU is started once, to try its accelerator. What is required depends on the
    roles that are to be built (`needed`)."""
    wanted = needed(roles)
    questions: list[Awaitable[Finding]] = [_tool(tool) for tool in _TOOLS]
    questions += [
        _accelerator(),
        _aside(_kernel),
        _aside(_uefi),
        _aside(_testinfra),
        _aside(_logout),
        _aside(lambda: _home(places)),
        _aside(lambda: _terminal(environment)),
    ]
    found = (_ingot(), *await asyncio.gather(*questions))
    return tuple(replace(finding, required=finding.name in wanted) for finding in found)


async def _aside(question: Callable[[], Finding]) -> Finding:
    return await asyncio.to_thread(question)


def _ingot() -> Finding:
    return Finding("ingot", Health.OK, __version__, f"Python {sys.version.split()[0]}")


async def _tool(tool: _Tool) -> Finding:
    install = _how_to_install(_package(tool))
    if process.find(tool.ask[0]) is None:
        return Finding(tool.name, Health.MISSING, "", "not found on PATH", tool.needed_by, install)
    try:
        said = await process.run(tool.ask, timeout=20)
    except IngotError as error:
        return Finding(tool.name, Health.BROKEN, "", error.what, tool.needed_by, install)
    text = (said.out + said.err).decode(errors="replace")
    version = match.group() if (match := _VERSION.search(text)) else ""
    if said.code != 0 or not version:
        first = next((line for line in text.splitlines() if line.strip()), f"exit status {said.code}")
        return Finding(tool.name, Health.BROKEN, version, f"does not start: {first}", tool.needed_by, install)
    if tool.oldest and tuple(int(part) for part in version.split(".")) < tool.oldest:
        oldest = ".".join(str(part) for part in tool.oldest)
        return Finding(tool.name, Health.BROKEN, version, f"older than {oldest}", tool.needed_by, install)
    return Finding(tool.name, Health.OK, version, "", tool.needed_by, "")


def _testinfra() -> Finding:
    needed_by = "boot tests with suites of testinfra"
    try:
        return Finding("testinfra", Health.OK, metadata.version("pytest-testinfra"), "", needed_by)
    except metadata.PackageNotFoundError:
        from core.adapters.suites import how_to_install_testinfra

        return Finding("testinfra", Health.MISSING, "", "not installed", needed_by, how_to_install_testinfra())


async def _accelerator() -> Finding:
    from core.adapters import qemu

    name, needed_by = "virtualisation", "builds at full speed"
    if process.find("qemu-system-x86_64") is None:
        return Finding(
            name,
            Health.MISSING,
            "",
            "QEMU is not there to try it",
            needed_by,
            "apt install qemu-system-x86",
        )
    found = await qemu.accelerator()
    if found == "kvm":
        return Finding(name, Health.OK, "kvm", "", needed_by)
    why = (
        "there is no /dev/kvm"
        if not Path("/dev/kvm").exists()
        else "/dev/kvm is there, but no virtual CPU starts with it"
    )
    if Path("/dev/kvm").exists() and not os.access("/dev/kvm", os.R_OK | os.W_OK):
        why = "/dev/kvm is not open to you"
    return Finding(
        name,
        Health.NOTE,
        found,
        f"{why}: machines are emulated, slowly",
        needed_by,
        "sudo usermod -aG kvm $USER, or enable nested virtualisation",
    )


def _kernel() -> Finding:
    kernels = sorted(Path("/boot").glob("vmlinuz-*"))
    needed_by = "libguestfs' own small machine"
    if not kernels:
        return Finding(
            "kernel", Health.MISSING, "", "no kernel in /boot", needed_by, "apt install linux-image-cloud-amd64"
        )
    if not any(os.access(kernel, os.R_OK) for kernel in kernels):
        return Finding(
            "kernel",
            Health.BROKEN,
            "",
            "no kernel in /boot that you can read",
            needed_by,
            "sudo chmod +r /boot/vmlinuz-*",
        )
    return Finding("kernel", Health.OK, kernels[-1].name.removeprefix("vmlinuz-"), "", needed_by)


def _uefi() -> Finding:
    from core.adapters import firmware

    name, needed_by = "uefi", "booting disks that boot by UEFI alone"
    try:
        return Finding(name, Health.OK, "", firmware.uefi().code, needed_by)
    except ToolError:
        package = "ovmf" if shutil.which("apt-get") else "edk2-ovmf"
        return Finding(name, Health.MISSING, "", "no firmware for QEMU without Secure Boot", needed_by,
                       _how_to_install(package))  # fmt: skip


def _logout() -> Finding:
    """Whether the system kills a user's processes at log-out (logind.conf(5), KillUserProcesses)."""
    name, needed_by = "log-out", "builds that go on when you log out"
    if not Path("/run/systemd/system").is_dir():
        return Finding(name, Health.OK, "", "no systemd here; processes outlive a log-out", needed_by)
    kills = False
    files = [Path("/etc/systemd/logind.conf")]
    for directory in ("/usr/lib/systemd/logind.conf.d", "/run/systemd/logind.conf.d", "/etc/systemd/logind.conf.d"):
        files += sorted(Path(directory).glob("*.conf"))
    for file in files:
        if not file.is_file():
            continue
        for line in file.read_text(errors="replace").splitlines():
            key, _, value = line.partition("=")
            if key.strip() == "KillUserProcesses":
                kills = value.strip().lower() in ("yes", "true", "on", "1")
    user = os.environ.get("USER") or str(os.getuid())
    lingers = Path(f"/var/lib/systemd/linger/{user}").exists()
    if kills and not lingers and os.getuid() != 0:
        return Finding(
            name,
            Health.NOTE,
            "",
            "this system kills your processes when you log out, running builds too",
            needed_by,
            f"loginctl enable-linger {user}",
        )
    return Finding(name, Health.OK, "", "processes outlive a log-out", needed_by)


def _home(places: Places) -> Finding:
    from core.text import size

    nearest = places.home
    while not nearest.exists():
        nearest = nearest.parent
    free = shutil.disk_usage(nearest).free
    detail = f"{size(free)} free at {places.home}"
    if free < 5 * 10**9:
        return Finding(
            "disk",
            Health.NOTE,
            "",
            f"only {detail}",
            "images and caches",
            "ingot cache, ingot images: see what can go",
        )
    return Finding("disk", Health.OK, "", detail, "images and caches")


def _terminal(environment: Mapping[str, str]) -> Finding:
    term = environment.get("TERM", "")
    colours = "true colour" if environment.get("COLORTERM") in ("truecolor", "24bit") else term or "unknown"
    if term in ("", "dumb"):
        return Finding(
            "terminal",
            Health.NOTE,
            term,
            "cannot show the workbench; the commands work",
            "the workbench",
            "export TERM=xterm-256color",
        )
    locale = environment.get("LC_ALL") or environment.get("LC_CTYPE") or environment.get("LANG") or ""
    if "utf" not in locale.lower():
        return Finding(
            "terminal",
            Health.NOTE,
            colours,
            f"locale {locale or 'C'} has no Unicode: signs are drawn in ASCII",
            "the workbench",
            "export LANG=C.UTF-8",
        )
    return Finding("terminal", Health.OK, colours, "", "the workbench")
