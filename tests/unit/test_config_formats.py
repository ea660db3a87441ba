"""`formats` and `[retention]` of ingot.toml."""

import pytest

from core import config
from core.model.retention import Retention

DAY = 86400.0


def test_formats_are_those_that_there_are_once_each() -> None:
    found = config.parse(b'[roles.web]\nformats = ["ova", "vhd", "ova"]\n')
    assert (found.problems, found.roles["web"].formats) == ((), ("ova", "vhd"))


@pytest.mark.parametrize(
    ("formats", "reason", "fix", "left"),
    [
        ('["vdh", "raw"]', "'vdh' is no format", "Did you mean vhd?", ("raw",)),
        ('["floppy"]', "'floppy' is no format", "Use: qcow2, raw, vhd, vhdx, vmdk, ova.", ()),
        ('"raw"', "must be a list of texts", 'Write: formats = ["…"]', ()),
    ],
)
def test_what_is_no_format_is_a_problem_of_its_role(formats: str, reason: str, fix: str, left: tuple[str, ...]) -> None:
    role = config.parse(f'id = "x"\n[roles.web]\nformats = {formats}\n'.encode()).roles["web"]
    (problem,) = role.problems
    assert reason in problem.reason
    assert (problem.line, problem.fix, role.formats) == (3, fix, left)


def test_retention_holds_for_all_roles_and_is_refined_for_one() -> None:
    found = config.parse(
        b'[retention]\nkeep = 5\nyounger = "30d"\n[roles.web.retention]\nkeep = 2\n[roles.api]\nformats = ["raw"]\n'
    )
    assert found.problems == ()
    assert found.retention == Retention(5, 30 * DAY)
    assert found.roles["web"].retention == Retention(2, 30 * DAY)
    assert found.roles["api"].retention == Retention(5, 30 * DAY)
    assert not config.parse(b"").retention.says_something


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('keep = 0\nyounger = "30d"', "keep: must be a whole number"),
        ("keep = true", "keep: must be a whole number"),
        ('keep = "5"', "keep: must be a whole number"),
        ('keep = 5\nyounger = "a month"', "'a month' is no age"),
        ("keep = 5\nyounger = 30", "younger: must be text"),
        ('keeep = 5\nyounger = "30d"', "'keeep' is not known in [retention]"),
    ],
)
def test_with_a_slip_in_it_no_rule_holds_and_nothing_goes(content: str, problem: str) -> None:
    found = config.parse(f"[retention]\n{content}\n".encode())
    assert found.retention == Retention()
    (said,) = found.problems
    assert problem in said.reason
    assert said.fix
