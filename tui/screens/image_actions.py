"""What can be done on the image screen: the table of its actions and keys; each section is one, too."""

from tui.actions import Action
from tui.image_sections.order import SECTIONS

ACTIONS = (
    Action(
        "promote",
        "Promote…",
        ("p",),
        "What is looked at before a channel moves to it, what changes by it, and the move",
        "Image",
        rank=1,
        command="promote",
    ),
    Action("test", "Test", ("t",), "Boot a machine from it and test it, once more", "Image", True, 2, command="test"),
    Action(
        "convert",
        "Convert…",
        ("c",),
        "Make other formats of it: raw, vhd, vhdx, vmdk, ova",
        "Image",
        True,
        5,
        command="convert",
    ),
    Action(
        "difference",
        "Difference",
        ("equals_sign",),
        "What is different to the version before it; :difference ROLE VERSION to another",
        "Image",
        rank=3,
        command="difference",
        argument="image",
    ),
    Action("logs", "Logs", ("l",), "The run that made it, with its logs", "Image", rank=4, command="logs"),
    Action("revoke", "Revoke…", (), "Forbid it, and with it what is built on it", "Image", True, command="revoke"),
    Action("deprecate", "Deprecate…", (), "Say that it is to be used no more", "Image", True, command="deprecate"),
    Action("restore", "Restore…", (), "Take back its last revocation or deprecation", "Image", True, command="restore"),
    *(
        Action(section.id, section.title, (str(at),), f"To its {section.title.lower()}", "Sections")
        for at, section in enumerate(SECTIONS, 1)
    ),
    Action("next_section", "Next section", ("tab", "right_square_bracket"), "To the next section", "Sections", rank=6),
    Action("previous_section", "Section before", ("shift+tab", "left_square_bracket"), "To the one before", "Sections"),
    Action("leave", "Back", ("escape", "q"), "Back to where you came from", "Image", rank=2, last=True),
)
