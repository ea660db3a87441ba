"""The workbench as a person uses it: what the panes say, and what the keys do."""

import pytest
from screen import line_with, lines, said, shown, until
from shop import NOW, Shop
from textual.pilot import Pilot

from core.errors import EngineError, WorkspaceError
from core.model.image import ImageState
from core.model.role import Problem
from core.model.run import RunState, StageState
from core.services.overview import WorkerView
from tui.app import Ingot
from tui.screens.questions import Question

FULL = (140, 42)


async def settled(pilot: Pilot[None], app: Ingot) -> None:
    """The index was read and what followed from it is on screen."""
    await until(pilot, lambda: app.loaded and app.fresh.worker_asked and not app.discovering and not app.busy)
    await pilot.pause()


async def test_the_first_picture_says_where_things_stand(shop: Shop) -> None:
    app = shop.app(worker=WorkerView(running=1, queued=1))
    async with app.run_test(size=FULL) as pilot:
        await settled(pilot, app)
        await until(pilot, lambda: app.worker)
        await pilot.pause()
        top = lines(app)[0]
        for words in ("shop", "main 3f9c2a1", "4 commits after release-0.1.0", "uncommitted", "1 running", "1 queued"):
            assert words in top
        line_with(app, "· base", "0.1.0", "queued")
        line_with(app, "↻ frontend", "0.1.0-4-g3f9c2a1", "stale")
        line_with(app, "◐ backend", "building")
        line_with(app, "✗ database", "–", "failed")
        line_with(app, "✗ legacy", "broken")
        line_with(app, "✓ released", "? unknown", "3d")
        line_with(app, "running", "✓✓✓  ◐ build 3:14", "· register", "TASK [app : install packages]", "3:20")
        line_with(app, "✗ failed", "✗ build 0:57", "pg_createcluster", "1:03")
        line_with(app, "No fleets yet")


async def test_moving_over_the_roles_moves_the_image_versions_with_it(shop: Shop) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await settled(pilot, app)
        await pilot.press("j")
        await pilot.pause()
        line_with(app, "2 frontend · image versions")
        line_with(app, "0.1.0-4-g3f9c2a1", "· candidate", "12m", "base 0.1.0")
        line_with(app, "↻ ansible/frontend.yml changed in 3f9c2a1")
        await pilot.press("j", "j")
        await pilot.pause()
        line_with(app, "No images yet: run 3 failed.")
        await pilot.press("j")
        await pilot.pause()
        line_with(app, "packer/legacy/web.pkr.hcl:14: the block `source` is not closed")


async def test_panes_are_reached_by_number_tab_enter_and_esc(shop: Shop) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await settled(pilot, app)
        seen: list[str | None] = []
        for key in ("4", "tab", "shift+tab", "2", "escape", "enter", "3", "1"):
            await pilot.press(key)
            await pilot.pause()
            seen.append(app.focused.id if app.focused else None)
        assert seen == ["runs", "roles", "runs", "images", "roles", "images", "fleets", "roles"]


async def test_a_change_in_the_index_shows_by_itself(shop: Shop) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await settled(pilot, app)
        run = shop.index.runs(shop.workspace.id)[1]
        shop.index.update_stage(run.uid, "build/qemu.backend", progress="TASK [app : start]", fraction=0.5)
        await until(pilot, lambda: "50% TASK [app : start]" in shown(app))
        shop.index.update_stage(run.uid, "build/qemu.backend", state=StageState.SUCCEEDED, ended=NOW)
        shop.index.set_run_state(run.uid, RunState.SUCCEEDED)
        image = shop.image("backend", "0.2.0", 0, ImageState.CANDIDATE, "0.1.0")
        shop.index.replace_images(shop.workspace.id, [image], "head-2")
        await until(pilot, lambda: "✓ backend" in shown(app))
        line_with(app, "✓ backend", "0.2.0", "candidate")


async def test_building_asks_for_trust_once_and_then_no_more(bare: Shop) -> None:
    bare.save([bare.role("base"), bare.role("frontend")])
    app = bare.app()
    async with app.run_test(size=FULL) as pilot:
        await settled(pilot, app)
        await pilot.press("b")
        await until(pilot, lambda: isinstance(app.screen, Question))
        assert "Trust shop?" in shown(app)
        assert "with your permissions" in shown(app)
        await pilot.press("enter")
        await until(pilot, lambda: not isinstance(app.screen, Question))
        assert bare.asked.heard == []
        await pilot.press("b")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("y")
        await until(pilot, lambda: bare.asked.heard)
        assert bare.asked.heard == ["build base trust"]
        bare.index.trust(bare.workspace, "you")
        await until(pilot, lambda: app.overview.trusted)
        await pilot.press("b")
        await until(pilot, lambda: len(bare.asked.heard) == 2)
        assert bare.asked.heard[-1] == "build base"


