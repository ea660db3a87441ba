"""The order of the stages of a run (DESIGN.md, Words: pipeline, stage, run)."""

from enum import StrEnum

from core.model.role import Role


class Purpose(StrEnum):
    """What a run is for."""

    BUILD = "build"
    """Make an image version, from the checkout to the formats."""
    TEST = "test"
    """Test an image version that there is, once more."""
    CONVERT = "convert"
    """Make other formats of an image version that there is."""


BEFORE_BUILD = ("checkout", "upstream", "validate")
AFTER_BUILD = ("seal", "prove", "inspect", "register", "test", "convert")
"""Names of the stages that need none of the credentials that a build may need."""


def stages_of(role: Role, builds: tuple[str, ...], purpose: Purpose = Purpose.BUILD) -> tuple[str, ...]:
    """The keys of the stages of a run, in the order in which they are carried out.

    >>> from core.model.role import Build, Syntax
    >>> web = Role("web", "web", Syntax.HCL2, builds=(Build("qemu.web", "qemu"), Build("null.web", "null")))
    >>> stages_of(web, ("null.web",))
    ('checkout', 'upstream', 'validate', 'build/null.web', 'register')
    """
    if purpose is Purpose.CONVERT:
        return ("convert",)
    made = tuple(f"build/{build}" for build in builds)
    convert = ("convert",) if role.formats else ()
    return (*BEFORE_BUILD, *made, "register", *convert)
