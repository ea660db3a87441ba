"""A virtual machine that a test has booted."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Booted:
    """A running virtual machine that answers on SSH."""

    port: int
    key: Path

    def __call__(self, command: str, seconds: float = 120) -> str:
        done = subprocess.run(self._ssh(command), capture_output=True, text=True, check=False, timeout=seconds)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def answers(self) -> bool:
        return subprocess.run(self._ssh("true"), capture_output=True, check=False, timeout=120).returncode == 0

    def _ssh(self, command: str) -> tuple[str, ...]:
        options = ("UserKnownHostsFile=/dev/null", "StrictHostKeyChecking=no", "BatchMode=yes", "ConnectTimeout=20")
        set_options = [word for option in options for word in ("-o", option)]
        return ("ssh", "-F", "none", *set_options, "-i", str(self.key), "-p", str(self.port), "root@127.0.0.1", command)