async def test_marked_roles_are_built_together(shop: Shop) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await settled(pilot, app)
        await pilot.press("j", "space", "space", "b")
        await until(pilot, lambda: shop.asked.heard)
        assert shop.asked.heard == ["build frontend backend"], "one request, for the parents to come first in it"
        await until(pilot, lambda: "frontend (run 6), backend (run 7)" in said(app))
        assert app.workbench.roles.rows.marks == set()


async def test_what_was_queued_is_chosen_among_the_runs(shop: Shop) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await settled(pilot, app)
        await pilot.press("j", "b")
        await until(pilot, lambda: app.workbench.runs.chosen and app.workbench.runs.chosen.id == 6)
        await pilot.press("4", "j", "1", "k", "4")
        chosen = app.workbench.runs.chosen
        await pilot.pause()
        assert chosen
        assert chosen.id != 6, "what a person chose afterwards stays"
        assert app.workbench.runs.chosen == chosen


async def test_a_role_that_cannot_be_read_is_not_built_and_says_why(shop: Shop) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await settled(pilot, app)
        await pilot.press("G", "b")
        await pilot.pause()
        assert shop.asked.heard == []
        assert "the block `source` is not closed" in app.notices[-1].text


async def test_cancelling_wants_a_y(shop: Shop) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await settled(pilot, app)
        await pilot.press("x")
        assert "Choose a run first" in app.notices[-1].text
        for no in ("enter", "escape", "n"):
            await pilot.press("4", "g", "j", "x")
            await until(pilot, lambda: isinstance(app.screen, Question))
            assert "Cancel run 4?" in shown(app)
            await pilot.press(no)
            await until(pilot, lambda: not isinstance(app.screen, Question))
        assert shop.asked.heard == []
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("y")
        await until(pilot, lambda: shop.asked.heard)
        assert shop.asked.heard == ["cancel"]
        await pilot.press("G", "x")
        await pilot.pause()
        assert "has ended" in app.notices[-1].text


async def test_deleting_wants_the_name_typed(shop: Shop) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await settled(pilot, app)
        await pilot.press("j", "2", "j", "D")
        await until(pilot, lambda: isinstance(app.screen, Question))
        assert "frontend.qcow2" in shown(app)
        assert "stay on the ledger" in shown(app)
        await pilot.press(*"frontend 0.1", "enter")
        await pilot.pause()
        assert "That is another name." in shown(app)
        assert shop.asked.heard == []
        await pilot.press(*".0", "enter")
        await until(pilot, lambda: shop.asked.heard)
        assert shop.asked.heard == ["delete frontend 0.1.0 (frontend 0.1.0)"]
        await until(pilot, lambda: "612 MB free again." in said(app))
        await pilot.press("D")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("enter")
        await until(pilot, lambda: not isinstance(app.screen, Question))
        assert len(shop.asked.heard) == 1


async def test_readonly_switches_every_change_off_and_says_so(shop: Shop) -> None:
    app = shop.app(readonly=True)
    async with app.run_test(size=FULL) as pilot:
        await settled(pilot, app)
        assert "read-only" in lines(app)[0]
        assert "Build" not in lines(app)[-1]
        for keys in (("b",), ("S",), ("4", "j", "x"), ("1", "2", "D"), ("colon", *"build base", "enter")):
            said = len(app.notices)
            await pilot.press(*keys)
            await until(pilot, lambda said=said: len(app.notices) > said)
            assert "--readonly" in app.notices[-1].text
        assert shop.asked.heard == []


async def test_an_error_of_a_service_is_said_with_its_next_step(shop: Shop) -> None:
    shop.asked.refuse = EngineError("No worker answers.", "Look at worker.log.", kept="The run is written down.")
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await settled(pilot, app)
        await pilot.press("b")
        await until(pilot, lambda: "No worker answers." in said(app))
        await pilot.press("N")
        await until(pilot, lambda: "Notices" in shown(app))
        line_with(app, "✗ No worker answers.: The run is written down. Look at worker.log.")


