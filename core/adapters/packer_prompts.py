"""What Packer asks while it builds: which of it is put to a person, which is answered at once, and what it means.

The texts, the same from Packer 1.6.6 to the SDK of today (hashicorp/packer v1.6.6 below packer-plugin-sdk/, later
hashicorp/packer-plugin-sdk):
    multistep/commonsteps/multistep_runner.go   ask, askPrompt: a step failed (`-on-error=ask`)
    multistep/commonsteps/multistep_debug.go    MultistepDebugFn: after a step, before its clean-up (`-debug`)
    packer/provisioner.go                       DebuggedProvisioner: before a provisioner (`-debug`; of HCL2 templates
                                                since 1.8.0, hcl2template/types.packer_config.go, SetDebug)
    provisioner/breakpoint/provisioner.go       a breakpoint in the template
    packer/ui.go                                TargetedUI, BasicUi.Ask: `==> BUILD: ` before it, one blank after it
"""

import re
from typing import NamedTuple

from core.adapters import packer
from core.adapters.packer import Packer
from core.hold import Prompt
from core.model.pause import CLEAN_UP, EACH_PROVISIONER, FIRST_PROVISIONER, Answer, PauseKind, PauseMode, Pausing
from core.model.role import Syntax

ENTER = "\r"
"""Packer turns the translation of line ends off: `\\n` hangs for ever."""
TYPED: dict[Answer, bytes] = {
    Answer.RETRY: b"r\r",
    Answer.CLEAN_UP: b"c\r",
    Answer.KEEP: b"a\r",
    Answer.CONTINUE: b"\r",
}
"""What is typed for an answer where Packer asks what to do about a failed step; `CONTINUE` elsewhere."""
WITH_PROVISIONERS = (1, 8, 0)
"""The first that announces the provisioners of HCL2 templates."""

_BEGIN = r"^==> [^\n]*?: "
_END = r" ?"
_ASK = r"\[c\] Clean up and exit, \[a\] abort without cleanup, or \[r\] retry step \([^\n]*\)\?"
_ENTER = r"Press enter to continue\."
_BREAKPOINT = rf"{_BEGIN}{_ENTER}{_END}"
_AFTER = rf"{_BEGIN}Pausing after run of step '(?P<step>%s)'\. {_ENTER}{_END}"
_BEFORE_CLEAN_UP = rf"{_BEGIN}Pausing before cleanup of step '(?P<step>[^'\n]*)'\. {_ENTER}{_END}"
_BEFORE_PROVISIONER = rf"{_BEGIN}Pausing before the next provisioner ?\. {_ENTER}{_END}"
_FAILED = rf"{_BEGIN}{_ASK}{_END}"
_ANY_PAUSE = rf"{_BEGIN}Pausing [^\n]*\. {_ENTER}{_END}"
_DECIDED = rf"{_ASK}(?>[ \n]*)(?![rR])"
_CLEANING_UP_ALREADY = rf"(?:Pausing before cleanup of step |{_DECIDED})(?s:.*){_BEFORE_CLEAN_UP}"
"""An earlier clean-up was announced, or a person has said what is to become of a failed build."""

_CONNECT = r"StepConnect\w*"
"""The step after which the machine can be entered; some builders have their own (`StepConnectDocker`)."""
_ANY_STEP = r"[^'\n]*"


class Asked(NamedTuple):
    """What a held prompt asks."""

    kind: PauseKind
    step: str
    """Packer's name of the step; empty where the prompt names none."""
    note: str
    """Of a breakpoint."""


def options(pausing: Pausing, kind: str) -> tuple[str, ...]:
    """How `packer build` is told to pause. Amazon's builders write their key down only in debug mode, and without
    it nobody could enter the machine.

    >>> options(Pausing(PauseMode.FAILURE), "qemu"), options(Pausing(PauseMode.FAILURE), "amazon-ebs")
    (('-on-error=ask',), ('-debug', '-on-error=ask'))
    """
    if pausing.mode is PauseMode.NEVER:
        return packer.ON_ERROR_CLEAN_UP
    steps = pausing.mode is PauseMode.STEP or kind.startswith("amazon-")
    return ("-debug", "-on-error=ask") if steps else ("-on-error=ask",)


