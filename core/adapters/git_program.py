"""Runs one Git command, through GitPython, so that neither the repository nor the shell can make it do more than asked.

Git reads programs to run out of a repository's own configuration (hooks, fsmonitor, filters, credential helpers, SSH
commands, remote helpers: git-config(1)). Looking at somebody's repository must execute nothing in it, so each of those
is switched off here, in one place; what the user set up for himself (global and system configuration) stays in force.
"""

import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from core.errors import IngotError, RefusedError, ToolError, WorkspaceError
from core.process import environment

LOCAL_LIMIT = 300.0
"""Seconds that a command on local files may take: enough for `status` on a cold disk with a million files."""
NETWORK_LIMIT = 120.0
"""Seconds that talking to a remote about a few refs may take."""

Settings = Sequence[tuple[str, str]]
"""Configuration keys and values, in order: a key may come more than once."""

_KEPT = (
    "XDG_CONFIG_HOME", "SSH_AUTH_SOCK", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_ASKPASS",
    "GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL",
    "GIT_CEILING_DIRECTORIES", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE",
    "http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
)  # fmt: skip

_ALWAYS: Settings = (
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.pager", "cat"),
    ("core.quotePath", "false"),
    ("color.ui", "false"),
    ("log.showSignature", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("protocol.ext.allow", "never"),
    ("protocol.version", "2"),
    ("submodule.recurse", "false"),
    ("status.submoduleSummary", "false"),
)

_LFS_PROGRAMS = frozenset({"git-lfs clean -- %f", "git-lfs smudge -- %f", "git-lfs filter-process", "true"})

_PROGRAMS = {"git": "git", "env": "coreutils"}
"""What a Git command is run with, and the Debian packages that have it."""

_PASSWORD = re.compile(r"(?<=://)[^/@\s]+@")


class Answer(msgspec.Struct, frozen=True):
    """What one Git command gave."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """Standard output without its last newline; bytes that are no UTF-8 survive as surrogates (os.fsdecode)."""
        return os.fsdecode(self.out.removesuffix(b"\n"))

    @property
    def paths(self) -> list[str]:
        """NUL-separated standard output."""
        return [os.fsdecode(part) for part in self.out.split(b"\0") if part]


class DiskFullError(ToolError):
    """There is no room for what Git writes."""


def without_password(text: str) -> str:
    """URLs in it lose their user and password: what is stored, shown or put in a message holds none."""
    return _PASSWORD.sub("", text)


def run(
    where: Path,
    arguments: Iterable[str],
    *,
    given: bytes = b"",
    extra: Mapping[str, str] | None = None,
    configuration: Settings = (),
    limit: float = LOCAL_LIMIT,
) -> Answer:
    """Run `git ARGUMENTS` in a directory and give its answer, whatever its exit status.

    `given` is its standard input, `extra` are environment variables, `configuration` more settings of highest rank.
    Raises ToolError when Git or env(1) is missing, or it takes longer than `limit` seconds.
    """
    chosen = [*_ALWAYS, *configuration]
    wanted = environment(
        extra={
            "LC_ALL": "C",
            "LANGUAGE": "C",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "",  # set but empty: Git looks at no core.askPass (prompt.c)
            "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
            "GIT_PAGER": "cat",
            "GIT_EDITOR": "false",
            "GIT_LITERAL_PATHSPECS": "1",
            "GIT_OPTIONAL_LOCKS": "0",  # `status` must not write to the user's index
            "GIT_CONFIG_COUNT": str(len(chosen)),
            **{f"GIT_CONFIG_KEY_{place}": key for place, (key, _) in enumerate(chosen)},
            **{f"GIT_CONFIG_VALUE_{place}": value for place, (_, value) in enumerate(chosen)},
            **{name: os.environ[name] for name in _KEPT if name in os.environ},
            **(extra or {}),
        },
    )
    # GitPython adds to the environment of this process and cannot take away from it; env(1) takes the rest away.
    scrub = [part for name in os.environ if name not in wanted for part in ("-u", name)]
    arguments = list(arguments)
    if any("\0" in argument for argument in arguments):
        raise RefusedError("A name given to Git holds a NUL character.", "Take it out of the name.")
    argv = ["env", *scrub, "git", "--no-pager", *arguments]
    # In memory: on a full disk Git can still be asked what there is.
    with os.fdopen(os.memfd_create("ingot", os.MFD_CLOEXEC), "w+b") as stdin:
        stdin.write(given)
        stdin.seek(0)
        code, out, err = cast(
            "tuple[int, bytes, bytes | str]",
            _client(where).execute(
                argv,
                istream=stdin,
                env=wanted,
                with_extended_output=True,
                with_exceptions=False,
                stdout_as_string=False,
                strip_newline_in_stdout=False,
                kill_after_timeout=limit,
                start_new_session=True,  # Git asks on /dev/tty where it finds one
            ),
        )
    said = err if isinstance(err, str) else err.decode("utf-8", "replace")
    if said.startswith("Timeout: the command"):
        raise ToolError(
            f"git {arguments[0]} took longer than {limit:g} seconds in {where}.",
            "Look whether the disk or the remote answers, then try again.",
        )
    return Answer(code, out, without_password(said))


def failure(where: Path, doing: str, answer: Answer) -> IngotError:
    """The error for a command that failed: known causes by name, any other with Git's own last words."""
    said = [line.strip() for line in answer.err.splitlines() if line.strip() and not line.startswith("hint:")]
    whole = " ".join(said)
    if "dubious ownership" in whole:
        named = re.search(r"repository at '(.*?)'", whole)
        owner = named[1] if named else str(where)
        return WorkspaceError(
            f"Git does not trust {owner}: it belongs to another user.",
            f"If you trust it: git config --global --add safe.directory '{owner}'",
        )
    if any(reason in whole.lower() for reason in ("no space left", "disk quota")):
        return DiskFullError(f"{doing} failed: no space left on the disk.", "Make room, then try again.")
    if any(
        reason in whole.lower() for reason in ("permission denied", "read-only file system", "insufficient permission")
    ):
        return ToolError(
            f"{doing} failed: {where} cannot be read or written. Git said: {said[-1] if said else ''}",
            f"Look at the owner and the rights of {where} and of the .git directory in it.",
        )
    reason = next((line for line in said if line.startswith(("fatal:", "error:"))), said[-1] if said else "")
    reason = reason.removeprefix("fatal: ").removeprefix("error: ") or f"exit status {answer.code}"
    return ToolError(f"{doing} failed in {where}: {reason}", "Try the same with git by hand to see more.")


def neutral(where: Path) -> Settings:
    """Settings that switch off the programs that the configuration *of the repository itself* names.

    Filters run on `status` and `checkout`, credential helpers on `fetch` and `push`. The user's own stay.
    """
    answer = run(where, ("config", "--show-scope", "--null", "--get-regexp", r"^(filter|credential)\."))
    entries = _entries(answer.out)
    settings: list[tuple[str, str]] = []
    for scope, key, value in entries:
        if scope not in ("local", "worktree"):
            continue
        name, _, last = key.rpartition(".")
        if key.startswith("filter.") and not (name == "filter.lfs" and value in _LFS_PROGRAMS):
            settings += _no_filter(name)
        elif last == "helper":
            settings.append((key, ""))  # an empty value empties the list: gitcredentials(7)
            settings += [(key, own) for other, same, own in entries if same == key and other in ("system", "global")]
    return settings


def without_filters(where: Path) -> Settings:
    """Settings under which a checkout gives the commit's bytes: no filter, line ending or attribute of this machine."""
    answer = run(where, ("config", "--show-scope", "--null", "--get-regexp", r"^filter\."))
    names = sorted({key.rpartition(".")[0] for _, key, _ in _entries(answer.out)} | {"filter.lfs"})
    exact = [("core.autocrlf", "false"), ("core.eol", "lf"), ("core.attributesFile", "/dev/null")]
    return [*exact, *(setting for name in names for setting in _no_filter(name))]


def _no_filter(name: str) -> Settings:
    return [(f"{name}.clean", ""), (f"{name}.smudge", ""), (f"{name}.process", ""), (f"{name}.required", "false")]


def ssh_command(where: Path) -> dict[str, str]:
    """The user's own way to call SSH (environment, global or system configuration), made unable to ask.

    As an environment variable it outranks what the repository's configuration says.
    """
    own = os.environ.get("GIT_SSH_COMMAND", "")
    for scope in ("--global", "--system") if not own else ():
        own = own or run(where, ("config", scope, "--get", "core.sshCommand")).text
    return {"GIT_SSH_COMMAND": f"{own or 'ssh'} -o BatchMode=yes -o ConnectTimeout=20"}


def has_lfs() -> bool:
    """Is `git lfs` installed on this machine?"""
    return shutil.which("git-lfs") is not None


def _entries(raw: bytes) -> list[tuple[str, str, str]]:
    """`git config --show-scope --null --get-regexp`: scope, key, value."""
    parts = os.fsdecode(raw).split("\0")
    entries: list[tuple[str, str, str]] = []
    for scope, entry in zip(parts[::2], parts[1::2], strict=False):
        key, _, value = entry.partition("\n")
        entries.append((scope, key, value))
    return entries


def _client(
    where: Path,
) -> Any:  # GitPython's `Git`: its overloads cannot say what `execute` gives for bytes of both streams
    for program, package in _PROGRAMS.items():
        if shutil.which(program) is None:
            raise ToolError(
                f"{program} is not installed, or not on PATH.",
                f"Install it: apt install {package} (or your system's way).",
            )
    from git.cmd import Git  # 110 ms to import; only what talks to Git pays

    if not where.is_dir():
        raise WorkspaceError(f"There is no directory {where}.", "Look at the path.")
    return Git(str(where))
