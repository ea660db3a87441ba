"""What can be done in every log: the table of actions of the log view."""

from tui.actions import Action

READING = (
    Action("follow", "Follow", ("f",), "Show the newest lines as they come; again: stop", "In the log", rank=31),
    Action("next_error", "Next error", ("e",), "Go to the next error line", "In the log", rank=32),
    Action("previous_error", "Previous error", ("E",), "Go to the error line before", "In the log"),
    Action("search", "Search", ("slash",), "Search the log; a capital makes it exact", "In the log", rank=33),
    Action("next_match", "Next match", ("n",), "Go to the next line that matches the search", "In the log"),
    Action("previous_match", "Previous match", ("N",), "Go to the matching line before", "In the log"),
    Action("wrap", "Wrap", ("w",), "Break long lines, or show them on one line each", "In the log", rank=34),
    Action("times", "Times", ("t",), "Show when each line was written", "In the log", rank=36),
    Action("mark", "Mark", ("space", "v"), "Mark from this line on; y then copies all of them", "In the log"),
    Action("copy", "Copy", ("y",), "Copy the line, or the marked lines, to the clipboard", "In the log", rank=35),
    Action("down", "Down", ("j", "down"), group="In the log"),
    Action("up", "Up", ("k", "up"), group="In the log"),
    Action("page_down", "Page down", ("pagedown", "ctrl+d"), group="In the log"),
    Action("page_up", "Page up", ("pageup", "ctrl+u"), group="In the log"),
    Action("first", "First line", ("g", "home"), group="In the log"),
    Action("last", "Last line, and follow", ("G", "end"), group="In the log"),
    Action("right", "Right", ("right",), "Scroll a long line to its end", "In the log"),
    Action("left", "Left", ("left",), "Scroll a long line back", "In the log"),
    Action(
        "back", "Clear", ("escape",), "End the search, then the mark; with neither: back", "In the log", passes=True
    ),
)
"""What every log can do."""
