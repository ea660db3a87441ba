"""What an action of the workbench applies to, and what is said where that is nothing."""

import pytest
from screen import until
from shop import Shop
from textual.pilot import Pilot

from tui.app import Ingot
from tui.screens.workbench_subjects import Subjects

FULL = (140, 42)


async def begun(pilot: Pilot[None], app: Ingot) -> Subjects:
    """The index was read and what followed from it is on screen."""
    await until(pilot, lambda: app.loaded and not app.discovering and not app.busy)
    await pilot.pause()
    return app.workbench.subjects


async def test_what_is_named_goes_before_what_is_marked_and_that_before_what_is_chosen(shop: Shop) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        subjects = await begun(pilot, app)
        assert subjects.roles("") == ["base"]
        await pilot.press("j", "space", "space")  # a mark goes on to the next row
        assert subjects.roles("") == ["frontend", "backend"]
        assert subjects.roles("base backend") == ["base", "backend"]
        await pilot.press("2")
        await pilot.pause()
        role = app.workbench.shown_role
        assert role
        assert subjects.roles("") == [role]


async def test_of_a_role_it_is_the_newest_image_version_and_the_newest_run(shop: Shop) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        subjects = await begun(pilot, app)
        await pilot.press("j")
        await pilot.pause()
        image = subjects.image("")
        assert image is not None
        assert (image.role, image.version) == ("frontend", "0.1.0-4-g3f9c2a1")
        await pilot.press("j", "j")
        await pilot.pause()
        run = subjects.run("")
        assert run is not None
        assert (run.id, run.role) == (3, "database")
        assert subjects.image("") is None


KEYS = {" ": "space", "/": "slash", "~": "tilde"}


@pytest.mark.parametrize(
    ("keys", "action", "said"),
    [
        ("4", "build", "Choose a role first"),
        ("/~", "build", "Choose a role first"),
        ("/~", "build_how", "Choose a role first"),
        ("", "cancel", "Choose a run first"),
        ("4G", "cancel", "This run has ended"),
        ("3", "logs", "No run belongs to what is chosen"),
        ("", "delete", "Choose an image version first"),
        ("", "difference", "Choose an image version first"),
        ("j2   ", "difference", "Mark two image versions with Space, not more"),
        ("jj2", "difference", "There is only this one"),
        ("", "outdated", "No role is outdated"),
        ("", "build", ""),
        ("", "stale", ""),
        ("j2", "difference", ""),
    ],
)
async def test_what_applies_to_nothing_says_why(shop: Shop, keys: str, action: str, said: str) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        subjects = await begun(pilot, app)
        await pilot.press(*(KEYS.get(key, key) for key in keys))
        await pilot.pause()
        assert subjects.why_not(action).startswith(said)
        assert bool(subjects.why_not(action)) == bool(said)


async def test_a_name_that_does_not_exist_is_said(shop: Shop) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        subjects = await begun(pilot, app)
        assert (subjects.roles("nowhere"), subjects.images("web 9"), subjects.runs("99")) == ([], [], [])
        notices = [notice.text for notice in app.notices]
        for words in ("There is no role nowhere", "There is no image version web 9", "There is no run 99"):
            assert any(notice.startswith(words) for notice in notices), words


async def test_the_oldest_image_version_has_none_before_it(shop: Shop) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        subjects = await begun(pilot, app)
        await pilot.press("j", "2")
        await pilot.pause()
        two = subjects.two_images("")
        assert two is not None
        assert [image.version for image in two] == ["0.1.0", "0.1.0-4-g3f9c2a1"]
        await pilot.press("G")
        await pilot.pause()
        assert subjects.two_images("") is None
        assert any(notice.text.startswith("It is the oldest") for notice in app.notices)
