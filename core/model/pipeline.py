"""The order of the stages of an image run."""

BEFORE_BUILD = ("checkout", "upstream", "validate")
AFTER_BUILD = ("register",)


def stages_of(builds: tuple[str, ...]) -> tuple[str, ...]:
    """The keys of the stages of a run that makes these builds, in the order in which they are carried out.

    >>> stages_of(("qemu.web",))
    ('checkout', 'upstream', 'validate', 'build/qemu.web', 'register')
    """
    return (*BEFORE_BUILD, *(f"build/{build}" for build in builds), *AFTER_BUILD)
