"""Names of what does not exist: refused, with the names that do."""

from pathlib import Path

import pytest
import repository

from core.cli import main
from core.cli.output import ExitStatus


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a role, in no repository."""
    monkeypatch.setenv("INGOT_HOME", str(tmp_path / "state"))
    root = tmp_path / "shop"
    root.mkdir()
    (root / "backend.pkr.hcl").write_text(
        'source "null" "backend" { communicator = "none" }\nbuild { sources = ["source.null.backend"] }\n'
    )
    return root


@pytest.fixture
def shop(place: Path) -> Path:
    repository.commit(repository.new(place), {})
    return place


@pytest.mark.parametrize(
    "words", [("images",), ("packages",), ("channels",), ("test",), ("tests",), ("sbom",), ("diff",)], ids=" ".join
)
@pytest.mark.parametrize(("name", "says"), [("nosuch", "There are: backend."), ("backedn", "Did you mean backend?")])
def test_a_role_that_does_not_exist_is_refused_with_those_that_do(
    shop: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], name: str, says: str
) -> None:
    assert main(("-C", str(shop), *words, name)) == ExitStatus.REFUSED
    said = capsys.readouterr()
    assert f"There is no role '{name}' in this workspace." in said.err
    assert says in said.err
    assert not said.out


def test_a_role_without_images_is_there(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("images", "backend"), ("channels", "backend")):
        assert main(("-C", str(shop), *words)) == ExitStatus.DONE
    assert "ingot build backend makes the first" in capsys.readouterr().out


@pytest.mark.parametrize("words", [("roles",), ("roles", "--json"), ("images",), ("images", "backend")], ids=" ".join)
def test_outside_git_there_is_nothing(place: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    assert main(("-C", str(place), *words)) == ExitStatus.REFUSED
    said = capsys.readouterr()
    assert "in no Git repository" in said.err
    assert not said.out


@pytest.mark.parametrize(
    ("stop", "says"),
    [("foo", "a step of Packer's by its name"), ("first-provisoner", "Did you mean first-provisioner?")],
)
def test_nowhere_to_stop_is_refused(shop: Path, capsys: pytest.CaptureFixture[str], stop: str, says: str) -> None:
    assert main(("-C", str(shop), "build", "backend", "--stop", stop)) == ExitStatus.REFUSED
    said = capsys.readouterr().err
    assert f"nowhere to stop called '{stop}'" in said
    assert says in said
