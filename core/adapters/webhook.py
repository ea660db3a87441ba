"""Posting a small JSON to an address that somebody chose, such as Slack's or Mattermost's incoming webhooks.

The address may hold a token: no message of this module has more of it than the host.
"""

import http.client
import random
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from http.client import HTTPMessage
from typing import IO

from core.adapters.download import opener
from core.errors import ToolError

ATTEMPTS = 3
TIMEOUT = 10.0
"""Seconds without an answer, or without a byte of it."""


class _StayHere(urllib.request.HTTPRedirectHandler):
    """A redirected POST would become a GET, or carry what it says to somebody else."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None


def host_of(url: str) -> str:
    """What may be shown of the address."""
    return urllib.parse.urlsplit(url).hostname or "?"


def post(url: str, content: bytes, environment: Mapping[str, str], *, first_pause: float = 1.0) -> None:
    """Blocking: call it in a thread. `environment` is where proxies are looked for.

    Faults of the network and of the server (5xx, 408, 429) are tried again, twice, with a jittered back-off that begins
    with `first_pause` seconds. Raises ToolError.
    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise ToolError("The webhook's address is neither http nor https.", "Correct [notify] in ingot.toml.")
    request = urllib.request.Request(  # noqa: S310 - http(s), checked above
        url, data=content, headers={"Content-Type": "application/json", "User-Agent": "ingot"}, method="POST"
    )
    opened = opener(url, environment, _StayHere())
    fault = ""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with opened.open(request, timeout=TIMEOUT):
                return
        except urllib.error.HTTPError as error:
            error.close()
            fault = f"it answered {error.code}"
            if error.code < 500 and error.code not in (408, 429):
                break
        except (OSError, http.client.HTTPException) as error:
            fault = type(getattr(error, "reason", error)).__name__  # the message may quote the address
            if isinstance(reason := getattr(error, "reason", error), OSError) and reason.strerror:
                fault = reason.strerror
        if attempt < ATTEMPTS:
            time.sleep(first_pause * 2 ** (attempt - 1) * random.uniform(0.5, 1))  # noqa: S311 - jitter
    raise ToolError(
        f"The webhook at {host_of(url)} was not reached: {fault}.", "Look at [notify] in ingot.toml and at the network."
    )
