"""The sections of the image screen, in the order of their keys: `1` is the first."""

from tui.image_sections import artifacts, history, lineage, overview, packages, seal, stages, tests, uses
from tui.image_sections.section import Section

SECTIONS: tuple[Section, ...] = (
    overview.SECTION,
    lineage.SECTION,
    stages.SECTION,
    packages.SECTION,
    seal.SECTION,
    tests.SECTION,
    artifacts.SECTION,
    uses.SECTION,
    history.SECTION,
)
