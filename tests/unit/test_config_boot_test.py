"""`[test]` of ingot.toml, for all roles and for one."""

import pytest
from msgspec.structs import replace

from core import config
from core.model import boot_checks as rules
from core.model.boot_test import AmazonTest, BootTest

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


def test_a_role_has_its_machines_in_the_cloud_as_all_have_them_but_for_what_it_says() -> None:
    found = config.parse(b"""\
[test.amazon]
instance-type = "t4g.small"
subnet = "subnet-0a1b2c3d"
address = "private"
allow = ["203.0.113.0/24", "2001:db8::/32"]

[roles.web.test.amazon]
instance_type = "m7i-flex.large"
security-groups = ["sg-0a1b2c3d"]
user = "admin"
""")
    assert found.problems == ()
    of_all = AmazonTest("t4g.small", "subnet-0a1b2c3d", (), "private", "", ("203.0.113.0/24", "2001:db8::/32"))
    assert found.test.amazon == of_all
    of_web = replace(of_all, instance_type="m7i-flex.large", security_groups=("sg-0a1b2c3d",), user="admin")
    assert found.roles["web"].test.amazon == of_web


@pytest.mark.parametrize(
    ("line", "reason", "fix"),
    [
        ("instance-type = 'large'", "'large' is no type", 'instance-type = "t3.small"'),
        ("subnet = 'vpc-1'", "'vpc-1' is no id", 'subnet = "subnet-0a1b2c3d"'),
        ("security-groups = ['default']", "'default' is no id", 'security-groups = ["sg-0a1b2c3d"]'),
        ("address = 'dns'", "'dns' is no kind of address", '"public" or "private"'),
        ("allow = ['here']", "'here' is no block", 'allow = ["203.0.113.0/24"]'),
        ("instance = 't3.small'", "'instance' is not known", "Did you mean 'instance-type'?"),
    ],
)
def test_what_is_wrong_about_the_cloud_is_said_with_its_line(line: str, reason: str, fix: str) -> None:
    found = config.parse(f"[test.amazon]\n{line}\n".encode())
    assert found.test == BootTest()
    (problem,) = found.problems
    assert problem.line == 2
    assert reason in problem.reason
    assert fix in problem.fix


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
