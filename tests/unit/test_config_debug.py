"""`[debug]` of ingot.toml: how builds may pause, by what the person said and where they sit."""

import pytest

from core import config
from core.model.debug import Debug
from core.model.pause import DEFAULT_LIMIT, NEVER, UNWATCHED, WATCHED, PauseMode, Pausing, Wish, seconds_of

FAILURE = Pausing(PauseMode.FAILURE)


def test_a_build_that_is_watched_pauses_on_failure_and_any_other_never() -> None:
    nothing = config.parse(b"").debug
    assert nothing == Debug()
    assert nothing.pausing(WATCHED) == FAILURE
    assert nothing.pausing(UNWATCHED) == NEVER


def test_what_is_said_counts_for_who_watches_and_for_others_only_when_it_says_so() -> None:
    content = b'[debug]\npause = "step"\nstops = ["each-provisioner", "StepRun"]\nlimit = "1h30m"\n'
    step = Pausing(PauseMode.STEP, ("each-provisioner", "StepRun"), 5400.0)
    found = config.parse(content)
    assert not found.problems
    assert found.debug.pausing(WATCHED) == step
    assert found.debug.pausing(UNWATCHED) == NEVER
    assert config.parse(content + b"headless = true").debug.pausing(UNWATCHED) == step
    assert config.parse(b"[debug]\nheadless = true").debug.pausing(UNWATCHED) == FAILURE
    never = config.parse(b'[debug]\npause = "never"\nheadless = true').debug
    assert never.pausing(WATCHED) == never.pausing(UNWATCHED) == NEVER


def test_who_starts_a_build_has_the_last_word() -> None:
    said = Debug(PauseMode.STEP, ("clean-up",), 600.0, headless=True)
    assert said.pausing(Wish(PauseMode.NEVER)) == NEVER
    assert said.pausing(Wish(PauseMode.FAILURE)) == Pausing(PauseMode.FAILURE, (), 600.0)
    assert said.pausing(Wish(PauseMode.FAILURE, limit=120.0)) == Pausing(PauseMode.FAILURE, (), 120.0)
    assert said.pausing(Wish(PauseMode.STEP)) == Pausing(PauseMode.STEP, ("clean-up",), 600.0)
    assert Debug().pausing(Wish(stops=("StepRun",))) == Pausing(PauseMode.STEP, ("StepRun",), DEFAULT_LIMIT)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('pause = "sometimes"', "'sometimes' is no way to pause"),
        ('stops = ["before lunch"]', "'before lunch' is nowhere to stop"),
        ('limit = "forever"', "'forever' is no time that a machine can be kept"),
        ("limit = 7200", "limit: must be text"),
        ("headless = 1", "headless: must be true or false"),
        ('when = "now"', "'when' is not known in [debug]"),
    ],
)
def test_what_is_wrong_is_said_and_left_out(content: str, problem: str) -> None:
    found = config.parse(f"[debug]\n{content}".encode())
    assert found.debug == Debug()
    (said,) = found.problems
    assert problem in said.reason
    assert (said.line, bool(said.fix)) == (2, True)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("1m", 60.0), ("90m", 5400.0), ("2h", 7200.0), ("1h30m", 5400.0), ("168h", 604800.0)]
    + [(wrong, None) for wrong in ("", "0h", "169h", "2", "-1h", "30s", "2h ", "1m1h", "٢h")],
)
def test_a_limit_is_hours_and_minutes(written: str, seconds: float | None) -> None:
    assert seconds_of(written) == seconds
