"""Terminals that are too small, or know nothing but ASCII: every screen lives there and says what it can."""

from collections.abc import Sequence

import pytest
from screen import lines, shown, until
from shop import COMMIT, NOW, Shop
from textual.geometry import Size
from textual.pilot import Pilot
from textual.widgets._toast import Toast

from core.model.image import ImageState
from core.model.workspace import Catalogue, GitFacts
from core.services.overview import WorkerView
from tui.actions import app_of
from tui.app import Ingot
from tui.ascii import in_ascii
from tui.screens.questions import Question, trust_question
from tui.theme import ASCII, UNICODE, Signs

FULL = (140, 42)
SCREENS = {
    "workbench": (),
    "runs": ("4",),
    "help": ("question_mark",),
    "notices": ("N",),
    "image": ("2", "enter"),
    "run": ("4", "enter"),
    "command": ("colon", "b"),
    "filter": ("slash", "b"),
    "palette": ("ctrl+p", "b"),
    "cancel": ("4", "x"),
    "delete": ("2", "D"),
}
"""What is pressed to come there."""


async def settled(pilot: Pilot[None], app: Ingot, keys: Sequence[str] = ()) -> None:
    await until(pilot, lambda: app.loaded and app.fresh.worker_asked and not app.discovering)
    await pilot.press(*keys)
    await pilot.pause()


@pytest.mark.parametrize("name", ["help", "notices", "image", "run"])
async def test_below_the_least_size_one_line_says_what_is_needed_and_nothing_is_lost(shop: Shop, name: str) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await settled(pilot, app, SCREENS[name])
        before, screen = shown(app), app.screen
        assert "needs" not in before
        for size in ((59, 15), (60, 14), (20, 5), (5, 2), (1, 1)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            expected = f"Ingot needs 60×15, here are {size[0]}×{size[1]}" if size[0] >= 38 else "needs 60×15"
            if size[0] >= 20:
                assert shown(app).strip() == expected
        await pilot.resize_terminal(*FULL)
        await pilot.pause()
        assert app.screen is screen
        await until(pilot, lambda: shown(app) == before)
        await pilot.press("j")  # the list has the focus again
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen is app.workbench


@pytest.mark.parametrize("name", ["help", "notices", "image"])
async def test_a_screen_that_cannot_be_shown_is_left_by_its_keys(shop: Shop, name: str) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        for key in ("escape", "q"):
            await settled(pilot, app, SCREENS[name])
            await pilot.resize_terminal(20, 5)
            await pilot.pause()
            await pilot.press(key)
            await pilot.pause()
            assert app.screen is app.workbench
            await pilot.resize_terminal(*FULL)
            await pilot.pause()


async def test_a_terminal_of_20_by_5_lives_whatever_is_pressed(shop: Shop) -> None:
    app = shop.app()
    async with app.run_test(size=(20, 5), notifications=True) as pilot:
        await settled(pilot, app)
        for keys in SCREENS.values():
            await settled(pilot, app, (*keys, "down", "escape", "escape", "escape"))
        app.notify("It is " * 40, title="A notice")
        await pilot.pause()
        assert app.is_running
        await pilot.resize_terminal(*FULL)
        await pilot.pause()
        assert "frontend" in shown(app)


@pytest.mark.parametrize(("size", "rows"), [((80, 24), 6), ((60, 15), 3), ((59, 14), 1), ((20, 5), 1)])
async def test_a_notice_takes_a_quarter_of_a_small_terminal_at_most(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], rows: int
) -> None:
    monkeypatch.setattr(Ingot, "NOTIFICATION_TIMEOUT", 600)
    app = shop.app()
    async with app.run_test(size=size, notifications=True) as pilot:
        for key in ("", "question_mark"):
            await settled(pilot, app, [key] if key else [])
            app.notify("The disk is full. " * 10 + "\nMake room.\nThen try again.", title="The build failed " * 8)
            await pilot.pause()
            toast = next(widget for widget in app.screen.walk_children() if isinstance(widget, Toast))
            assert toast.outer_size.height == rows
            assert toast.outer_size.width <= size[0]
            assert "The build f" in shown(app)
            app.clear_notifications()
            await pilot.press("escape")


@pytest.mark.parametrize("size", [FULL, (80, 24)], ids=["140x42", "80x24"])
@pytest.mark.parametrize("name", SCREENS)
async def test_without_unicode_nothing_but_ascii_is_drawn(shop: Shop, name: str, size: tuple[int, int]) -> None:
    role = "büro-東京"
    many = [shop.image(role, f"0.1.{number}", 5 + number, ImageState.GOOD) for number in range(80)]
    shop.save([shop.role("base"), shop.role(role)])
    shop.index.replace_images(shop.workspace.id, [*shop.index.images(shop.workspace.id), *many], "head")
    log = shop.places.log(shop.index.runs()[0].uid, "build/qemu.backend")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("qemu.backend: “cannot” open ‘x’ — größer ✓ 日本\n" * 200, "utf-8")
    app = shop.app(ascii_only=True, worker=WorkerView(1, 1))
    async with app.run_test(size=size, notifications=True) as pilot:
        await settled(pilot, app, ("j", *SCREENS[name]))
        app.notify("Größe … 3×4", title="“x”")
        await pilot.pause()
        drawn = lines(app)
        strange = {character for character in "\n".join(drawn) if not character.isascii()}
        assert strange == set(), "\n".join(drawn)
        assert {len(line) for line in drawn} == {size[0]}


