"""The workbench on an image version, and what is opened and asked from there, as a person gets to it."""

from screen import shown, until
from textual.pilot import Pilot

from core.model.image import ImageVersion
from tui.app import Ingot
from tui.screens.image import ImageScreen
from tui.screens.reasons import Reasons


def shows_images_of(app: Ingot, role: str) -> bool:
    """All its versions are listed; one of them may be another role's as well."""
    images = app.overview.images.get(role, ())
    return bool(images) and all(image.version in app.workbench.images.rows for image in images)


async def opened(pilot: Pilot[None], app: Ingot, version: str, role: str = "frontend") -> ImageVersion:
    """The workbench on an image version, all of it read."""
    await until(pilot, lambda: app.loaded and not app.discovering and app.standing.decided.images)
    await pilot.press("1")
    app.workbench.roles.move_to(role)
    await until(pilot, lambda: shows_images_of(app, role))
    await pilot.press("2")
    app.workbench.images.move_to(version)
    await pilot.pause()
    image = app.overview.image(role, version)
    assert image is not None
    return image


async def on_its_screen(pilot: Pilot[None], app: Ingot, version: str, words: str = "") -> None:
    """The image screen of a version of frontend, and these words on it."""
    await opened(pilot, app, version)
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(app.screen, ImageScreen) and words in shown(app))


async def typed(pilot: Pilot[None], app: Ingot, *answers: str) -> None:
    """Fill in the fields of a question, each with Enter."""
    await until(pilot, lambda: isinstance(app.screen, Reasons))
    for answer in answers:
        await pilot.press(*answer, "enter")
        await pilot.pause()
