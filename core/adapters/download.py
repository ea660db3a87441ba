"""Fetching a file over HTTP(S), or from a path, into a local file: in pieces, resumed, and tried again.

What comes is not trusted: its caller compares digests before anybody sees it under its name.
"""

import http.client
import random
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from core.errors import UpstreamError

PIECE = 1024 * 1024
ATTEMPTS = 5
TIMEOUT = 60.0
"""Seconds without a byte, after which the connection is given up and resumed."""


class Meter(Protocol):
    """What shows the progress and can end the work (core/stages/work.py)."""

    done: int
    total: int | None

    def advance(self, count: int) -> None: ...
    def pause(self, seconds: float) -> None: ...


def fetch(
    url: str,
    part: Path,
    meter: Meter,
    *,
    environment: Mapping[str, str],
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """The content of `url` in `part`, going on where an earlier attempt stopped. Raises UpstreamError.

    `environment` is where proxies are looked for. Faults of the network and of the server (5xx, 429) are tried again
    with a jittered back-off; anything else the server says is final.
    """
    if "://" not in url:
        _copy(Path(url), part, meter)
        return
    scheme = urllib.parse.urlsplit(url).scheme.lower()
    if scheme == "file":
        _copy(Path(urllib.request.url2pathname(urllib.parse.urlsplit(url).path)), part, meter)
        return
    if scheme not in ("http", "https"):
        raise UpstreamError(
            f"Cannot fetch {shown(url)}: {scheme} is not http, https or file.", "Correct the upstream's url."
        )
    opened = opener(url, environment)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _get(opened, url, part, meter)
        except urllib.error.HTTPError as error:
            error.close()
            fault = f"the server answered {error.code} {error.reason}"
            if error.code < 500 and error.code not in (408, 429):
                raise UpstreamError(f"Cannot fetch {shown(url)}: {fault}.", "Correct the upstream's url.") from error
        except (OSError, http.client.HTTPException) as error:
            fault = str(getattr(error, "reason", error)) or type(error).__name__
        else:
            return
        if attempt == ATTEMPTS:
            break
        pause = min(2.0**attempt, 30) * random.uniform(0.5, 1)  # noqa: S311 - jitter
        say(f"{fault}; trying again in {pause:.0f} s")
        meter.pause(pause)
    raise UpstreamError(
        f"Cannot fetch {shown(url)}: {fault}.",  # pyright: ignore[reportPossiblyUnboundVariable] - set in each failed attempt
        "Look at the network, then start the run again.",
        kept="What came is kept, and fetching goes on from there.",
    )


def read_small(url: str, *, environment: Mapping[str, str], limit: int = 4 * PIECE) -> bytes:
    """A small text, such as a file of checksums. Raises UpstreamError."""
    try:
        if "://" not in url:
            return Path(url).read_bytes()[:limit]
        if urllib.parse.urlsplit(url).scheme.lower() not in ("http", "https", "file"):
            raise UpstreamError(f"Cannot fetch {shown(url)}: not http, https or file.", "Correct the checksum's url.")
        with opener(url, environment).open(url, timeout=TIMEOUT) as answer:
            return answer.read(limit)
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise UpstreamError(f"Cannot fetch {shown(url)}: {error}.", "Look at the network and the url.") from error


def shown(url: str) -> str:
    """The URL without the user, password and query that may be in it."""
    if "://" not in url:
        return url
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urllib.parse.urlunsplit((parts.scheme, host, parts.path, "", ""))


def _get(opened: urllib.request.OpenerDirector, url: str, part: Path, meter: Meter) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "ingot"})  # noqa: S310 - http(s), checked by `fetch`
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        answer = opened.open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:
            raise
        error.close()
        # Nothing after what we have: either it is whole, or it is something else. The digest decides; a wrong one is
        # removed by the caller, and fetched anew the next time.
        meter.done = meter.total = have
        return
    with answer:
        resumed = answer.status == 206
        length = answer.headers.get("Content-Length")
        meter.done = have if resumed else 0
        meter.total = int(length) + meter.done if length and length.isdigit() else None
        with part.open("ab" if resumed else "wb") as file:
            while piece := answer.read(PIECE):
                file.write(piece)
                meter.advance(len(piece))
    if meter.total is not None and meter.done < meter.total:
        raise http.client.IncompleteRead(b"", meter.total - meter.done)


def _copy(source: Path, part: Path, meter: Meter) -> None:
    try:
        with source.open("rb") as reading, part.open("wb") as writing:
            meter.total = source.stat().st_size
            while piece := reading.read(PIECE):
                writing.write(piece)
                meter.advance(len(piece))
    except OSError as error:
        raise UpstreamError(f"Cannot read {source}: {error.strerror}.", "Correct the upstream's path.") from error


def opener(
    url: str, environment: Mapping[str, str], *handlers: urllib.request.BaseHandler
) -> urllib.request.OpenerDirector:
    """What opens the URL, through the proxies that the environment names."""
    proxies: dict[str, str] = {}
    for scheme in ("http", "https", "no"):
        for name in (f"{scheme}_proxy", f"{scheme.upper()}_PROXY"):
            if environment.get(name):
                proxies.setdefault(scheme, environment[name])
    host = urllib.parse.urlsplit(url).hostname or ""
    direct = [name.strip().lstrip(".") for name in proxies.pop("no", "").split(",") if name.strip()]
    if any(name == "*" or host == name or host.endswith(f".{name}") for name in direct):
        proxies.clear()
    return urllib.request.build_opener(urllib.request.ProxyHandler(proxies), *handlers)
