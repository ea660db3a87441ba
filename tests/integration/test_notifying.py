"""Somebody is told: by real commands and a real web server, from a real index, with the words of the run's commit."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import engine_workshop
import pytest
import repository
from msgspec.structs import replace
from workshop import Workshop, role

from core.engine import notifying
from core.engine.event_words import as_message, as_sentence
from core.engine.notifying import Notifier
from core.model.event import Event, EventKind, is_news, warned_at
from core.model.machine import Machine, MachineState
from core.model.pause import Pause, PauseKind
from core.model.run import Run, RunState, StageState

TELL = """#!/bin/sh
exec >>"$(dirname "$0")/told"
printf '%s|%s|%s|%s|%s|' "$INGOT_EVENT" "$INGOT_ROLE" "$INGOT_STAGE" "$INGOT_WHY" "$1"
cat
echo
"""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    made = Workshop(tmp_path)
    tell = tmp_path / "tell"
    tell.write_text(TELL)
    tell.chmod(0o755)
    yield made
    made.close()


def configure(shop: Workshop, tmp_path: Path, *more: str) -> str:
    return shop.commit({"ingot.toml": "\n".join(("[notify]", f'command = ["{tmp_path}/tell", "{{text}}"]', *more))})


def told(tmp_path: Path) -> list[list[str]]:
    """Event, role, stage, why, the first argument, and the JSON, of each time."""
    path = tmp_path / "told"
    return [line.split("|") for line in path.read_text().splitlines()] if path.exists() else []


def begun(shop: Workshop) -> Run:
    run = shop.new_run(role())
    log = shop.places.log(run.uid, "build/file.hello")
    log.parent.mkdir(parents=True)
    log.write_bytes(b"==> file.hello: [c] Clean up and exit? ")  # a prompt has no end of line
    return run


def pause(run: Run, number: int = 1, until: float | None = None, since: float | None = None) -> Pause:
    why = "The provisioner shell failed"
    began = time.time() if since is None else since
    return Pause(run.uid, "build/file.hello", number, PauseKind.FAILURE, "StepProvision", why, began, until)


async def look(shop: Workshop, notifier: Notifier | None = None, *, environment: dict[str, str] | None = None) -> None:
    """As the worker does, by one that just began where none is given."""
    notifier = notifier or Notifier(shop.index, shop.places, environment or {})
    notifier.look(shop.index.runs(active_only=True))
    await notifier.settled()


async def test_a_pause_is_told_once_although_the_worker_was_restarted(shop: Workshop, tmp_path: Path) -> None:
    configure(shop, tmp_path)
    run = begun(shop)
    shop.index.add_pause(pause(run))
    notifier = Notifier(shop.index, shop.places, {})
    await look(shop, notifier)
    await look(shop, notifier)
    await look(shop)
    ((event, of, stage, why, text, raw),) = told(tmp_path)
    assert (event, of, stage) == ("pause", "web", "build/file.hello")
    assert why == "The provisioner shell failed"
    assert text == (
        f"Run {run.id} of web (shop) is paused in build/file.hello: The provisioner shell failed. ingot debug {run.id}"
    )
    assert json.loads(raw)["uid"] == run.uid

    shop.index.answered(pause(run).id, "retry", "Ada", time.time())
    shop.index.add_pause(pause(run, number=2))
    await look(shop, notifier)
    assert len(told(tmp_path)) == 2, "the next pause is another event"


async def test_a_failure_is_told_by_a_worker_that_saw_it_and_by_one_that_came_after(
    shop: Workshop, tmp_path: Path
) -> None:
    configure(shop, tmp_path)
    notifier = Notifier(shop.index, shop.places, {})
    first = begun(shop)
    await look(shop, notifier)
    shop.index.update_stage(first.uid, "build/file.hello", state=StageState.FAILED)
    shop.index.set_run_state(first.uid, RunState.FAILED, "build/file.hello: exit status 3.")
    await look(shop, notifier)
    ((event, _, stage, why, text, _),) = told(tmp_path)
    assert (event, stage, why) == ("failure", "build/file.hello", "exit status 3.")
    assert text.endswith(f"exit status 3. ingot logs {first.id}")

    second = begun(shop)
    shop.index.set_run_state(second.uid, RunState.LOST, "Its holder vanished.")
    third = begun(shop)
    shop.index.set_run_state(third.uid, RunState.SUCCEEDED)
    await look(shop)
    assert [line[3] for line in told(tmp_path)[1:]] == ["Its holder vanished."]


async def test_a_clean_up_is_told_before_it_and_again_when_its_time_was_extended(
    shop: Workshop, tmp_path: Path
) -> None:
    configure(shop, tmp_path, 'on = ["clean-up"]')
    run = begun(shop)
    now = time.time()
    held = shop.index.add_pause(pause(run, since=now - 7200 + 1000, until=now + 1000))
    notifier = Notifier(shop.index, shop.places, {})
    await look(shop, notifier)
    assert told(tmp_path) == []
    notifier.due(now + 101)
    await notifier.settled()
    notifier.due(now + 102)
    await notifier.settled()
    shop.index.set_pause_until(held.id, now + 1003)  # the same, as the holder counts it
    await look(shop, notifier)
    notifier.due(now + 104)
    await notifier.settled()
    assert [line[0] for line in told(tmp_path)] == ["clean-up"]

    shop.index.set_pause_until(held.id, now + 5000)
    notifier = Notifier(shop.index, shop.places, {})
    await look(shop, notifier)
    notifier.due(now + 4000)
    await notifier.settled()
    assert len(told(tmp_path)) == 1
    notifier.due(now + 4101)
    await notifier.settled()
    assert len(told(tmp_path)) == 2


async def test_a_kept_machine_of_a_run_that_has_ended_is_told_of(shop: Workshop, tmp_path: Path) -> None:
    configure(shop, tmp_path, 'on = ["clean-up"]')
    run = begun(shop)
    now = time.time()
    shop.index.add_pause(pause(run, since=now - 60))
    shop.index.answered(pause(run).id, "keep", "Ada", now - 50)
    shop.index.set_run_state(run.uid, RunState.FAILED, "kept")
    machine = Machine(run.uid, "build/file.hello", "file.hello", "qemu", MachineState.KEPT, until=now + 30)
    shop.index.save_machine(machine)
    await look(shop)
    ((event, _, stage, why, _, _),) = told(tmp_path)
    assert (event, stage, why) == ("clean-up", "build/file.hello", "It was kept after a failed build")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("#!/bin/sh\necho no such screen >&2\nexit 3\n", "ended with 3: no such screen"),
        ("#!/bin/sh\nsleep 60\n", "did not end within"),
        (None, "was not found"),
    ],
)
async def test_a_command_that_fails_is_a_line_in_both_logs_and_the_end_of_nothing(
    shop: Workshop,
    tmp_path: Path,
    script: str | None,
    said: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if said == "did not end within":
        monkeypatch.setattr(notifying, "COMMAND_LIMIT", 0.5)
    configure(shop, tmp_path)
    if script is None:
        (tmp_path / "tell").unlink()
    else:
        (tmp_path / "tell").write_text(script)
    run = begun(shop)
    shop.index.add_pause(pause(run))
    await look(shop)
    await look(shop)
    prompt, line = shop.log(run, "build/file.hello").splitlines()
    assert prompt.endswith("exit? ")
    assert line.startswith("ingot: nobody may have been told: ")
    assert said in line
    assert sum(said in record.getMessage() for record in caplog.records) == 1
    assert shop.again(run).state is RunState.RUNNING


async def test_what_is_not_asked_for_is_not_told(shop: Workshop, tmp_path: Path) -> None:
    configure(shop, tmp_path, 'on = ["failure"]')
    shop.index.add_pause(pause(begun(shop)))
    shop.commit({"ingot.toml": "[notify]\n"})
    shop.index.set_run_state(begun(shop).uid, RunState.FAILED, "no matter")
    await look(shop)
    assert told(tmp_path) == []


async def test_the_run_s_own_commit_decides(shop: Workshop, tmp_path: Path) -> None:
    configure(shop, tmp_path)
    run = begun(shop)
    shop.commit({"ingot.toml": ""})
    shop.index.add_pause(pause(run))
    await look(shop)
    assert len(told(tmp_path)) == 1
    # And what was checked out of it, where it was.
    (tmp_path / "checkout").mkdir()
    (tmp_path / "checkout/ingot.toml").write_text(f'[notify]\ncommand = ["{tmp_path}/tell", "here"]')
    shop.index.update_stage(run.uid, "checkout", result={"path": str(tmp_path / "checkout")})
    shop.index.set_run_state(run.uid, RunState.FAILED)
    await look(shop)
    assert told(tmp_path)[1][4] == "here"


# Webhooks


class Hook:
    """A web server that keeps what it is told, and answers what the test wants."""

    def __init__(self, *answers: int) -> None:
        self.heard: list[dict[str, Any]] = []
        self.tries = 0
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = answers[min(hook.tries, len(answers) - 1)]
                hook.tries += 1
                if status == 200:
                    hook.heard.append(json.loads(body))
                self.send_response(status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST  # noqa: N815 - the library's name

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/services/T0KEN-of-the-webhook"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def hook() -> Iterator[Callable[..., Hook]]:
    made: list[Hook] = []

    def make(*answers: int) -> Hook:
        made.append(Hook(*answers))
        return made[-1]

    yield make
    for one in made:
        one.close()


async def test_a_webhook_hears_it_and_is_tried_again(
    shop: Workshop, hook: Callable[..., Hook], caplog: pytest.LogCaptureFixture
) -> None:
    there = hook(503, 429, 200)
    shop.commit({"ingot.toml": f'[notify]\nwebhook = "{there.url}"'})
    run = begun(shop)
    shop.index.add_pause(replace(pause(run), why="`<!channel>` & @all failed"))
    caplog.set_level("INFO")
    await look(shop)
    await look(shop)
    (heard,) = there.heard
    assert "`ʼ&lt;!channel&gt;ʼ &amp; @all failed`. " in heard["text"]
    assert heard["ingot"]["run"] == run.id
    assert (there.tries, "T0KEN" in caplog.text) == (3, False)


@pytest.mark.parametrize(("answer", "tries"), [(500, 3), (404, 1), (302, 1)])
async def test_a_webhook_that_does_not_hear_is_a_line_without_its_token(
    shop: Workshop, hook: Callable[..., Hook], caplog: pytest.LogCaptureFixture, answer: int, tries: int
) -> None:
    there = hook(answer)
    shop.commit({"ingot.toml": '[notify]\nwebhook = "env:INGOT_WEBHOOK"'})
    run = begun(shop)
    shop.index.add_pause(pause(run))
    await look(shop, environment={"INGOT_WEBHOOK": there.url})
    line = shop.log(run, "build/file.hello").splitlines()[-1]
    assert f"The webhook at 127.0.0.1 was not reached: it answered {answer}" in line
    assert "T0KEN" not in line + caplog.text
    assert there.tries == tries


async def test_an_address_that_the_worker_does_not_have_is_said(shop: Workshop) -> None:
    shop.commit({"ingot.toml": '[notify]\nwebhook = "env:INGOT_WEBHOOK_SHOP"'})
    run = begun(shop)
    shop.index.add_pause(pause(run))
    await look(shop)
    assert "no address of a webhook in INGOT_WEBHOOK_SHOP" in shop.log(run, "build/file.hello")


# The real worker


def test_the_worker_tells_of_a_failure_once_although_it_was_killed_while_telling(tmp_path: Path) -> None:
    told_in = tmp_path / "told"
    gate = tmp_path / "gate"
    script = f"echo $INGOT_EVENT $INGOT_RUN_NUMBER $INGOT_WHY >>{told_in}; until [ -e {gate} ]; do sleep 0.05; done"
    with engine_workshop.workshop(tmp_path) as shop:
        settings = f'[notify]\ncommand = ["sh", "-c", "{script}"]\n'
        commit = repository.commit(repository.new(shop.gates), {"ingot.toml": settings})
        run = shop.engine.submit(replace(shop.request({"build": "fail"}), commit=commit), {})
        shop.open("all")
        shop.wait(told_in.exists, "somebody is told")
        shop.kill_worker()
        for left in shop.processes():  # the command: nobody waits for it any more
            left.signal(9)
        gate.touch()
        shop.engine.ensure_worker()
        note = shop.places.run(run.uid) / notifying.TOLD
        shop.wait(note.exists, "it is noted")
        shop.kill_worker()
        shop.engine.ensure_worker()
        other = shop.submit()
        shop.until_ended(other)
        assert told_in.read_text().splitlines() == [f"failure {run.id} sh ended with 3."] * 2


# The words


def test_the_words_never_begin_with_a_dash_and_leave_nothing_out() -> None:
    event = Event(EventKind.FAILURE, "u", 7, "web", "shop", "", "", 0.0)
    assert as_sentence(event) == "Run 7 of web (shop) failed: no reason is known. ingot logs 7"
    assert json.loads(as_message(event))["ingot"]["until"] is None


def test_a_short_time_is_warned_of_at_its_half() -> None:
    assert warned_at(100.0, 100.0 + 7200.0) == 100.0 + 7200.0 - 900.0
    assert warned_at(100.0, 160.0) == 130.0
    event = Event(EventKind.CLEAN_UP, "u", 7, "web", "shop", "build/x", "", 0.0, 500.0)
    assert is_news(event, {})
    assert not is_news(event, {event.key: 470.0})
    assert is_news(event, {event.key: 430.0})
