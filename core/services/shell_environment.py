"""What of the shell's environment a run takes along: where credentials are is recorded, secrets are handed over, and
the rest stays where it is."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from core.model.role import Role

REFERENCES = (
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_ENDPOINT_URL*",
    "SSH_AUTH_SOCK",
)
"""Variables of the shell that say where credentials are, and hold none: recorded with the run."""
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
"""Recorded too, unless there is a password in them."""
SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "PACKER_*TOKEN")
"""Variables of the shell that are secrets: of these a run records the names."""


def references(environ: Mapping[str, str]) -> dict[str, str]:
    """What of the shell's variables a run records: where credentials are, never a secret."""
    found = {name: value for name, value in environ.items() if value and _is_one_of(name, REFERENCES)}
    return found | {name: environ[name] for name in PROXIES if environ.get(name) and not _has_password(environ[name])}


def secrets_for(role: Role, environ: Mapping[str, str]) -> dict[str, str]:
    """What of the shell's variables is secret and meant for building this role."""
    prefixes = ("PKR_VAR_", "INGOT_VAR_") if role.ansible else ("PKR_VAR_",)
    sensitive = {f"{prefix}{name}" for prefix in prefixes for name in role.sensitive}
    found = {
        name: value
        for name, value in sorted(environ.items())
        if value and (_is_one_of(name, SECRETS) or name in sensitive)
    }
    return found | {name: environ[name] for name in PROXIES if environ.get(name) and _has_password(environ[name])}


def _is_one_of(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _has_password(url: str) -> bool:
    """`http://user:password@proxy:3128`; also where it does not parse, for then it cannot be told."""
    try:
        return "@" in urlsplit(url if "://" in url else f"//{url}").netloc
    except ValueError:
        return True
