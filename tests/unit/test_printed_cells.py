"""What a step printed last: the line next to the error, which names the file, is there whole before all else."""

import pytest

from core.model.failure import Failure
from core.model.role import Build, Role, Syntax
from core.model.run import Run, RunRequest, RunState, Stage, StageState
from core.model.workspace import Workspace
from core.services.debugging import DebugView
from tui.debug_story import least, story
from tui.printed_cells import printed
from tui.run_cells import went_wrong
from tui.theme import plain
from tui.widgets.panel import PanelRow

ERROR = "nginx: configuration file /etc/nginx/nginx.conf test failed"
BEFORE = '2026/11/21 17:51:48 [emerg] 847#847: unexpected "}" in /etc/nginx/conf.d/shop.conf:20'
STEP = "TASK [nginx : Serve nothing but the shop, and see that nginx takes it]"
WEB = Role("web", "web", Syntax.HCL2, builds=(Build("qemu.web", "qemu"),))
REQUEST = RunRequest(Workspace("w", "w", "/w"), WEB, "c" * 40, "HEAD", ("qemu.web",), "Ada", 0.0)
STAGE = Stage("build/qemu.web", StageState.FAILED, error=f"qemu.web: {STEP}: {ERROR}")
RUN = Run(1, "u", "w", "web", RunState.FAILED, REQUEST, stages=(STAGE,))
FAILURE = Failure(
    STEP,
    ERROR,
    1,
    command="set -eu ↵ rm -f /etc/nginx/sites-enabled/default /var/www/html/index.nginx-debian.html ↵ nginx -t",
    exit_status=1,
    output=(*(f"before {number}" for number in range(4)), BEFORE, ERROR, "after"),
)


def told(rows: list[PanelRow]) -> str:
    return "".join(plain(row.left).strip() for row in rows).replace(" ", "")


@pytest.mark.parametrize("height", [10, 12, 20])
def test_what_went_wrong_names_the_file_and_the_line_beside_the_shell(height: int) -> None:
    rows = story(DebugView(RUN, STAGE, failure=FAILURE), width=46, height=height)
    assert len(rows) <= height
    assert BEFORE.replace(" ", "") in told(rows)
    assert "✗nginx:configuration" in told(rows)


def test_what_counts_takes_no_more_rows_than_it_needs_to_be_whole() -> None:
    view = DebugView(RUN, STAGE, failure=FAILURE)
    rows = story(view, width=46, height=least(view, width=46))
    assert BEFORE.replace(" ", "") in told(rows)
    assert len(rows) < len(story(view, width=46, height=100))


def test_above_the_log_of_a_small_terminal_it_is_whole_too() -> None:
    rows = went_wrong(RUN, STAGE, FAILURE, width=78, height=5)
    assert len(rows) <= 5
    assert BEFORE.replace(" ", "") in told(rows)


def test_where_a_line_has_too_little_room_its_end_stays() -> None:
    assert [plain(row.left) for row in printed((BEFORE, ERROR), ERROR, 46, 3)] == [
        "  2026/11/21 17:51:48 […/conf.d/shop.conf:20",
        "✗ nginx: configuration file",
        "  /etc/nginx/nginx.conf test failed",
    ]