async def test_discovery_that_fails_hides_nothing_and_is_shown(shop: Shop) -> None:
    app = shop.app()
    app.overviews.trouble = WorkspaceError("ingot.toml:3: there is no key `rolez`.", "Did you mean `roles`?")  # pyright: ignore[reportAttributeAccessIssue]
    async with app.run_test(size=FULL) as pilot:
        await settled(pilot, app)
        await until(pilot, lambda: "there is no key `rolez`" in lines(app)[0])
        assert "last seen" in lines(app)[0]
        line_with(app, "↻ frontend", "stale")
        app.overviews.trouble = None  # pyright: ignore[reportAttributeAccessIssue]
        await pilot.press("f5")
        await until(pilot, lambda: "rolez" not in lines(app)[0])


async def test_where_there_is_no_repository_it_says_what_was_looked_for(bare: Shop) -> None:
    (bare.root / ".git").rmdir()
    app = bare.app()
    async with app.run_test(size=FULL) as pilot:
        await settled(pilot, app)
        line_with(app, "No Git repository.")
        line_with(app, "ingot demo")
        await pilot.press("f5")
        assert "there is nothing to look through" in app.notices[-1].text


async def test_where_there_are_no_templates_it_says_what_was_looked_for(bare: Shop) -> None:
    bare.save([])
    app = bare.app()
    async with app.run_test(size=FULL) as pilot:
        await settled(pilot, app)
        line_with(app, "No Packer templates.")
        assert "*.pkr.hcl" in shown(app)
        line_with(app, "No runs yet.")
        await pilot.press("b")
        assert "There is no role to build." in app.notices[-1].text


@pytest.mark.parametrize(("readonly", "woken"), [(False, 1), (True, 0)])
async def test_runs_that_a_dead_worker_left_get_a_new_one(shop: Shop, readonly: bool, woken: int) -> None:
    app = shop.app(readonly=readonly)
    async with app.run_test(size=FULL) as pilot:
        await settled(pilot, app)
        await until(pilot, lambda: min(shop.asked.woken, 1) == woken)


async def test_the_footer_is_the_workbenchs_own_after_a_run_that_was_opened_at_the_start(shop: Shop) -> None:
    (run, *_) = shop.index.runs()
    app = shop.app(run_uid=run.uid)
    async with app.run_test(size=FULL) as pilot:
        await settled(pilot, app)
        await until(pilot, lambda: "Next stage" in lines(app)[-1])
        app.workbench.discovered()  # while another screen is on top
        await pilot.press("escape")
        await until(pilot, lambda: "Build" in lines(app)[-1])
        assert "Next stage" not in lines(app)[-1]


async def test_problems_of_the_workspace_are_shown_with_their_place(bare: Shop) -> None:
    bare.save([], (Problem("ingot.toml", "no key `rolez`", 3, "Did you mean `roles`?"),))
    app = bare.app()
    async with app.run_test(size=FULL) as pilot:
        await settled(pilot, app)
        line_with(app, "ingot.toml:3: no key `rolez`")
        line_with(app, "Did you mean `roles`?")


async def test_problems_of_the_workspace_are_shown_beside_its_roles_and_said_once(bare: Shop) -> None:
    problem = Problem("ingot.toml", "no key `rolez`", 3, "Did you mean `roles`?")
    bare.save([bare.role("web")], (problem,))
    app = bare.app()
    async with app.run_test(size=FULL) as pilot:
        await settled(pilot, app)
        line_with(app, "! ingot.toml:3: no key `rolez`")
        assert said(app) == "ingot.toml:3: no key `rolez`\nDid you mean `roles`?"
        bare.save([bare.role("web"), bare.role("db")], (problem,))
        await until(pilot, lambda: len(app.overview.roles) == 2)
        assert len(app.notices) == 1
        bare.save([bare.role("web")])
        await until(pilot, lambda: not app.overview.problems)
        await pilot.pause()
        assert "! ingot.toml" not in lines(app)[0] + "".join(lines(app)[1:30]), "it goes when it is mended"


async def test_a_role_without_images_says_how_to_make_one(bare: Shop) -> None:
    bare.save([bare.role("web")])
    app = bare.app()
    async with app.run_test(size=FULL) as pilot:
        await settled(pilot, app)
        line_with(app, "No images yet.")
        line_with(app, "Press b to build the role web.")
        line_with(app, "no worker")


