"""The run screen: what a run is doing, and where it failed. Real index, real logs, the real app."""

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
from textual.pilot import Pilot

from core.model.role import Build, Role, Syntax
from core.model.run import Run, RunRequest, RunState, StageState
from core.model.workspace import Catalogue, GitFacts, Workspace
from core.places import Places
from core.services.changing import Changing
from core.services.debugging import Debugging
from core.services.overview import Overviews
from core.store.index import Index
from core.store.log_writer import LogWriter
from tests.support.stages import plain_stages
from tui.app import Ingot
from tui.screens.run import RunScreen
from tui.theme import plain

SAMPLES = Path(__file__).parents[1] / "data" / "failures"
COMMIT = "3f9c2a1b77e01d4a11b0c2f3f9c2a1b77e01d4a1"
BEGAN = 1_763_636_400.0
Compare = Callable[..., bool]


class House:
    """A workspace with runs whose stages a test carries out, as the worker and the holder would record them."""

    def __init__(self, tmp_path: Path) -> None:
        self.root = tmp_path / "shop"
        self.root.mkdir()
        subprocess.run(["git", "init", "-q", str(self.root)], check=True)
        self.places = Places(tmp_path / "home")
        self.places.create()
        self.now = BEGAN
        self.index = Index(self.places.index, clock=lambda: self.now)
        self.workspace = Workspace("shop", "shop", str(self.root))
        self.index.remember_workspace(self.workspace)
        self.index.trust("shop", "Anna")
        role = self.role("web", "qemu.web")
        self.index.save_catalogue(Catalogue(self.workspace, GitFacts(COMMIT, "main"), (role,), read_at=BEGAN))

    def role(self, name: str, *builds: str) -> Role:
        return Role(name, name, Syntax.HCL2, builds=tuple(Build(build, build.partition(".")[0]) for build in builds))

    def run(self, *builds: str) -> Run:
        builds = builds or ("qemu.web",)
        request = RunRequest(
            self.workspace, self.role("web", *builds), COMMIT, "HEAD", builds, "Anna <anna@example.org>", self.now
        )
        return self.index.add_run(request, plain_stages(builds))

    def begin(self, run: Run) -> None:
        self.index.set_run_state(run.uid, RunState.RUNNING)
        self.index.set_version(run.uid, "0.1.0-4-g3f9c2a1")
        for key in ("checkout", "upstream", "validate"):
            self.stage(run, key, f"{key}: done\n")
            self.end(run, key)

    def stage(self, run: Run, key: str, log: str = "", progress: str = "") -> None:
        self.index.update_stage(run.uid, key, state=StageState.RUNNING, started=self.now, attempt=1, progress=progress)
        self.say(run, key, log)

    def say(self, run: Run, key: str, log: str) -> None:
        with LogWriter(self.places.log(run.uid, key), clock=lambda: self.now) as writer:
            writer.write(log.encode())

    def end(self, run: Run, key: str, state: StageState = StageState.SUCCEEDED, error: str = "") -> None:
        self.now += 2
        self.index.update_stage(run.uid, key, state=state, ended=self.now, error=error)

    def fail(self, run: Run, sample: str = "ansible-verbose", *, checkout: str = "") -> None:
        text = (SAMPLES / f"{sample}.log").read_text().replace("null.web", "qemu.web")
        text = text.replace("/srv/shop", checkout or f"{self.places.run(run.uid)}/checkout")
        self.say(run, "build/qemu.web", text)
        self.end(run, "build/qemu.web", StageState.FAILED)
        self.index.set_run_state(run.uid, RunState.FAILED)

    def app(self, run: Run, *, readonly: bool = False) -> Ingot:
        overviews = Overviews(self.places, self.root)
        return Ingot(
            overviews,
            NoWorker(self.places, self.root),
            lambda: Debugging(self.places, {}),
            readonly=readonly,
            run_uid=run.uid,
            clock=lambda: self.now,
        )


class NoWorker(Changing):
    """Starts none: the runs here are told, not carried out."""

    def wake(self) -> None:
        pass


def no_discovery(_: Ingot) -> None:
    """In the place of discovery."""


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setenv("INGOT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TZ", "UTC")
    # Discovery would start a process that reads the repository: nothing here is about that.
    monkeypatch.setattr(Ingot, "discover", no_discovery)
    house = House(tmp_path)
    yield house
    house.index.close()


def text(app: Ingot) -> str:
    """What the terminal shows."""
    strips = app.screen._compositor.render_strips()  # pyright: ignore[reportPrivateUsage]
    return "\n".join("".join(segment.text for segment in line) for line in strips)


async def seen(app: Ingot, *words: str, seconds: float = 10) -> str:
    """Wait until all of this is on the run screen."""
    shown = ""
    for _ in range(int(seconds / 0.05)):
        shown = text(app)
        if isinstance(app.screen, RunScreen) and all(word in shown for word in words):
            return shown
        await asyncio.sleep(0.05)
    raise AssertionError(f"{[word for word in words if word not in shown]} never came:\n{shown}")


