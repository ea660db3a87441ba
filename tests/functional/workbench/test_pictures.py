"""Pictures of the workbench at a fixed time: `pytest --snapshot-update` after looking at what changed."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from at_image import shows_images_of
from screen import until
from shop import Shop, Still, rule
from textual.pilot import Pilot

from core.errors import WorkspaceError
from core.services.overview import WorkerView
from tui.app import Ingot
from tui.screens.questions import trust_question

SIZES = pytest.mark.parametrize("size", [(140, 42), (80, 24)], ids=["140x42", "80x24"])
Compare = Callable[..., bool]
Size = tuple[int, int]


@pytest.fixture(autouse=True)
def same_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a picture shows must not depend on the machine: Packer is there."""
    (tmp_path / "bin").mkdir()
    packer = tmp_path / "bin/packer"
    packer.write_text("#!/bin/sh\n")
    packer.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


def workbench_of(pilot: Pilot[Any]) -> Ingot:
    """The app that the picture is of."""
    app = pilot.app
    assert isinstance(app, Ingot)
    return app


async def drawn(pilot: Pilot[Any], keys: Sequence[str], then: Callable[[Ingot], None] | None) -> None:
    """Press keys, then wait until all is read and drawn."""
    await pilot.press(*keys)
    if then is not None:
        then(workbench_of(pilot))
    await pilot.pause()


def before(*keys: str, then: Callable[[Ingot], None] | None = None) -> Callable[[Pilot[Any]], Any]:
    """What is done before the picture is taken: wait for the data, press keys, wait until all is drawn."""

    async def prepare(pilot: Pilot[Any]) -> None:
        app = workbench_of(pilot)
        found = app.overviews
        assert isinstance(found, Still)
        await until(pilot, lambda: app.loaded and app.fresh.worker_asked and found.discovered and not app.discovering)
        await pilot.pause()  # what follows from the data, such as the footer, is drawn
        await drawn(pilot, keys, then)

    return prepare


@SIZES
def test_in_the_middle_of_work(snap_compare: Compare, shop: Shop, size: Size) -> None:
    app = shop.app(worker=WorkerView(1, 1))
    assert snap_compare(app, terminal_size=size, run_before=before("j"))


def test_runs_as_a_page(snap_compare: Compare, shop: Shop) -> None:
    assert snap_compare(shop.app(), terminal_size=(80, 24), run_before=before("4"))


def test_the_smallest(snap_compare: Compare, shop: Shop) -> None:
    assert snap_compare(shop.app(), terminal_size=(60, 15), run_before=before("j", "2"))


@SIZES
def test_nothing_built_yet(snap_compare: Compare, bare: Shop, size: Size) -> None:
    bare.save([bare.role(name) for name in ("base", "frontend", "backend", "database")])
    assert snap_compare(bare.app(), terminal_size=size, run_before=before())


@SIZES
def test_no_templates(snap_compare: Compare, bare: Shop, size: Size) -> None:
    bare.save([])
    assert snap_compare(bare.app(), terminal_size=size, run_before=before())


def test_discovery_failed(snap_compare: Compare, shop: Shop) -> None:
    app = shop.app()
    app.overviews.trouble = WorkspaceError("ingot.toml:3: there is no key `rolez`.", "Did you mean `roles`?")  # pyright: ignore[reportAttributeAccessIssue]
    assert snap_compare(app, terminal_size=(140, 42), run_before=before())


def test_filtered_sorted_and_marked(snap_compare: Compare, shop: Shop) -> None:
    keys = ("4", "s", "s", "space", "slash", "b", "a")
    assert snap_compare(shop.app(), terminal_size=(140, 42), run_before=before(*keys))


@SIZES
def test_help(snap_compare: Compare, shop: Shop, size: Size) -> None:
    assert snap_compare(shop.app(), terminal_size=size, run_before=before("question_mark"))


@SIZES
def test_trust(snap_compare: Compare, shop: Shop, size: Size) -> None:
    def ask(app: Ingot) -> None:
        app.push_screen(trust_question("shop", "/home/ada/src/shop"))

    assert snap_compare(shop.app(), terminal_size=size, run_before=before(then=ask))


def test_cancel(snap_compare: Compare, shop: Shop) -> None:
    assert snap_compare(shop.app(), terminal_size=(80, 24), run_before=before("4", "j", "x"))


def test_delete(snap_compare: Compare, shop: Shop) -> None:
    assert snap_compare(shop.app(), terminal_size=(140, 42), run_before=before("j", "2", "j", "D"))


