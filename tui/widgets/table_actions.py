"""What can be done in every list: the table of actions of the list."""

from tui.actions import Action

MOVING = (
    Action("down", "Down", ("j", "down"), group="In lists"),
    Action("up", "Up", ("k", "up"), group="In lists"),
    Action("page_down", "Page down", ("pagedown", "ctrl+d"), group="In lists"),
    Action("page_up", "Page up", ("pageup", "ctrl+u"), group="In lists"),
    Action("first", "First", ("g", "home"), group="In lists"),
    Action("last", "Last", ("G", "end"), group="In lists"),
    Action("choose", "Open", ("enter",), "Open what the cursor is on", group="In lists", rank=3),
    Action("filter", "Filter", ("slash",), "Show only what has a text in it; Esc ends that", group="In lists", rank=5),
    Action("mark", "Mark", ("space",), "Mark a row: actions then apply to all that are marked", group="In lists"),
    Action("sort", "Sort", ("s",), "Sort by the next column, up and then down", group="In lists"),
    Action("copy", "Copy", ("y",), "Copy the row, or the marked rows, to the clipboard", group="In lists"),
    Action(
        "back", "Clear", ("escape",), "Clear the filter, then the marks; with neither: back", "In lists", passes=True
    ),
)
"""What every list can do."""
