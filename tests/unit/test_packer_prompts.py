"""Packer's prompts: texts as its source makes them (the files are named in core/adapters/packer_prompts.py), and what
is done about each, by how the build may pause. Prompts of the installed Packer: tests/integration/test_pausing.py."""

from pathlib import Path

import pytest

from core.adapters.packer import Packer
from core.adapters.packer_prompts import announces_provisioners, options, read, rules, typed
from core.model.pause import Answer, PauseKind, PauseMode, Pausing, choices
from core.model.role import Syntax

ASK = (
    '==> qemu.web: Script exited with non-zero exit status: 1.Allowed exit codes are: [0]\n==> qemu.web: Step "{}" '
    "failed\n==> qemu.web: [c] Clean up and exit, [a] abort without cleanup, or [r] retry step (build may fail even "
    "if retry succeeds)? "
)
FAILED = ASK.format("StepProvision")
AFTER = "==> qemu.web: Pausing after run of step '{}'. Press enter to continue. "
BEFORE = "==> qemu.web: Pausing before cleanup of step '{}'. Press enter to continue. "
PROVISIONER = "==> qemu.web: Pausing before the next provisioner . Press enter to continue. "
BREAKPOINT = "==> qemu.web: Pausing at breakpoint provisioner.\n==> qemu.web: Press enter to continue. "
NOTED = (
    '==> qemu.web: Pausing at breakpoint provisioner with note "look, "here"".\n==> qemu.web: Press enter to continue. '
)
TWO_LINES = (
    '==> qemu.web: Pausing at breakpoint provisioner with note "look\n==> qemu.web: twice".\n'
    "==> qemu.web: Press enter to continue. "
)
EARLIER = "==> qemu.web: Waiting for SSH to become available...\n"
NEVER = Pausing()
FAILURE = Pausing(PauseMode.FAILURE)


def step(*stops: str) -> Pausing:
    return Pausing(PauseMode.STEP, stops)


def done(pausing: Pausing, text: str, *, announced: bool = False) -> str:
    """What the holder does: `held`, what it types at once, or nothing."""
    found = next((rule for rule in rules(pausing, announced=announced) if rule.asks(text)), None)
    if found is None:
        return "nothing"
    return found.reply or f"held{found.goodbye and f', goodbye {found.goodbye!r}'}"


@pytest.mark.parametrize(
    ("text", "kind", "name", "note"),
    [
        (FAILED, PauseKind.FAILURE, "StepProvision", ""),
        (ASK.format("StepConnect"), PauseKind.FAILURE, "StepConnect", ""),
        (FAILED + "r\n" + EARLIER + ASK.format("stepRun"), PauseKind.FAILURE, "stepRun", ""),
        (AFTER.format("StepConnect"), PauseKind.STEP, "StepConnect", ""),
        (BEFORE.format("stepCreateDisk"), PauseKind.CLEAN_UP, "stepCreateDisk", ""),
        (PROVISIONER, PauseKind.PROVISIONER, "", ""),
        (BREAKPOINT, PauseKind.BREAKPOINT, "", ""),
        (NOTED, PauseKind.BREAKPOINT, "", 'look, "here"'),
        (TWO_LINES, PauseKind.BREAKPOINT, "", "look twice"),
        (NOTED + "\n" + BREAKPOINT, PauseKind.BREAKPOINT, "", ""),
    ],
)
def test_a_prompt_is_read(text: str, kind: PauseKind, name: str, note: str) -> None:
    assert read(text) == read(EARLIER + text) == (kind, name, note)


@pytest.mark.parametrize("text", [FAILED, AFTER.format("StepConnect"), PROVISIONER, BREAKPOINT])
def test_only_what_waits_at_the_end_is_a_prompt(text: str) -> None:
    for later in (text + "\n", text + "\n" + EARLIER, text.replace("==> ", "    ")):
        assert read(later) is None
        assert {done(pausing, later) for pausing in (NEVER, FAILURE, step("clean-up"))} == {"nothing"}


