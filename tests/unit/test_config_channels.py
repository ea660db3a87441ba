"""`[channels]` of ingot.toml: which channels there are, what they take, and what becomes of them at a revocation."""

import pytest

from core import config
from core.model.channels import DEFAULT_CHANNELS, ChannelRule, OnRevoked
from core.model.image import ImageState

FIRM = (ImageState.GOOD, ImageState.RELEASED)


def test_where_nothing_is_said_there_are_staging_and_production_and_they_take_what_is_good() -> None:
    assert config.parse(b"").channels == DEFAULT_CHANNELS
    assert [(rule.name, rule.takes) for rule in DEFAULT_CHANNELS] == [("staging", FIRM), ("production", FIRM)]


def test_channels_that_are_named_are_all_there_are() -> None:
    found = config.parse(b'[channels.try]\ntakes = ["candidate"]\n[channels.live]\non-revoked = "back"\n')
    assert not found.problems
    assert found.channels == (
        ChannelRule("try", (ImageState.CANDIDATE,)),
        ChannelRule("live", FIRM, OnRevoked.BACK),
    )


@pytest.mark.parametrize(
    ("content", "problem", "takes"),
    [
        ('takes = ["goood"]', "'goood' is no state of an image", ()),
        ('takes = ["revoked", "good"]', "no channel takes what is revoked", (ImageState.GOOD,)),
        ("takes = 5", "takes: must be a list of texts", ()),
        ('on-revoked = "explode"', "'explode' is nothing that a channel does", FIRM),
        ('when = "now"', "'when' is not known in [channels.live]", FIRM),
    ],
)
def test_what_is_wrong_is_said_and_opens_no_channel_further(
    content: str, problem: str, takes: tuple[ImageState, ...]
) -> None:
    found = config.parse(f"[channels.live]\n{content}".encode())
    assert found.channels == (ChannelRule("live", takes),)
    (said,) = found.problems
    assert problem in said.reason
    assert (said.line, bool(said.fix)) == (2, True)


@pytest.mark.parametrize("content", ["channels = 5", '[channels."-x"]', "[channels]\nlive = 5"])
def test_what_is_no_channel_is_said(content: str) -> None:
    assert len(config.parse(content.encode()).problems) == 1