async def test_a_question_is_ascii_too(shop: Shop) -> None:
    app = shop.app(ascii_only=True)
    async with app.run_test(size=FULL) as pilot:
        await settled(pilot, app)
        app_of(app.workbench).push_screen(trust_question("büro", "/srv/büro"))
        await pilot.pause()
        assert shown(app).isascii()
        assert "Trust buro?" in shown(app)


def test_facts_on_a_line_are_parted_in_the_same_way_everywhere(shop: Shop) -> None:
    assert in_ascii("a · b") == "a . b"
    assert in_ascii("2 web · image versions … 3×4") == "2 web . image versions ~ 3x4"
    assert Size(len(in_ascii("東京")), 1) == Size(4, 1)


def test_no_sign_looks_like_a_piece_of_a_frame() -> None:
    for name in Signs.__struct_fields__:
        assert in_ascii(getattr(UNICODE, name)) not in "|+", name
        assert getattr(ASCII, name) not in "|+", name


async def test_which_way_a_list_is_sorted_is_no_sign_of_a_state(shop: Shop) -> None:
    states = {getattr(ASCII, name) for name in ("good", "busy", "paused", "bad", "stale", "attention", "not_yet")}
    app = shop.app(ascii_only=True)
    async with app.run_test(size=FULL) as pilot:
        await settled(pilot, app, ("1",))
        for reverse in (False, True):
            app.workbench.roles.sort_by("state", reverse=reverse)
            await pilot.pause()
            title = next(line for line in lines(app) if "ROLE" in line)
            sign = title.partition("STATE ")[2][:1]
            assert sign.strip()
            assert sign not in states
    assert in_ascii("▲ newer  ▼ older") == "^ newer  v older"


@pytest.mark.parametrize(("width", "branch"), [(140, True), (80, True), (60, False)])
async def test_a_very_long_branch_is_cut_and_the_commit_stays(shop: Shop, width: int, branch: bool) -> None:
    name = "feature/" + "a-very-long-name-" * 6 + "4711"
    git = GitFacts(COMMIT, name, True, "release-0.1.0", 4)
    shop.index.save_catalogue(Catalogue(shop.workspace, git, (shop.role("base"),), (), NOW))
    app = shop.app(worker=WorkerView(1, 1))
    async with app.run_test(size=(width, 30)) as pilot:
        await settled(pilot, app)
        first = lines(app)[0]
        assert COMMIT[:7] in first
        assert ("feat" in first and "4711" in first) == branch
        assert "worker ●" in first


async def test_old_notices_are_not_over_what_is_typed(shop: Shop) -> None:
    app = shop.app()
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settled(pilot, app)
        for key in ("colon", "question_mark", "ctrl+p"):
            app.notify("It was said before.", timeout=600)
            await until(pilot, lambda: "It was said before." in shown(app))
            await pilot.press(key)
            await until(pilot, lambda: app.screen is not app.workbench)
            await until(pilot, lambda: "It was said before." not in shown(app))
            await pilot.press("escape")
            await until(pilot, lambda: app.screen is app.workbench)
        await pilot.press("colon", *"bui")
        app.notify("It comes meanwhile.", timeout=600)
        await until(pilot, lambda: "It comes meanwhile." in shown(app))
        assert lines(app)[-1].strip() == ":bui"
        assert "build" in lines(app)[-2]


@pytest.mark.parametrize("size", [(80, 24), (60, 15)])
async def test_a_reason_is_told_whole_or_says_where_the_rest_is(shop: Shop, size: tuple[int, int]) -> None:
    app = shop.app()
    async with app.run_test(size=size, notifications=True) as pilot:
        await settled(pilot, app)
        app.notify("No role is outdated: no parent has a newer good image than the one built on.", title="Not now")
        await until(pilot, lambda: "built on." in shown(app))
        app.clear_notifications()
        app.notify("There is no room. " * 50, title="The build failed")
        await until(pilot, lambda: "… :notices has the rest" in shown(app))


@pytest.mark.parametrize("size", [FULL, (80, 24), (60, 15)])
async def test_notices_over_a_question_leave_most_of_it_in_sight(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    monkeypatch.setattr(Ingot, "NOTIFICATION_TIMEOUT", 600)
    app = shop.app()
    async with app.run_test(size=size, notifications=True) as pilot:
        await settled(pilot, app)
        app.workbench.runs.move_to(next(run.uid for run in app.overview.runs if not run.state.ended))
        await pilot.press("4", "x")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.pause()
        before = lines(app)
        for number in range(6):
            app.notify("It cannot be reached.\nTry again.", title=f"Error {number}", severity="error")
        await until(pilot, lambda: len(list(app.screen.query(Toast))) == 6 and "Error 0" in shown(app))
        await pilot.pause()
        assert lines(app)[1 + size[1] // 4 :] == before[1 + size[1] // 4 :]


async def test_a_long_notice_leaves_what_is_found_in_sight(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ingot, "NOTIFICATION_TIMEOUT", 600)
    app = shop.app()
    async with app.run_test(size=(60, 15), notifications=True) as pilot:
        await settled(pilot, app, ("colon", "b"))
        app.notify("The disk is full. " * 10 + "\nMake room.", title="The build failed")
        await until(pilot, lambda: "The build failed" in shown(app))
        toast = next(widget for widget in app.screen.walk_children() if isinstance(widget, Toast))
        assert toast.outer_size.height == 3
        assert toast.outer_size.width > 50
        assert "Make room. … :notices has the rest" in shown(app)
