"""The sixteen colours of a terminal from the theme, so that what a machine draws looks at home."""

from collections.abc import Mapping

from textual.color import Color, ColorParseError

from tui.terminal.emulator import Palette, Rgb

_NAMES = ("panel", "error", "success", "warning", "accent", "waiting", "busy", "foreground")
"""The theme's variables for black, red, green, yellow, blue, magenta, cyan and white."""
_BLACK_LIGHTER = 0.3
"""The bright colours are this much lighter; so bright black, which programs write comments in, can be read."""
_LIGHTER = 0.1


def palette_of(variables: Mapping[str, str]) -> Palette:
    """The palette for a theme's variables (`App.theme_variables`)."""
    foreground = _colour(variables, "foreground", "#d3d7de")
    background = _colour(variables, "background", "#0f1216")
    normal = [_colour(variables, name, "#7b8492") for name in _NAMES]
    bright = [colour.lighten(_LIGHTER if at else _BLACK_LIGHTER) for at, colour in enumerate(normal)]
    return Palette(
        _rgb(foreground),
        _rgb(background),
        _rgb(_colour(variables, "accent", "#7aa9f7")),
        tuple(_rgb(colour) for colour in [*normal, *bright]),
    )


def _colour(variables: Mapping[str, str], name: str, otherwise: str) -> Color:
    try:
        colour = Color.parse(variables.get(name, otherwise))
    except ColorParseError:
        return Color.parse(otherwise)
    # A theme of the terminal's own colours (Textual's ansi themes) has no numbers for them.
    return Color.parse(otherwise) if colour.ansi is not None else colour


def _rgb(colour: Color) -> Rgb:
    return colour.rgb
