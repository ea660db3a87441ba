"""What ingot.toml says of upstreams: everything that makes one trusted is said whole, or it is a problem."""

import pytest

from core import config
from core.model.image import ImageState
from core.model.role import Problem, Upstream, UpstreamKind

FINGERPRINT = "0123456789ABCDEF0123456789ABCDEF01234567"


def read(upstream: str) -> tuple[Upstream | None, tuple[Problem, ...]]:
    found = config.parse(f"[roles.web]\nupstream = {upstream}\n".encode())
    return found.roles["web"].upstream, found.problems


@pytest.mark.parametrize(
    ("given", "upstream"),
    [
        (
            '{ url = "https://a/d.img", checksum = "file:https://a/SUMS", signature = "https://a/SUMS.gpg", '
            'key = "./keys/a.asc" }',
            Upstream(
                UpstreamKind.FILE,
                url="https://a/d.img",
                checksum="file:https://a/SUMS",
                signature="https://a/SUMS.gpg",
                key="keys/a.asc",
            ),
        ),
        (
            '{ url = "https://a/d.img", checksum = "file:https://a/CHECKSUM", key = "a.asc", '
            f'fingerprint = "{FINGERPRINT[:20].lower()} {FINGERPRINT[20:]}" }}',
            Upstream(
                UpstreamKind.FILE,
                url="https://a/d.img",
                checksum="file:https://a/CHECKSUM",
                key="a.asc",
                fingerprint=FINGERPRINT,
            ),
        ),
        (
            '{ url = "https://a/d.img", signature = "https://a/d.img.sig", key = "a.asc" }',
            Upstream(UpstreamKind.FILE, url="https://a/d.img", signature="https://a/d.img.sig", key="a.asc"),
        ),
        (
            '{ ami = { owners = ["099720109477", "self"], name = "ubuntu/*", region = "eu-central-1" } }',
            Upstream(UpstreamKind.AMI, owners=("099720109477", "self"), name="ubuntu/*", region="eu-central-1"),
        ),
        (
            '{ role = "base", takes = ["candidate", "good"] }',
            Upstream(UpstreamKind.ROLE, role="base", takes=(ImageState.CANDIDATE, ImageState.GOOD)),
        ),
    ],
)
def test_what_makes_an_upstream_trusted_is_read(given: str, upstream: Upstream) -> None:
    assert read(given) == (upstream, ())


@pytest.mark.parametrize(
    ("given", "reason", "fix"),
    [
        ('{ url = "https://a/d", checksum = "file:https://a/S", signature = "https://a/S.gpg" }', "the key", "key ="),
        ('{ url = "https://a/d", key = "a.asc" }', "needs a checksum", "sha256:"),
        (f'{{ url = "https://a/d", checksum = "sha256:{"0" * 64}", key = "a.asc" }}', "nothing that is signed", ".sig"),
        ('{ url = "https://a/d", signature = "https://a/d.sig", key = "../a.asc" }', "no path inside", "Git"),
        ('{ url = "https://a/d", signature = "gopher://a/d.sig", key = "a.asc" }', "neither an http", "relative"),
        (
            '{ url = "https://a/d", signature = "https://a/d.sig", key = "a.asc", fingerprint = "89ABCDEF" }',
            "no full fingerprint",
            "40",
        ),
        (
            f'{{ url = "https://a/d", checksum = "file:https://a/S", fingerprint = "{FINGERPRINT}" }}',
            "fingerprint",
            "key",
        ),
        ('{ ami = { name = "ubuntu/*" } }', "anybody can publish an image under any name", "owners"),
        ('{ ami = { name = "ubuntu/*", owners = [] } }', "anybody can publish", "owners"),
        ('{ ami = { name = "ubuntu/*", owners = ["canonical"] } }', "'canonical' is no owner", "12 digits"),
        ('{ ami = { name = "ubuntu/*", owners = ["*"] } }', "'*' is no owner", "12 digits"),
        ('{ ami = { owners = ["self"] } }', "needs a name", "name ="),
        ('{ ami = { owners = "self", name = "x" } }', "must be a list of texts", '["…"]'),
        ('{ ami = { owner = ["self"], name = "x" } }', "'owner' is not known", "'owners'"),
        ('{ ami = "ami-0123" }', "must be a table", "[roles.web.upstream.ami]"),
        ('{ ami = { owners = ["self"], name = "x" }, checksum = "none" }', "means nothing beside 'ami'", "away"),
        ('{ ami = { owners = ["self"], name = "x" }, role = "base" }', "is one of", "ami"),
        ('{ role = "base", takes = ["revoked"] }', "'revoked' is never built on", "candidate, good, released"),
        ('{ role = "base", takes = ["god"] }', "'god' is no state", "candidate, good, released"),
        ('{ role = "base", key = "a.asc" }', "'key' means nothing beside 'role'", "away"),
    ],
)
def test_what_leaves_a_door_open_is_a_problem_of_the_role(given: str, reason: str, fix: str) -> None:
    _, problems = read(given)
    assert len(problems) == 1, problems
    assert reason in problems[0].reason
    assert fix in problems[0].fix
    assert problems[0].line == 2
