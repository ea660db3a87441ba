"""The names of the reports of boot tests on the ledger: made and read side by side, for verdicts stand on them.

They are in entries of old, so what is made here stays as it is.
"""

_KIND = "test"
_RUN = 8
"""Characters of the run's uid that end the name: its last."""


def of_test(build: str, run_uid: str) -> str:
    """What the report of a test of a build by a run is called.

    >>> of_test("qemu.web", "0f3a9c21d7e4")
    'test-qemu.web-9c21d7e4'
    """
    return f"{_KIND}-{build}-{run_uid[-_RUN:]}"


def tested_build(name: str) -> str:
    """The build whose test a report is of; empty for what is no report of a test.

    >>> tested_build("test-amazon-ebs.web-9c21d7e4")
    'amazon-ebs.web'
    >>> tested_build("seal-qemu.web")
    ''
    """
    kind, _, rest = name.partition("-")
    return rest.rpartition("-")[0] if kind == _KIND else ""
