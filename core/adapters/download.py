"""Fetching a file over HTTP(S), or from a path, into a local file: in pieces, resumed, and tried again.

What comes is not trusted: its caller compares digests before anybody sees it under its name. A server that begins
encrypted may not lead to where it is not.
"""

import errno
import http.client
import random
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from core.errors import SpaceError, UpstreamError
from core.text import size

PIECE = 1024 * 1024
ATTEMPTS = 5
TIMEOUT = 60.0
"""Seconds without a byte, after which the connection is given up and resumed."""
SMALL = 4 * PIECE
"""Bytes that a list of checksums or a signature may have: those of whole distributions have a tenth of it."""
SMALL_TIME = 120.0
"""Seconds in which such a one must be here."""
_LOOKED_EVERY = 64 * PIECE
"""Bytes after which the room on the disk is looked at again: servers need not say how much they send."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class NoRoomError(SpaceError):
    """The disk has no room for what comes. What came is kept, and fetching goes on from there."""

    def __init__(self, url: str, needed: int, why: str) -> None:
        super().__init__(
            f"There is no room for {shown(url)}: {why}.",
            "Make room (ingot cache shows what can go), then start the run again.",
            kept="What came is kept, and fetching goes on from there.",
        )
        self.needed = needed
        """Bytes that are missing at least."""


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
    room: Callable[[], int] | None = None,
) -> None:
    """The content of `url` in `part`, going on where an earlier attempt stopped. Raises UpstreamError, NoRoomError.

    `environment` is where proxies are looked for. Faults of the network and of the server (5xx, 429) are tried again
    with a jittered back-off; anything else the server says is final. `room` gives the bytes that may still be written
    beside `part`: it ends before the disk is full.
    """
    if (path := _path_of(url)) is not None:
        _copy(path, part, meter)
        return
    scheme = urllib.parse.urlsplit(url).scheme.lower()
    if scheme not in ("http", "https"):
        raise UpstreamError(
            f"Cannot fetch {shown(url)}: {scheme} is not http, https or file.", "Correct the upstream's url."
        )
    opened = opener(url, environment, _Redirects())
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _get(opened, url, part, meter, room)
        except urllib.error.HTTPError as error:
            error.close()
            fault = f"the server answered {error.code} {error.reason}"
            if error.code < 500 and error.code not in (408, 429):
                raise UpstreamError(f"Cannot fetch {shown(url)}: {fault}.", "Correct the upstream's url.") from error
        except (OSError, http.client.HTTPException) as error:
            if getattr(error, "errno", None) in _FULL:
                raise NoRoomError(url, PIECE, str(getattr(error, "strerror", error)).lower()) from error
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


def read_small(url: str, meter: Meter, *, environment: Mapping[str, str], limit: int = SMALL) -> bytes:
    """A small file, such as a list of checksums or a signature: all of it, or UpstreamError."""
    try:
        if (path := _path_of(url)) is not None:
            if not path.is_file():
                raise UpstreamError(f"There is no file {shown(url)}.", "Correct ingot.toml, or commit the file.")
            with path.open("rb") as file:
                content = file.read(limit + 1)
        elif urllib.parse.urlsplit(url).scheme.lower() not in ("http", "https"):
            raise UpstreamError(f"Cannot fetch {shown(url)}: not http, https or file.", "Correct the checksum's url.")
        else:
            content = _get_small(url, meter, environment, limit)
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise UpstreamError(f"Cannot fetch {shown(url)}: {error}.", "Look at the network and the url.") from error
    if len(content) > limit:
        raise UpstreamError(
            f"{shown(url)} is larger than {size(limit)}: that is no list of checksums and no signature.",
            "Correct its url.",
        )
    return content


def _get_small(url: str, meter: Meter, environment: Mapping[str, str], limit: int) -> bytes:
    until = time.monotonic() + SMALL_TIME
    request = urllib.request.Request(url, headers={"User-Agent": "ingot"})  # noqa: S310 - http(s), checked above
    content = bytearray()
    with opener(url, environment, _Redirects()).open(request, timeout=TIMEOUT) as answer:
        # What is there at once, and not all of a piece: who sends a byte a minute is not waited for, and a cancel not
        # kept waiting.
        while len(content) <= limit and (piece := answer.read1(65536)):
            content += piece
            meter.advance(len(piece))
            if time.monotonic() > until:
                raise UpstreamError(
                    f"{shown(url)} was not here after {SMALL_TIME:.0f} s ({size(len(content))} came).",
                    "Look at the network and the url.",
                )
        if len(content) <= limit and answer.length:
            raise http.client.IncompleteRead(b"", answer.length)
    return bytes(content)


def shown(url: str) -> str:
    """The URL without the user, password and query that may be in it."""
    if "://" not in url:
        return url
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urllib.parse.urlunsplit((parts.scheme, host, parts.path, "", ""))


def _get(
    opened: urllib.request.OpenerDirector, url: str, part: Path, meter: Meter, room: Callable[[], int] | None
) -> None:
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
        looked = -_LOOKED_EVERY
        with part.open("ab" if resumed else "wb") as file:
            while piece := answer.read(PIECE):
                if room and meter.done - looked >= _LOOKED_EVERY:
                    looked = meter.done
                    _make_sure(url, meter, room())
                file.write(piece)
                meter.advance(len(piece))
    if meter.total is not None and meter.done < meter.total:
        raise http.client.IncompleteRead(b"", meter.total - meter.done)


def _make_sure(url: str, meter: Meter, free: int) -> None:
    """Raises NoRoomError when the rest does not fit, or the next of what has no known size."""
    needed = (meter.total - meter.done) if meter.total is not None else _LOOKED_EVERY
    if needed > free:
        more = "more of it comes" if meter.total is None else f"{size(needed)} of it are to come"
        raise NoRoomError(url, needed, f"{more}, and {size(max(free, 0))} are free")


def _path_of(url: str) -> Path | None:
    """The local file that is meant, if one is."""
    if "://" not in url:
        return Path(url)
    parts = urllib.parse.urlsplit(url)
    return Path(urllib.request.url2pathname(parts.path)) if parts.scheme.lower() == "file" else None


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows where a server leads, but not out of https, and to nothing but http and https."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        before, after = (urllib.parse.urlsplit(url).scheme.lower() for url in (req.full_url, newurl))
        if after not in ("http", "https") or (before == "https" and after != "https"):
            fp.close()
            raise UpstreamError(
                f"{shown(req.full_url)} leads to {shown(newurl)}, which is not encrypted: anybody on the way could "
                "change what comes.",
                "Correct the url, or ask who runs that server; Ingot does not go there.",
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _copy(source: Path, part: Path, meter: Meter) -> None:
    try:
        with source.open("rb") as reading, part.open("wb") as writing:
            meter.total = source.stat().st_size
            while piece := reading.read(PIECE):
                writing.write(piece)
                meter.advance(len(piece))
    except OSError as error:
        if error.errno in _FULL:
            raise NoRoomError(str(source), PIECE, str(error.strerror).lower()) from error
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
