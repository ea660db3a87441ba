"""What brings a terminal back from whatever a program that is gone has left behind."""

AS_NEW = (
    b"\x18\x1b\\"  # a sequence that was not finished ends
    b"\x1b7\x1b[?1049l"  # where there is no other screen to leave, its end brings the cursor to where it is
    b"\x1b[!p\x1b7\x1b[r\x1b8"  # the end of scrolling margins moves the cursor to the top
    # No sequence is longer than what core/cli/terminal.py looks for.
    b"\x1b[?1;9;66;1000;1002;1003;1004;1005;1006l\x1b[?1015;1016;2004;2026;2031;2048l"
    b"\x1b[?7;25h\x1b[<99u\x1b[>4;0m\x1b[0m\x1b(B\x0f\x1b[0 q\r"
)
"""Undoes its screen, its modes of mouse, keys and paste, its cursor. What stands on the screen stays, and what comes
next stands below it."""