def test_a_build_that_never_pauses_goes_past_breakpoints() -> None:
    assert options(NEVER, "amazon-ebs") == ("-on-error=cleanup",)
    assert done(NEVER, BREAKPOINT) == done(NEVER, NOTED) == "\r"


def test_a_build_that_pauses_on_failure_holds_failures_and_breakpoints_only() -> None:
    assert done(FAILURE, FAILED) == "held, goodbye 'c\\r'"
    assert done(FAILURE, BREAKPOINT) == done(FAILURE, NOTED) == "held"
    # An amazon build is in debug mode for its key, and the steps are dull.
    assert options(FAILURE, "amazon-ebs") == options(step(), "qemu") == ("-debug", "-on-error=ask")
    assert options(FAILURE, "qemu") == ("-on-error=ask",)
    for dull in (AFTER.format("StepConnect"), BEFORE.format("StepConnect"), PROVISIONER):
        assert done(FAILURE, dull) == "\r"


def test_stepping_stops_before_the_first_provisioner_unless_told_otherwise() -> None:
    for pausing in (step(), step("first-provisioner")):
        for announced in (False, True):
            assert done(pausing, AFTER.format("StepConnect"), announced=announced) == "held"
            assert done(pausing, AFTER.format("StepConnect") + "\n" + PROVISIONER, announced=announced) == "\r"
            assert done(pausing, AFTER.format("StepCreateDisk"), announced=announced) == "\r"
            assert done(pausing, BEFORE.format("StepConnect"), announced=announced) == "\r"
            assert done(pausing, FAILED, announced=announced).startswith("held")
            assert done(pausing, NOTED, announced=announced) == "held"


def test_each_provisioner_stops_where_it_is_announced_and_else_the_first() -> None:
    each = step("each-provisioner")
    assert done(each, PROVISIONER, announced=True) == "held"
    assert done(each, AFTER.format("StepConnect"), announced=True) == "\r"
    assert done(each, AFTER.format("StepConnect"), announced=False) == "held"
    assert [announces_provisioners(Packer(Path("packer"), (1, 6, 6)), syntax) for syntax in Syntax] == [
        syntax is Syntax.JSON for syntax in Syntax
    ]
    assert announces_provisioners(Packer(Path("packer"), (1, 8, 0)), Syntax.HCL2)


def test_clean_up_stops_at_the_first_that_is_announced_only() -> None:
    clean_up = step("clean-up")
    first = AFTER.format("stepConvertDisk") + "\n" + BEFORE.format("stepConvertDisk")
    assert done(clean_up, first) == "held, goodbye '\\r'"
    assert done(clean_up, first + "\n" + EARLIER + BEFORE.format("stepRun")) == "\r"
    assert done(clean_up, AFTER.format("StepConnect")) == "\r"
    retried = FAILED + "r\n" + EARLIER
    assert done(clean_up, retried + BEFORE.format("StepProvision")).startswith("held")
    for said in ("c", "a", ""):  # a person has decided already
        assert done(clean_up, FAILED + said + "\n" + BEFORE.format("StepConnect")) == "\r"


def test_a_named_step_stops_after_its_run() -> None:
    named = step("stepcreatedisk", "clean-up")
    assert done(named, AFTER.format("stepCreateDisk")) == "held"
    assert done(named, AFTER.format("stepCreateDisks")) == "\r"
    assert done(named, BEFORE.format("stepCreateDisk")).startswith("held")
    assert done(step("stepCreateDisk"), BEFORE.format("stepCreateDisk")) == "\r"


def test_every_choice_has_what_is_typed_for_it_or_ends_the_build() -> None:
    assert [typed(PauseKind.FAILURE, choice.answer) for choice in choices(PauseKind.FAILURE)] == [
        b"r\r",
        b"a\r",
        b"c\r",
    ]
    for kind in set(PauseKind) - {PauseKind.FAILURE, PauseKind.TASK}:
        assert [typed(kind, choice.answer) for choice in choices(kind)] == [b"\r", b""]
    # An empty line there would clean up.
    assert typed(PauseKind.FAILURE, Answer.CONTINUE) == b""
