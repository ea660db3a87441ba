"""Tells Ingot what a playbook does, host by host and task by task: one JSON object a line, into the pipe that
INGOT_EVENTS names.

Loaded by Ansible, with whatever Python that has: the standard library only, and nothing that old ones do not know. No
play ever ends, or waits for long, because an event cannot be told. Of a task with `no_log` only what became of it is
told.
"""

import errno
import fcntl
import json
import os
import re
import select
import time

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
    name: ingot_events
    type: notification
    short_description: tells Ingot what happens
    description: Writes an event a line into the pipe that the environment variable INGOT_EVENTS names.
"""

PATIENCE = 2.0
"""Seconds that a reader may take until nothing more is told to it."""
LONGEST_TEXT = 8000
"""Characters of a message."""
LONGEST_DIFF = 30000
_COLOURS = re.compile("\x1b\\[[0-9;]*m")
_REFUSED = (OSError, IOError, select.error)
"""What the system raises: three names of one thing, but in Pythons older than 3.3."""


def _guarded(what, *of):
    """What it gives; None where it fails. The one door to what Ansible hands over: nothing is too odd to end here."""
    try:
        return what(*of)
    except Exception:
        # An event that cannot be made must never break the play that it is about, nor put a warning into its output.
        # Which objects come, and what they lack, differs from Ansible to Ansible, and a module may give anything as
        # its result: no list of what they may raise would be complete.
        return None


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "ingot_events"
    CALLBACK_NEEDS_ENABLED = False
    CALLBACK_NEEDS_WHITELIST = False

    def __init__(self, *arguments, **options):
        super(CallbackModule, self).__init__(*arguments, **options)
        self._root = os.environ.get("INGOT_ROOT", "")
        self._begun = {}
        try:
            # Without a pipe, or a reader, this fails at once instead of waiting for one.
            self._pipe = os.open(os.environ.get("INGOT_EVENTS", ""), os.O_WRONLY | os.O_NONBLOCK)
            fcntl.fcntl(self._pipe, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
        except _REFUSED:
            self._pipe = -1
            self.disabled = True

    def _tell(self, event, **more):
        """Write an event, or never one again."""
        if self._pipe < 0:
            return
        more = {name: value for name, value in more.items() if value not in ("", None, False)}
        line = json.dumps(dict(more, event=event, at=time.time()), default=str).encode("utf-8") + b"\n"
        try:
            until = time.time() + PATIENCE
            while line:
                left = until - time.time()
                if left <= 0 or not select.select([], [self._pipe], [], left)[1]:
                    raise IOError("nobody reads")
                try:
                    line = line[os.write(self._pipe, line) :]
                except OSError as error:
                    if error.errno != errno.EAGAIN:  # which says: there is less room than the line needs
                        raise
                    time.sleep(0.01)
        except _REFUSED:
            os.close(self._pipe)
            self._pipe = -1

    # what begins

    def v2_playbook_on_start(self, playbook):
        _guarded(self._playbook, playbook)

    def v2_playbook_on_play_start(self, play):
        _guarded(self._play, play)

    def v2_playbook_on_task_start(self, task, is_conditional):
        _guarded(self._task, task, False)

    def v2_playbook_on_cleanup_task_start(self, task):
        _guarded(self._task, task, False)

    def v2_playbook_on_handler_task_start(self, task):
        _guarded(self._task, task, True)

    def v2_runner_on_start(self, host, task):
        _guarded(self._start, host, task)

    # how it ends

    def v2_runner_on_ok(self, result):
        _guarded(self._result, "ok", result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        _guarded(self._result, "ignored" if ignore_errors else "failed", result)

    def v2_runner_on_skipped(self, result):
        _guarded(self._result, "skipped", result)

    def v2_runner_on_unreachable(self, result):
        _guarded(self._result, "unreachable", result)

    def v2_runner_retry(self, result):
        _guarded(self._result, "retry", result)

    def v2_playbook_on_stats(self, stats):
        # Without what it came to, too: it says that the playbook has ended.
        _guarded(self._stats, _guarded(_summaries, stats) or {})

    # what is told of it

    def _playbook(self, playbook):
        self._tell("playbook", name=self._place(os.path.abspath(_str(getattr(playbook, "_file_name", "")))))

    def _play(self, play):
        self._tell("play", name=_str(play.get_name()).strip())

    def _task(self, task, handler):
        role = getattr(task, "_role", None)
        self._tell(
            "task",
            task=_str(task._uuid),
            name=_str(getattr(task, "name", "")).strip() or _str(task.action),
            role=_str(role.get_name()) if role else "",
            path=self._place(_str(task.get_path() or "")),
            action=_str(task.action),
            handler=handler,
            no_log=_silent(task),
        )

    def _start(self, host, task):
        self._begun[_str(host.get_name()), _str(task._uuid)] = time.time()
        self._tell("start", host=_str(host.get_name()), task=_str(task._uuid))

    def _stats(self, hosts):
        self._tell("stats", hosts=hosts)

    def _result(self, event, result):
        task = _part(result, "task")
        host, uuid = _str(_part(result, "host").get_name()), _str(task._uuid)
        begun = self._begun.pop((host, uuid), None) if event != "retry" else None
        more = {"host": host, "task": uuid, "seconds": time.time() - begun if begun else None}
        values = _of(result)
        if event == "ok" and values.get("changed"):
            event = "changed"
        if not _silent(task) and not values.get("_ansible_no_log") and "censored" not in values:
            more.update(self._said(event, values))
        self._tell(event, **more)

    def _said(self, event, values):
        """Of a result without secrets: why it failed, and what was changed."""
        said = {"diff": self._diff(values)}
        if event in ("failed", "ignored", "unreachable", "retry"):
            said["message"] = _message(values)
            said["code"] = values.get("rc") if isinstance(values.get("rc"), int) else None
        return said

    def _diff(self, values):
        found = [values.get("diff")]
        found += [
            item.get("diff")
            for item in values.get("results") or ()
            if isinstance(item, dict) and not item.get("_ansible_no_log") and item.get("changed")
        ]
        texts = _guarded(self._drawn, found) or ()
        return _COLOURS.sub("", "".join(_str(text) for text in texts if text))[:LONGEST_DIFF].rstrip("\n")

    def _drawn(self, diffs):
        return [self._get_diff(diff) for diff in diffs if diff]

    def _place(self, path):
        """As a path in the repository, where it is there."""
        for root in (self._root, os.path.realpath(self._root)):
            if root and path.startswith(root + "/"):
                return path[len(root) + 1 :]
        return path


def _summaries(stats):
    return {_str(host): stats.summarize(host) for host in sorted(stats.processed)}


def _message(values):
    """What a failed task says, the most telling first."""
    parts = []
    for item in values.get("results") or ():
        if isinstance(item, dict) and (item.get("failed") or item.get("unreachable")):
            if not item.get("_ansible_no_log") and "censored" not in item:
                parts.append("(item=%s) %s" % (_str(item.get("_ansible_item_label", item.get("item"))), _message(item)))
    if not parts:
        names = ("msg", "stderr", "module_stderr", "stdout", "module_stdout")
        texts = [_str(values.get(name) or "").strip() for name in names]
        parts = [text[-LONGEST_TEXT:] for text in texts if text]
    unique = []
    for part in parts:
        if part not in unique:
            unique.append(part)
    return _COLOURS.sub("", "\n".join(unique))[:LONGEST_TEXT]


def _silent(task):
    """Only a plain no: an expression that was not evaluated may be a yes."""
    return getattr(task, "no_log", None) not in (False, None)


def _part(result, name):
    """Ansible 2.19 gave these names without the underscore."""
    return getattr(result, name) if hasattr(result, name) else getattr(result, "_" + name)


def _of(result):
    values = _part(result, "result")
    return values if isinstance(values, dict) else {}


def _str(value):
    return value if isinstance(value, type("")) else str(value)
