"""`[test]` of ingot.toml, for all roles and for one."""

from dataclasses import replace

import pytest

from core import config
from core.model import boot_checks as rules
from core.model.boot_test import BootTest

WHOLE = f"""\
[test]
suites = ["tests/base"]
memory = 2048
limit = "10m"
skip = ["{rules.TIME_SERVICE}"]

[roles.web]
template = "web"
[roles.web.test]
suites = ["tests/base", "tests/web"]
user = "admin"
keep = true
cpus = 4

[roles.old]
template = "old"
test = {{ enabled = false }}
"""


def test_a_role_has_what_all_have_but_for_what_it_says_itself() -> None:
    found = config.parse(WHOLE.encode())
    assert found.problems == ()
    of_all = BootTest(suites=("tests/base",), memory=2048, limit=600.0, skip=(rules.TIME_SERVICE,))
    assert found.test == of_all
    assert found.roles["old"].test == replace(of_all, enabled=False)
    assert found.roles["web"].test == replace(
        of_all, suites=("tests/base", "tests/web"), user="admin", keep=True, cpus=4
    )
    assert config.parse(b"").test == BootTest()
    assert config.parse(b"test = { limit = '45s' }").test.limit == 45.0


@pytest.mark.parametrize(
    ("line", "reason", "fix"),
    [
        ("enabled = 'no'", "must be true or false", "enabled = true"),
        ("memory = '1G'", "whole number (MiB)", "memory = 1024"),
        ("cpus = 0", "1 to 64", "cpus = 2"),
        ("limit = 'soon'", "'soon' is no time", "Write it as"),
        ("suites = ['../tests']", "no path inside the workspace", "relative to"),
        ("skip = ['the time is wrong']", "nothing that a boot test looks at", "'the time is right'"),
        ("sutes = []", "'sutes' is not known", "Did you mean 'suites'?"),
    ],
)
def test_what_is_wrong_is_said_and_counts_as_not_written(line: str, reason: str, fix: str) -> None:
    found = config.parse(f"[test]\n{line}\n".encode())
    assert found.test == BootTest()
    (problem,) = found.problems
    assert (problem.line, reason in problem.reason, fix in problem.fix) == (2, True, True), problem
