"""The worker's own log: redacted, in a file of bounded size, and nothing else to anywhere."""

import logging
import logging.handlers
import os
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

from core.secrets import Redactor

_SIZE = 1024 * 1024
"""Bytes of the log before it is put aside; two older ones are kept."""


class _Redacted(logging.Formatter):
    def __init__(self, redactor: Redactor) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        return self._redactor.redact(super().format(record).encode(errors="replace")).decode(errors="replace")


_redactor = Redactor()


def redact(secrets: Iterable[str]) -> None:
    """From now on these do not reach the log."""
    for secret in secrets:
        _redactor.add(secret)


def start(path: Path) -> None:
    """Send what this program, DBOS and Python itself have to say to the log, and nothing to the terminal."""
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=_SIZE, backupCount=2, encoding="utf-8")
    path.chmod(0o600)
    handler.setFormatter(_Redacted(_redactor))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("ingot").setLevel(logging.INFO)
    # DBOS prints to the console unless its logger has a handler already.
    engine = logging.getLogger("dbos")
    engine.handlers[:] = [handler]
    engine.propagate = False
    logging.captureWarnings(capture=True)
    sys.excepthook = lambda kind, error, trace: root.critical("unhandled", exc_info=(kind, error, trace))
    threading.excepthook = lambda told: root.critical("unhandled in %s", told.thread, exc_info=told.exc_value)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
