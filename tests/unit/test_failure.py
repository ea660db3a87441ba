"""What went wrong is read from real logs (tests/data/failures says how they were made)."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.model.failure import diagnose, is_error
from core.model.log_words import ERROR_HINTS

LOGS = Path(__file__).parent.parent / "data" / "failures"


def lines_of(name: str) -> list[str]:
    return (LOGS / f"{name}.log").read_text().splitlines()


@dataclass(frozen=True)
class Told:
    """What the diagnosis of one log must say."""

    step: str
    error: str
    line: str
    """Part of the line that it points at."""
    command: str = ""
    where: str = ""
    status: int | None = None
    advice: str = ""
    output: str = ""


CLUSTER = Told(
    step="TASK [create the cluster]",
    error="Error: could not create directory /var/lib/postgresql/15: No space left on device",
    line="fatal: [localhost]: FAILED!",
    command='sh -c \'echo "Creating new cluster"',
    status=1,
    advice="A disk is full",
    output="Creating new cluster",
)
UNLOCATED = Told(
    step="provisioner shell-local",
    error="E: Unable to locate package nginx-extras-full",
    line="E: Unable to locate",
    command="scripts/install.sh",
    status=100,
    advice="refresh its lists first",
    output="Reading package lists...",
)
UNDEFINED = Told(
    step="TASK [configure | write the file]",
    error="'nothing_of_that_name' is undefined",
    line="fatal: [localhost]: FAILED!",
    where="/srv/shop/playbooks/undefined.yml:4",
    advice="Define the variable",
)
MODULE = Told(
    step="provisioner shell-local",
    error="couldn't resolve module/action 'nosuchmodule_at_all'",
    line="couldn't resolve module",
    where="/srv/shop/playbooks/syntax.yml:3",
    status=4,
    advice="requirements.yml",
)

EXPECTED: dict[str, Told] = {
    "shell-script": UNLOCATED,
    "shell-script-colour": UNLOCATED,
    "shell-inline-timestamps": Told(
        step="provisioner shell-local",
        error="ls: cannot access '/nonexistent-directory': No such file or directory",
        line="ls: cannot access",
        command="inline script",
        status=2,
        output="about to fail",
    ),
    "ansible-command": CLUSTER,
    "ansible-verbose": CLUSTER,
    "ansible-yaml": CLUSTER,
    "ansible-2.19-command": CLUSTER,
    "ansible-undefined": UNDEFINED,
    "ansible-2.19-undefined": UNDEFINED,
    "ansible-module": Told("TASK [unpack]", "dest '/tmp/never' must be an existing dir", "fatal: [localhost]"),
    "ansible-syntax": MODULE,
    "ansible-2.19-syntax": MODULE,
    "ssh-timeout": Told(
        "Waiting for SSH to become available", "Timeout waiting for SSH.", "Timeout waiting", advice="ssh_username"
    ),
    "checksum": Told(
        step="Retrieving ISO",
        error="error downloading ISO: Checksums did not match for /srv/shop/disk.img.",
        line="error downloading ISO",
        advice="find out which is right",
        output="Got: 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
    ),
    "qemu-start": Told(
        step="Overriding default Qemu arguments",
        error="Error launching VM: Qemu failed to start.",
        line="Error launching VM",
        advice='accelerator = "tcg"',
    ),
    "output-directory": Told(
        step="reading the template",
        error="Output directory 'playbooks' already exists.",
        line="Error: 1 error(s)",
        where="outdir.pkr.hcl:1",
        advice="Remove that directory",
    ),
    "template-argument": Told(
        step="reading the template",
        error='An argument named "inlin" is not expected here. Did you mean "inline"?',
        line="Error: Failed preparing",
        where="syntax.pkr.hcl:5",
        advice="Correct the template",
    ),
    "template-variable": Told(
        step="reading the template",
        error='This object does not have an attribute named "nothing".',
        line="Error: Failed preparing",
        where="undeclared.pkr.hcl:5",
        advice="Correct the template",
    ),
    "amazon-unreachable": Told(
        step="",
        error="error validating regions: RequestError: send request failed",
        line="Build 'amazon-ebs.web' errored",
        advice="is it up",
        output='caused by: Post "http://127.0.0.1:9/": dial tcp 127.0.0.1:9: connect: connection refused',
    ),
    "disk-full": Told(
        step="provisioner shell-local",
        error="dd: error writing '/dev/full': No space left on device",
        line="dd: error writing",
        command="inline script",
        status=1,
        advice="A disk is full",
        output="1+0 records in",
    ),
}


def assert_tells(lines: list[str], told: Told) -> None:
    failure = diagnose(lines)
    assert failure is not None
    assert failure.step.startswith(told.step)
    assert bool(failure.step) == bool(told.step)
    assert told.error in failure.error
    assert told.line in lines[failure.first_line]
    assert failure.command.startswith(told.command)
    if told.where:
        assert failure.where == told.where
    assert failure.exit_status == told.status
    assert told.advice in failure.next_step
    assert bool(told.advice) == bool(failure.next_step)
    if told.output:
        assert told.output in failure.output
    assert not any(line.startswith(("==>", "    null.web", "\x1b")) for line in failure.output)


@pytest.mark.parametrize("name", EXPECTED)
def test_the_log_of_a_failed_build_tells_what_went_wrong(name: str) -> None:
    assert_tells(lines_of(name), EXPECTED[name])


@pytest.mark.parametrize("name", EXPECTED)
def test_it_tells_the_same_where_every_line_has_the_arrow(name: str) -> None:
    """Since Packer 1.13 all lines start with `==>`."""
    arrows = [f"==>{line[3:]}" if line.startswith("    null.web:") else line for line in lines_of(name)]
    assert_tells(arrows, EXPECTED[name])


def test_every_log_has_an_expectation() -> None:
    assert {path.stem for path in LOGS.glob("*.log")} == {*EXPECTED, "good"}


def test_verbose_ansible_says_where_the_task_is() -> None:
    failure = diagnose(lines_of("ansible-verbose"))
    assert failure is not None
    assert failure.where == "/srv/shop/playbooks/web.yml:11"


def test_a_build_that_went_well_has_no_failure() -> None:
    assert diagnose(lines_of("good")) is None
    assert diagnose([]) is None
    assert diagnose(["", "  "]) is None


def test_a_failure_that_was_ignored_is_not_the_one() -> None:
    lines = lines_of("ansible-command")
    ignored = next(at for at, line in enumerate(lines) if "/bin/false" in line)
    failure = diagnose(lines)
    assert failure is not None
    assert failure.first_line > ignored


def test_a_step_that_fails_after_an_ignored_failure_is_told_instead_of_it() -> None:
    lines = lines_of("ansible-command")
    ignoring = next(at for at, line in enumerate(lines) if line.endswith("...ignoring"))
    end = "Build 'null.web' errored after 2 seconds: Error uploading playbook: connection lost"
    failure = diagnose([*lines[: ignoring + 1], "    null.web:", end])
    assert failure is not None
    assert failure.error == "Error uploading playbook: connection lost"


def test_a_task_rescued_before_does_not_hide_the_step_that_failed() -> None:
    before = [line for line in lines_of("ansible-command") if line.startswith("    ")]
    lines = ["==> null.web: Provisioning with Ansible...", *before, *lines_of("shell-script")]
    assert_tells(lines, UNLOCATED)


def test_the_modern_error_block_of_hcl_is_understood() -> None:
    """As Packer 1.7 and newer print it (source: hcl2_upgrade and `packer validate` of hashicorp/packer)."""
    failure = diagnose(
        [
            "Error: Unsupported argument",
            "",
            "  on web.pkr.hcl line 12:",
            "  (source code not available)",
            "",
            'An argument named "inlin" is not expected here. Did you mean "inline"?',
            "",
        ]
    )
    assert failure is not None
    assert failure.where == "web.pkr.hcl:12"
    assert failure.error.startswith("Unsupported argument: An argument named")


def test_a_log_without_any_known_form_gives_its_last_lines() -> None:
    failure = diagnose([f"step {n}" for n in range(40)])
    assert failure is not None
    assert (failure.error, failure.first_line, failure.output[-2:]) == ("step 39", 39, ("step 38", "step 39"))


def test_a_result_that_was_cut_off_still_gives_its_message() -> None:
    line = next(line for line in lines_of("ansible-command") if "Creating new" in line)
    whole = lines_of("ansible-command")
    cut = line[: line.index('"stdout": "Creat') + 20]
    failure = diagnose([cut if other == line else other for other in whole])
    assert failure is not None
    assert failure.error == CLUSTER.error
    assert failure.exit_status == 1


ERRORS = [
    "==> qemu.web: error: no such file",
    "==> qemu.web: E: Unable to locate package nginx",
    "    qemu.web: fatal: [default]: FAILED! => {",
    "Error: Failed preparing provisioner-block",
    "Build 'qemu.web' errored after 3 seconds: Timeout waiting for SSH.",
    "==> qemu.web: sh: 1: foo: not found",
    "==> qemu.web: main.c:3:1: error: expected ';'",
    "==> qemu.web: make: *** [Makefile:3: all] Error: 2",
    "    qemu.web: Traceback (most recent call last):",
    "    qemu.web: ValueError: no such thing",
    "\x1b[1;31m==> qemu.web: \x1b[0mERROR! the role 'x' was not found",
    "==> qemu.web: mkdir: cannot create directory '/x': Permission denied",
]
NO_ERRORS = [
    "    qemu.web: localhost : ok=3 changed=1 unreachable=0 failed=0 skipped=0 rescued=0 ignored=1",
    "    qemu.web: error_log /var/log/nginx/error.log warn;",
    "    qemu.web: Setting up libgpg-error0:amd64 (1.46-1) ...",
    "    qemu.web: UUID=1 / ext4 errors=remount-ro 0 1",
    "    qemu.web: Compiled with 0 errors and 0 warnings",
    "    qemu.web: ok: no errors: all is well",
    "    qemu.web: TASK [install the error pages] ****",
    "    qemu.web: ignore_errors: true",
    "    qemu.web: Get:5 http://example.org bookworm/main liberror-perl all 0.17029-2",
    "==> qemu.web: W: Failed to fetch an index, old ones used: error: none",
    "    qemu.web: error: 0",
    "--> qemu.web: Script exited with non-zero exit status: 100",
    '    qemu.web: "stderr": "", "error": null',
]


@pytest.mark.parametrize("line", ERRORS)
def test_a_line_that_reports_an_error_is_one(line: str) -> None:
    assert is_error(line)


@pytest.mark.parametrize("line", NO_ERRORS)
def test_a_line_that_only_names_errors_is_none(line: str) -> None:
    assert not is_error(line)


def test_every_error_line_holds_a_hint_that_a_fast_search_can_look_for() -> None:
    samples = [line for path in LOGS.glob("*.log") for line in path.read_text().splitlines()]
    for line in [*samples, *ERRORS]:
        if is_error(line):
            assert any(hint in line.lower().encode() for hint in ERROR_HINTS), line


@settings(deadline=None)
@given(st.lists(st.sampled_from([line for name in EXPECTED for line in lines_of(name)]) | st.text(max_size=30)))
def test_no_mixture_of_lines_makes_it_fall_over(lines: list[str]) -> None:
    failure = diagnose(lines)
    if failure is not None:
        assert 0 <= failure.first_line < len(lines)
        assert "\n" not in failure.error


ASKED = "[c] Clean up and exit, [a] abort without cleanup, or [r] retry step (build may fail even if retry succeeds)? "
HELD = f"""\
==> qemu.web: Connected to SSH!
==> qemu.web: Provisioning with shell script: /tmp/packer-shell772018113
==> qemu.web: cannot go on: /root/mended is missing
==> qemu.web: Script exited with non-zero exit status: 3.Allowed exit codes are: [0]
==> qemu.web: Step "StepProvision" failed
==> qemu.web: {ASKED}"""


def test_a_step_that_failed_and_is_held_is_told_before_the_build_has_ended() -> None:
    failure = diagnose(HELD.splitlines())
    assert failure is not None
    assert (failure.step, failure.error) == ("provisioner shell", "cannot go on: /root/mended is missing")
    assert (failure.exit_status, failure.first_line) == (3, 2)
    assert failure.output == ("cannot go on: /root/mended is missing",)


def test_a_step_that_was_repeated_after_its_failure_is_judged_anew() -> None:
    ends = f"""r
