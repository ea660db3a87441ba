"""The list: what a person sees and does in it. Rows are plain records; nothing of Ingot is in them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from textual.app import App, ComposeResult

from tui.theme import INGOT, Piece, Tone
from tui.widgets.columns import Column
from tui.widgets.table import Table

CSS = Path(__file__).parents[2] / "screens.css"


@dataclass(frozen=True)
class Machine:
    name: str
    state: str
    age: int


COLUMNS: tuple[Column[Machine], ...] = (
    Column("name", "NAME", lambda machine: machine.name, lambda machine: machine.name, min_width=12, grow=True),
    Column(
        "state", "STATE", lambda machine: Piece(machine.state, Tone.GOOD), lambda machine: machine.state, priority=2
    ),
    Column("age", "AGE", lambda machine: f"{machine.age}m", lambda machine: machine.age, align="right", priority=3),
)


class Listing(App[None]):
    CSS_PATH = CSS

    def __init__(self, machines: list[Machine], empty: str = "no machines yet") -> None:
        super().__init__()
        self.register_theme(INGOT)
        self.theme = "ingot"
        self.table: Table[Machine] = Table(COLUMNS, title="1 Machines", empty=empty)
        self.machines = machines
        self.heard: list[str] = []

    def compose(self) -> ComposeResult:
        yield self.table

    def on_mount(self) -> None:
        self.table.set_rows((machine.name, machine) for machine in self.machines)
        self.table.focus()

    def on_table_chosen(self, message: Table.Chosen) -> None:  # pyright: ignore[reportUnknownParameterType,reportMissingTypeArgument]
        self.heard.append(f"chosen {message.key}")

    def on_table_moved(self, message: Table.Moved) -> None:  # pyright: ignore[reportUnknownParameterType,reportMissingTypeArgument]
        self.heard.append(f"moved {message.key}")

    def on_table_left(self) -> None:
        self.heard.append("left")


def screen_text(app: App[None]) -> list[str]:
    """What the terminal shows, line by line."""
    return ["".join(segment.text for segment in line) for line in app.screen._compositor.render_strips()]  # pyright: ignore[reportPrivateUsage]


def machines(count: int) -> list[Machine]:
    return [
        Machine(f"web-{number:03}", "good" if number % 2 else "stale", (number * 37) % 101) for number in range(count)
    ]


async def test_title_number_and_count_stand_in_the_frame() -> None:
    app = Listing(machines(1234))
    async with app.run_test(size=(60, 12)) as pilot:
        await pilot.pause()
        top = screen_text(app)[0]
        assert top.startswith("╭─ 1 Machines ─")
        assert top.endswith("─ 1,234 ─╮")


async def test_the_cursor_follows_the_keys_that_fingers_know() -> None:
    app = Listing(machines(100))
    async with app.run_test(size=(60, 12)) as pilot:
        for keys, expected in (
            (("j", "down"), "web-002"),
            (("k",), "web-001"),
            (("G",), "web-099"),
            (("j",), "web-099"),
            (("g",), "web-000"),
            (("pagedown",), "web-009"),
            (("end", "pageup"), "web-090"),
            (("home",), "web-000"),
        ):
            await pilot.press(*keys)
            assert app.table.cursor == expected, keys
        await pilot.press("G")
        assert any("web-099" in line for line in screen_text(app))


async def test_enter_and_a_double_click_choose_a_row() -> None:
    app = Listing(machines(5))
    async with app.run_test(size=(60, 12)) as pilot:
        await pilot.press("j", "enter")
        await pilot.click(app.table, offset=(5, 5), times=2)
        assert [heard for heard in app.heard if heard.startswith("chosen")] == ["chosen web-001", "chosen web-003"]


async def test_cursor_and_view_stay_with_their_row_when_rows_come_and_go() -> None:
    app = Listing(machines(100))
    async with app.run_test(size=(60, 12)) as pilot:
        await pilot.press(*("j",) * 50)
        await pilot.pause()
        before = screen_text(app)
        for number in range(20):
            app.table.insert_row(f"new-{number}", Machine(f"new-{number}", "good", 1), before="web-000")
        app.table.remove_row("web-099")
        await pilot.pause()
        assert app.table.cursor == "web-050"
        assert [line[:-2] for line in screen_text(app)[1:-1]] == [line[:-2] for line in before[1:-1]]
        app.table.remove_row("web-050")
        assert app.table.cursor == "web-051"


async def test_a_row_updated_by_key_shows_its_new_value() -> None:
    app = Listing(machines(10))
    async with app.run_test(size=(60, 14)) as pilot:
        app.table.update_row("web-003", Machine("web-003", "revoked", 5))
        await pilot.pause()
        assert any("web-003" in line and "revoked" in line for line in screen_text(app))


async def test_all_rows_anew_keep_cursor_marks_and_filter() -> None:
    app = Listing(machines(50))
    async with app.run_test(size=(60, 14)) as pilot:
        await pilot.press("j", "j", "space", "slash", *"stale", "enter")
        cursor = app.table.cursor
        app.table.set_rows((machine.name, replace(machine, age=1)) for machine in machines(60))
        await pilot.pause()
        assert app.table.cursor == cursor
        assert app.table.rows.marks == {"web-002"}
        assert app.table.needle == "stale"
        assert len(app.table.rows.shown) == 30


async def test_filter_is_incremental_ignores_case_and_shows_how_many() -> None:
    app = Listing(machines(100))
    async with app.run_test(size=(60, 12)) as pilot:
        await pilot.press("slash", *"WEB-01")
        await pilot.pause()
        text = screen_text(app)
        assert text[0].endswith("─ 10 of 100 ─╮")
        assert "/WEB-01" in text[-1]
        await pilot.press("backspace", "1", "3", "enter")
        assert app.table.rows.shown == ["web-013"]
        await pilot.press("escape")
        assert len(app.table.rows.shown) == 100
        assert app.table.cursor == "web-013"


async def test_letters_typed_into_the_filter_do_nothing_else() -> None:
    app = Listing(machines(10))
    async with app.run_test(size=(60, 12)) as pilot:
        await pilot.press("slash", *"js gGy")
        assert app.table.needle == "js gGy"
        assert "Nothing here contains" in "\n".join(screen_text(app))
        await pilot.press("escape", "escape")
        assert app.table.needle == ""
        assert app.heard[-1] == "left"


async def test_sort_goes_through_the_columns_and_shows_the_way() -> None:
    app = Listing(machines(30))
    async with app.run_test(size=(60, 40)) as pilot:
        await pilot.press("s")
        await pilot.press("s")
        await pilot.pause()
        assert app.table.rows.shown[0] == "web-029"
        assert "NAME ▼" in screen_text(app)[1]
        app.table.sort_by("age")
        ages = [app.table.rows[key].age for key in app.table.rows.shown]
        assert ages == sorted(ages)
        app.table.sort_by(None)
        assert app.table.rows.shown == [machine.name for machine in machines(30)]


async def test_a_click_on_a_title_sorts_by_its_column() -> None:
    app = Listing(machines(30))
    async with app.run_test(size=(60, 40)) as pilot:
        await pilot.click(app.table, offset=(4, 1))
        await pilot.click(app.table, offset=(4, 1))
        assert app.table.rows.shown[0] == "web-029"


async def test_marks_stay_with_their_rows_and_are_what_actions_apply_to() -> None:
    app = Listing(machines(10))
    async with app.run_test(size=(60, 14)) as pilot:
        await pilot.press("space", "j", "space", "G")
        assert [machine.name for machine in app.table.chosen_or_marked] == ["web-000", "web-002"]
        assert "2 marked" in screen_text(app)[0]
        app.table.remove_row("web-000")
        assert [machine.name for machine in app.table.chosen_or_marked] == ["web-002"]
        await pilot.press("escape")
        assert [machine.name for machine in app.table.chosen_or_marked] == ["web-009"]


async def test_columns_drop_by_importance_as_the_width_shrinks() -> None:
    app = Listing([Machine("a-rather-long-machine-name-0001", "good", 12)])
    async with app.run_test(size=(60, 8)) as pilot:
        await pilot.pause()
        assert all(title in screen_text(app)[1] for title in ("NAME", "STATE", "AGE"))
        await pilot.resize_terminal(20, 8)
        await pilot.pause()
        head, row = screen_text(app)[1:3]
        assert "NAME" in head
        assert "AGE" not in head
        assert "…" in row
        assert "001" in row, "long names are cut in the middle"


async def test_copy_takes_the_row_or_the_marked_rows() -> None:
    app = Listing(machines(3))
    async with app.run_test(size=(60, 12)) as pilot:
        await pilot.press("y")
        assert app.clipboard == "web-000 stale 0m"
        await pilot.press("space", "space", "y")
        assert app.clipboard == "web-000 stale 0m\nweb-001 good 37m"


HOSTILE = (
    "[@click=app.quit]x[/]",
    "[/",
    "[link=https://x]",
    "\x1b]0;title\x07",
    "\x1b[2J",
    "a\u202eb",
    "\x9b31m",
    "tab\there",
    "line\nbreak",
    "\ud800",
)


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_names_are_shown_and_do_nothing(name: str) -> None:
    app = Listing([Machine(name, "good", 1)], empty=name)
    async with app.run_test(size=(60, 10)) as pilot:
        app.table.set_title(name)
        await pilot.pause()
        text = "".join(screen_text(app))
        assert not any(character in text for character in "\x1b\x07\x9b\u202e\ud800\t\n")
        if name.startswith("["):
            assert name in text
        app.table.set_rows([])
        await pilot.press("slash", "x")
        await pilot.pause()
        assert app.is_running


async def test_an_empty_list_says_why_and_what_to_do() -> None:
    app = Listing([], empty="no images yet: press b to build the role web")
    async with app.run_test(size=(60, 10)) as pilot:
        await pilot.pause()
        assert "no images yet: press b to build the role web" in "\n".join(screen_text(app))
        await pilot.press("j", "k", "G", "g", "enter", "space", "y", "s")
        assert app.table.cursor is None


async def test_a_hundred_thousand_rows_are_sorted_and_filtered_in_slices() -> None:
    app = Listing(machines(100_000))
    async with app.run_test(size=(60, 12)) as pilot:
        app.table.sort_by("age", reverse=True)
        while app.table.rows.working:
            await pilot.pause(0.01)
        ages = [app.table.rows[key].age for key in app.table.rows.shown]
        assert ages == sorted(ages, reverse=True)
        await pilot.press("slash", *"99999")
        while app.table.rows.working:
            await pilot.pause(0.01)
        assert app.table.rows.shown == ["web-99999"]
        app.table.update_row("web-99999", Machine("renamed", "good", 1))
        while app.table.rows.working:
            await pilot.pause(0.01)
        assert app.table.rows.shown == []


def a_column(value: Callable[[Machine], str]) -> Column[Machine]:
    return Column("x", "X", value, lambda machine: None if machine.age % 2 else machine.age)


async def test_rows_without_a_value_sort_to_the_end_either_way() -> None:
    app = Listing(machines(10))
    app.table.columns = (a_column(lambda machine: machine.name),)
    app.table._wanted = [4]  # pyright: ignore[reportPrivateUsage]
    async with app.run_test(size=(60, 12)):
        for reverse in (False, True):
            app.table.sort_by("x", reverse=reverse)
            odd = [app.table.rows[key].age % 2 for key in app.table.rows.shown]
            assert odd == sorted(odd)
