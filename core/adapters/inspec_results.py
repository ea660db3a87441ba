"""Results of InSpec and cinc-auditor, as their JSON reporter writes them.

Their JUnit reporter names only controls that have a title, and says neither why one was skipped nor what was an
exception rather than a failure.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from core.adapters import junit
from core.errors import ToolError
from core.model.test_report import Case, Outcome

FILE = "inspec.json"
"""What the results are called."""
_GENERATED = re.compile(r"^\(generated from (.+) [0-9a-f]+\)$")
"""The name of what a control file looks at outside of any control: its place, and a number that is new in every run."""
_OUTCOMES = {"passed": Outcome.PASSED, "failed": Outcome.FAILED}


class _Result(msgspec.Struct, frozen=True):
    status: str = ""
    code_desc: str = ""
    run_time: float = 0.0
    """Seconds."""
    message: str | None = None
    skip_message: str | None = None
    exception: str | None = None
    """The class of what was raised, where nothing was expected in vain."""
    backtrace: list[str] | None = None


class _Control(msgspec.Struct, frozen=True):
    id: str = ""
    results: list[_Result] | None = None


class _Profile(msgspec.Struct, frozen=True):
    name: str = ""
    status: str = ""
    """`loaded`, `failed`, or `skipped` on a platform that it does not support."""
    status_message: str | None = None
    controls: list[_Control] | None = None


class _Report(msgspec.Struct, frozen=True):
    profiles: list[_Profile]
    """The one that was called, then those that it depends on; a control's results are with the one that has it."""


def read(path: Path, suite: str) -> list[Case]:
    """The cases in a file, under the name of the suite that wrote it. Raises ToolError when it cannot be understood."""
    return parse(junit.content(path), suite)


def parse(raw: bytes, suite: str) -> list[Case]:
    """The cases in the content of a file. Raises ToolError when it cannot be understood."""
    junit.refuse_large(raw, FILE)
    try:
        report = msgspec.json.decode(raw, type=_Report)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ToolError(f"{FILE} is not what InSpec writes: {error}.") from error
    profiles = report.profiles
    looked = [_case(suite, profile, control, result) for profile, control, result in _results(profiles)]
    if len(looked) > junit.MOST_CASES:
        raise ToolError(f"{FILE} has more than {junit.MOST_CASES} cases.", "Make several profiles of it.")
    return [*_not_looked(suite, profiles, nothing=not looked), *looked]


def _results(profiles: list[_Profile]) -> Iterator[tuple[_Profile, _Control, _Result]]:
    for profile in profiles:
        for control in profile.controls or ():
            for result in control.results or ():
                yield profile, control, result


def _not_looked(suite: str, profiles: list[_Profile], *, nothing: bool) -> Iterator[Case]:
    """Profiles that could not be read, and those that are not for the machine's platform: one of several may be for
    another, but a suite that is `nothing` else is a mistake."""
    for profile in profiles:
        if profile.status == "failed":
            yield junit.case(suite, profile.name, Outcome.ERROR, 0.0, profile.status_message or "it cannot be read")
        elif profile.status == "skipped":
            outcome = Outcome.ERROR if nothing else Outcome.SKIPPED
            yield junit.case(suite, profile.name, outcome, 0.0, profile.status_message or "it was skipped")


def _case(suite: str, profile: _Profile, control: _Control, result: _Result) -> Case:
    outcome = _OUTCOMES.get(result.status, Outcome.SKIPPED)
    if outcome is Outcome.FAILED and result.exception:
        outcome = Outcome.ERROR
    message = (result.skip_message if outcome is Outcome.SKIPPED else result.message) or ""
    name = _GENERATED.sub(r"\1", control.id)
    return junit.case(
        suite,
        f"{profile.name}.{name}: {result.code_desc}",
        outcome,
        result.run_time,
        f"{result.exception}: {message}" if result.exception else message,
        "\n".join(_own(result.backtrace or [], suite)),
    )


def _own(backtrace: list[str], suite: str) -> list[str]:
    """What the suite itself has to do with it, of dozens of lines; the first few where it has nothing."""
    return [line for line in backtrace if f"{suite}/" in line] or backtrace[:5]
