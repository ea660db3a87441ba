"""A disk without room, as a process of ours meets it."""

import resource
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def full_disk(size: int) -> Generator[None]:
    """No file of ours may grow beyond this (setrlimit(2); Python ignores SIGXFSZ)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
