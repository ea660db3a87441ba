"""What was done by hand to the machine that an image version was made of. Such a version never becomes good."""

from enum import StrEnum

import msgspec

TOUCHED = "touched by hand"
"""The mark of an image version."""


class TouchKind(StrEnum):
    SHELL = "shell"
    COMMAND = "command"
    SSH_COMMAND = "ssh command"
    """The command line for another SSH client was given out: what was done with it is not known."""
    RETRY = "retry"
    """A step was repeated after a pause."""


class Touch(msgspec.Struct, frozen=True):
    """One time that somebody did something by hand."""

    kind: TouchKind
    who: str
    """`Name <mail>`"""
    when: float
    """Seconds since the epoch."""
    build: str
    """`qemu.web`: the build whose machine it was."""
    detail: str = ""
    """The command that was run, redacted; the step that was repeated."""
    transcript: str = ""
    """Name of the transcript (asciinema v2, output only, redacted) beside this record; empty when there is none."""