def test_the_command_line(snap_compare: Compare, shop: Shop) -> None:
    assert snap_compare(shop.app(), terminal_size=(140, 42), run_before=before("colon", *"build ba"))


@SIZES
def test_an_image_version(snap_compare: Compare, shop: Shop, size: Size) -> None:
    def open_it(app: Ingot) -> None:
        image = app.overview.image("frontend", "0.1.0")
        assert image is not None
        app.opening.image(image)

    assert snap_compare(shop.app(), terminal_size=size, run_before=before(then=open_it))


def test_without_colour(snap_compare: Compare, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = shop.app(worker=WorkerView(1, 1))
    assert snap_compare(app, terminal_size=(140, 42), run_before=before("j"))


def test_without_unicode(snap_compare: Compare, shop: Shop) -> None:
    app = shop.app(ascii_only=True, worker=WorkerView(1, 1))
    assert snap_compare(app, terminal_size=(80, 24), run_before=before("j", "2"))


# what was decided, with a ledger behind it


def at(role: str, version: str, *keys: str, then: Callable[[Ingot], None] | None = None) -> Callable[[Pilot[Any]], Any]:
    """On an image version in the workbench, and all that is read after each key."""

    async def prepare(pilot: Pilot[Any]) -> None:
        app = workbench_of(pilot)
        await before()(pilot)
        await until(pilot, lambda: app.standing.decided.images)
        app.workbench.roles.move_to(role)
        await until(pilot, lambda: shows_images_of(app, role))
        app.workbench.images.move_to(version)
        await pilot.press("2")
        await drawn(pilot, keys, then)

    return prepare


@SIZES
def test_what_was_decided(snap_compare: Compare, shop: Shop, size: Size) -> None:
    rule(shop)
    assert snap_compare(shop.app(), terminal_size=size, run_before=at("frontend", "0.1.0"))


@SIZES
def test_promoting_what_is_well(snap_compare: Compare, shop: Shop, size: Size) -> None:
    rule(shop)
    assert snap_compare(shop.app(), terminal_size=size, run_before=at("frontend", "0.1.0", "p"))


def test_promoting_what_is_not(snap_compare: Compare, shop: Shop) -> None:
    rule(shop)
    run_before = at("frontend", "0.1.0-4-g3f9c2a1", "p", "j", "2")
    assert snap_compare(shop.app(), terminal_size=(80, 24), run_before=run_before)


def test_promoting_with_a_warning(snap_compare: Compare, shop: Shop) -> None:
    rule(shop)
    assert snap_compare(shop.app(), terminal_size=(140, 42), run_before=at("frontend", "0.1.0.2", "p", "enter"))


def test_promoting_without_unicode_and_colour(
    snap_compare: Compare, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    rule(shop)
    app = shop.app(ascii_only=True)
    assert snap_compare(app, terminal_size=(140, 42), run_before=at("frontend", "0.1.0-4-g3f9c2a1", "p"))


def test_revoking(snap_compare: Compare, shop: Shop) -> None:
    ruling = rule(shop)

    def ask(app: Ingot) -> None:
        app.decisions.revoke(ruling.image("base", "0.1.0"))

    assert snap_compare(shop.app(), terminal_size=(80, 24), run_before=at("base", "0.1.0", then=ask))


@pytest.mark.parametrize(
    ("size", "key"),
    [((140, 42), "1"), ((140, 42), "2"), ((80, 24), "2"), ((80, 24), "6")],
    ids=["overview-140x42", "lineage-140x42", "lineage-80x24", "tests-80x24"],
)
def test_all_about_an_image(snap_compare: Compare, shop: Shop, size: Size, key: str) -> None:
    rule(shop)
    assert snap_compare(shop.app(), terminal_size=size, run_before=at("frontend", "0.1.0-4-g3f9c2a1", "enter", key))


def test_a_seal_report_without_unicode_and_colour(
    snap_compare: Compare, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    rule(shop)
    app = shop.app(ascii_only=True)
    assert snap_compare(app, terminal_size=(80, 24), run_before=at("frontend", "0.1.0-4-g3f9c2a1", "enter", "5"))


@SIZES
def test_what_differs(snap_compare: Compare, shop: Shop, size: Size) -> None:
    rule(shop)
    assert snap_compare(shop.app(), terminal_size=size, run_before=at("frontend", "0.1.0", "equals_sign"))
