"""What stands below the list on the screen of an image version: labels apart from what they say, values whole."""

from tui.image_sections.detail import detail_rows
from tui.image_sections.section import Row
from tui.theme import plain


def told(label: str, says: str, width: int) -> list[str]:
    return [plain(row.left).rstrip() for row in detail_rows(Row((), detail=((label, says),)), width, 20)]


def test_a_label_never_sticks_to_what_it_labels() -> None:
    assert told("digest", "sha256:7773", 60) == ["digest     sha256:7773"]
    assert told("InRelease of bookworm", "sha256:7773", 60) == ["InRelease of bookworm", "           sha256:7773"]
    assert told("twelve chars", "x", 60) == ["twelve chars", "           x"]


def test_a_long_value_is_broken_where_it_may_be() -> None:
    ports = "tcp *:22 sshd, tcp [::]:5355 systemd-resolve, udp *:68 systemd-network"
    assert told("listens", ports, 50) == [
        "listens    tcp *:22 sshd,",
        "           tcp [::]:5355 systemd-resolve,",
        "           udp *:68 systemd-network",
    ]
    assert told("key", "4D64 FEC1 19C2 0290", 24) == ["key        4D64 FEC1", "           19C2 0290"]
    assert told("digest", "a" * 30, 32) == ["digest     " + "a" * 20, "           " + "a" * 10]
