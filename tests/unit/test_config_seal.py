"""`[seal]` of ingot.toml: for every role, and for one."""

import pytest

from core import config
from core.model.sealing import SealSettings


def test_a_table_switches_sealing_on_and_a_role_says_only_what_differs() -> None:
    assert config.parse(b"").seal == SealSettings()
    content = b'[seal]\nusers = ["builder"]\nkeep = ["logs"]\n[roles.web]\ntemplate = "web"\nseal = { keep = [] }\n'
    found = config.parse(content)
    assert not found.problems
    assert found.seal == SealSettings(enabled=True, keep=("logs",), users=("builder",))
    assert found.roles["web"].seal == SealSettings(enabled=True, keep=(), users=("builder",))
    assert not config.parse(b"[seal]\nenabled = false").seal.enabled


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('keep = ["log"]', "there is no item 'log'"),
        ('remove = ["etc/x"]', "'etc/x' is no path"),
        ('remove = ["/"]', "'/' is no path"),
        ('remove = ["/a/../.."]', "is no path"),
        ('remove = ["/a\\nupload x:/y"]', "must be a list of texts"),
        ('users = ["root"]', "'root' is no user"),
        ('users = ["a/b"]', "'a/b' is no user"),
        ("enabled = 1", "must be true or false"),
        ("loud = true", "loud"),
    ],
)
def test_what_cannot_be_is_said_and_left_out(content: str, problem: str) -> None:
    found = config.parse(f"[seal]\n{content}".encode())
    assert any(problem in one.reason for one in found.problems), found.problems
    assert (found.seal.keep, found.seal.remove, found.seal.users) == ((), (), ())
