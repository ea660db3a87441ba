"""What can be done on every screen: the table of the app's own actions and keys."""

from tui.actions import Action

EVERYWHERE = (
    Action("command", "Command", ("colon",), "Type a command; Tab completes it", "Everywhere", rank=7),
    Action("help", "Help", ("question_mark",), "All keys that work here; Enter carries one out", "Everywhere", rank=2),
    Action("palette", "Palette", ("ctrl+p",), "Find an action by its name", "Everywhere"),
    Action("notices", "Notices", ("N",), "What was said here since the start", "Everywhere", command="notices"),
    Action(
        "debug",
        "Debug",
        ("d",),
        "A shell in the machine that waits; where several do, in the chosen one",
        "Everywhere",
        command="debug",
        argument="run",
    ),
    Action("refresh", "Refresh", ("f5", "ctrl+r"), "Look through the repository", "Everywhere", command="refresh"),
    Action(
        "quit",
        "Quit (builds go on)",
        ("q", "ctrl+q", "ctrl+c"),
        "Leave Ingot; builds go on without it. On every other screen q goes back, as Esc does",
        "Everywhere",
        rank=2,
        last=True,
        command="quit",
    ),
    Action("suspend", "To the shell", ("ctrl+z",), "Back to the shell; fg comes back here", internal=True),
)
