"""What an image says of itself, and what that is worth."""

from hypothesis import given
from hypothesis import strategies as st

from core.model.stamp import Stamp, differences, read_back, release_text

STAMP = Stamp("web", "0.1.0", "c" * 40, "run", 1_700_000_000.0, "sha256:" + "d" * 64)


def test_a_stamp_is_read_back_as_it_was_written() -> None:
    assert read_back(release_text(STAMP).encode()) == STAMP
    assert read_back(b"# by hand\nIMAGE_VERSION=0.1.0\nEXTRA='x'\nIMAGE_ROLE = 'web'\n") == Stamp("web", "0.1.0")
    assert read_back(b"") == Stamp("", "")
    assert read_back(b'\xff\xfe\x00\nIMAGE_BUILT="yesterday"') == Stamp("", "")


def test_role_and_version_come_first_for_who_reads_only_these() -> None:
    assert release_text(STAMP).splitlines()[:2] == ['IMAGE_ROLE="web"', 'IMAGE_VERSION="0.1.0"']


def test_a_stamp_counts_when_all_that_it_says_is_so() -> None:
    assert differences(read_back(release_text(STAMP).encode()), STAMP) == []
    assert differences(Stamp("web", "0.1.0"), STAMP) == []
    assert differences(Stamp("web", "0.1.1", "c" * 40), STAMP) == ["its version is 0.1.1 and not 0.1.0"]
    assert differences(Stamp("", ""), STAMP) == [
        "its role is not said and not web",
        "its version is not said and not 0.1.0",
    ]
    assert differences(Stamp("web", "0.1.0", upstream="sha256:0"), STAMP) == [
        f"its upstream is sha256:0 and not {STAMP.upstream}"
    ]


@given(st.binary())
def test_whatever_a_disk_says_can_be_read(content: bytes) -> None:
    read_back(content)
