"""How the worker is set up: the environment before the file, and an error that names where the value came from."""

import os
from pathlib import Path

import pytest

from core.engine.protocol import version_key
from core.engine.settings import Settings, config_file
from core.errors import StoreError
from core.places import Places


def settings(tmp_path: Path, content: str = "", **environment: str) -> Settings:
    (tmp_path / "config.toml").write_text(content)
    return Settings.of(Places(tmp_path), {"INGOT_HOME": str(tmp_path), **environment})


def test_without_anything_set_there_is_a_run_for_each_core_and_a_file_of_our_own(tmp_path: Path) -> None:
    found = settings(tmp_path)
    assert (found.concurrency, found.idle) == (os.cpu_count(), 600.0)
    assert found.engine_url == f"sqlite:///{tmp_path}/engine.sqlite"


def test_the_environment_comes_before_the_file(tmp_path: Path) -> None:
    content = '[worker]\nconcurrency = 3\nidle = 5.5\n[engine]\nurl = "postgresql://db/ingot"\n'
    found = settings(tmp_path, content, INGOT_CONCURRENCY="7")
    assert (found.concurrency, found.idle, found.engine_url) == (7, 5.5, "postgresql://db/ingot")


@pytest.mark.parametrize(
    ("content", "environment", "said"),
    [
        ("[worker]\nconcurrency = 0\n", {}, r"concurrency in \[worker\] of .*config\.toml is 0"),
        ("[worker]\nconcurrency = true\n", {}, "is True"),
        ('[worker]\nidle = "long"\n', {}, "idle .* is 'long'"),
        ("", {"INGOT_WORKER_IDLE": "nan"}, r"\$INGOT_WORKER_IDLE is 'nan'"),
        ("worker = [\n", {}, r"Cannot read .*config\.toml"),
    ],
)
def test_a_value_that_makes_no_sense_is_named_with_its_place(
    tmp_path: Path, content: str, environment: dict[str, str], said: str
) -> None:
    with pytest.raises(StoreError, match=said):
        settings(tmp_path, content, **environment)


def test_a_url_is_never_repeated_because_it_may_hold_a_password(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        settings(tmp_path, INGOT_ENGINE_URL="mysql://ingot:s3cret@db/ingot")
    assert "s3cret" not in str(caught.value)


def test_the_file_is_where_the_home_is_or_in_the_xdg_place(tmp_path: Path) -> None:
    places = Places(tmp_path)
    assert config_file(places, {"INGOT_HOME": str(tmp_path)}) == tmp_path / "config.toml"
    assert config_file(places, {"HOME": "/home/ada"}) == Path("/home/ada/.config/ingot/config.toml")
    assert config_file(places, {"HOME": "/h", "XDG_CONFIG_HOME": "/etc/ada"}) == Path("/etc/ada/ingot/config.toml")


def test_versions_are_compared_as_numbers() -> None:
    assert version_key("0.10.0") > version_key("0.9.9")
    assert version_key("0.1.0") == version_key("0.1.0")
    assert version_key("1.0.0.dev3") > version_key("0.9")
