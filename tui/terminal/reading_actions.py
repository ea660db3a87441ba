"""What can be done while reading back in a terminal: the table of its actions."""

from tui.actions import Action

_GROUP = "In a terminal, after Shift+PgUp"

READING = (
    Action("search", "Search", ("slash",), "Search upwards, in what scrolled away too", _GROUP, rank=31),
    Action("older", "Older", ("n",), "Go to the match above", _GROUP),
    Action("newer", "Newer", ("N",), "Go to the match below", _GROUP),
    Action("mark", "Select", ("v", "space"), "Select from here on; again: stop", _GROUP, rank=32),
    Action("mark_lines", "Select lines", ("V",), "Select whole lines from here on", _GROUP),
    Action("copy", "Copy", ("y", "enter"), "Copy what is selected, else this line, and go back", _GROUP, rank=33),
    Action("down", "Down", ("j", "down"), group=_GROUP),
    Action("up", "Up", ("k", "up"), group=_GROUP),
    Action("left", "Left", ("h", "left"), group=_GROUP),
    Action("right", "Right", ("l", "right"), group=_GROUP),
    Action("line_start", "Start of the line", ("0", "home"), group=_GROUP),
    Action("line_end", "End of the line", ("dollar_sign", "end"), group=_GROUP),
    Action("page_up", "Page up", ("pageup", "shift+pageup", "ctrl+b"), group=_GROUP),
    Action("page_down", "Page down", ("pagedown", "shift+pagedown", "ctrl+f"), group=_GROUP),
    Action("half_up", "Half a page up", ("ctrl+u",), group=_GROUP),
    Action("half_down", "Half a page down", ("ctrl+d",), group=_GROUP),
    Action("first", "Oldest line", ("g",), group=_GROUP),
    Action("last", "Newest line", ("G",), group=_GROUP),
    Action("back", "Back", ("escape", "q"), "End the search, then the selection; then back", _GROUP, rank=5, last=True),
)
