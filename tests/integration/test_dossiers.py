"""What the screens know of images, from a real ledger: reports, lineage, and who was first."""

import shutil
from pathlib import Path

import msgspec
import pytest
from repository import commit, git, nobodys_settings

from core.errors import LostRaceError, RefusedError
from core.model.image import Artifact, ImageState, ImageVersion, UpstreamRecord
from core.model.inventory import Inventory, Package, PackageKind, Password, Port, System, User
from core.model.role import Build, Role, Syntax
from core.model.run import RunRequest
from core.model.sealing import Finding, ItemState, SealReport
from core.model.states import Act, StateChange, Verdict
from core.model.test_report import Case, Outcome, Report
from core.model.workspace import Workspace
from core.places import Places
from core.services.deciding import Deciding
from core.services.promoting import Promoting
from core.stages.evidence import compressed
from core.store.index import Index
from core.store.ledger import Ledger
from tui.image_sections import history
from tui.theme import plain

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

ADA = "Ada Example <ada@example.org>"
NOW = 1_795_000_000.0


def clone(directory: Path, name: str, hub: Path) -> Path:
    root = directory / name / "shop"
    git(directory, "clone", "-q", "-b", "main", str(hub), str(root))
    git(root, "config", "user.name", name)
    git(root, "config", "user.email", f"{name.lower()}@example.org")
    return root


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two clones that share a ledger."""
    nobodys_settings(tmp_path, monkeypatch, "[user]\n\tname = Ada Example\n\temail = ada@example.org\n")
    seed, hub = tmp_path / "seed", tmp_path / "hub.git"
    seed.mkdir()
    git(seed, "init", "-q", "-b", "main")
    commit(seed, {"ingot.toml": 'id = "shop"\n[ledger]\nremote = "origin"\n'})
    git(tmp_path, "clone", "-q", "--bare", str(seed), str(hub))
    return clone(tmp_path, "Ada", hub), clone(tmp_path, "Bo", hub)


def register(
    root: Path, role: str, version: str, on: str = "", evidence: dict[str, object] | None = None, *, good: bool = True
) -> ImageVersion:
    parent, _, at = on.partition(" ")
    reports = {name: report if isinstance(report, bytes) else msgspec.json.encode(report)
               for name, report in (evidence or {}).items()}  # fmt: skip
    made = ImageVersion(
        role=role,
        version=version,
        commit="c" * 40,
        created=NOW,
        run=f"run-of-{role}-{version}",
        built_by=ADA,
        upstream=UpstreamRecord(
            "role" if on else "archive", on or "Debian bookworm", "sha256:0b", "sha256", parent, at
        ),
        artifacts=(Artifact(f"qemu.{role}", "qcow2", f"/images/{role}.qcow2", host="elsewhere"),),
        template=role,
        evidence=tuple(name for name in reports if name.startswith(("seal-", "inventory-"))),
    )
    ledger = Ledger(root, "origin")
    ledger.register(
        made,
        ADA,
        "",
        evidence={name: compressed(report, ()) for name, report in reports.items() if name in made.evidence},
    )
    if good:
        tests = {name: compressed(report, ()) for name, report in reports.items() if name.startswith("test-")}
        passed = StateChange(
            role, version, made.run, Act.TESTED, ADA, NOW, verdict=Verdict.PASSED, evidence=next(iter(tests), "")
        )
        ledger.decide([passed], ADA, f"tested {role} {version}", image=made, evidence=tests)
        ledger.decide([StateChange(role, version, made.run, Act.GOOD, ADA, NOW + 1)], ADA, f"good {role} {version}")
    return made


def deciding(root: Path) -> Deciding:
    places = Places(root.parent / "home")
    places.create()
    return Deciding(places, root)


def test_all_that_is_on_the_ledger_of_an_image_is_gathered(two: tuple[Path, Path]) -> None:
    ada, bo = two
    inventory = Inventory(
        System("debian", "12", "Debian GNU/Linux 12", "amd64", ("6.1.0-28",)),
        packages=(Package(PackageKind.DEB, "nginx", "1.22.1-9"), Package(PackageKind.DEB, "curl", "7.88")),
        ports=(Port("tcp", 80, by="nginx"),),
        users=(User("root", 0, "/bin/bash", password=Password.SET),),
    )
    seal = SealReport("qemu.web", True, (Finding("swap", "swap files", ItemState.CLEAN),), "web 1")
    report = Report("web", "1", "qemu.web", "", "r", "c", NOW, NOW + 9, "kvm", 4.0,
                    (Case("boot", "answers", Outcome.PASSED),))  # fmt: skip
    register(ada, "base", "1")
    evidence: dict[str, object] = {"seal-qemu.web": seal, "inventory-qemu.web": inventory, "test-qemu.web-1": report}
    register(ada, "web", "1", "base 1", evidence)
    register(ada, "shop", "1", "web 1", good=False)
    Ledger(bo, "origin").fetch()
    dossier = deciding(bo).dossier("web", "1")
    assert dossier.effective.state is ImageState.GOOD
    assert [relative.name for relative in dossier.ancestors] == ["base 1"]
    assert [(relative.name, relative.steps) for relative in dossier.children] == [("shop 1", 1)]
    assert dossier.seals == (seal,)
    assert [(found.verdict, found.report) for found in dossier.rounds] == [(Verdict.PASSED, report)]
    assert [(item.name, item.says) for item in dossier.packages] == [("nginx", "1.22.1-9"), ("curl", "7.88")]
    assert {(item.kind, item.name) for item in dossier.contents} == {
        ("system", "Debian GNU/Linux 12"), ("kernel", "6.1.0-28"), ("port", "tcp 80"), ("user", "root"),
    }  # fmt: skip
    assert [change.act for change in dossier.changes] == [Act.TESTED, Act.GOOD]
    assert dossier.problems == ()
    names = [relative.name for relative in deciding(bo).dossier("base", "1").children]
    assert names == ["web 1", "shop 1"]
    with pytest.raises(RefusedError, match="There is no image web 9"):
        deciding(bo).dossier("web", "9")


def test_a_run_is_named_by_its_number_where_it_was_on_this_machine(two: tuple[Path, Path]) -> None:
    ada, bo = two
    made = register(ada, "web", "1", good=False)
    about = Role("web", "web", Syntax.HCL2, builds=(Build("qemu.web", "qemu"),))
    request = RunRequest(Workspace("shop", "shop", str(ada)), about, "c" * 40, "HEAD", ("qemu.web",), ADA, NOW)
    index = Index(deciding(ada).places.index)
    run = index.add_run(request, ("test/qemu.web",))
    index.close()
    passed = StateChange("web", "1", made.run, Act.TESTED, ADA, NOW, verdict=Verdict.PASSED)
    good = StateChange("web", "1", made.run, Act.GOOD, ADA, NOW + 1, f"tested by run {run.uid}")
    Ledger(ada, "origin").decide([passed, good], ADA, "tested web 1")
    Ledger(bo, "origin").fetch()
    for root, name in ((ada, run.id), (bo, run.uid)):
        told = [plain(row.cells[3]) for row in history.SECTION.rows(deciding(root).dossier("web", "1"), NOW + 9)]
        assert f"tested by run {name}" in told


def test_a_report_that_cannot_be_read_is_said_and_hides_nothing(two: tuple[Path, Path]) -> None:
    ada, _ = two
    seal = SealReport("qemu.b", True, (Finding("swap", "swap files", ItemState.CLEAN),), "web 1")
    evidence: dict[str, object] = {
        "seal-qemu.a": b'{"build": 7}',
        "seal-qemu.b": seal,
        "inventory-qemu.a": b"\xff\x00 no JSON",
        "test-qemu.web-1": b"[]",
        "weather-qemu.a": b'{"sunny": true}',
    }
    register(ada, "web", "1", evidence=evidence)
    dossier = deciding(ada).dossier("web", "1")
    assert dossier.seals == (seal,)
    assert [found.verdict for found in dossier.rounds] == [Verdict.PASSED]
    assert dossier.rounds[0].report is None
    assert sorted(problem.split(" cannot")[0] for problem in dossier.problems) == [
        "The report inventory-qemu.a", "The report seal-qemu.a", "The report test-qemu.web-1",
    ]  # fmt: skip


def test_of_two_promotions_at_once_one_wins_and_the_other_is_told_who(two: tuple[Path, Path]) -> None:
    ada, bo = two
    for version in ("1", "2", "3"):
        register(ada, "web", version)
    deciding(ada).promote("web", "1", "production", "first", expected="")
    Ledger(bo, "origin").fetch()
    seen = deciding(bo).standing().decided.trail("web", "production").version
    assert seen == deciding(ada).standing().decided.trail("web", "production").version == "1"
    deciding(ada).promote("web", "2", "production", "faster", expected=seen)
    with pytest.raises(LostRaceError, match=r"at 2 meanwhile, moved by Ada <ada@example.org>.*faster"):
        deciding(bo).promote("web", "3", "production", "smaller", expected=seen)
    standing = deciding(bo).standing()
    assert standing.decided.trail("web", "production").version == "2", "the loser sees the new state"
    with pytest.raises(LostRaceError, match=r"at 2 meanwhile, moved by Ada"):
        deciding(bo).back("web", "production", "too fast", expected="1", to="1")
    assert deciding(bo).standing().decided.trail("web", "production").version == "2"
    done = deciding(bo).back("web", "production", "too fast", expected="2", to="1").done
    assert done.startswith("production of web is back at 1")


def test_a_channel_goes_back_to_what_was_said_or_stays(two: tuple[Path, Path]) -> None:
    ada, bo = two
    for before, version in (("", "1"), ("1", "2"), ("2", "3")):
        register(ada, "web", version)
        deciding(ada).promote("web", version, "production", "", expected=before)
    move, _ = Promoting(Places(bo.parent / "home"), bo).going_back("web", "production")
    assert (move.before, move.version) == ("3", "2")
    deciding(ada).revoke("web", "2", "it leaks", typed="web 2")
    told = r"would not go back to 2 any more, but to 1\. web 2 is revoked by Ada <ada@example.org>: it leaks"
    with pytest.raises(LostRaceError, match=told) as lost:
        deciding(bo).back("web", "production", "too fast", expected=move.before, to=move.version)
    assert lost.value.kept == "It was not moved: it is at 3."
    assert deciding(bo).standing().decided.trail("web", "production").version == "3"
    done = deciding(bo).back("web", "production", "too fast", expected="3", to="1").done
    assert done.startswith("production of web is back at 1")


def test_the_checks_of_a_shell_are_those_of_the_screen(two: tuple[Path, Path]) -> None:
    ada, _ = two
    register(ada, "web", "1", good=False)
    found = {check.id: check for check in deciding(ada).checks("web", "1", "production")}
    assert found["good"].blocks
    assert found["files"].says == "qcow2 on elsewhere"
    with pytest.raises(RefusedError, match="no channel 'live'"):
        deciding(ada).checks("web", "1", "live")
