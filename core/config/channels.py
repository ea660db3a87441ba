"""`[channels.NAME]` of ingot.toml: which channels there are and what each takes. Reference: docs/workspace.md."""

from core.config.table import Table
from core.model.channels import DEFAULT_CHANNELS, ChannelRule, OnRevoked
from core.model.image import ImageState

KEYS = ("takes", "on_revoked")
_TAKEN = tuple(state for state in ImageState if state is not ImageState.REVOKED)


def read(top: Table) -> tuple[ChannelRule, ...]:
    """In the order of the file; the usual ones where it names none."""
    channels = top.named("channels", "production", "channel")
    return tuple(_channel(channels, name) for name in channels.keys) or DEFAULT_CHANNELS


def _channel(channels: Table, name: str) -> ChannelRule:
    """A list of states that is all wrong, or cannot be read, takes nothing: a slip must not open a channel further than
    it was meant."""
    table = channels.table(name, KEYS)
    takes = (table.texts("takes") or ()) if "takes" in table else None
    on_revoked = table.text("on_revoked")
    states: list[ImageState] = []
    for state in takes or ():
        if state in _TAKEN:
            states.append(ImageState(state))
        elif state == ImageState.REVOKED:
            table.wrong("takes", "no channel takes what is revoked", f"Use: {', '.join(_TAKEN)}.")
        else:
            table.wrong("takes", f"{state!r} is no state of an image", f"Use: {', '.join(_TAKEN)}.")
    if on_revoked is not None and on_revoked not in tuple(OnRevoked):
        table.wrong("on_revoked", f"{on_revoked!r} is nothing that a channel does", f"Use: {', '.join(OnRevoked)}.")
        on_revoked = None
    rule = ChannelRule(name)
    return ChannelRule(
        name,
        rule.takes if takes is None else tuple(states),
        OnRevoked(on_revoked) if on_revoked is not None else rule.on_revoked,
    )
