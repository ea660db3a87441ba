"""How far a build is, by the last good one: a measure that is kept where it can be, and never costs a build."""

from pathlib import Path

from core.stages.pace import Pace


def test_a_good_build_is_the_measure_of_the_next(tmp_path: Path) -> None:
    first = Pace(tmp_path / "cache" / "pace", whole=True)
    assert first.reached("install") is None
    first.keep()
    assert Pace(tmp_path / "cache" / "pace", whole=True).reached("install") is not None


def test_a_measure_that_cannot_be_kept_takes_nothing_from_the_build(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    pace = Pace(tmp_path / "cache" / "pace", whole=True)
    pace.reached("install")
    pace.keep()
    assert Pace(tmp_path / "cache" / "pace", whole=True).reached("install") is None
