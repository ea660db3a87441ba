"""Test suites that a workspace brings for its machines: which tool carries one out, how it is called, what it says.

testinfra (pytest) runs in Ingot's own Python; cinc-auditor or InSpec beside it; goss is copied into the machine and
runs there; any other program is given the way into the machine in its environment. All but InSpec, which has a JSON of
its own, write JUnit's or NUnit's XML.
"""

import importlib.util
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path

import msgspec

from core import process
from core.adapters import inspec_results, junit
from core.errors import ToolError
from core.model.machine import Machine
from core.model.test_report import Case, Outcome

HOST = "machine"
"""What the machine is called in the configuration of SSH that suites get."""
THERE = "/tmp/ingot-goss"  # noqa: S108 - in a machine that nobody else is in
"""Where goss runs in the machine."""
_GOSS_RESULTS = "junit.xml"
_GOSS_FILES = ("goss.yaml", "goss.yml", "goss.json")
_INSPEC = ("cinc-auditor", "inspec")
_INSPEC_MISSING = "Install cinc-auditor (cinc.sh/download) or InSpec on the machine that tests."
LAST_LINES = 60
"""Lines of what a suite printed that are kept with a case; the log has all."""


class Kind(StrEnum):
    """Which tool carries a suite out."""

    TESTINFRA = "testinfra"
    GOSS = "goss"
    INSPEC = "InSpec"
    PROGRAM = "program"


class Suite(msgspec.Struct, frozen=True):
    """One path of `[test] suites`."""

    path: str
    """Relative to the checkout, as ingot.toml has it; the name of the suite in results."""
    kind: Kind


class Way(msgspec.Struct, frozen=True):
    """How a suite gets into the machine, and where it puts what it found."""

    machine: Machine
    ssh_config: Path
    results: Path
    """A directory of its own, empty."""
    role: str
    version: str


class Step(msgspec.Struct, frozen=True):
    """One call of a tool."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    judges: bool = False
    """How it ends is how the suite ends; any other has to end well."""


def find(checkout: Path, path: str) -> Suite:
    """What is at a path of the checkout. Raises ToolError when there is nothing, or no suite."""
    place = checkout / path
    if not place.resolve().is_relative_to(checkout.resolve()):
        raise ToolError(f"{path} leads out of the repository.", "Name suites below its root.")
    if not place.exists():
        raise ToolError(f"There is no {path} at this commit.", "Is it committed? [test] suites in ingot.toml names it.")
    if place.is_dir():
        if (place / "inspec.yml").is_file():
            return Suite(path, Kind.INSPEC)
        if any((place / name).is_file() for name in _GOSS_FILES):
            return Suite(path, Kind.GOSS)
        if any(_is_pytest(file) for file in place.rglob("*.py")):
            return Suite(path, Kind.TESTINFRA)
    elif _is_pytest(place):
        return Suite(path, Kind.TESTINFRA)
    elif place.suffix in (".yaml", ".yml", ".json") and "goss" in place.name:
        return Suite(path, Kind.GOSS)
    elif os.access(place, os.X_OK):
        return Suite(path, Kind.PROGRAM)
    raise ToolError(
        f"{path} is no suite that Ingot knows.",
        "It takes a directory or file of pytest (test_*.py), a goss file (goss.yaml), an InSpec profile (inspec.yml), "
        "or a program (chmod +x).",
    )


def _is_pytest(file: Path) -> bool:
    return file.suffix == ".py" and (file.name.startswith("test_") or file.stem.endswith("_test"))


def steps(suite: Suite, checkout: Path, way: Way) -> list[Step]:
    """The calls that carry a suite out, from the checkout as the working directory. Raises ToolError when its tool is
    not installed, and says which."""
    place = checkout / suite.path
    match suite.kind:
        case Kind.TESTINFRA:
            return [_testinfra(suite, checkout, way)]
        case Kind.GOSS:
            return _goss(place, way)
        case Kind.INSPEC:
            return [_inspec(suite, way)]
        case Kind.PROGRAM:
            return [Step((str(place.absolute()),), _environment(way), judges=True)]


def _environment(way: Way) -> dict[str, str]:
    """What every suite is told."""
    return {
        "INGOT_HOST": way.machine.host,
        "INGOT_PORT": str(way.machine.port),
        "INGOT_USER": way.machine.login.user,
        "INGOT_KEY": way.machine.login.key_files[0],
        "INGOT_KNOWN_HOSTS": way.machine.known_hosts,
        "INGOT_SSH_CONFIG": str(way.ssh_config),
        "INGOT_RESULTS": str(way.results),
        "INGOT_ROLE": way.role,
        "INGOT_VERSION": way.version,
    }


def how_to_install_testinfra() -> str:
    """Into the Python that Ingot runs in. By its own name: `ingot` on PyPI is somebody else's."""
    return f"{shlex.quote(sys.executable)} -m pip install pytest-testinfra"


def _testinfra(suite: Suite, checkout: Path, way: Way) -> Step:
    if importlib.util.find_spec("testinfra") is None:
        raise ToolError(
            "testinfra is not installed in Ingot's own Python.", f"Install it there: {how_to_install_testinfra()}"
        )
    argv = (
        sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "--color=no", f"--rootdir={checkout}",
        f"--hosts=ssh://{HOST}", f"--ssh-config={way.ssh_config}",
        *(() if way.machine.login.user == "root" else ("--sudo",)),
        f"--junitxml={way.results / 'junit.xml'}", "--", suite.path,
    )  # fmt: skip
    return Step(argv, {**_environment(way), "PYTHONDONTWRITEBYTECODE": "1"}, judges=True)


