"""What a suite that has ended amounts to: its cases, or why there are none."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from core import process
from core.adapters import inspec_results, suites
from core.adapters.suites import Kind, Suite, Way
from core.model.machine import Login, Machine
from core.model.test_report import Case, Outcome

GOSS = Suite("tests/goss", Kind.GOSS)
INSPEC = Suite("tests/profile", Kind.INSPEC)


@pytest.fixture
def way(tmp_path: Path) -> Way:
    machine = Machine(
        "1", "test/qemu.web", "qemu.web", "qemu", host="127.0.0.1", port=2222, login=Login("root", ("key",)),
        known_hosts="known_hosts",
    )  # fmt: skip
    return Way(machine, tmp_path / "ssh_config", tmp_path, "web", "0.1.0")


# What goss 0.4.9 and 0.4.10 print where results are expected, with exit status 78, of files that they cannot use.
@pytest.mark.parametrize(
    "why",
    [
        "yaml: line 1: did not find expected ',' or ']'",
        "found 0 tests, source: spec/goss.yaml",
        'template: test:5:21: executing "test" at <.Vars.x>: map has no entry for key "x"',
    ],
)
def test_what_is_wrong_with_a_file_of_goss_is_said(way: Way, why: str) -> None:
    (way.results / "junit.xml").write_text(f"Error: {why}\n")
    (case,) = suites.judged(GOSS, way, 78, ["it is printed nowhere else"], 2.0)
    assert (case.outcome, case.message) == (Outcome.ERROR, f"it looked at nothing: {why}")


def test_a_goss_that_could_not_start_is_an_error(way: Way) -> None:
    (way.results / "junit.xml").touch()
    (case,) = suites.judged(GOSS, way, 127, ["sh: 1: ./goss: not found"], 2.0)
    why = "it looked at nothing: exit status 127: sh: 1: ./goss: not found"
    assert case == Case("tests/goss", "the suite", Outcome.ERROR, 2.0, why, "sh: 1: ./goss: not found")


def test_cases_of_goss_have_an_order(way: Way) -> None:
    """It writes them as they end, and many are under way at once."""
    names = ["Port tcp:22 listening", "File /etc/passwd mode", "Command who stdout"]
    cases = "".join(f'<testcase name="{name}"/>' for name in names)
    (way.results / "junit.xml").write_text(f'<testsuite name="goss">{cases}</testsuite>')
    assert [case.name for case in suites.judged(GOSS, way, 0, [], 2.0)] == sorted(names)


@pytest.mark.parametrize(("code", "outcomes"), [(101, [Outcome.SKIPPED]), (102, [Outcome.SKIPPED, Outcome.ERROR])])
def test_of_inspec_one_exit_status_is_fine_but_0(way: Way, code: int, outcomes: list[Outcome]) -> None:
    (way.results / inspec_results.FILE).write_text(
        '{"profiles":[{"name":"web","controls":[{"id":"a","results":[{"status":"skipped","code_desc":"No-op"}]}]}]}'
    )
    assert [case.outcome for case in suites.judged(INSPEC, way, code, [], 2.0)] == outcomes


def test_an_inspec_that_wrote_nothing_is_an_error(way: Way) -> None:
    said = ["Unable to parse inspec.yml: line 2", ""]
    (case,) = suites.judged(INSPEC, way, 1, said, 2.0)
    assert case.outcome is Outcome.ERROR
    assert case.message == "it looked at nothing: exit status 1: Unable to parse inspec.yml: line 2"
    assert case.output.strip() == said[0]


@pytest.mark.parametrize(("user", "sudo"), [("root", False), ("builder", True)])
def test_inspec_looks_as_root_and_at_the_machines_pin(
    way: Way, monkeypatch: pytest.MonkeyPatch, user: str, sudo: bool
) -> None:
    def found(name: str) -> Path:
        return Path("/usr/bin", name)

    monkeypatch.setattr(process, "find", found)
    way = replace(way, machine=replace(way.machine, login=Login(user, ("key",))))
    (step,) = suites.steps(INSPEC, way.results, way)
    assert step.judges
    assert ("--sudo" in step.argv) is sudo
    # The configuration, which has the pin and the jump, is of this name alone; host keys are looked at when asked for.
    assert f"ssh://{user}@machine:2222?verify_host_key=always" in step.argv
    assert "./tests/profile" in step.argv, "what it says of the place is the same in every run"
