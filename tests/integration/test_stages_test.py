"""The boot test as a stage, on a stand-in for the machine: what it decides, says, and leaves behind.

With a real machine: tests/integration/test_whole_job.py.
"""

import asyncio
import getpass
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from leaving_worker import worker_leaves
from msgspec.structs import replace
from patience import PATIENCE, until
from ssh_machine import missing
from stand_in_guest import StandIn, stand_in, write_program
from synced import synced_names
from workshop import WHO, Workshop

from core import process
from core.adapters import ssh, suites
from core.engine.keeping import Keeper
from core.engine.reconciling import reconcile
from core.errors import ToolError
from core.model import boot_checks as rules
from core.model.boot_test import BootTest
from core.model.image import Artifact, ImageState, ImageVersion, UpstreamRecord
from core.model.machine import MachineState
from core.model.pipeline import Purpose, stages_of
from core.model.role import Build, Role, Syntax
from core.model.run import Run, RunRequest, RunState
from core.model.states import Verdict
from core.model.test_report import Outcome, Report
from core.model.touch import TOUCHED, Touch, TouchKind
from core.services.testing import Testing
from core.stages import evidence, leftovers

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=f"{missing()} is not installed"),
    pytest.mark.skipif(process.find("qemu-img") is None, reason="qemu-img is not installed"),
]
KEY = ("web", "0.1.0")


class Site:
    """A registered image version of a role, and runs that test it."""

    def __init__(self, workshop: Workshop, guest: StandIn) -> None:
        self.workshop = workshop
        self.guest = guest
        self.settings = BootTest(user=getpass.getuser(), limit=PATIENCE)
        self.disk = workshop.places.images / "web.qcow2"
        subprocess.run(("qemu-img", "create", "-q", "-f", "qcow2", str(self.disk), "1M"), check=True)
        self.disk.chmod(0o444)
        self.before = self.disk.read_bytes()

    def register(self, *more: Artifact, touches: tuple[Touch, ...] = ()) -> None:
        artifact = Artifact("qemu.web", "qcow2", str(self.disk))
        commit = self.workshop.git("rev-parse", "HEAD")
        image = ImageVersion(
            *KEY, commit, 1.0, "run1", WHO, UpstreamRecord("none", ""), (artifact, *more), "web", touches=touches,
            marks=(TOUCHED,) if touches else (),
        )  # fmt: skip
        self.workshop.ledger.register(image, WHO, "made")

    def new_run(self, *builds: str, secret_names: tuple[str, ...] = ()) -> Run:
        names = builds or ("qemu.web",)
        role = Role(
            "web", "web", Syntax.HCL2, builds=tuple(Build(one, one.partition(".")[0]) for one in names),
            test=self.settings,
        )  # fmt: skip
        request = RunRequest(
            self.workshop.workspace, role, self.workshop.git("rev-parse", "HEAD"), "0.1.0", tuple(names), WHO, 0.0,
            purpose=Purpose.TEST, version="0.1.0", secret_names=secret_names,
        )  # fmt: skip
        run = self.workshop.index.add_run(request, stages_of(role, tuple(names), Purpose.TEST))
        self.workshop.index.set_run_state(run.uid, RunState.RUNNING)
        return self.workshop.again(run)

    async def test(self, run: Run) -> dict[str, object]:
        """All stages of the run, until one fails."""
        found: dict[str, object] = {}
        for stage in run.stages:
            found = await self.stage(run, stage.key)
        return found

    async def stage(self, run: Run, key: str) -> dict[str, object]:
        return await self.workshop.stage(run, key)

    def log(self, run: Run, key: str = "test/qemu.web") -> str:
        return self.workshop.log(run, key)

    @property
    def state(self) -> tuple[ImageState, Verdict]:
        decided = self.workshop.ledger.read().decided
        return decided.life(KEY).stored, decided.life(KEY).verdict

    @property
    def reports(self) -> list[Report]:
        """The newest first."""
        found = Testing(self.workshop.places, os.environ).results(self.workshop.root, *KEY)[1]
        assert all(result.report for result in found)
        return [result.report for result in found if result.report]

    def outcome(self, name: str) -> Outcome:
        return next(case.outcome for case in self.reports[0].cases if case.name == name)

    async def two_machines(self) -> None:
        """Until both run."""
        await until(lambda: len(self.guest.running) >= 2, "both machines run")

    def nothing_left(self, run: Run) -> None:
        assert self.guest.running == []
        assert not list((self.workshop.places.run(run.uid) / "test").glob("*"))
        assert not list((self.workshop.places.run(run.uid) / "keys").glob("*"))
        assert self.disk.read_bytes() == self.before, "the artifact is as it was"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    workshop = Workshop(tmp_path)
    made = Site(workshop, stand_in(tmp_path, monkeypatch))
    workshop.commit({"README": "The shop\n"})
    yield made
    workshop.close()