def _goss(place: Path, way: Way) -> list[Step]:
    """goss looks at the machine that it runs in. The binary of this machine is copied: it is one static file."""
    goss = process.find("goss")
    if goss is None:
        raise ToolError(
            "goss is not installed.",
            "Install it on the machine that tests (goss.rocks): it is copied into the image's.",
        )
    spec = next(place / name for name in _GOSS_FILES if (place / name).is_file()) if place.is_dir() else place
    own = _environment(way)
    copy = ("scp", "-q", "-r", "-F", str(way.ssh_config))
    in_machine = ("ssh", "-F", str(way.ssh_config), HOST)
    # A directory is copied under the name `spec`, a file into a directory of that name.
    there = f"{THERE}/spec" if place.is_dir() else f"{THERE}/spec/"
    as_root = "" if way.machine.login.user == "root" else "sudo -n "
    run = f"cd {THERE} && chmod 755 goss && {as_root}./goss -g spec/{shlex.quote(spec.name)} validate --format junit"
    return [
        Step((*in_machine, f"rm -rf {THERE} && mkdir -p {THERE if place.is_dir() else there}"), own),
        Step((*copy, str(goss), f"{HOST}:{THERE}/goss"), own),
        Step((*copy, str(place), f"{HOST}:{there}"), own),
        Step((*in_machine, f"{run} >{_GOSS_RESULTS}"), own, judges=True),
        Step((*copy, f"{HOST}:{THERE}/{_GOSS_RESULTS}", str(way.results / _GOSS_RESULTS)), own),
    ]


def _inspec(suite: Suite, way: Way) -> Step:
    tool = next((name for name in _INSPEC if process.find(name)), None)
    if tool is None:
        raise ToolError("Neither cinc-auditor nor InSpec is installed.", _INSPEC_MISSING)
    login = way.machine.login
    # By the name that the configuration has, so that its pin and its jump count; no host key is looked at unless asked.
    target = f"ssh://{login.user}@{HOST}:{way.machine.port}?verify_host_key=always"
    argv = (
        # Relative, as some of what it says names the place.
        tool, "exec", f"./{suite.path}", "--target", target, *(() if login.user == "root" else ("--sudo",)),
        "--key-files", login.key_files[0], "--ssh-config-file", str(way.ssh_config), "--no-color",
        "--no-create-lockfile", "--reporter", "cli", f"json:{way.results / inspec_results.FILE}",
    )  # fmt: skip
    return Step(argv, _environment(way), judges=True)


def judged(suite: Suite, way: Way, code: int | None, said: Sequence[str], seconds: float) -> list[Case]:
    """The cases of a suite that has ended: those that it wrote down; else how it ended is the only one.

    `code` is its exit status (None: a signal ended it), `said` the lines that it printed.
    """
    output = "\n".join(said[-LAST_LINES:])
    ended = f"exit status {code}" if code is not None else "ended by a signal"
    last = next((line.strip() for line in reversed(said) if line.strip()), "")
    nothing = f"it looked at nothing: {ended}{last and f': {last}'}"
    if suite.kind is Kind.GOSS and (why := _goss_says(way.results / _GOSS_RESULTS)) is not None:
        nothing = f"it looked at nothing: {why}" if why else nothing
        return [Case(suite.path, "the suite", Outcome.ERROR, seconds, nothing, output)]
    read = inspec_results.read if suite.kind is Kind.INSPEC else junit.read
    cases: list[Case] = []
    for file in sorted(way.results.rglob(inspec_results.FILE if suite.kind is Kind.INSPEC else "*.xml")):
        try:
            cases += read(file, suite.path)
        except ToolError as error:
            cases.append(Case(suite.path, file.name, Outcome.ERROR, 0.0, error.what, output))
    if suite.kind is Kind.GOSS:
        cases.sort(key=lambda case: case.name)  # it looks at all at once, and writes what it has seen first
    if not cases:
        if suite.kind is Kind.PROGRAM and code is not None:
            outcome = Outcome.PASSED if code == 0 else Outcome.FAILED
            message = ended if code else ""
            return [Case(suite.path, Path(suite.path).name, outcome, seconds, message, output)]
        return [Case(suite.path, "the suite", Outcome.ERROR, seconds, nothing, output)]
    # A suite that says that all is well and ends with an error has not looked at everything.
    if code != 0 and not any(case.outcome.bad for case in cases) and not _is_fine(suite, code):
        cases.append(Case(suite.path, "the suite", Outcome.ERROR, seconds, f"it ended with {ended}", output))
    return cases


def _goss_says(results: Path) -> str | None:
    """What goss wrote in place of results: what is wrong with its file; nothing where it did not even start. None for
    results."""
    try:
        said = junit.content(results).decode(errors="replace").strip()
    except ToolError:
        return ""
    return None if said.startswith("<") else said[: junit.LONGEST_MESSAGE].removeprefix("Error: ")


def _is_fine(suite: Suite, code: int | None) -> bool:
    """InSpec ends with 101 when nothing failed and something was skipped."""
    return suite.kind is Kind.INSPEC and code == 101


def failed_to_run(path: str, error: ToolError) -> Case:
    """The one case of a suite that could not be carried out: an error, never silence."""
    why = " ".join(part for part in (error.what, error.next_step) if part)
    return Case(path, "the suite", Outcome.ERROR, 0.0, why)
