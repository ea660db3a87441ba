"""What can be done on the promote screen: the table of its actions and keys."""

from tui.actions import Action

ACTIONS = (
    Action(
        "promote",
        "Move the channel…",
        ("enter", "p"),
        "Move the chosen channel to this image version; asks why, and for a yes to each warning",
        "Promote",
        True,
        1,
        command="promote",
    ),
    Action(
        "back",
        "Undo",
        ("u",),
        "Move the chosen channel back to what it had before",
        "Promote",
        True,
        2,
        command="back",
    ),
    Action("image", "Image", ("i",), "All that is known of this image version", "Promote", rank=5),
    Action(
        "whole",
        "Whole difference",
        ("equals_sign",),
        "What is different, on a screen of its own",
        "Promote",
        rank=4,
        command="difference",
    ),
    Action("revoke", "Revoke…", (), "Forbid this image version", "Promote", True, command="revoke"),
    Action("channels", "Channels", ("1",), "To the channels", "Panes"),
    Action("checks", "Checks", ("2",), "To the checks", "Panes"),
    Action("changes", "What changes", ("3",), "To what changes by the move", "Panes"),
    Action("next_pane", "Next pane", ("tab",), "To the next pane", "Panes"),
    Action("previous_pane", "Previous pane", ("shift+tab",), "To the pane before", "Panes"),
    Action("leave", "Back", ("escape", "q"), "Back to where you came from", "Promote", rank=2, last=True),
)