==> qemu.web: Provisioning with shell script: /tmp/packer-shell1
==> qemu.web: no space left on device
==> qemu.web: Script exited with non-zero exit status: 4.Allowed exit codes are: [0]
==> qemu.web: Step "StepProvision" failed
==> qemu.web: {ASKED}c
==> qemu.web: Deleting output directory...
Build 'qemu.web' errored: Script exited with non-zero exit status: 4.Allowed exit codes are: [0]
"""
    failure = diagnose((HELD + ends).splitlines())
    assert failure is not None
    assert (failure.error, failure.exit_status) == ("no space left on device", 4)


def test_a_script_whose_last_words_are_indented() -> None:
    """As a program's list of its options is, which it prints when it is called wrongly."""
    said = """\
==> null.web: Connected to SSH!
==> null.web: Provisioning with shell script: /tmp/packer-shell1
    null.web: Usage: pg_createcluster [options] <version> <cluster name>
    null.web:
    null.web:   --start       start the cluster after creating it
==> null.web: Script exited with non-zero exit status: 1.Allowed exit codes are: [0]
==> null.web: Step "StepProvision" failed
""".splitlines()
    failure = diagnose(said)
    assert failure is not None
    assert (failure.step, failure.exit_status) == ("provisioner shell", 1)
    assert failure.error == "--start start the cluster after creating it"
    assert failure.first_line == 4
