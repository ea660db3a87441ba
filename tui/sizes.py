"""How much room the screens need, in columns and rows."""

from tui.widgets.line import Part

WORKBENCH = (100, 30)
"""From which all panes of the workbench show at once; below, panes are pages."""
RUN = (100, 24)
"""From which the stages of a run are a list; below, they are one line of signs."""
DEBUG = (100, 28)
"""From which a shell stands beside what went wrong; below, both are pages."""
LEAST = (60, 15)
"""What screens need at all."""


def needs(width: int, height: int) -> list[Part]:
    """What a terminal that is too small is told, in what fits there."""
    if width < 38:
        return [Part(f"needs {LEAST[0]}×{LEAST[1]}")]
    return [Part(f"Ingot needs {LEAST[0]}×{LEAST[1]}, here are {width}×{height}")]
