"""Commands about a run that is paused: its end is no matter of one word, and what its host key is worth is told."""

import subprocess
from pathlib import Path

import pytest
import ssh_machine as machines
from installed import Ingot
from paused_run import PausedRuns
from ssh_machine import SshMachine

from core.adapters import ssh_pins
from core.model.machine import KeyProof, MachineState
from core.model.run import RunState

pytestmark = pytest.mark.skipif(bool(machines.missing()), reason=f"{machines.missing()} is not installed")


def test_a_paused_run_is_cancelled_by_the_name_of_its_role_and_each_machine_is_named(
    ingot: Ingot, runs: PausedRuns, sshd: SshMachine
) -> None:
    run = runs.run()
    machine = runs.machine(run, sshd)
    runs.pause(run)
    refused = ingot("cancel", str(run.id))
    assert refused.returncode == 2
    assert f"qemu.web at {machine.address}, paused: Task x failed." in refused.stderr
    assert "--yes" in refused.stderr
    assert (runs.index.run(run.uid) or run).cancel_asked_by == ""
    assert ingot("cancel", str(run.id), "--yes", "--wait").returncode == 0
    again = runs.index.run(run.uid)
    assert again is not None
    assert again.state is RunState.CANCELLED


def test_a_key_that_was_compared_with_nothing_is_told_beside_the_output(
    ingot: Ingot, runs: PausedRuns, sshd: SshMachine
) -> None:
    run = runs.run()
    machine = runs.machine(run, sshd, kind="amazon-ebs", instance="i-0abc", state=MachineState.PAUSED)
    runs.pause(run)

    def entered() -> "subprocess.CompletedProcess[str]":
        return ingot("debug", str(run.id), "--", "echo in")

    entered()  # pins
    first = entered()
    assert (first.stdout, first.stderr) == ("in\n", f"ingot: {KeyProof.FIRST_CONTACT}\n")
    assert f"run {run.id}, qemu.web: {KeyProof.FIRST_CONTACT}" in ingot("debug").stdout
    pins = Path(machine.known_hosts)
    (key,) = ssh_pins.pinned(pins)
    ssh_pins.note_shown(pins, [key.fingerprint])
    seen = entered()
    assert (seen.stdout, seen.stderr) == ("in\n", "")
    assert "host key" not in ingot("debug").stdout
    ssh_pins.note_shown(pins, ["SHA256:" + "A" * 43])
    other = entered()
    assert (other.stdout, other.returncode) == ("", 1)
    assert "the machine's own console shows others" in other.stderr
    assert f"run {run.id}, qemu.web: {KeyProof.OTHER}" in ingot("debug").stdout
