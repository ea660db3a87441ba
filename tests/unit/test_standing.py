"""Before the ledger was read, nothing untrue is said of an image version."""

from pathlib import Path

from core.model.decided import decided
from core.model.standing import Standing, standing_of
from core.model.states import Act, Life, StateChange, Verdict, refusal
from core.model.workspace import Workspace
from core.places import Places
from core.services import images
from core.store.index import Index
from tests.unit.test_index import image
from tui.cells import image_columns
from tui.theme import plain

WEB = image("web", "1")


def told(standing: Standing) -> dict[str, str]:
    return {column.id: plain(column.value(WEB)) for column in image_columns(lambda: 1.0, lambda: standing)}


def test_tests_and_channels_are_unknown_until_the_ledger_was_read() -> None:
    before = told(Standing())
    assert (before["tests"], before["channels"]) == ("? unknown", "?")
    after = told(standing_of(decided([WEB], {}, {}), (), 1.0))
    assert "untested" in after["tests"]
    assert after["channels"] not in ("", "?")


def test_of_what_no_ledger_tells_nothing_is_made_up(tmp_path: Path) -> None:
    workspace = Workspace(id="example.org/shop", name="shop", root=str(tmp_path))
    places = Places(tmp_path / "state")
    index = Index(places.index)
    index.replace_images(workspace.id, [WEB], "")
    index.close()
    (listed,) = images.listing(places, workspace)
    assert (listed.effective.verdict, listed.channels) == (Verdict.UNKNOWN, None)


def test_nobody_decides_that_nothing_is_known() -> None:
    change = StateChange("web", "1", WEB.run, Act.TESTED, "Ada", 1.0, verdict=Verdict.UNKNOWN)
    assert refusal(WEB, Life(), change)
