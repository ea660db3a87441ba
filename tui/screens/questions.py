"""Questions that must be answered: what goes, what stays, and what to type. Enter alone means no.

The only screens that stand in front of others.
"""

from collections.abc import Iterator, Sequence

from textual import events
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from core.model.at_stake import AtStake
from core.model.image import ImageVersion
from core.model.machine import Machine
from core.model.pause import Answer, Choice
from core.model.pipeline import Purpose
from core.model.run import Run
from core.text import moment, visible
from tui.screens.asked import Asked
from tui.widgets.typed import Typed


class Question(Asked[bool]):
    """A title, some lines, and a way to say yes: the key y, or a name to type where `name` is given."""

    def __init__(self, title: str, lines: Sequence[str], *, yes: str, name: str = "", danger: bool = False) -> None:
        """`yes` says what y does; with `name` that name must be typed instead."""
        super().__init__(title, lines, danger=danger)
        self._yes = yes
        self._name = name
        self.typed = ""
        """The name as it was typed, once it was the right one."""

    def asked(self) -> Iterator[Widget]:
        if self._name:
            yield Static(Content(f"Type {visible(self._name)} and Enter to {self._yes}; Esc no"), classes="ask")
            yield Typed(id="typed")
            yield self.wrong
        else:
            yield Static(Content(f"y {self._yes}      n, Enter, Esc no"), classes="ask")

    def first(self) -> Widget | None:
        return self.query_one(Typed) if self._name else None

    def on_key(self, event: events.Key) -> None:
        if self._name:
            return
        match event.key:
            case "y" | "Y":
                self.answer(True)
            case "n" | "N" | "enter" | "q":
                self.dismiss(False)
            case "j" | "down":
                self.told.scroll_relative(y=1, animate=False)
            case "k" | "up":
                self.told.scroll_relative(y=-1, animate=False)
            case _:
                return
        event.stop()

    def on_input_submitted(self, message: Typed.Submitted) -> None:
        message.stop()
        typed = message.value.strip()
        if typed == visible(self._name):
            self.typed = typed
            self.answer(True)
        elif not typed:
            self.dismiss(False)
        else:
            self.say_wrong("That is another name. Esc leaves everything as it is.")


class Leave(Question):
    """Whether to leave. Who presses the key for it once more has said so; q as well, where nothing else can be read."""

    def on_key(self, event: events.Key) -> None:
        if event.key in ("ctrl+q", "ctrl+c") or (event.key == "q" and not self.shows):
            event.stop()
            event.prevent_default()
            self.dismiss(True)


def quit_question(asked: Sequence[str]) -> Question:
    """Asked before the workbench is closed while something that a person asked for has not come to an end."""
    return Leave(
        "Leave Ingot now?",
        (
            "This is still under way:",
            *(f"    {words}" for words in asked),
            "",
            "Ingot ends when that has come to its end, or at once when you leave once more. Builds go on in any case.",
        ),
        yes="leave after that",
    )


def trust_question(name: str, root: str) -> Question:
    """Asked before the first build in a workspace."""
    return Question(
        f"Trust {name}?",
        (
            f"This is the first build in {root}.",
            "",
            "Building runs what is in the repository, with your permissions: its Packer templates, the shell"
            " scripts and Ansible playbooks that they name, and their plugins.",
            "",
            "Trust it if you trust everyone who can write to it. It is remembered on this machine, for all"
            " that is cloned from the same place; looking at it never runs anything.",
        ),
        yes="trust it and build",
    )


_WORK = {Purpose.BUILD: "The build", Purpose.TEST: "The test", Purpose.CONVERT: "The conversion"}


def cancel_question(ending: Sequence[AtStake]) -> Question:
    """Asked before runs are cancelled; names each machine that goes. One that is held for a person goes only by the
    name of its role: then this is about one run alone."""
    held = next((one.run for one in ending if one.paused), None)
    if len(ending) == 1:
        run = ending[0].run
        title = f"Cancel run {run.id}?"
        what = f"{_WORK[run.request.purpose]} of {run.role} ends; what was done so far is thrown away."
    else:
        title = f"Cancel {len(ending)} runs?"
        what = "These end: " + ", ".join(f"{one.run.id} {one.run.request.purpose} {one.run.role}" for one in ending)
    machines = [f"    {line}" for one in ending for line in one.lines]
    if all(one.run.request.purpose is Purpose.CONVERT for one in ending):
        gone = "What was made and is not finished is deleted"
    elif all(one.run.request.purpose is Purpose.TEST for one in ending):
        gone = "What it was tested on is shut down and deleted, and no disk of the image version"
    elif len(machines) > 1 or len(ending) > 1:
        gone = "Their machines are shut down and their unfinished disks deleted"
    else:
        gone = "Its machine is shut down and its unfinished disk deleted"
    return Question(
        title,
        (
            what,
            f"{gone}{':' if machines else '.'}",
            *machines,
            *([f"Run {held.id} is paused: nobody can look into its machine after that."] if held is not None else ()),
            "",
            "Image versions that exist stay, and so do the logs.",
        ),
        yes="cancel it" if len(ending) == 1 else "cancel them",
        name=held.role if held is not None else "",
        danger=held is not None,
    )


def clean_up_question(run: Run, consequence: str) -> Question:
    """Asked before a paused machine is cleaned up."""
    return Question(
        f"Clean up the machine of run {run.id}?",
        (consequence, "", "What was done in it by hand goes with it. Other image versions are not touched."),
        yes="destroy it",
        name=run.role,
        danger=True,
    )


def end_machine_question(run: Run, machine: Machine) -> Question:
    """Asked before a kept machine is ended."""
    by = f" It was kept by {machine.kept_by}." if machine.kept_by else ""
    return Question(
        f"End the machine of run {run.id}?",
        (
            f"The machine {machine.address or machine.instance} and its disk are destroyed; nothing of them can be had"
            f" back.{by}",
            "",
            "The run stays as it ended, and so does its log.",
        ),
        yes="destroy it",
        name=run.role,
        danger=True,
    )


def go_on_question(run: Run, choice: Choice) -> Question:
    """Asked before Packer goes on with something that changes the machine; where it goes away by that, by its name."""
    gone = choice.destroys
    return Question(
        f"{choice.title}, and let the machine of run {run.id} go?" if gone else f"{choice.title}?",
        (choice.consequence, "", f"This is the answer to the pause of run {run.id}: others cannot give another one."),
        yes="go on" if choice.answer is Answer.CONTINUE else choice.answer.value,
        name=run.role if gone else "",
        danger=gone,
    )


def delete_question(image: ImageVersion, going: Sequence[str]) -> Question:
    """Asked before the files of an image version are deleted; `going` says what goes, one thing a line."""
    name = f"{image.role} {image.version}"
    return Question(
        f"Delete {name}?",
        (
            f"Built {moment(image.created)} from {image.commit[:7]}. These go, and cannot be had back:",
            *going,
            "",
            "That it existed, what it was made of and its log stay on the ledger. Nothing needs it now.",
        ),
        yes="delete it",
        name=name,
        danger=True,
    )
