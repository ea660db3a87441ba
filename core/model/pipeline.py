"""The order of the stages of a run."""

from enum import StrEnum

from core.model.machine import is_cloud
from core.model.role import DISK_BUILDERS, Build, Role


class Purpose(StrEnum):
    """What a run is for."""

    BUILD = "build"
    """Make an image version, from the checkout to the formats."""
    TEST = "test"
    """Test an image version that there is, once more."""
    CONVERT = "convert"
    """Make other formats of an image version that there is."""


BEFORE_BUILD = ("checkout", "upstream", "validate")
OF_DISKS = ("seal", "prove", "inspect")
"""What follows each build that makes a disk: the last write to it, and what is then found in it."""
AFTER_BUILD = ("seal", "prove", "inspect", "register", "test", "convert")
"""Names of the stages whose tools need none of the credentials that a build may need. They begin without; what has to
know them all the same, for redacting, waits for them (core/stages/stage.py, wait_for_secrets)."""


def stages_of(role: Role, builds: tuple[str, ...], purpose: Purpose = Purpose.BUILD) -> tuple[str, ...]:
    """The keys of the stages of a run, in the order in which they are carried out.

    >>> from core.model.role import Build, Syntax
    >>> web = Role("web", "web", Syntax.HCL2, builds=(Build("qemu.web", "qemu"), Build("null.web", "null")))
    >>> stages_of(web, ("null.web",))
    ('checkout', 'upstream', 'validate', 'build/null.web', 'register')
    >>> stages_of(web, ("qemu.web", "null.web"), Purpose.TEST)
    ('checkout', 'test/qemu.web')
    >>> [stage for stage in stages_of(web, ("qemu.web",)) if stage.endswith("/qemu.web")][:4]
    ['build/qemu.web', 'seal/qemu.web', 'prove/qemu.web', 'inspect/qemu.web']
    """
    if purpose is Purpose.CONVERT:
        return ("convert",)
    tests = tuple(f"test/{build.name}" for build in role.builds if build.name in builds and testable(build))
    if purpose is Purpose.TEST:
        return ("checkout", *tests)
    with_disks = {build.name for build in role.builds if bootable(build)}
    made = tuple(
        f"{stage}/{build}" for build in builds for stage in ("build", *(OF_DISKS if build in with_disks else ()))
    )
    convert = ("convert",) if role.formats else ()
    return (*BEFORE_BUILD, *made, "register", *(tests if role.test.enabled else ()), *convert)


def testable(build: Build) -> bool:
    """A throwaway machine of what the build makes can be had: here, or in the cloud that its AMI is in.

    >>> testable(Build("amazon-ebs.web", "amazon-ebs")), testable(Build("null.web", "null"))
    (True, False)
    """
    return bootable(build) or is_cloud(build.kind)


def bootable(build: Build) -> bool:
    """What the build makes is a disk that a machine can be booted from here.

    >>> bootable(Build("qemu.web", "qemu")), bootable(Build("amazon-ebs.web", "amazon-ebs"))
    (True, False)
    """
    return build.kind in DISK_BUILDERS or build.kind == "ansible"
