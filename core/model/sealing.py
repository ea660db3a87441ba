"""Sealing: what of its making must not be left in an image, and what a role says about that."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SealSettings:
    """`[seal]` and `[roles.NAME.seal]` of ingot.toml. Where neither is there, an image is looked at and not changed."""

    enabled: bool = False
    """Whether the disk is sealed, and the build fails for anything that is found in it afterwards."""
    keep: tuple[str, ...] = ()
    """Items that are left as they are, and not looked for."""
    remove: tuple[str, ...] = ()
    """Absolute paths in the image that go too."""
    users: tuple[str, ...] = ()
    """Users that exist for the build only: they go, with their homes."""
