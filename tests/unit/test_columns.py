"""Which columns of a list get how much of a width."""

from tui.widgets.columns import Column, fit


def test_what_a_column_keeps_goes_when_the_others_are_at_their_minimum() -> None:
    name = Column("name", "NAME", str, min_width=10, max_width=80, keeps=40)
    found = Column("found", "FOUND", str, min_width=14, max_width=200, grow=True)
    assert fit((name, found), (60, 200), 102) == [60, 40]
    assert fit((name, found), (60, 200), 60) == [42, 16]
    assert fit((name, found), (60, 200), 46) == [30, 14]
    assert fit((name, found), (20, 200), 46) == [20, 24]


def test_a_column_without_content_ends_no_sharing_out() -> None:
    name = Column("name", "NAME", str, min_width=10, max_width=80, keeps=40)
    found = Column("found", "FOUND", str, min_width=14, max_width=200, grow=True)
    blank = Column("blank", "", str, min_width=0, max_width=30, priority=2)
    assert fit((name, found, blank), (60, 15, 0), 60)[1] >= 14
