"""What somebody is told of an event: a sentence for people, variables and JSON for programs."""

from datetime import datetime

import msgspec
from msgspec.structs import replace

from core.model.event import Event, EventKind


def as_sentence(event: Event, mark: str = "") -> str:
    """What happened, for a person. `mark` is put around what a tool may have said.

    It never begins with `-`, so that no program takes it for an option.
    """
    of = f"Run {event.run} of {event.role} ({event.workspace})"
    why = f"{mark}{event.why.rstrip('.')}{mark}" if event.why else "no reason is known"
    until = _clock(event.until)
    match event.kind:
        case EventKind.PAUSE:
            left = f"Its machine is cleaned up at {until}. " if until else ""
            what = f"{of} is paused in {event.stage_key}: {why}. {left}"
        case EventKind.FAILURE:
            what = f"{of} failed{f' in {event.stage_key}' if event.stage_key else ''}: {why}. "
        case EventKind.CLEAN_UP if event.until is None:
            what = f"{of}: its machine ({event.stage_key}) still runs: {why}. "
        case EventKind.CLEAN_UP:
            what = f"{of}: its machine ({event.stage_key}) is cleaned up at {until}. {why}. "
    return f"{what}{event.next_step}"


def _clock(epoch: float | None) -> str:
    """Local time: the hour, and the day where it is another one."""
    if epoch is None:
        return ""
    then = datetime.fromtimestamp(epoch).astimezone()
    today = datetime.now().astimezone().date()
    return then.strftime("%H:%M" if then.date() == today else "%a %H:%M")


def _iso(epoch: float | None) -> str:
    return datetime.fromtimestamp(epoch).astimezone().isoformat(timespec="seconds") if epoch is not None else ""


def variables(event: Event) -> dict[str, str]:
    """The command's own variables. INGOT_RUN is the uid, as in every process that belongs to a run."""
    return {
        "INGOT_EVENT": event.kind.value,
        "INGOT_RUN": event.run_uid,
        "INGOT_RUN_NUMBER": str(event.run),
        "INGOT_ROLE": event.role,
        "INGOT_WORKSPACE": event.workspace,
        "INGOT_STAGE": event.stage_key,
        "INGOT_WHY": event.why,
        "INGOT_AT": _iso(event.at),
        "INGOT_UNTIL": _iso(event.until),
        "INGOT_NEXT": event.next_step,
    }


def _facts(event: Event) -> dict[str, object]:
    return {
        "event": event.kind.value,
        "run": event.run,
        "uid": event.run_uid,
        "role": event.role,
        "workspace": event.workspace,
        "stage": event.stage_key,
        "why": event.why,
        "at": _iso(event.at),
        "until": _iso(event.until) or None,
        "next": event.next_step,
    }


def as_json(event: Event) -> bytes:
    """What the command gets on its standard input."""
    return msgspec.json.encode({"text": as_sentence(event), **_facts(event)})


def as_message(event: Event) -> bytes:
    """What a webhook gets: `text` is what Slack and Mattermost show, all else is under one key that they ignore.

    What a tool said is inside a code span, where neither of them makes links or calls people (`@channel`); `&`, `<` and
    `>` are escaped as Slack wants it (api.slack.com, "Escaping text").
    """
    quiet = replace(event, why=event.why.replace("`", "ʼ"))
    sentence = as_sentence(quiet, "`")
    for sign, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        sentence = sentence.replace(sign, escaped)
    return msgspec.json.encode({"text": sentence, "ingot": _facts(event)})
