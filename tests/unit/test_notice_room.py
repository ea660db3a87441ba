"""What of a notice shows on a small terminal: it is in its rows, says where the rest is, and keeps what to do."""

import pytest
from rich.cells import cell_len

from tui.everywhere import EVERYWHERE
from tui.notice_room import notice_rows, notice_that_fits

REST = "… :notices has the rest"
PAUSED = "Step StepProvision failed\nThe machine is cleaned up in 1:59:56. d leads into it."


def test_what_to_do_stays_when_a_notice_is_cut() -> None:
    title, text = notice_that_fits("Run 12 is paused: build of web", PAUSED, 60, notice_rows(15))
    assert title == "Run 12 is paused: build of web"
    assert text == f"The machine is cleaned up in 1:59:56. d leads into\nit. {REST}"


def test_where_what_to_do_takes_its_whole_line_the_rest_is_named_before_it() -> None:
    title, text = notice_that_fits("Run 12 is paused: build of web", PAUSED, 80, 2)
    assert title == f"Run 12 is paused: build of web {REST}"
    assert text == "The machine is cleaned up in 1:59:56. d leads into it."


def test_a_cut_notice_names_a_command_that_there_is() -> None:
    assert [action.id for action in EVERYWHERE if f":{action.command}" in REST.split()] == ["notices"]


@pytest.mark.parametrize("title", ["production of web is moved " * 8, "t" * 300])
def test_a_title_alone_is_cut_when_it_is_too_long(title: str) -> None:
    heading, text = notice_that_fits(title, "", 60, notice_rows(15))
    assert heading.endswith(REST)
    assert heading[:20] == title[:20]
    assert text == ""


@pytest.mark.parametrize("size", [(80, 24), (60, 15), (20, 5), (1, 1)])
@pytest.mark.parametrize("rows", [1, 2, 3, 6])
def test_no_notice_takes_more_rows_than_it_may(size: tuple[int, int], rows: int) -> None:
    texts = ("", "so", "much to say " * 40, "東京 " * 90, "x" * 500, "one\ntwo\nthree\nfour\n" * 4, f"\n{PAUSED}\n\n")
    for title in texts:
        for text in texts:
            heading, told = notice_that_fits(title, text, size[0], rows)
            if (heading, told) != (title, text):
                lines = [*heading.splitlines(), *told.splitlines()]
                assert len(lines) <= rows
                assert all(cell_len(line) <= max(size[0], len(REST)) for line in lines)
                assert REST in f"{heading}\n{told}"
