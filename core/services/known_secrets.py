"""What must not be in a transcript of a run: the secrets that can be known here, where the person is.

The run's own are in the worker's memory and in its tools' holders, and stay there. They are known here where this shell
has them too; what the ledger gets is redacted once more, by the worker (core/stages/by_hand.py).
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from core.adapters import packer
from core.errors import IngotError
from core.model.run import Run
from core.places import Places
from core.services.shell_environment import secrets_for
from core.stages.environment import keys_of

_LARGEST = 64 * 1024
"""Bytes of a file that can be a secret."""
_PUBLIC = (".pub", "known_hosts", ".jump")
"""How the names of files end that lie with the keys and are none."""


def known_secrets(places: Places, run: Run, environ: Mapping[str, str]) -> list[str]:
    """Values to redact. Reads files and parses the template: call it in a thread."""
    role = run.request.role
    directory = places.run(run.uid)
    found = [environ[name] for name in run.request.secret_names if environ.get(name)]
    found += secrets_for(role, environ).values()
    with contextlib.suppress(IngotError, OSError):
        found += packer.sensitive_values(role, directory / "checkout")
    return [*found, *_in_files(keys_of(directory), role.sensitive)]


def _in_files(keys: Path, sensitive: tuple[str, ...]) -> Iterator[str]:
    """Private keys and passwords; of files of variables the sensitive ones."""
    for path in sorted(keys.glob("**/*")):
        if path.name.endswith(_PUBLIC):
            continue
        with contextlib.suppress(OSError, ValueError):
            if not path.is_file() or path.stat().st_size > _LARGEST:
                continue
            content = path.read_text(errors="surrogateescape")
            if path.suffix != ".json":
                yield content
                continue
            given = msgspec.json.decode(content, type=dict[str, object])
            yield from (str(given[name]) for name in sensitive if name in given)
