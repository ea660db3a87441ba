"""What the workbench reads: runs that have ended are not read again, and nothing gets lost by that."""

from pathlib import Path

from msgspec.structs import replace
from shop import Shop, fill, open_shop

from core.model.role import Role, Upstream, UpstreamKind
from core.model.run import RunState
from core.model.workspace import Workspace
from core.services.overview import Overviews, RoleState


def test_runs_are_the_same_whether_read_anew_or_carried_on(tmp_path: Path) -> None:
    shop: Shop = open_shop(tmp_path)
    fill(shop)
    carried = Overviews(shop.places, shop.root)
    long_ago = shop.run("frontend", RunState.RUNNING, 3, 10)
    for step in range(60):
        run = shop.run("base", RunState.SUCCEEDED if step % 2 else RunState.RUNNING, 5 if step % 2 else 2, 10)
        if step % 7 == 0:
            carried.read()
        if step == 40:
            shop.index.set_run_state(long_ago.uid, RunState.FAILED, "late")
        if step % 3 == 0 and not step % 2:
            shop.index.set_run_state(run.uid, RunState.FAILED, "why")
        anew = Overviews(shop.places, shop.root)
        if step % 5 == 0:
            assert carried.read().runs == anew.read().runs
        anew.close()
    carried.close()
    shop.index.close()


def test_each_state_of_a_role_is_told_from_the_others(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)
    fill(shop)
    overviews = Overviews(shop.places, shop.root)
    states = {view.role.name: view.state for view in overviews.read().roles}
    assert states == {
        "base": RoleState.QUEUED,
        "frontend": RoleState.STALE,
        "backend": RoleState.BUILDING,
        "database": RoleState.FAILED,
        "legacy": RoleState.BROKEN,
    }
    overviews.close()
    shop.index.close()


def test_roles_stand_below_the_one_that_they_are_built_on(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)

    def on(name: str, parent: str) -> Role:
        return replace(shop.role(name), upstream=Upstream(UpstreamKind.ROLE, role=parent))

    built = {"app": "web", "base": "", "db": "elsewhere", "one": "two", "two": "one", "web": "base", "zoo": ""}
    shop.save([on(name, parent) if parent else shop.role(name) for name, parent in built.items()])
    overviews = Overviews(shop.places, shop.root)
    shown = [(view.role.name, view.depth) for view in overviews.read().roles]
    assert shown[:5] == [("base", 0), ("web", 1), ("app", 2), ("db", 0), ("zoo", 0)]
    assert {name for name, _ in shown[5:]} == {"one", "two"}, "a circle is a mistake, and hides nobody"
    overviews.close()
    shop.index.close()


def test_a_change_is_seen_once(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)
    overviews = Overviews(shop.places, shop.root)
    overviews.changed()
    assert not overviews.changed()
    shop.index.trust(Workspace("anything", "anything", "/srv/anything"), "you")
    assert overviews.changed()
    assert not overviews.changed()
    overviews.close()
    shop.index.close()


def test_the_repository_moved_when_head_or_the_ledger_did(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)
    git = shop.root / ".git"
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    overviews = Overviews(shop.places, shop.root)
    assert not overviews.repository_moved()
    (git / "refs/ingot").mkdir(parents=True)
    (git / "refs/ingot/ledger").write_text("0" * 40)
    assert overviews.repository_moved()
    overviews.close()
    shop.index.close()
