"""`[notify]` of ingot.toml."""

import pytest

from core import config
from core.model.event import EventKind

TOKEN = "T0KEN-of-the-webhook"


def test_what_it_says_is_read() -> None:
    found = config.parse(
        b"""[notify]\ncommand = ["notify-send", "{title}"]\nwebhook = "env:INGOT_WEBHOOK"\non = ["pause"]"""
    )
    assert found.problems == ()
    assert (found.notify.command, found.notify.on) == (("notify-send", "{title}"), (EventKind.PAUSE,))
    assert found.notify.wants(EventKind.PAUSE)
    assert not found.notify.wants(EventKind.FAILURE)


def test_without_it_nobody_is_told_and_with_it_of_everything() -> None:
    assert not any(config.parse(b"").notify.wants(kind) for kind in EventKind)
    assert all(config.parse(b'[notify]\nwebhook = "https://x.org/y"').notify.wants(kind) for kind in EventKind)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('webhook = "file:///etc/passwd?' + TOKEN + '"', "webhook: is no http(s) URL"),
        ('webhook = "env:AWS_SECRET_ACCESS_KEY"', "webhook: is no http(s) URL"),
        ('webhook = "https://host:port/' + TOKEN + '"', "webhook: is no http(s) URL"),
        ('command = "notify-send"', "command: must be a list of texts"),
        ("command = []", "command: must begin with a program"),
        ('on = ["pauses"]', "'pauses' is nothing to be told of"),
        ('hook = "x"', "'hook' is not known in [notify]"),
    ],
)
def test_what_is_wrong_is_said_without_the_token_and_left_out(content: str, reason: str) -> None:
    found = config.parse(f"[notify]\n{content}".encode())
    (problem,) = found.problems
    assert reason in problem.reason
    assert (problem.line, TOKEN in str(problem)) == (2, False)
    assert not any(found.notify.wants(kind) for kind in EventKind)


def test_the_address_comes_from_the_variable_and_is_never_shown() -> None:
    found = config.parse(b'[notify]\nwebhook = "env:INGOT_WEBHOOK"').notify
    assert found.address({"INGOT_WEBHOOK": f"https://x.org/{TOKEN}"}) == f"https://x.org/{TOKEN}"
    assert found.address({}) == found.address({"INGOT_WEBHOOK": "file:///x"}) == ""
    assert TOKEN not in repr(config.parse(f'[notify]\nwebhook = "https://x.org/{TOKEN}"'.encode()).notify)