def screen(app: Ingot) -> RunScreen:
    return cast(RunScreen, app.screen)


async def test_it_moves_with_the_run_from_stage_to_stage(house: House) -> None:
    run = house.run()
    app = house.app(run)
    async with app.run_test(size=(140, 42)):
        await seen(app, f"run {run.id}", "build web", "queued", "It is the next")
        house.begin(run)
        house.stage(run, "build/qemu.web", "==> qemu.web: Retrieving ISO\n", "fetching the disk")
        await seen(app, "◐ running", "✓ validate", "◐ build", "==> Retrieving ISO", "fetching the disk", "following")
        house.say(run, "build/qemu.web", "    qemu.web: a new line\n")
        await seen(app, "a new line")
        house.end(run, "build/qemu.web")
        house.stage(run, "register", "web 0.1.0 registered\n")
        await seen(app, "✓ build", "◐ register", "web 0.1.0 registered")
        house.end(run, "register")
        house.index.set_run_state(run.uid, RunState.SUCCEEDED)
        await seen(app, "✓ succeeded", "version 0.1.0-4-g3f9c2a1")


async def test_a_stage_that_was_chosen_stays_until_the_one_at_work_is_chosen(house: House) -> None:
    run = house.run()
    house.begin(run)
    house.stage(run, "build/qemu.web", "building\n")
    app = house.app(run)
    async with app.run_test(size=(140, 42)) as pilot:
        await seen(app, "building")
        await pilot.press("left_square_bracket")
        await seen(app, "validate: done")
        house.index.update_stage(run.uid, "build/qemu.web", progress="half done")
        await asyncio.sleep(0.6)
        assert screen(app).shown == "validate"
        await pilot.press("right_square_bracket")
        await seen(app, "building", "half done")
        house.end(run, "build/qemu.web")
        house.stage(run, "register", "registering\n")
        await seen(app, "registering")
        assert screen(app).shown == "register"


async def test_news_do_not_take_back_a_move_to_another_stage(house: House) -> None:
    """They may come between the key and what the screen hears of it."""
    run = house.run()
    house.begin(run)
    house.stage(run, "build/qemu.web", "building\n")
    app = house.app(run)
    async with app.run_test(size=(140, 42)) as pilot:
        await seen(app, "building")
        await pilot.press("1")
        house.index.update_stage(run.uid, "build/qemu.web", progress="half done")
        screen(app).stages.move_to("checkout")
        screen(app)._poll()  # pyright: ignore[reportPrivateUsage] - between two messages no key gets there
        await seen(app, "checkout: done")
        await asyncio.sleep(0.6)
        assert screen(app).shown == screen(app).stages.cursor == "checkout"


async def test_a_terminal_that_is_too_small_is_told_what_is_needed(house: House) -> None:
    run = house.run()
    app = house.app(run)
    async with app.run_test(size=(30, 8)) as pilot:
        shown = await seen(app, "needs 60×15")
        assert "build web" not in shown
        await pilot.resize_terminal(60, 15)
        assert "needs 60" not in await seen(app, f"run {run.id}", "build web")


async def test_the_list_of_stages_chooses_too(house: House) -> None:
    run = house.run()
    house.begin(run)
    house.stage(run, "build/qemu.web", "building\n")
    app = house.app(run)
    async with app.run_test(size=(140, 42)) as pilot:
        await seen(app, "building")
        await pilot.press("1", "g")
        await seen(app, "checkout: done")
        await pilot.press("j", "enter")
        await seen(app, "upstream: done")
        assert screen(app).log_view.has_focus


async def test_a_failed_run_opens_on_what_went_wrong(house: House) -> None:
    run = house.run()
    house.begin(run)
    house.stage(run, "build/qemu.web", "    qemu.web: early\n" * 200)
    house.fail(run)
    app = house.app(run)
    async with app.run_test(size=(140, 42)):
        await seen(
            app,
            "✗ failed in build",
            "What went wrong",
            "TASK [create the cluster]",
            "playbooks/web.yml:11",
            "exit status 1",
            "No space left on device",
            "Creating new cluster",
            "A disk is full",
            "error 2 of 3",
        )
        log_view = screen(app).log_view
        assert log_view.cursor == 233  # the `fatal:` line of the sample, behind the 200


async def test_a_run_that_fails_while_it_is_watched_shows_why(house: House) -> None:
    run = house.run()
    house.begin(run)
    house.stage(run, "build/qemu.web", "    qemu.web: at work\n")
    app = house.app(run)
    async with app.run_test(size=(140, 42)):
        await seen(app, "at work", "following")
        house.fail(run, "shell-script")
        await seen(app, "What went wrong", "scripts/install.sh", "exit status 100", "E: Unable to locate package")


async def test_a_waiting_run_says_for_what(house: House) -> None:
    run = house.run()
    house.begin(run)
    house.index.set_run_state(run.uid, RunState.WAITING, "11 GB of disk are needed, 4 GB are free")
    app = house.app(run)
    async with app.run_test(size=(140, 42)):
        await seen(app, "! waiting", "What it waits for", "11 GB of disk are needed, 4 GB are free")


