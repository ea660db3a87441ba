"""What is done by hand is written down before it is done, by as many as there are, and is never lost."""

import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import StoreError
from core.model.image import ImageVersion, UpstreamRecord, may_become_good
from core.model.touch import TOUCHED, Touch, TouchKind
from core.store.touches import Touches

ADA = "Ada Example <ada@example.org>"


def touch(when: float = 1000.0, kind: TouchKind = TouchKind.SHELL) -> Touch:
    return Touch(kind, ADA, when, "qemu.web", "detail")


def test_touches_come_back_the_oldest_first(tmp_path: Path) -> None:
    touches = Touches(tmp_path)
    for when in (3.0, 1.0, 2.0):
        touches.add(touch(when))
    assert [one.when for one in Touches(tmp_path).all()] == [1.0, 2.0, 3.0]


def test_a_touch_is_a_private_file_and_whole(tmp_path: Path) -> None:
    path = Touches(tmp_path).add(touch())
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_recorded_touch_names_its_transcript(tmp_path: Path) -> None:
    touches = Touches(tmp_path)
    record = touches.add(touch(), recorded=True)
    (found,) = touches.all()
    assert touches.transcript(found) == touches.transcript(record)
    assert found.transcript.endswith(".cast")


def test_the_name_of_a_transcript_leads_nowhere_else(tmp_path: Path) -> None:
    elsewhere = Touch(TouchKind.SHELL, ADA, 0.0, "qemu.web", transcript="../../etc/passwd")
    assert Touches(tmp_path).transcript(elsewhere).parent == tmp_path / "touches"


def test_the_same_touch_written_twice_counts_once(tmp_path: Path) -> None:
    for _ in range(2):
        Touches(tmp_path).add(touch(kind=TouchKind.RETRY))
    assert Touches(tmp_path).all() == [touch(kind=TouchKind.RETRY)]


def test_a_damaged_record_is_a_touch_all_the_same(tmp_path: Path) -> None:
    Touches(tmp_path).add(touch()).write_bytes(b"\0\0\0")
    (found,) = Touches(tmp_path).all()
    assert (found.when, found.detail) == (1000.0, "its record is damaged")


def test_without_a_record_nothing_may_be_done(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        Touches(tmp_path / "gone").add(touch())


def test_a_run_that_nobody_touched_has_none(tmp_path: Path) -> None:
    assert Touches(tmp_path / "gone").all() == []


def test_many_processes_write_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from core.store.touches import Touches\n"
        "from core.model.touch import Touch, TouchKind\n"
        "for number in range(20):\n"
        "    Touches(Path(sys.argv[1])).add(Touch(TouchKind.SHELL, sys.argv[2], 1.0, 'b', str(number)))"
    )
    started = [subprocess.Popen((sys.executable, "-c", code, str(tmp_path), str(who))) for who in range(3)]
    assert [one.wait() for one in started] == [0, 0, 0]
    assert len(Touches(tmp_path).all()) == 60


def test_what_was_touched_by_hand_never_becomes_good() -> None:
    plain = ImageVersion("web", "1", "c" * 40, 0.0, "r", ADA, UpstreamRecord("none", ""), (), "web")
    assert may_become_good(plain) == ""
    by_mark = ImageVersion("web", "1", "c" * 40, 0.0, "r", ADA, UpstreamRecord("none", ""), (), "web", marks=(TOUCHED,))
    assert "Build it again from code: ingot build web" in may_become_good(by_mark)