def announces_provisioners(found: Packer, syntax: Syntax) -> bool:
    """Whether this Packer says in debug mode that the next provisioner is about to begin."""
    return syntax is Syntax.JSON or found.version >= WITH_PROVISIONERS


def rules(pausing: Pausing, *, announced: bool = False) -> tuple[Prompt, ...]:
    """What the holder does about each prompt; `announced`: `announces_provisioners`.

    A prompt with a reply is answered at once; the others are held. Without a goodbye the interrupt that ends Packer
    also ends its waiting, and it cleans up.
    """
    if pausing.mode is PauseMode.NEVER:
        return (Prompt(_BREAKPOINT, reply=ENTER), Prompt(_ANY_PAUSE, reply=ENTER))
    failed = Prompt(_FAILED, goodbye="c\r")
    stops = _stops(pausing, announced) if pausing.mode is PauseMode.STEP else ()
    return (failed, *stops, Prompt(_ANY_PAUSE, reply=ENTER), Prompt(_BREAKPOINT))


def _stops(pausing: Pausing, announced: bool) -> tuple[Prompt, ...]:
    """Where somebody asked to stop. What is announced many times stops the first time only by what is before it."""
    stops = pausing.stops or (FIRST_PROVISIONER,)
    found: list[Prompt] = []
    if EACH_PROVISIONER in stops and announced:
        found.append(Prompt(_BEFORE_PROVISIONER))
    elif EACH_PROVISIONER in stops or FIRST_PROVISIONER in stops:
        found.append(Prompt(_AFTER % _CONNECT))
    if CLEAN_UP in stops:
        found += [Prompt(_CLEANING_UP_ALREADY, reply=ENTER), Prompt(_BEFORE_CLEAN_UP, goodbye=ENTER)]
    named = [stop for stop in stops if stop not in (FIRST_PROVISIONER, EACH_PROVISIONER, CLEAN_UP)]
    return (*found, *(Prompt(_AFTER % f"(?i:{re.escape(name)})") for name in named))


def typed(kind: PauseKind, answer: Answer) -> bytes:
    """What is to be typed for an answer to a prompt of this kind.

    Empty where the prompt has no such answer: a build that waits at a step or a breakpoint is cleaned up by ending it.

    >>> typed(PauseKind.FAILURE, Answer.RETRY), typed(PauseKind.STEP, Answer.CONTINUE)
    (b'r\\r', b'\\r')
    """
    if (kind is PauseKind.FAILURE) == (answer is not Answer.CONTINUE):
        return TYPED[answer]
    return b""


def read(held_text: str) -> Asked | None:
    """What the prompt at the end of Packer's output asks; None when it is none of Packer's.

    >>> read("==> null.web: Pausing after run of step 'StepConnect'. Press enter to continue. ")
    Asked(kind=<PauseKind.STEP: 'step'>, step='StepConnect', note='')
    """
    if _at_end(_FAILED, held_text):
        steps: list[str] = re.findall(rf'{_BEGIN}Step "([^"\n]*)" failed$', held_text, re.MULTILINE)
        return Asked(PauseKind.FAILURE, steps[-1] if steps else "", "")
    if after := _at_end(_AFTER % _ANY_STEP, held_text):
        return Asked(PauseKind.STEP, after["step"], "")
    if before := _at_end(_BEFORE_CLEAN_UP, held_text):
        return Asked(PauseKind.CLEAN_UP, before["step"], "")
    if _at_end(_BEFORE_PROVISIONER, held_text):
        return Asked(PauseKind.PROVISIONER, "", "")
    if _at_end(_BREAKPOINT, held_text):
        return Asked(PauseKind.BREAKPOINT, "", _note(held_text))
    return None


def _at_end(pattern: str, text: str) -> re.Match[str] | None:
    """As the holder looks for prompts (core/hold.py, Prompt.asks)."""
    return re.search(rf"(?:{pattern})\Z", text, re.MULTILINE)


def _note(held_text: str) -> str:
    """The note of the last breakpoint; each of its lines has the build's name before it."""
    begin = held_text.rfind("Pausing at breakpoint provisioner")
    if begin < 0:
        return ""
    found = re.match(r'Pausing at breakpoint provisioner with note "(?s:(.*))"\.\n==> ', held_text[begin:])
    return re.sub(r" *\n==> [^\n]*?: ?", " ", found[1]) if found else ""
