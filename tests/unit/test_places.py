"""Where things are kept, and who may look into it."""

from pathlib import Path

import pytest

from core.errors import StoreError
from core.places import Places


def test_home_is_the_one_that_was_chosen_else_the_state_directory() -> None:
    assert Places.of({"INGOT_HOME": "/srv/ingot", "HOME": "/home/ada"}).home == Path("/srv/ingot")
    assert Places.of({"XDG_STATE_HOME": "/state", "HOME": "/home/ada"}).home == Path("/state/ingot")
    assert Places.of({"HOME": "/home/ada"}).home == Path("/home/ada/.local/state/ingot")


def test_sockets_have_short_paths_however_long_the_others_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("deep" * 20)
    long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    longest = Places(tmp_path / ("home" * 40)).runtime / f"hold-{'0' * 16}.sock"
    assert len(str(longest)) < 108


def test_what_is_made_is_private_and_nothing_of_others_is_used(tmp_path: Path) -> None:
    places = Places(tmp_path / "home")
    places.create()
    assert places.home.stat().st_mode & 0o777 == 0o700
    places.home.chmod(0o755)
    with pytest.raises(StoreError, match="not private"):
        places.create()
    places.runtime.rmdir()


def test_a_home_that_cannot_be_made_is_said_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="Cannot create") as caught:
        Places(tmp_path / "file/home").create()
    assert "INGOT_HOME" in caught.value.next_step
