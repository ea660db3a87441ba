"""`[channels.NAME]` of ingot.toml: which channels there are and what each takes. Reference: docs/workspace.md."""

from collections.abc import Callable

from core.model.channels import ChannelRule, OnRevoked
from core.model.image import ImageState

KEYS = ("takes", "on_revoked")
_TAKEN = tuple(state for state in ImageState if state is not ImageState.REVOKED)

Wrong = Callable[[str, str, str], None]
"""Takes the key, what is wrong with it, and the fix."""


def checked(name: str, takes: tuple[str, ...] | None, on_revoked: str | None, wrong: Wrong) -> ChannelRule:
    """The channel from its values; what is wrong in it is left out and said to `wrong`.

    A list of states that is all wrong takes nothing: a slip must not open a channel further than it was meant.
    """
    states: list[ImageState] = []
    for state in takes or ():
        if state in _TAKEN:
            states.append(ImageState(state))
        elif state == ImageState.REVOKED:
            wrong("takes", "no channel takes what is revoked", f"Use: {', '.join(_TAKEN)}.")
        else:
            wrong("takes", f"{state!r} is no state of an image", f"Use: {', '.join(_TAKEN)}.")
    if on_revoked is not None and on_revoked not in tuple(OnRevoked):
        wrong("on_revoked", f"{on_revoked!r} is nothing that a channel does", f"Use: {', '.join(OnRevoked)}.")
        on_revoked = None
    rule = ChannelRule(name)
    return ChannelRule(
        name,
        rule.takes if takes is None else tuple(states),
        OnRevoked(on_revoked) if on_revoked is not None else rule.on_revoked,
    )
