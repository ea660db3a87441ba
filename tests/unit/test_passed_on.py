"""What of a person's shell a worker is started with."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from core import process
from core.adapters import guestfs, qemu
from core.engine.client import Engine
from core.errors import EngineError, ToolError
from core.places import Places
from core.services.shell_environment import PROXIES
from core.stages import environment


def started_with(place: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    """The environment of a worker that is started now."""
    found: dict[str, str] = {}

    def start(*_: object, env: Mapping[str, str], **__: object) -> int:
        found.update(env)
        raise ToolError("It is not started.")

    monkeypatch.setattr(process, "start_detached", start)
    with pytest.raises(EngineError, match="It is not started"):
        Engine(Places(place)).wake()
    return found


async def kept_for_libguestfs(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    kept: set[str] = set()

    async def kvm() -> str:
        return "kvm"

    def noted(*, extra: Mapping[str, str], keep: Iterable[str]) -> dict[str, str]:
        kept.update(keep)
        return dict(extra)

    with monkeypatch.context() as patch:
        patch.setattr(qemu, "accelerator", kvm)
        patch.setattr(process, "environment", noted)
        await guestfs.environment()
    return kept


async def test_what_tools_get_of_the_workers_environment_reaches_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {*environment.NETWORK, *environment.PACKER, *await kept_for_libguestfs(monkeypatch)}
    assert {"SSL_CERT_FILE", "PACKER_PLUGIN_PATH", "SUPERMIN_KERNEL"} <= wanted
    for name in wanted:
        monkeypatch.setenv(name, f"the shell's {name}")
    # A proxy may have a password in it: it comes with each run, and its person's counts.
    expected = {name: os.environ[name] for name in wanted - {*PROXIES}}
    found = started_with(tmp_path, monkeypatch)
    assert {name: found.get(name) for name in wanted} == {name: expected.get(name) for name in wanted}