async def test_on_a_small_terminal_panes_are_pages(shop: Shop) -> None:
    app = shop.app()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot, app)
        assert "1 Roles 5" in lines(app)[1]
        assert "↻ frontend" in shown(app)
        assert "4 Runs ─" not in shown(app)
        await pilot.press("4")
        await pilot.pause()
        assert "◐ running" in shown(app)
        assert "↻ frontend" not in shown(app)
        await pilot.resize_terminal(60, 15)
        await pilot.pause()
        assert "◐ running" in shown(app)
        assert "3:20" in shown(app)
        await pilot.resize_terminal(40, 10)
        await pilot.pause()
        assert shown(app).strip() == "Ingot needs 60×15, here are 40×10"
        await pilot.resize_terminal(20, 5)
        await pilot.pause()
        assert shown(app).strip() == "needs 60×15"
        await pilot.resize_terminal(*FULL)
        await pilot.pause()
        assert "↻ frontend" in shown(app)
        assert "◐ running" in shown(app)


@pytest.mark.parametrize("pane", ["roles", "runs"])
async def test_after_a_terminal_that_was_too_small_all_is_as_it_was(shop: Shop, pane: str) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await settled(pilot, app)
        await pilot.press("4" if pane == "runs" else "1")
        await pilot.pause()
        before = shown(app)
        await pilot.resize_terminal(20, 5)
        await pilot.pause()
        assert shown(app).strip() == "needs 60×15"
        app.workbench.show(app.overview)  # what is read meanwhile is shown nowhere
        await pilot.resize_terminal(*FULL)
        await until(pilot, lambda: app.focused is not None and app.focused.id == pane)
        await until(pilot, lambda: shown(app) == before)
        table = app.workbench.runs if pane == "runs" else app.workbench.roles
        chosen = table.cursor
        await pilot.press("down")
        await until(pilot, lambda: table.cursor != chosen)


HOSTILE = "[/][@click=app.quit]x\x1b]0;t\x07\u202e\x9b2J"


async def test_hostile_names_are_shown_everywhere_and_do_nothing(bare: Shop) -> None:
    shop = bare
    role = shop.role(HOSTILE)
    shop.save([role], (Problem(HOSTILE, HOSTILE),))
    shop.index.save_stale(shop.workspace.id, {HOSTILE: HOSTILE})
    image = shop.image(HOSTILE, HOSTILE, 5, ImageState.GOOD, HOSTILE, marks=(HOSTILE,), built_by=HOSTILE)
    shop.index.replace_images(shop.workspace.id, [image], "head")
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await settled(pilot, app)
        for keys in (
            ("2",),
            ("enter",),
            ("q",),
            ("D",),
            ("escape",),
            ("colon", *"build "),
            ("escape",),
            ("1", "b"),
            ("escape",),
        ):
            await pilot.press(*keys)
            await pilot.pause()
            assert not any(character in shown(app) for character in "\x1b\x07\u202e\x9b"), keys
        app.notify(HOSTILE, title=HOSTILE)
        await pilot.press("N")
        await pilot.pause()
        assert not any(character in shown(app) for character in "\x1b\x07\u202e\x9b")
        assert app.is_running


async def test_without_unicode_every_sign_is_ascii(shop: Shop) -> None:
    app = shop.app(ascii_only=True, worker=WorkerView(1, 1))
    async with app.run_test(size=FULL) as pilot:
        await settled(pilot, app)
        await pilot.press("j", "4")
        await pilot.pause()
        strange = {character for character in shown(app) if not character.isascii()}
        assert strange == set()
        line_with(app, "~ frontend", "stale")
        line_with(app, "* running", "* build 3:14", ". register")
        for keys in (("question_mark",), ("escape", "N"), ("escape", "2", "enter")):
            await pilot.press(*keys)
            await pilot.pause()
            assert {character for character in shown(app) if not character.isascii()} <= {"↓", "↑"}, keys


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, True),
        ({"LANG": "en_US.UTF-8"}, True),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, False),
        ({"LC_ALL": "POSIX", "LANG": "en_US.UTF-8"}, False),
        ({"LANG": "de_DE.ISO-8859-1"}, False),
        ({"LANG": "en_US.UTF-8", "TERM": "linux"}, False),
    ],
)
def test_the_locale_tells_whether_signs_can_be_shown(environment: dict[str, str], expected: bool) -> None:
    from tui.theme import has_unicode

    assert has_unicode(environment) is expected


async def test_a_click_goes_to_a_pane_and_the_footer_can_be_clicked(shop: Shop) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await settled(pilot, app)
        await pilot.click("#runs", offset=(10, 3))
        assert app.focused is app.workbench.runs
        assert app.workbench.runs.chosen is not None
        assert app.workbench.runs.chosen.id == 4
        x = lines(app)[-1].index("? Help")
        await pilot.click("#footer", offset=(x + 1, 0))
        await until(pilot, lambda: "Keys that work here" in shown(app))
