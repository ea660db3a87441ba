"""Asking for builds: of a commit, in a trusted workspace, parents first; and the product's own worker makes them."""

import json
import os
import shutil
import stat
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace
from worked_site import WorkedSite
from workshop import FILE_TEMPLATE, WHO, Workshop

from core.cli import main
from core.cli.output import ExitStatus
from core.errors import RefusedError, WorkspaceError
from core.model.image import Artifact, ImageVersion, UpstreamRecord
from core.model.pause import NEVER, PauseMode, Pausing
from core.model.role import Role, Syntax
from core.model.run import RunState
from core.model.states import Act, StateChange, Verdict
from core.places import Places
from core.services import catalogue
from core.services.building import Building, UntrustedError
from core.services.changing import Changing
from core.services.shell_environment import references, secrets_for

CONFIGURATION = """\
[roles.child]
template = "child"
upstream = { role = "web" }
"""


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[WorkedSite]:
    """A workspace with a role `web`, and somebody who builds in it."""
    monkeypatch.setenv("INGOT_HOME", str(tmp_path / "home"))
    with closing(WorkedSite(tmp_path)) as made:
        made.shop.commit({"web/web.pkr.hcl": FILE_TEMPLATE})
        yield made


def start_no_worker(patch: pytest.MonkeyPatch) -> None:
    """What is asked for is written down, and stays as it is."""

    def nobody(*_: object) -> None: ...

    patch.setattr("core.engine.client.Engine._tell", nobody)