async def test_a_queued_run_says_what_is_before_it(house: House) -> None:
    first, second, third = house.run(), house.run(), house.run()
    house.index.set_run_state(first.uid, RunState.RUNNING)
    app = house.app(third)
    async with app.run_test(size=(140, 42)):
        await seen(app, "queued", "1 run is taken before it; 1 goes on now")
        house.index.set_run_state(second.uid, RunState.CANCELLED)
        await seen(app, "It is the next")


async def test_a_lost_run_says_what_may_be_left(house: House) -> None:
    run = house.run()
    house.begin(run)
    house.stage(run, "build/qemu.web", "the last words\n")
    house.end(run, "build/qemu.web", StageState.LOST)
    house.index.set_run_state(run.uid, RunState.LOST, "Its holder vanished; QEMU 4711 may still run.")
    app = house.app(run)
    async with app.run_test(size=(140, 42)):
        await seen(app, "✗ lost", "What was lost", "QEMU 4711 may still run", "the last words")


async def test_cancelling_asks_and_enter_alone_means_no(house: House) -> None:
    run = house.run()
    house.begin(run)
    house.stage(run, "build/qemu.web", "building\n")
    app = house.app(run)
    async with app.run_test(size=(140, 42)) as pilot:
        await seen(app, "building")
        await pilot.press("x", "enter")
        await pilot.pause()
        assert (house.index.run(run.uid) or run).cancel_asked_by == ""
        assert isinstance(app.screen, RunScreen)


async def test_what_cannot_be_done_says_why(house: House) -> None:
    run = house.run()
    house.begin(run)
    house.stage(run, "build/qemu.web", "building\n")
    app = house.app(run, readonly=True)
    async with app.run_test(size=(140, 42)) as pilot:
        await seen(app, "building")
        assert "Cancel…" not in text(app)
        await pilot.press("x")
        assert "--readonly" in app.notices[-1].text
        await pilot.press("r", "e")
        assert app.notices[-1].title == "Next error: not now"


async def test_escape_goes_back_to_the_workbench(house: House) -> None:
    run = house.run()
    app = house.app(run)
    async with app.run_test(size=(140, 42)) as pilot:
        await seen(app, "queued")
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen is app.workbench
        app.open_run(run.uid)
        await seen(app, "queued")
        await pilot.press("tab", "escape")
        await pilot.pause()
        assert app.screen is app.workbench


async def test_a_run_without_a_record_says_so(house: House) -> None:
    run = house.run()
    app = house.app(run)
    async with app.run_test(size=(140, 42)):
        await seen(app, "queued")
        app.open_run("nothing")
        await seen(app, "There is no record of this run")


async def test_names_and_reasons_are_never_markup_and_never_reach_the_terminal_raw(house: House) -> None:
    run = house.run()
    house.begin(run)
    house.index.set_version(run.uid, "[bold]\x1b[2J\u202e")
    house.stage(run, "build/qemu.web", "x\n", "[/] \x1b]0;title\x07")
    house.end(run, "build/qemu.web", StageState.FAILED, "[link=https://x]\x1b[31m [@click=app.quit]no[/]")
    house.index.set_run_state(run.uid, RunState.FAILED)
    app = house.app(run)
    async with app.run_test(size=(140, 42)):
        shown = await seen(app, "[@click=app.quit]no[/]", "[bold]")
        assert not any(character in shown for character in "\x1b\x07\u202e")


def prepared(house: House, kind: str) -> Run:
    run = house.run() if kind != "several" else house.run("qemu.web", "amazon-ebs.web")
    if kind == "queued":
        return run
    house.begin(run)
    steps = "".join(
        f"    qemu.web: TASK [nginx : step {step}] *****\n    qemu.web: ok: [default]\n" for step in range(30)
    )
    house.stage(run, "build/qemu.web", "==> qemu.web: Starting VM\n" + steps, "TASK [nginx : step 29]")
    house.now += 191
    if kind == "failed":
        house.fail(run, checkout="/srv/shop")  # a picture that is the same everywhere
    return run


@pytest.mark.parametrize("size", [(140, 42), (80, 24), (60, 15)])
@pytest.mark.parametrize("kind", ["running", "failed", "queued", "several"])
def test_how_a_run_looks(house: House, snap_compare: Compare, kind: str, size: tuple[int, int]) -> None:
    run = prepared(house, kind)

    async def before(pilot: Pilot[None]) -> None:
        app = cast(Ingot, pilot.app)
        await seen(app, {"failed": "What went wrong", "queued": "It is the next"}.get(kind, "nginx : step 29"))
        if kind == "failed":
            await seen(app, "create the cluster")
        # The run's uid is random: a picture must not be.
        told = [row for row in screen(app).facts.rows(36) if run.uid not in plain(row.left)]
        screen(app).facts.set_rows("This run", lambda _: told)
        await pilot.pause()

    assert snap_compare(house.app(run), terminal_size=size, run_before=before)