async def test_what_passes_is_good_and_its_results_stay(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    packing, compressed = list[threading.Thread](), evidence.compressed

    def noted(report: bytes, secrets: Iterable[str]) -> bytes:
        packing.append(threading.current_thread())
        return compressed(report, secrets)

    monkeypatch.setattr(evidence, "compressed", noted)
    site.guest.finds_its_port_taken()
    site.register()
    run = site.new_run()
    result = await site.test(run)
    assert result["verdict"] == "passed"
    assert site.state == (ImageState.GOOD, Verdict.PASSED)
    assert site.workshop.again(run).version == "0.1.0"
    (report,) = site.reports
    assert {case.outcome for case in report.cases} == {Outcome.PASSED}, report
    assert [case.name for case in report.cases] == list(rules.ALL)
    assert report.facts.ports == ("tcp 0.0.0.0:22 sshd",)
    assert report.facts.disk_used == 2000 * 1024
    assert "web 0.1.0 is good." in site.log(run)
    assert packing
    assert threading.main_thread() not in packing, "a large report does not stop the worker's loop"
    site.nothing_left(run)
    # Once more, and it stays what it is; both results are there.
    again = site.new_run()
    await site.test(again)
    assert site.state == (ImageState.GOOD, Verdict.PASSED)
    assert [one.run for one in site.reports] == [again.uid, run.uid]
    assert site.workshop.ledger.read().reservations == ()


LEFT_IN_IT = {
    rules.HOST_KEYS: ("AAAA{own}", "AAAAsame"),
    rules.MACHINE_ID: ("{own}5e1f", "5e1f"),
    rules.TIME_SERVICE: ("==clock==\nchrony", "==clock=="),
    rules.STAMP: ('VERSION="0.1.0"', 'VERSION="0.0.9"'),
    rules.BUILD_KEYS: ("==authorized==", "==authorized==\n/root/.ssh/authorized_keys ssh-rsa AAAAB3 ingot-1-qemu.web"),
}


async def test_what_is_left_in_it_is_found_and_keeps_it_a_candidate(site: Site) -> None:
    for before, after in LEFT_IN_IT.values():
        site.guest.says(before, after)
    site.register()
    run = site.new_run()
    with pytest.raises(ToolError, match=rf"{rules.HOST_KEYS}: .* \(and 4 more cases\)") as failed:
        await site.test(run)
    assert "5 of 9 cases" in failed.value.next_step
    assert site.state == (ImageState.CANDIDATE, Verdict.FAILED)
    assert {case.name for case in site.reports[0].cases if case.outcome is Outcome.FAILED} == set(LEFT_IN_IT)
    site.nothing_left(run)


async def test_a_unit_that_failed_is_named_with_its_last_words_and_a_case_may_be_left_out(site: Site) -> None:
    site.guest.has_failed("web.service")
    site.settings = replace(site.settings, skip=(rules.TIME_SERVICE,))
    site.register()
    run = site.new_run()
    with pytest.raises(ToolError, match=r"web\.service"):
        await site.test(run)
    assert "it could not be started" in site.log(run)
    assert site.outcome(rules.TIME_SERVICE) is Outcome.SKIPPED
    assert site.outcome(rules.UNITS) is Outcome.FAILED
    # Mended outside of the image, it passes: a test is about the moment it is made.
    (site.guest.here / "failed").write_text("")
    await site.test(site.new_run())
    assert site.state == (ImageState.GOOD, Verdict.PASSED)
    assert [report.verdict for report in site.reports] == [Verdict.PASSED, Verdict.FAILED]


async def test_a_machine_that_never_answers_fails_within_its_limit(site: Site) -> None:
    site.guest.is_silent()
    site.settings = replace(site.settings, limit=2.0, suites=("tests",))
    site.register()
    run = site.new_run()
    with pytest.raises(ToolError, match="did not let anybody in within 2 s"):
        await site.test(run)
    assert site.outcome(rules.ANSWERS) is Outcome.FAILED
    assert {case.outcome for case in site.reports[0].cases[1:]} == {Outcome.SKIPPED}, "and none is silently missing"
    assert site.reports[0].cases[-1].suite == "tests"
    site.nothing_left(run)


async def test_an_image_touched_by_hand_passes_its_tests_and_stays_a_candidate(site: Site) -> None:
    site.register(touches=(Touch(TouchKind.SHELL, WHO, 0.0, "qemu.web"),))
    run = site.new_run()
    await site.test(run)
    assert site.state == (ImageState.CANDIDATE, Verdict.PASSED)
    assert "web 0.1.0 stays candidate: web 0.1.0 was touched by hand" in site.log(run)


@pytest.mark.long
async def test_all_disks_have_to_pass_and_one_that_cannot_be_booted_is_in_the_way(site: Site) -> None:
    site.register(Artifact("qemu.small", "qcow2", str(site.disk)))
    run = site.new_run("qemu.web", "qemu.small")
    await site.stage(run, "checkout")
    await site.stage(run, "test/qemu.web")
    assert site.state == (ImageState.CANDIDATE, Verdict.PASSED)
    assert "stays candidate: its build qemu.small is still to be tested" in site.log(run)
    await site.stage(run, "test/qemu.small")
    assert site.state == (ImageState.GOOD, Verdict.PASSED)


@pytest.mark.long
async def test_an_image_whose_ami_was_not_tested_stays_a_candidate(site: Site) -> None:
    site.register(Artifact("amazon-ebs.web", "ami", "eu-central-1:ami-1"))
    run = site.new_run()
    await site.test(run)
    assert site.state == (ImageState.CANDIDATE, Verdict.PASSED)
    assert "its build amazon-ebs.web was not tested here" in site.log(run)


async def test_a_killed_worker_changes_nothing(site: Site) -> None:
    """What it left running is ended, the stage begins anew; done twice, it is decided once."""
    site.register()
    run = site.new_run()
    await site.stage(run, "checkout")
    first = asyncio.ensure_future(site.stage(run, "test/qemu.web"))
    await site.two_machines()
    await worker_leaves(site.workshop.around, first)
    left = site.guest.running
    assert len(left) == 2
    result = await site.stage(run, "test/qemu.web")
    assert result["verdict"] == "passed"
    assert not set(left) & set(site.guest.running)
    site.nothing_left(run)
    head = site.workshop.ledger.head()
    assert await site.stage(run, "test/qemu.web") == result
    assert site.workshop.ledger.head() == head


async def test_a_cancelled_test_leaves_nothing(site: Site) -> None:
    site.guest.is_silent()
    site.register()
    run = site.new_run()
    await site.stage(run, "checkout")
    testing = asyncio.ensure_future(site.stage(run, "test/qemu.web"))
    await site.two_machines()
    testing.cancel()
    await asyncio.wait({testing})
    assert testing.cancelled()
    leftovers.clean_up(site.workshop.places, site.workshop.again(run), succeeded=False)
    site.nothing_left(run)
    assert site.state == (ImageState.CANDIDATE, Verdict.UNTESTED)


async def test_a_machine_that_did_not_pass_is_kept_where_that_is_asked_for(site: Site) -> None:
    site.guest.has_failed("web.service")
    site.settings = replace(site.settings, keep=True)
    site.register()
    run = site.new_run()
    with pytest.raises(ToolError, match=r"web\.service"):
        await site.test(run)
    index, places = site.workshop.index, site.workshop.places
    index.set_run_state(run.uid, RunState.FAILED)
    leftovers.clean_up(places, site.workshop.again(run), succeeded=False, kept=True)
    (machine,) = index.machines(run.uid)
    assert machine.state is MachineState.KEPT
    assert machine.until is not None
    assert len(site.guest.running) == 1, "the second is not needed any more"
    assert "ingot debug 1 opens a shell in it" in site.log(run)
    connection = await ssh.connect(machine)
    assert (await connection.run("echo in the machine"))[1] == b"in the machine\n"
    await connection.close()
    # A worker that starts leaves it alone, and ends it when its time is over.
    assert await reconcile(index, places) == []
    assert len(site.guest.running) == 1
    keeper = Keeper(
        site.workshop.around,
        lambda run, succeeded: leftovers.clean_up(places, run, succeeded=succeeded),
        lambda event: None,
    )
    keeper.look()
    index.set_machine_until(run.uid, machine.stage_key, 0.0)
    keeper.look()
    await until(lambda: not keeper.keeps, "the machine is ended")
    assert index.machines(run.uid) == []
    site.nothing_left(run)


# Suites


TESTINFRA = """\
def test_a_command_runs_in_the_machine(host):
    assert host.check_output("echo in the machine") == "in the machine"

def test_that_fails(host):
    assert host.run("true").rc == {wanted}
"""
SHELL = """\
#!/bin/sh
set -e
echo "token s3cr3t-of-the-shop"
ssh -F "$INGOT_SSH_CONFIG" machine true
cat >"$INGOT_RESULTS/nunit.xml" <<END
<test-results><test-suite><results><test-case name="pester" result="{result}"/></results></test-suite></test-results>
END
"""


TELLING = """\
#!/bin/sh
echo with s3cr3t-of-the-shop
cat >"$INGOT_RESULTS/junit.xml" <<END
<testsuite><testcase name="token"><system-out>with s3cr3t-of-the-shop</system-out></testcase></testsuite>
END
"""


async def test_the_suites_of_the_workspace_run_in_the_machine(site: Site) -> None:
    pytest.importorskip("testinfra")
    site.workshop.commit(
        {
            "tests/web/test_web.py": TESTINFRA.format(wanted=0),
            "tests/check.sh": SHELL.format(result="Success"),
            "tests/plain.sh": "#!/bin/sh\necho with s3cr3t-of-the-shop\ntest $INGOT_ROLE-$INGOT_VERSION = web-0.1.0\n",
        }
    )
    for name in ("check.sh", "plain.sh"):
        (site.workshop.root / "tests" / name).chmod(0o755)
    site.workshop.git("commit", "-qam", "Programs")
    site.settings = replace(site.settings, suites=("tests/web", "tests/check.sh", "tests/plain.sh"))
    site.register()
    run = site.new_run()
    site.workshop.memory.give(run.uid, {"TOKEN": "s3cr3t-of-the-shop"})
    await site.test(run)
    assert site.state == (ImageState.GOOD, Verdict.PASSED)
    found = [(case.suite, case.name.partition("[")[0], case.outcome.value) for case in site.reports[0].cases[9:]]
    assert found == [
        ("tests/web", "tests.web.test_web: test_a_command_runs_in_the_machine", "passed"),
        ("tests/web", "tests.web.test_web: test_that_fails", "passed"),
        ("tests/check.sh", "pester", "passed"),
        ("tests/plain.sh", "plain.sh", "passed"),
    ]
    assert "collected 2 items" in site.log(run), "what they print is in the log"
    assert "s3cr3t-of-the-shop" not in site.log(run)
    assert "s3cr3t-of-the-shop" not in str(site.reports)
    site.nothing_left(run)


async def test_nothing_boots_until_the_secrets_that_a_restarted_worker_forgot_are_there_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.engine.job._SECRETS_COME_WITHIN", 0.0)
    site.workshop.commit({"tests/plain.sh": TELLING})
    (site.workshop.root / "tests/plain.sh").chmod(0o755)
    site.workshop.git("commit", "-qam", "Programs")
    site.settings = replace(site.settings, suites=("tests/plain.sh",))
    site.register()
    run = site.new_run(secret_names=("TOKEN",))
    await site.stage(run, "checkout")
    testing = asyncio.ensure_future(site.stage(run, "test/qemu.web"))
    await site.workshop.waits(run, testing)
    assert f"forgotten TOKEN; give it again: ingot resume {run.id}" in site.workshop.again(run).reason
    assert site.guest.running == []
    site.workshop.memory.give(run.uid, {"TOKEN": "s3cr3t-of-the-shop"})
    safe = synced_names(monkeypatch)
    assert (await testing)["verdict"] == "passed"
    assert "with «redacted»" in site.log(run)
    assert "with «redacted»" in site.reports[0].cases[-1].output
    assert "s3cr3t-of-the-shop" not in site.log(run)
    # What it notes for a next attempt outlives a power cut, says no more than the ledger, and goes with the run.
    assert "test-qemu.web.json.part" in safe
    results = site.workshop.places.run(run.uid) / "results"
    assert b"s3cr3t-of-the-shop" not in (results / "test-qemu.web.json").read_bytes()
    leftovers.clean_up(site.workshop.places, site.workshop.again(run), succeeded=True)
    assert list(results.iterdir()) == []


async def test_what_is_wrong_with_a_suite_is_never_silence(site: Site) -> None:
    pytest.importorskip("testinfra")
    site.workshop.commit(
        {
            "tests/web/test_web.py": TESTINFRA.format(wanted=1),
            "tests/empty/test_nothing.py": "",
            "tests/goss/goss.yaml": "port: {}",
            "tests/profile/inspec.yml": "name: web",
            "tests/notes.txt": "",
            "tests/check.sh": SHELL.format(result="Failure"),
            "tests/broken.sh": "#!/bin/sh\necho it broke\nexit 3\n",
            "tests/lying.sh": SHELL.format(result="Success") + "exit 4\n",
        }
    )
    for name in ("check.sh", "broken.sh", "lying.sh"):
        (site.workshop.root / "tests" / name).chmod(0o755)
    site.workshop.git("commit", "-qam", "Programs")
    names = ("web", "empty", "goss", "profile", "notes.txt", "check.sh", "broken.sh", "lying.sh", "missing")
    site.settings = replace(site.settings, suites=tuple(f"tests/{name}" for name in names))
    site.register()
    run = site.new_run()
    with pytest.raises(ToolError, match="test_that_fails") as failed:
        await site.test(run)
    assert "(and 8 more cases)" in failed.value.what
    bad = {
        case.suite: (case.outcome.value, f"{case.message} {case.output}")
        for case in site.reports[0].cases
        if case.outcome.bad
    }
    assert {suite: outcome for suite, (outcome, _) in bad.items()} == {
        "tests/web": "failed", "tests/empty": "error", "tests/goss": "error", "tests/profile": "error",
        "tests/notes.txt": "error", "tests/check.sh": "failed", "tests/broken.sh": "failed",
        "tests/lying.sh": "error", "tests/missing": "error",
    }  # fmt: skip
    for suite, said in (
        ("tests/goss", "goss is not installed"),
        ("tests/profile", "cinc-auditor"),
        ("tests/notes.txt", "no suite that Ingot knows"),
        ("tests/broken.sh", "it broke"),
        ("tests/lying.sh", "exit status 4"),
        ("tests/missing", "There is no tests/missing"),
        ("tests/empty", "looked at nothing"),
    ):
        assert said in bad[suite][1]
    site.nothing_left(run)


async def test_of_a_suite_that_prints_without_end_only_the_last_lines_are_kept(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flood(*_: object) -> list[suites.Step]:
        return [suites.Step(("sh", "-c", "seq 1 3000; echo disk full; exit 1"), process.environment())]

    monkeypatch.setattr(suites, "steps", flood)
    site.workshop.commit({"tests/goss.yaml": "port: {}"})
    site.settings = replace(site.settings, suites=("tests/goss.yaml",))
    site.register()
    run = site.new_run()
    with pytest.raises(ToolError, match="sh: disk full"):
        await site.test(run)
    (case,) = [case for case in site.reports[0].cases if case.suite == "tests/goss.yaml"]
    assert case.output.splitlines() == [*(str(number) for number in range(2942, 3001)), "disk full"]
    assert "\n1\n2\n3\n" in site.log(run), "the log has all of it"


GOSS = """\
#!{python}
import sys
words = sys.argv[1:]
assert words[:1] == ["-g"] and words[2:] == ["validate", "--format", "junit"], words
spec = open(words[1]).read()
assert spec == "port: {{}}", spec
print('<testsuite name="goss"><testcase name="Port: tcp:22: listening"/></testsuite>')
"""
CINC = """\
#!{python}
import subprocess, sys
words = sys.argv[1:]
assert words[0] == "exec" and (__import__("pathlib").Path(words[1]) / "inspec.yml").is_file(), words
target, _, asked = words[words.index("--target") + 1].removeprefix("ssh://").partition("?")
assert asked == "verify_host_key=always", words
assert ("--sudo" in words) == (not target.startswith("root@")), words
user_and_host, _, port = target.partition(":")
key = words[words.index("--key-files") + 1]
config = words[words.index("--ssh-config-file") + 1]
# As InSpec does: with no file of pins but the global one.
options = ["-o", "UserKnownHostsFile=/dev/null", "-o", "ControlPath=none"]
subprocess.run(["ssh", *options, "-F", config, "-i", key, "-p", port, user_and_host, "true"], check=True)
results = words[-1].removeprefix("json:")
open(results, "w").write('{{"profiles":[{{"name":"web","controls":['
    '{{"id":"a","results":[{{"status":"skipped","code_desc":"No-op"}}]}},'
    '{{"id":"b","results":[{{"status":"passed","code_desc":"User root"}}]}}]}}]}}')
sys.exit(101)
"""


@pytest.mark.long
async def test_goss_and_inspec_are_called_as_they_want_it(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By stand-ins for both, which check how they are called, and do log in."""
    # Nobody else is in a machine that is tested, but many tests are on the one that stands in for it here.
    monkeypatch.setattr(suites, "THERE", str(tmp_path / "there"))
    write_program(tmp_path / "bin/goss", GOSS.format(python=sys.executable))
    write_program(tmp_path / "bin/cinc-auditor", CINC.format(python=sys.executable))
    site.workshop.commit(
        {"tests/goss/goss.yaml": "port: {}", "tests/one.goss.yaml": "port: {}", "tests/profile/inspec.yml": "name: web"}
    )
    site.settings = replace(site.settings, suites=("tests/goss", "tests/one.goss.yaml", "tests/profile"))
    site.register()
    run = site.new_run()
    await site.test(run)
    cases: list[Any] = [msgspec.to_builtins(case) for case in site.reports[0].cases[9:]]
    assert [(case["suite"], case["name"], case["outcome"]) for case in cases] == [
        ("tests/goss", "Port: tcp:22: listening", "passed"),
        ("tests/one.goss.yaml", "Port: tcp:22: listening", "passed"),
        ("tests/profile", "web.a: No-op", "skipped"),
        ("tests/profile", "web.b: User root", "passed"),
    ], site.log(run)
