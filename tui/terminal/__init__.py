"""A terminal in a pane: what a program in a machine draws, drawn as cells and nothing else.

`widget.Terminal` is what a screen uses. What it is drawn from is an `emulator.Emulator`; `ghostty.Ghostty` is the one
in use, and is loaded when the first terminal opens. Nothing here knows where the bytes come from.
"""
