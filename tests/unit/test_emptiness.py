"""What an empty list of runs says is missing."""

import pytest

from core.model.role import Build, Role, Syntax
from core.services.overview import Overview, RoleView
from tui import emptiness


def overview(*syntaxes: Syntax) -> Overview:
    builds = (Build("qemu.web", "qemu"),)
    roles = [Role(f"role{number}", "web", of, builds=builds) for number, of in enumerate(syntaxes)]
    return Overview("/shop", roles=tuple(RoleView(role) for role in roles))


@pytest.mark.parametrize(
    ("syntaxes", "missing"),
    [((), True), ((Syntax.HCL2,), True), ((Syntax.ANSIBLE,), False), ((Syntax.ANSIBLE, Syntax.JSON), True)],
)
def test_packer_is_missed_only_where_it_builds_something(
    monkeypatch: pytest.MonkeyPatch, syntaxes: tuple[Syntax, ...], missing: bool
) -> None:
    monkeypatch.setattr(emptiness, "has_packer", lambda: False)
    assert ("Packer is not installed" in emptiness.no_runs(overview(*syntaxes))) is missing
    monkeypatch.setattr(emptiness, "has_packer", lambda: True)
    assert "Packer" not in emptiness.no_runs(overview(*syntaxes))
