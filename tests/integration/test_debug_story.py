"""Debug mode as a person lives through it: a real build fails in a real machine, which is entered, mended and retried.

Built on the demo's base image, by Packer in QEMU; the shell is the workbench's own terminal, in a real one.
"""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from installed import Shop, in_the_shop
from tmux_terminal import Terminal

pytestmark = in_the_shop("tmux", "ssh")

BOOT_ID = "cat /proc/sys/kernel/random/boot_id"
PATIENCE = 1200.0
"""Seconds for a build in a machine without hardware virtualisation, beside much else."""


def add_role(shop: Shop, name: str, provisioners: str) -> None:
    """A role of the demo workspace with other provisioners; everything else as the frontend has it."""
    source = shop.root / "packer/frontend"
    made = shop.root / "packer" / name
    shutil.copytree(source, made)
    template = made / "frontend.pkr.hcl"
    head = template.read_text().replace('"frontend"', f'"{name}"').partition("build {")[0]
    template.write_text(f'{head}build {{\n  sources = ["source.qemu.{name}"]\n{provisioners}}}\n')
    template.rename(made / f"{name}.pkr.hcl")
    with (shop.root / "ingot.toml").open("a") as settings:
        settings.write(
            f'\n[roles.{name}]\ntemplate = "packer/{name}"\nupstream = {{ role = "base" }}\n'
            "test = { enabled = false }\n"
        )
    shop.commit(f"The role {name}")


def build(shop: Shop, role: str, *options: str) -> int:
    started = shop("build", role, "--trust", "--json", *options)
    assert started.returncode == 0, started.stderr
    return json.loads(started.stdout)[0]["id"]


def run_of(shop: Shop, number: int) -> Any:
    return next(run for run in shop.json("runs", "--all") if run["id"] == number)


def until(shop: Shop, number: int, *states: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while (run := run_of(shop, number))["state"] not in states:
        assert time.monotonic() < deadline, run
        assert run["state"] in ("queued", "running", "paused", "cancelling"), (
            run,
            shop("logs", str(number)).stdout[-3000:],
        )
        time.sleep(0.5)
    return run


def in_machine(shop: Shop, number: int, command: str) -> str:
    done = shop("debug", str(number), "--", command)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def nothing_left(shop: Shop) -> None:
    deadline = time.monotonic() + PATIENCE
    while (left := shop.ingot.left_behind()) or shop.json("debug"):
        assert time.monotonic() < deadline, (left, shop.json("debug"))
        time.sleep(0.5)


def kill_worker(shop: Shop) -> None:
    pid = int(shop.json("worker")["pid"])
    os.kill(pid, signal.SIGKILL)


def test_a_failed_build_is_entered_mended_and_retried(shop: Shop, open_terminal: Callable[..., Terminal]) -> None:
    add_role(
        shop,
        "mended",
        """
  provisioner "shell" {
    inline = ["echo one >> /root/first"]
  }
  provisioner "shell" {
    inline = ["test -e /root/mended || { echo 'cannot go on: /root/mended is missing' >&2; exit 3; }"]
  }
""",
    )
    workbench = open_terminal(shop.ingot, shop.root)
    workbench.shows("mended")
    number = build(shop, "mended", "--pause", "failure")
    run = until(shop, number, "paused")
    assert "cannot go on" in str(run), "it says why"

    # The machine outlives the screen and the worker.
    boot = in_machine(shop, number, BOOT_ID)
    workbench.close()
    kill_worker(shop)
    assert in_machine(shop, number, BOOT_ID) == boot

    workbench = open_terminal(shop.ingot, shop.root)
    workbench.shows("/root/mended is missing")
    workbench.press("d")
    workbench.shows("all 2 provisioners")
    workbench.shows("~#")
    workbench.type("ls /root; echo in $((20 + 3)) machine")
    workbench.shows("in 23 machine")
    workbench.type("touch /root/mended && sync")
    workbench.press("C-]")
    workbench.press("r")
    workbench.shows("y retry")
    workbench.press("y")
    until(shop, number, "succeeded")
    workbench.shows("gone")  # the screen stays readable
    workbench.close()

    image = shop.image("mended")
    assert "touched by hand" in image["marks"]
    assert {touch["kind"] for touch in image["touches"]} >= {"shell", "command", "retry"}
    assert all("Ada Example" in touch["who"] for touch in image["touches"])
    nothing_left(shop)
    # The machine's own word for it: all provisioners were repeated.
    logs = shop("logs", str(number)).stdout
    assert "retry" in logs


def test_a_build_is_stepped_through_and_its_machine_kept_until_it_is_ended(shop: Shop) -> None:
    add_role(
        shop,
        "stepped",
        """
  provisioner "breakpoint" {
    note = "look around"
  }
  provisioner "shell" {
    inline = ["echo 'the disk is crooked' >&2; exit 7"]
  }
""",
    )
    number = build(shop, "stepped", "--stop", "first-provisioner")
    run = until(shop, number, "paused")
    assert "StepConnect" in str(run) or "provisioner" in str(run)
    boot = in_machine(shop, number, BOOT_ID)
    assert shop("debug", str(number), "--answer", "continue").returncode == 0
    until_it_says(shop, number, "look around")
    assert in_machine(shop, number, BOOT_ID) == boot
    refused = shop("debug", str(number), "--answer", "retry")
    assert refused.returncode == 2, "a breakpoint has no retry"
    # What ends the machine is said by its name, never by Enter alone.
    assert shop("debug", str(number), "--answer", "clean-up").returncode == 2
    assert run_of(shop, number)["state"] == "paused"
    assert shop("debug", str(number), "--answer", "continue").returncode == 0

    until_it_says(shop, number, "the disk is crooked")
    assert shop("debug", str(number), "--answer", "keep").returncode == 0
    until(shop, number, "failed")
    assert in_machine(shop, number, BOOT_ID) == boot
    assert any(one["state"] == "kept" for one in shop.json("debug")), "it is listed"
    assert shop.ingot.left_behind() != [], "the machine's holder has it"
    ended = shop("debug", str(number), "--end", "--yes")
    assert ended.returncode == 0, ended.stderr
    nothing_left(shop)
    assert not list(Path(shop.ingot.home / "state/runs").glob("*/keys/*/*")), "its keys went with it"
    assert shop.json("images", "stepped") == []


def until_it_says(shop: Shop, number: int, words: str) -> None:
    """The run is paused, and says why in these words."""
    deadline = time.monotonic() + PATIENCE
    while (run := run_of(shop, number))["state"] != "paused" or words not in str(run):
        assert time.monotonic() < deadline, run
        assert run["state"] != "failed", run
        time.sleep(0.5)
