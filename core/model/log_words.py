"""The words of logs: whose line it is, whether it reports an error, and what usually helps against a known cause."""

import re
from collections.abc import Sequence

_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ?: ")
_PREFIX = re.compile(r"(?:==>|-->|   ) ([\w.@/+-]+): ?(.*)", re.DOTALL)


def body_of(line: str) -> tuple[str, str]:
    """The build that a line belongs to (empty when Packer itself speaks) and the line without prefix, colours, end.

    Packer writes `==> build: ` or `    build: ` before each line (since 1.13 only the first), `--> build: ` where it
    sums up, and with `-timestamp-ui` the time before all that.
    """
    line = _COLOUR.sub("", line).rstrip()
    if stamp := _STAMP.match(line):
        line = line[stamp.end() :]
    if found := _PREFIX.match(line):
        return found[1], found[2]
    return "", line


# -- error lines

_ERROR = re.compile(
    r"""
    (?: ^ | [\s\[(:] ) (?: error | ERROR | Error | FATAL | Fatal | panic | PANIC ) \]? [:!]
        (?! \s* (?: 0 | none | no | null | false ) \s* [,;}]? $ )
    | ^ (?: fatal | fatal\ error | failed ) : \s
    | ^ E:\ \S
    | ^ (?: \S+ : \s )? error \s [a-z]+ing \b
    | ^ (?: Error | ERROR ) \s (?! log | page | document | handling | report )
    | ^ Traceback\ \( | ^ \w+(?:Error|Exception):\s
    | ^ Build\ '.*'\ errored\ after
    | ^ Failed\ (?: to | preparing | building ) \b | : \s [Ff]ailed \s to \b | ^ Job\ for\ .*\ failed
    | ^ Timeout\ waiting\ for | \b[Cc]hecksums?\ did\ not\ match
    | \b non-zero\ (?: exit | return ) | \b returned\ an\ error\ code
    | : \s (?: cannot | can't | could\ not | couldn't ) \s
    | : \s (?: command\ )? not\ found $ | No\ such\ file\ or\ directory $
    | No\ space\ left\ on\ device | Permission\ denied
    """,
    re.VERBOSE,
)
_NO_ERROR = re.compile(
    r"\b(?:no|without|0|ignore|ignoring|ignored) errors?\b|^W: |^\[?WARN|^\s*#|^\"?(?:msg|stderr)\"?: \"\"",
    re.IGNORECASE,
)
ERROR_HINTS: tuple[bytes, ...] = (
    *(b"error", b"fatal", b"panic", b"e: ", b"fail", b"traceback", b"exception:", b"timeout waiting", b"did not match"),
    *(b"non-zero", b": cannot", b": can't", b": could", b"not found", b"no such file", b"no space left"),
    b"permission denied",
)
"""Every line that `is_error` takes holds one of these (in lower case): finds candidates in a large file fast."""


_HINTS = tuple(hint.decode() for hint in ERROR_HINTS)


def is_error(line: str) -> bool:
    """Whether a line of a log reports an error: for jumps and colour. Summaries such as `failed=0` are none."""
    if line.startswith("-->"):  # Packer repeats there, at the end, what it said before
        return False
    line = line[:4000]
    low = line.lower()
    if not any(hint in low for hint in _HINTS):  # most lines: fifty times as fast as the pattern
        return False
    body = body_of(line)[1]
    return _ERROR.search(body) is not None and _NO_ERROR.search(body) is None


# -- known causes

_CAUSES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), advice)
    for pattern, advice in (
        (
            r"No space left on device|disk quota exceeded|not enough free space|You don't have enough free space",
            "A disk is full: give the machine a larger one (disk_size in the template), or make room on this host.",
        ),
        (
            r"E: Unable to locate package|has no installation candidate|No package .+ available|No match for argument",
            "The package manager does not know this package: refresh its lists first, or correct the name.",
        ),
        (r"Could not get lock /var/lib/(?:dpkg|apt)", "Another package manager was at work: wait for it, then retry."),
        (
            r"Temporary failure (?:resolving|in name)|Could not resolve host|no such host|Network is unreach",
            "A name could not be resolved or the network not reached: check DNS and proxies, then retry.",
        ),
        (
            r"[Tt]imeout waiting for SSH",
            "The machine never answered on SSH: watch its console; check ssh_username, ssh_timeout and sshd.",
        ),
        (
            r"unable to authenticate|Permission denied \(publickey",
            "The machine refused the login: check ssh_username and its key or password.",
        ),
        (
            r"[Cc]hecksums? did not match",
            "The file is not the one that the template expects: find out which is right before changing either.",
        ),
        (
            r"failed to initialize (?:kvm|KVM|xen|hvf)|Could not access KVM|Qemu failed to start|ioctl\(KVM_CREATE",
            'QEMU could not start: try accelerator = "tcg" in the template, and look for a port that is in use.',
        ),
        (
            r"[Aa]ddress already in use|Could not set up host forwarding rule|port is already allocated",
            "A port is in use: end what listens on it, or choose another.",
        ),
        (r"[Oo]utput directory .* already exists", "Remove that directory, or let the template choose another."),
        (
            r"NoCredentialProviders|no valid credential sources|UnauthorizedOperation|AuthFailure|InvalidClientTokenId|"
            r"ExpiredToken|RequestExpired|not authorized to perform",
            "The cloud did not accept the credentials: log in again, or check what this profile may do.",
        ),
        (
            r"InvalidAMIID|InvalidSubnetID|InvalidGroup|VcpuLimitExceeded|InsufficientInstanceCapacity",
            "The cloud refused the request: check ids, region and limits named in the error.",
        ),
        (
            r"connection refused|send request failed|i/o timeout",
            "The other side did not answer: is it up, and reachable from here?",
        ),
        (
            r"couldn't resolve module/action|the role '.*' was not found",
            "Ansible lacks it: name its collection or role in requirements.yml, or correct the spelling.",
        ),
        (r"is undefined", "Define the variable, or give it a default, in the playbook's variables."),
        (
            r"command not found|: not found$|executable file not found",
            "A program is missing where this ran: install it first.",
        ),
        (
            r"Unsupported (?:argument|attribute|block)|Undeclared|Missing required argument|Invalid expression",
            "Correct the template at this place.",
        ),
    )
)


def advice_for(texts: Sequence[str]) -> str:
    """What usually helps against the first known cause in these lines; empty for unknown ones."""
    for pattern, advice in _CAUSES:
        if any(pattern.search(text) for text in texts):
            return advice
    return ""
