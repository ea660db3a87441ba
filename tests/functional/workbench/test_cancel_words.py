"""What a person is told goes with a run that is cancelled: no machine where there is none."""

import pytest
from msgspec.structs import replace
from shop import Shop
from textual.widgets import Static

from core.model.at_stake import AtStake
from core.model.pipeline import Purpose
from core.model.run import RunState
from tui.screens.questions import cancel_question


@pytest.mark.parametrize(
    ("purpose", "words"),
    [
        (Purpose.BUILD, "Its machine is shut down and its unfinished disk deleted."),
        (Purpose.TEST, "What it was tested on is shut down and deleted, and no disk of the image version."),
        (Purpose.CONVERT, "What was made and is not finished is deleted."),
    ],
)
def test_what_goes_is_what_such_a_run_has(shop: Shop, purpose: Purpose, words: str) -> None:
    run = shop.run("frontend", RunState.RUNNING, 1, 10)
    run = replace(run, request=replace(run.request, purpose=purpose))
    question = cancel_question([AtStake(run)])
    told = [str(line.content) for line in question.told._pending_children if isinstance(line, Static)]  # pyright: ignore[reportPrivateUsage] - before it is shown
    assert words in told