@pytest.fixture
def nobody_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what is about runs that were only asked for: none of them ends meanwhile."""
    start_no_worker(monkeypatch)


@pytest.mark.usefixtures("nobody_works")
def test_the_first_build_in_a_workspace_asks_whether_it_is_trusted(house: WorkedSite) -> None:
    with pytest.raises(UntrustedError) as caught:
        house.building.build(house.shop.root, "web")
    assert caught.value.workspace.root == str(house.shop.root)
    assert house.building.runs() == []
    house.building.build(house.shop.root, "web", trust=True)
    house.building.build(house.shop.root, "web")
    assert [run.id for run in house.building.runs()] == [2, 1]


@pytest.mark.usefixtures("nobody_works")
def test_who_calls_himself_like_a_trusted_workspace_is_not_trusted_for_that(house: WorkedSite, tmp_path: Path) -> None:
    house.shop.commit({"ingot.toml": 'id = "shop"\n'})
    house.building.build(house.shop.root, "web", trust=True)
    stranger = Workshop(tmp_path / "stranger")
    stranger.commit({"ingot.toml": 'id = "shop"\n', "web/web.pkr.hcl": FILE_TEMPLATE})
    with pytest.raises(UntrustedError):
        house.building.build(stranger.root, "web")
    stranger.close()


@pytest.mark.skipif(shutil.which("packer") is None, reason="needs packer")
def test_a_build_asked_for_becomes_an_image_in_the_ledger_and_the_index(house: WorkedSite) -> None:
    run = house.ended(house.building.build(house.shop.root, "web", trust=True))
    assert run.state is RunState.SUCCEEDED, run
    assert run.request.asked_by == "Ada Example <ada@example.org>"
    (image,) = house.shop.ledger.images()
    assert house.shop.index.images(run.workspace_id) == [image]
    assert (image.run, image.commit, image.version) == (run.uid, run.request.commit, run.version)
    again = house.ended(house.building.rebuild(run.id))
    assert again.request == replace(run.request, asked_at=again.request.asked_at)
    assert again.version != run.version


def test_a_build_may_be_the_first_thing_that_is_asked_for_in_a_new_home(
    house: WorkedSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = Places(tmp_path / "new" / "home")
    monkeypatch.setenv("INGOT_HOME", str(places.home))
    before = os.umask(0o022)
    try:
        with pytest.raises(UntrustedError):
            Building(places, os.environ).build(house.shop.root, "web")
    finally:
        os.umask(before)
        shutil.rmtree(places.runtime, ignore_errors=True)
    assert stat.S_IMODE(places.home.stat().st_mode) == 0o700


@pytest.mark.usefixtures("nobody_works")
def test_the_role_is_that_of_the_commit_and_not_of_the_working_tree(house: WorkedSite) -> None:
    first = house.shop.git("rev-parse", "HEAD")
    house.shop.commit({"web/web.pkr.hcl": FILE_TEMPLATE.replace("hello", "other")})
    (house.shop.root / "web/web.pkr.hcl").write_text(FILE_TEMPLATE.replace("hello", "uncommitted"))
    build = house.building.build
    assert build(house.shop.root, "web", trust=True).request.builds == ("file.other",)
    earlier = build(house.shop.root, "web", at="HEAD~1").request
    assert (earlier.builds, earlier.commit, earlier.ref) == (("file.hello",), first, "HEAD~1")
    assert earlier.workspace.root == str(house.shop.root)
    assert not list((house.shop.places.home / "reading").iterdir())


def test_what_cannot_be_built_is_refused_with_a_way_on(house: WorkedSite, tmp_path: Path) -> None:
    build = house.building.build
    root = house.shop.root
    with pytest.raises(RefusedError, match="no role wbe") as caught:
        build(root, "wbe", trust=True)
    assert caught.value.next_step == "Did you mean web?"
    with pytest.raises(RefusedError, match=r"no build qemu\.web") as caught:
        build(root, "web", builds=("qemu.web",), trust=True)
    assert "file.hello" in caught.value.next_step
    with pytest.raises(WorkspaceError, match="no commit called 'nothing'"):
        build(root, "web", at="nothing", trust=True)
    house.shop.commit({"web/web.pkr.hcl": FILE_TEMPLATE + "}"})
    with pytest.raises(RefusedError, match=r"cannot be built from commit .*web/web\.pkr\.hcl"):
        build(root, "web", trust=True)
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(WorkspaceError, match="in no Git repository"):
        build(tmp_path / "elsewhere", "web", trust=True)
    assert house.building.runs() == []


@pytest.mark.usefixtures("nobody_works")
def test_what_is_stale_is_built_parents_first_and_not_twice(house: WorkedSite) -> None:
    root, ledger = house.shop.root, house.shop.ledger
    child = {"ingot.toml": CONFIGURATION, "child/child.pkr.hcl": FILE_TEMPLATE.replace("hello", "child")}
    commit = house.shop.commit(child)
    for name, upstream in (
        ("web", UpstreamRecord("template", "a file")),
        ("child", UpstreamRecord("role", "", role="web", version="0.1.0")),
    ):
        assert ledger.reserve(name, "0.1.0", name, WHO) == "0.1.0"
        artifact = Artifact(f"file.{name}", "raw", "/nowhere", "sha256:" + "0" * 64)
        made = ImageVersion(name, "0.1.0", commit, 1.0, name, WHO, upstream, (artifact,), name)
        ledger.register(made, WHO, "made")
    assert house.building.build_stale(root, trust=True) == []
    house.shop.commit({"web/web.pkr.hcl": FILE_TEMPLATE.replace("version $", "Version $")})
    parent, later = house.building.build_stale(root)
    assert (parent.role, later.role) == ("web", "child")
    assert (parent.request.parent_run, later.request.parent_run) == ("", parent.uid)
    assert not {run.role for run in house.building.build_stale(root)} & {"child"}, (
        "it waits, and is not asked for twice"
    )


@pytest.mark.usefixtures("nobody_works")
def test_what_is_outdated_is_built_again_as_a_chain(house: WorkedSite, capsys: pytest.CaptureFixture[str]) -> None:
    root, ledger = house.shop.root, house.shop.ledger
    chain = CONFIGURATION + '[roles.leaf]\ntemplate = "leaf"\nupstream = { role = "child" }\n'
    files = {f"{name}/{name}.pkr.hcl": FILE_TEMPLATE.replace("hello", name) for name in ("child", "leaf")}
    commit = house.shop.commit({"ingot.toml": chain, **files})

    def register(name: str, version: str, created: float, on: str = "", *, good: bool = True) -> None:
        upstream = UpstreamRecord("role", "", role=on, version="0.1.0") if on else UpstreamRecord("template", "a file")
        artifact = Artifact(f"file.{name}", "raw", "/nowhere", "sha256:" + "0" * 64)
        uid = f"{name}-{version}"
        made = ImageVersion(name, version, commit, created, uid, WHO, upstream, (artifact,), name)
        ledger.reserve(name, version, uid, WHO)
        ledger.register(made, WHO, "made")
        if good:
            passed = StateChange(name, version, uid, Act.TESTED, WHO, 1.0, verdict=Verdict.PASSED)
            ledger.decide([passed, replace(passed, act=Act.GOOD)], WHO, "good")

    register("web", "0.1.0", 1.0)
    register("child", "0.1.0", 2.0, "web")
    register("leaf", "0.1.0", 3.0, "child")
    register("web", "0.2.0", 4.0, good=False)
    assert house.building.build_outdated(root, trust=True) == []
    assert main(["-C", str(root), "build", "--outdated"]) == ExitStatus.DONE
    assert "Nothing is outdated." in capsys.readouterr().out
    register("web", "0.3.0", 5.0)
    assert main(["-C", str(root), "images"]) == ExitStatus.DONE
    said = capsys.readouterr().out
    assert "↻ child 0.1.0: parent web has newer good 0.3.0" in said
    assert "ingot build --outdated" in said
    assert main(["-C", str(root), "images", "--json"]) == ExitStatus.DONE
    listed = {f"{one['role']} {one['version']}": one["outdated"] for one in json.loads(capsys.readouterr().out)}
    assert {name: newer for name, newer in listed.items() if newer} == {"child 0.1.0": "0.3.0"}
    parent, later = house.building.build_outdated(root)
    assert (parent.role, later.role) == ("child", "leaf")
    assert (parent.request.parent_run, later.request.parent_run) == ("", parent.uid)


@pytest.mark.usefixtures("nobody_works")
def test_a_child_asked_for_while_its_first_parent_is_made_waits_for_that(house: WorkedSite) -> None:
    house.shop.commit({"ingot.toml": CONFIGURATION, "child/child.pkr.hcl": FILE_TEMPLATE.replace("hello", "child")})
    parent = house.building.build(house.shop.root, "web", trust=True)
    child = house.building.build(house.shop.root, "child")
    assert child.request.parent_run == parent.uid


@pytest.mark.usefixtures("nobody_works")
def test_an_image_that_may_not_be_built_on_is_none_to_a_child(house: WorkedSite) -> None:
    commit = house.shop.commit(
        {"ingot.toml": CONFIGURATION, "child/child.pkr.hcl": FILE_TEMPLATE.replace("hello", "child")}
    )
    artifact = Artifact("file.web", "raw", "/nowhere", "sha256:" + "0" * 64)
    upstream = UpstreamRecord("template", "a file")
    candidate = ImageVersion("web", "0.1.0", commit, 1.0, "earlier", WHO, upstream, (artifact,), "web")
    house.shop.ledger.register(candidate, WHO, "made")
    catalogue.refresh(house.shop.places, house.shop.root)
    parent = house.building.build(house.shop.root, "web", trust=True)
    assert house.building.build(house.shop.root, "child").request.parent_run == parent.uid
    takes = CONFIGURATION.replace('"web" }', '"web", takes = ["candidate"] }')
    house.shop.commit({"ingot.toml": takes})
    assert house.building.build(house.shop.root, "child").request.parent_run == ""


@pytest.mark.usefixtures("nobody_works")
def test_several_are_queued_parents_first_or_none_of_them(house: WorkedSite) -> None:
    house.shop.commit({"ingot.toml": CONFIGURATION, "child/child.pkr.hcl": FILE_TEMPLATE.replace("hello", "child")})
    with pytest.raises(RefusedError, match="no role nothing"):
        house.building.build_all(house.shop.root, ["web", "nothing"], trust=True)
    assert house.building.runs() == []
    parent, child = house.building.build_all(house.shop.root, ["child", "web"], trust=True)
    assert (parent.role, child.role) == ("web", "child")
    assert child.request.parent_run == parent.uid


@pytest.mark.usefixtures("nobody_works")
def test_a_build_from_the_workbench_may_pause_and_one_from_a_shell_may_when_it_says_so(
    house: WorkedSite, capsys: pytest.CaptureFixture[str]
) -> None:
    root = house.shop.root
    shell = house.building.build(root, "web", trust=True)
    (bench,) = Changing(house.shop.places, root).build(["web"])
    assert (shell.request.pausing, bench.request.pausing) == (NEVER, Pausing(PauseMode.FAILURE))
    # What counts is what the commit says, whatever lies in the working tree.
    house.shop.commit({"ingot.toml": '[debug]\npause = "step"\nlimit = "10m"\n'})
    (root / "ingot.toml").write_text('[debug]\npause = "never"\n')
    (bench,) = Changing(house.shop.places, root).build(["web"])
    assert bench.request.pausing == Pausing(PauseMode.STEP, (), 600.0)
    assert house.building.rebuild(bench.uid).request.pausing == bench.request.pausing
    assert house.building.build(root, "web").request.pausing == NEVER
    words = ("-C", str(root), "build", "web", "--stop", "clean-up", "--keep-paused", "90m", "--json")
    assert main(words) == ExitStatus.DONE
    assert house.building.runs()[0].request.pausing == Pausing(PauseMode.STEP, ("clean-up",), 5400.0)
    capsys.readouterr()
    for wrong, said in (
        (("--stop", "before lunch"), "nowhere to stop called 'before lunch'"),
        (("--pause", "failure", "--stop", "clean-up"), "--stop is for builds that are stepped through"),
        (("--keep-paused", "soon"), "'soon' is no time that a machine can be kept"),
    ):
        assert main(("-C", str(root), "build", "web", *wrong)) == ExitStatus.REFUSED
        assert said in capsys.readouterr().err


def test_the_workbench_refuses_a_build_that_this_machine_has_no_tools_for(
    house: WorkedSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for place in os.environ["PATH"].split(":"):
        for program in Path(place).glob("[!p]*"):  # no Packer
            if not (tmp_path / program.name).exists():
                (tmp_path / program.name).symlink_to(program)
    monkeypatch.setenv("PATH", str(tmp_path))
    changing = Changing(house.shop.places, house.shop.root)
    with pytest.raises(RefusedError, match="web cannot be built here: packer is missing"):
        changing.build(["web"], trust=True)
    assert house.building.runs() == []


def test_a_shells_credentials_are_recorded_as_references_and_names_only() -> None:
    shell = {
        "AWS_PROFILE": "shop",
        "AWS_ENDPOINT_URL_EC2": "http://127.0.0.1:5000",
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI",
        "AWS_SESSION_TOKEN": "",
        "PACKER_GITHUB_API_TOKEN": "ghp_1234567890",
        "PKR_VAR_password": "hunter2hunter2",
        "PKR_VAR_size": "20G",
        "SSH_AUTH_SOCK": "/run/user/1000/agent",
        "https_proxy": "http://ada:s3cret@proxy:3128",
        "no_proxy": "localhost",
        "HOME": "/home/ada",
    }
    role = Role("web", "web", Syntax.HCL2, sensitive=("password",))
    assert references(shell) == {
        "AWS_PROFILE": "shop",
        "AWS_ENDPOINT_URL_EC2": "http://127.0.0.1:5000",
        "SSH_AUTH_SOCK": "/run/user/1000/agent",
        "no_proxy": "localhost",
    }
    assert set(secrets_for(role, shell)) == {
        "AWS_SECRET_ACCESS_KEY",
        "PACKER_GITHUB_API_TOKEN",
        "PKR_VAR_password",
        "https_proxy",
    }


def test_secrets_are_given_again_only_by_a_shell_that_has_them(house: WorkedSite) -> None:
    shell = {**os.environ, "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI"}
    with_keys = Building(house.shop.places, shell)
    with pytest.MonkeyPatch.context() as patch:
        start_no_worker(patch)
        run = with_keys.build(house.shop.root, "web", trust=True)
    assert run.request.secret_names == ("AWS_SECRET_ACCESS_KEY",)
    with pytest.raises(RefusedError, match="does not have AWS_SECRET_ACCESS_KEY"):
        house.building.give_secrets(run.uid)
    with_keys.give_secrets(run.uid)
    house.ended(run)
    with pytest.raises(RefusedError, match="has ended"):
        with_keys.give_secrets(run.uid)
