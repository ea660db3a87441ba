"""`ingot debug` as people and scripts use it: on a real pseudo-terminal, with a real SSH server as the machine."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import ssh_machine as machines
from installed import BIN, Ingot
from patience import PATIENCE
from paused_run import PausedRuns
from person import Person
from ssh_machine import SshMachine

from core.model.machine import MachineState
from core.model.pause import PauseKind
from core.model.touch import TouchKind

pytestmark = pytest.mark.skipif(bool(machines.missing()), reason=f"{machines.missing()} is not installed")


# The shell


def test_a_shell_on_a_terminal_is_like_one_of_ssh(
    ingot: Ingot, runs: PausedRuns, sshd: SshMachine, people: list[Person]
) -> None:
    run = runs.waiting(sshd)
    people.append(person := Person(ingot, "debug", str(run.id)))
    person.sees("marked as touched by hand")
    person.types("echo in; stty size; printf '\\303\\251\\007'; echo $TERM.\r")
    assert "24 80" in person.sees("xterm-256color.")
    person.resize(101, 33)
    os.kill(person.process.pid, signal.SIGWINCH)
    # The size takes its own way to the machine, beside what is typed.
    person.types("until stty size | grep '^33'; do sleep 0.1; done\r")
    person.sees("33 101")
    person.types("PS1='re''ady> '\r")
    person.sees("ready> ")
    person.types("echo sl''eeps; sleep 60\r")
    person.sees("sleeps")
    person.types("\x03")  # for the machine, not for us
    person.sees("^C")
    person.sees("ready> ")  # what comes while the shell is between two lines is lost to it
    person.types("echo al''ive\r")
    person.sees("alive")
    person.types("exit 5\r")
    assert person.ends() == 5
    assert person.is_restored
    (touch,) = runs.touches(run).all()
    assert (touch.kind, touch.who) == (TouchKind.SHELL, "Ada <ada@example.org>")


def test_enter_tilde_dot_leaves_and_gives_the_terminal_back(
    ingot: Ingot, runs: PausedRuns, sshd: SshMachine, people: list[Person]
) -> None:
    run = runs.waiting(sshd)
    people.append(person := Person(ingot, "debug", str(run.id)))
    person.sees("Leave: Enter ~ .")
    person.types("printf '\\033[?1049h\\033[?1000h'; cat; echo ~. st''ays\r")
    person.sees("\x1b[?1000h")
    person.types("\r~.")
    assert person.ends() == 0
    assert person.is_restored
    last = person.said.decode()
    assert "\x1b[?1000l" in last
    assert "\x1b[?1049l" in last
    assert "the machine stays as it is" in last


def test_a_terminal_that_is_told_to_end_is_given_back(
    ingot: Ingot, runs: PausedRuns, sshd: SshMachine, people: list[Person]
) -> None:
    run = runs.waiting(sshd)
    people.append(person := Person(ingot, "debug", str(run.id)))
    person.sees("Leave: Enter ~ .")
    person.types("echo re''ady\r")
    person.sees("ready")
    os.kill(person.process.pid, signal.SIGTERM)
    person.ends()
    assert person.is_restored


def test_a_machine_that_is_not_there_says_so(ingot: Ingot, runs: PausedRuns, tmp_path: Path) -> None:
    run = runs.run()
    machine = SshMachine(tmp_path / "off")
    runs.machine(run, machine)
    runs.pause(run)
    done = ingot("debug", str(run.id), "--", "true")
    assert done.returncode == 1
    assert "refuses the connection" in done.stderr
    assert runs.touches(run).all() == []


def test_without_a_terminal_there_is_no_shell(ingot: Ingot, runs: PausedRuns, sshd: SshMachine) -> None:
    run = runs.waiting(sshd)
    done = ingot("debug", str(run.id))
    assert done.returncode == 2
    assert f"ingot debug {run.id} -- COMMAND" in done.stderr
    assert runs.touches(run).all() == []


# One command


def test_a_command_has_its_own_output_errors_and_status(ingot: Ingot, runs: PausedRuns, sshd: SshMachine) -> None:
    run = runs.waiting(sshd)
    done = ingot("debug", str(run.id), "--", "echo out; echo err >&2; exit 9")
    assert (done.returncode, done.stdout, done.stderr) == (9, "out\n", "err\n")
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    assert ingot("debug", "--", "cat", "/proc/sys/kernel/random/boot_id").stdout == boot
    exact = ingot("debug", str(run.id), "--", "printf", "<%s>", "a b", "--json", "--", "*")
    assert exact.stdout == "<a b><--json><--><*>"
    assert [touch.kind for touch in runs.touches(run).all()] == [TouchKind.COMMAND] * 3


def test_a_commands_output_is_there_while_it_runs(
    ingot: Ingot, runs: PausedRuns, sshd: SshMachine, tmp_path: Path
) -> None:
    run = runs.waiting(sshd)
    seen = tmp_path / "seen"
    running = ingot.start(
        "debug", str(run.id), "--", f"echo first; for i in $(seq 600); do test -e {seen} && exit 4; sleep 0.1; done"
    )
    try:
        assert running.stdout is not None
        assert running.stdout.readline() == "first\n"
        seen.touch()
        assert running.wait(PATIENCE) == 4
    finally:
        running.kill()
        running.communicate()


def test_a_command_whose_output_goes_to_head_ends_with_it(ingot: Ingot, runs: PausedRuns, sshd: SshMachine) -> None:
    run = runs.waiting(sshd)
    running = ingot.start("debug", str(run.id), "--", "yes")
    try:
        assert running.stdout is not None
        assert running.stdout.readline() == "y\n"
        running.stdout.close()
        running.wait(PATIENCE)
    finally:
        running.kill()
        running.wait()


def test_the_ssh_command_can_be_pasted(ingot: Ingot, runs: PausedRuns, sshd: SshMachine) -> None:
    run = runs.waiting(sshd)
    line = ingot("debug", str(run.id), "--ssh-command").stdout.strip()
    assert line.startswith("ssh ")
    done = subprocess.run(f"{line} 'echo in'", shell=True, capture_output=True, text=True, check=False)
    assert done.stdout == "in\n", done.stderr
    assert [touch.kind for touch in runs.touches(run).all()] == [TouchKind.SSH_COMMAND]


# Which one, and what there is


def test_machines_that_wait_are_listed(ingot: Ingot, runs: PausedRuns, sshd: SshMachine) -> None:
    assert "No machine waits" in ingot("debug").stdout
    assert json.loads(ingot("debug", "--json").stdout) == []
    run, kept = runs.run(), runs.run()
    runs.machine(run, sshd)
    pause = runs.pause(run)
    runs.machine(kept, sshd, state=MachineState.KEPT, until=time.time() + 5400, kept_by="Bob <bob@example.org>")
    listed = ingot("debug").stdout
    assert re.search(rf"⏸ {run.id} +web +qemu.web +paused +\S+@127.0.0.1:{sshd.port} +\d:\d\d +retry, keep", listed)
    assert re.search(rf"⏸ {kept.id} +web +qemu.web +kept .* 1:\d\d:\d\d +end", listed)
    first, second = json.loads(ingot("debug", "--json").stdout)
    assert (first["run"], first["pause"], first["answers"]) == (run.id, pause.id, ["retry", "keep", "clean-up"])
    assert (second["run"], second["state"], second["kept_by"]) == (kept.id, "kept", "Bob <bob@example.org>")
    (only,) = json.loads(ingot("debug", str(kept.id), "--json").stdout)
    assert only["run"] == kept.id


def test_where_several_wait_one_has_to_be_named(ingot: Ingot, runs: PausedRuns, sshd: SshMachine) -> None:
    run = runs.run("qemu.one", "qemu.two")
    for build in ("qemu.one", "qemu.two"):
        runs.machine(run, sshd, build)
        runs.pause(run, build)
    done = ingot("debug", str(run.id), "--", "true")
    assert done.returncode == 2
    assert f"ingot debug {run.id} --build qemu.two" in done.stderr
    assert ingot("debug", "--build", "qemu.two", "--", "true").returncode == 0
    assert [touch.build for touch in runs.touches(run).all()] == ["qemu.two"]
    assert "has no machine of qemu.six" in ingot("debug", str(run.id), "--build", "qemu.six", "--", "true").stderr


def test_readonly_only_lists(ingot: Ingot, runs: PausedRuns, sshd: SshMachine) -> None:
    run = runs.waiting(sshd)
    which = str(run.id)
    for words in (
        (which,),
        (which, "--", "true"),
        (which, "--ssh-command"),
        (which, "--answer", "keep"),
        (which, "--extend", "1h"),
        (which, "--end", "--yes"),
        (which, "--on", "elsewhere"),
    ):
        done = ingot("--readonly", "debug", *words)
        assert (done.returncode, "--readonly is on" in done.stderr) == (2, True), words
    assert f"⏸ {run.id}" in ingot("--readonly", "debug").stdout
    assert runs.touches(run).all() == []


# What destroys


def test_cleaning_up_wants_the_name_of_the_role(
    ingot: Ingot, runs: PausedRuns, sshd: SshMachine, people: list[Person]
) -> None:
    run = runs.waiting(sshd)
    done = ingot("debug", str(run.id), "--answer", "clean-up")
    assert done.returncode == 2
    assert "destroyed" in done.stderr
    people.append(person := Person(ingot, "debug", str(run.id), "--answer", "clean-up"))
    person.sees("The machine and its disk are destroyed")
    person.sees("Type the role's name")
    person.types("\r")  # a bare Enter destroys nothing
    assert person.ends() == 2
    assert b"nothing was done" in person.said


def test_going_on_where_the_machine_goes_wants_it_too_and_says_so_before(
    ingot: Ingot, runs: PausedRuns, sshd: SshMachine, people: list[Person]
) -> None:
    run = runs.run()
    runs.machine(run, sshd)
    runs.pause(run, kind=PauseKind.CLEAN_UP)
    done = ingot("debug", str(run.id), "--answer", "continue")
    assert done.returncode == 2
    assert f"The machine of run {run.id} (web): Packer cleans up after this step" in done.stderr
    people.append(person := Person(ingot, "debug", str(run.id), "--answer", "continue"))
    person.sees("when all are done, the machine is gone")
    person.sees("Type the role's name")
    person.types("\r")
    assert person.ends() == 2
    assert b"nothing was done" in person.said


def test_what_is_no_answer_is_refused(ingot: Ingot, runs: PausedRuns, sshd: SshMachine) -> None:
    run = runs.waiting(sshd)
    done = ingot("debug", str(run.id), "--answer", "continue", "--yes")
    assert done.returncode == 2
    assert "It has: retry, keep, clean-up." in done.stderr
    assert ingot("debug", str(run.id), "--end", "--yes").returncode == 2
    assert "no time" in ingot("debug", str(run.id), "--extend", "soon").stderr
    below = ingot("debug", str(run.id), "--extend", "-5m").stderr
    assert "'-5m' is no time that a machine can be kept" in below
    assert "Give hours and minutes, such as 2h" in below
    assert "'-5m'" in ingot("build", "web", "--pause", "failure", "--keep-paused", "-5m", cwd=runs.root).stderr


# From another machine


def test_on_another_machine_the_same_is_asked_over_the_users_ssh(ingot: Ingot, tmp_path: Path) -> None:
    fake = tmp_path / "bin" / "ssh"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    fake.chmod(0o755)
    environment = {**ingot.environment, "PATH": f"{fake.parent}:{ingot.environment['PATH']}"}

    def asked(*words: str) -> list[str]:
        done = subprocess.run(
            (str(BIN / "ingot"), "debug", *words), env=environment, capture_output=True, text=True, check=False
        )
        return done.stdout.splitlines() if done.returncode == 0 else [done.stderr]

    assert asked("--on", "build1", "41") == ["-t", "--", "build1", "ingot debug 41"]
    assert asked("--on", "build1", "41", "--", "echo", "a b") == ["--", "build1", "ingot debug 41 -- echo 'a b'"]
    assert asked("--on", "build1", "41", "--answer", "keep", "--build", "qemu.x") == [
        "-t", "--", "build1", "ingot debug 41 --build qemu.x --answer keep",
    ]  # fmt: skip
    assert "could be taken for an option" in asked("--on=-oProxyCommand=x", "41")[0]


def test_a_command_goes_into_the_machine_through_the_one_where_the_build_runs(
    ingot: Ingot, runs: PausedRuns, sshd: SshMachine, tmp_path: Path
) -> None:
    run = runs.waiting(sshd)
    here = Ingot(tmp_path / "here")  # knows nothing of that run
    site = SshMachine(tmp_path / "site")
    (tmp_path / "bin").mkdir()
    ssh, config = tmp_path / "bin" / "ssh", tmp_path / "ssh_config"
    # Only where the user's settings are is another place than ~/.ssh: OpenSSH looks for that without asking $HOME.
    ssh.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {config} "$@"\n')
    ssh.chmod(0o755)
    config.write_text(
        f"Host build1\n HostName 127.0.0.1\n Port {site.port}\n User {site.user}\n IdentityFile {site.login}\n"
        f" IdentitiesOnly yes\n UserKnownHostsFile {tmp_path}/known\n StrictHostKeyChecking accept-new\n"
    )
    there = {**ingot.environment, "PATH": f"{BIN}:{ingot.environment['PATH']}"}
    site.start("SetEnv " + " ".join(f'"{name}={value}"' for name, value in there.items()))
    try:
        environment = {**here.environment, "PATH": f"{ssh.parent}:{here.environment['PATH']}"}
        words = (
            str(BIN / "ingot"),
            "debug",
            "--on",
            "build1",
            str(run.id),
            "--",
            "echo $((6 * 7)); ls /nowhere; exit 5",
        )
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    finally:
        site.stop()
    assert (done.returncode, done.stdout) == (5, "42\n")
    assert "/nowhere" in done.stderr
    assert not list(here.home.rglob("known_hosts")), "keys stay where the build runs"
    assert runs.touches(run).all(), "it is noted there"


def test_a_secret_in_the_machines_output_is_not_in_the_transcript(
    ingot: Ingot, runs: PausedRuns, sshd: SshMachine
) -> None:
    run = runs.run()
    keys = runs.places.run(run.uid) / "keys" / "qemu.web"
    keys.mkdir(parents=True)
    (keys / "password").write_text("swordfish-swordfish\n")
    runs.machine(run, sshd)
    runs.pause(run)
    assert ingot("debug", str(run.id), "--", "echo swordfish-swordfish").stdout == "swordfish-swordfish\n"
    (touch,) = runs.touches(run).all()
    kept = runs.touches(run).transcript(touch).read_text() + touch.detail
    assert "swordfish" not in kept
