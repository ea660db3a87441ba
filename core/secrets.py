"""Redaction: every byte that is kept passes here, and no known secret gets through.

A secret is looked for in the forms that tools print it in: plain, base64 (at each of its three offsets, also the
URL-safe alphabet), URL-quoted, JSON-escaped, shell-quoted; with both kinds of line ends; and line by line. Streams come
in pieces: what may be the start of a secret is held back until it is decided, or until `flush`.

What this cannot do: find a secret that a tool encrypts, compresses or prints one character at a time between others.
"""

import base64
import json
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from urllib.parse import quote_from_bytes

from ahocorasick_rs import BytesAhoCorasick, Implementation

MARK = "«redacted»".encode()
"""What stands where a secret was."""

SHORTEST = 8
"""Characters. Anything shorter would be found in innocent text, and redacting it would tell what it is."""

_HEAD = SHORTEST
"""Bytes at the start of a form by which candidates are found; no form is shorter."""
_URL_KEPT = ("", "/", "~", "!'()*", "$&+=:@", "!#$&'()*+,/:;=?@")
"""What URL encoders leave as it is beside RFC 3986's unreserved: paths, encodeURIComponent, Go's paths, encodeURI."""
_WRAPS = (64, 76)
"""Columns at which base64 is wrapped (RFC 7468, RFC 2045)."""
_PEM_EDGE = re.compile(rb"-----(BEGIN|END) [A-Z0-9 ]+-----")
_NOT_BASH_SAFE = re.compile(r"([ \t\n'\"|&;()<>!{}*\[?\]^$`\\,~#])")
_NOT_SHLEX_SAFE = re.compile(r"([^\w@%+=:,./-])", re.ASCII)
_PERCENT = re.compile(rb"%[0-9A-F]{2}")


class Redactor:
    """Takes secrets out of a stream of bytes. Not for several threads.

    What `feed` and `flush` give, put together, is what `redact` gives for the whole, however the stream was cut. Where
    `flush` was called in the middle of a secret its start is out already; the rest of it is redacted even then.
    """

    def __init__(self, secrets: Iterable[str | bytes] = ()) -> None:
        self._forms: set[bytes] = set()
        self._search: _Search | None = None
        self._held = b""
        """The end of the stream so far: what may be the start of a secret."""
        self._out = 0
        """How much of `_held` has been given out, as it is or as a mark."""
        self._covered = 0
        """How much of `_held` the last mark stands for."""
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str | bytes) -> None:
        """Redact this from now on. Shorter than SHORTEST, without the white space around it: nothing happens."""
        raw = _bytes(secret) if isinstance(secret, str) else secret
        whole = raw.strip().replace(b"\r\n", b"\n")
        pieces = {whole, *(line.strip() for line in whole.split(b"\n"))}
        pieces |= {_bytes(_text(piece).strip()) for piece in pieces}  # tools strip Unicode's white space, too
        for piece in pieces:
            if len(_text(piece)) >= SHORTEST and not _PEM_EDGE.fullmatch(piece):
                self._forms.update(form for form in _forms(piece) if len(form) >= SHORTEST)
        self._search = None

    def feed(self, chunk: bytes) -> bytes:
        """The next piece of the stream. Gives what is decided of it, and of what was held back."""
        if not self._forms:
            return chunk
        buffer = self._held + chunk
        keep_from = self._searcher.undecided_from(buffer)
        return self._give(buffer, keep_from, keep_from)

    def flush(self) -> bytes:
        """Give what is held back: nothing more comes, or not soon."""
        if not self._forms:
            return b""
        return self._give(self._held, len(self._held), 0)

    @property
    def pending(self) -> bool:
        """Whether something is held back."""
        return len(self._held) > self._out

    def redact(self, whole: bytes) -> bytes:
        """A whole text, apart from the stream."""
        if not self._forms:
            return whole
        apart = self.another()
        return apart.feed(whole) + apart.flush()

    def another(self) -> "Redactor":
        """One with the same secrets, for another stream."""
        apart = Redactor()
        apart._forms = set(self._forms)
        apart._search = self._searcher if self._forms else None
        return apart

    @property
    def _searcher(self) -> "_Search":
        if self._search is None:
            self._search = _Search(self._forms)
        return self._search

    def _give(self, buffer: bytes, until: int, keep_from: int) -> bytes:
        """Give all before `until`, and the whole of a secret that begins before it; hold what is from `keep_from`."""
        given: list[bytes] = []
        out, covered = self._out, self._covered
        for start, end in self._searcher.found(buffer):
            if start >= until:
                break
            if end <= out:
                continue
            if not start < covered == out:  # not a continuation of the last mark
                given += (buffer[out:start], MARK)
            out = covered = end
        if until > out:
            given.append(buffer[out:until])
            out = until
        self._held = buffer[keep_from:]
        self._out = out - keep_from
        self._covered = max(covered - keep_from, 0)
        return b"".join(given)


class _Search:
    """Where forms are in a text, and where one may have begun at its end."""

    def __init__(self, forms: set[bytes]) -> None:
        self._sorted = sorted(forms)
        self._longest = max(map(len, forms))
        self._all = BytesAhoCorasick(self._sorted, implementation=Implementation.ContiguousNFA)
        self._heads = BytesAhoCorasick({form[:_HEAD] for form in forms}, implementation=Implementation.ContiguousNFA)
        self._beginnings = {form[:length] for form in forms for length in range(1, _HEAD)}

    def found(self, text: bytes) -> list[tuple[int, int]]:
        """All occurrences (start, end), overlapping ones too, by their start."""
        return sorted((start, end) for _, start, end in self._all.find_matches_as_indexes(text, overlapping=True))

    def undecided_from(self, text: bytes) -> int:
        """Where the longest end of the text begins that a form goes on from; the text's length where there is none."""
        window = max(len(text) - self._longest + 1, 0)
        tail = text[window:]
        for _, start, _ in self._heads.find_matches_as_indexes(tail, overlapping=True):
            if self._goes_on_from(tail[start:]):
                return window + start
        for length in range(min(_HEAD - 1, len(tail)), 0, -1):
            if tail[-length:] in self._beginnings:
                return len(text) - length
        return len(text)

    def _goes_on_from(self, start: bytes) -> bool:
        """Whether some form is longer than this and begins with it."""
        at = bisect_left(self._sorted, start)
        if at < len(self._sorted) and self._sorted[at] == start:
            at += 1
        return at < len(self._sorted) and self._sorted[at].startswith(start)


def _bytes(text: str) -> bytes:
    try:
        return text.encode(errors="surrogateescape")  # as environment variables and file names are decoded
    except UnicodeEncodeError:
        return text.encode(errors="surrogatepass")


def _text(raw: bytes) -> str:
    return raw.decode(errors="surrogateescape")


def _forms(secret: bytes) -> Iterator[bytes]:
    """How tools print it."""
    for lines in {secret, secret.replace(b"\n", b"\r\n")}:
        yield lines
        yield from _in_base64(lines)
        yield from _in_urls(lines)
        yield from _in_json(lines)
        yield from _in_shells(lines)


def _in_base64(secret: bytes) -> Iterator[bytes]:
    """What is the same whatever stands before and after it, and, as the end is often the end, that with its padding."""
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + secret)
        # Each character carries six bits: those that also carry bits of a neighbour are not in the form.
        first = (0, 2, 3)[before]
        last = (before + len(secret)) * 8 // 6
        for form in (encoded[first:last], encoded[first:], encoded[first:].rstrip(b"=")):
            yield form
            yield form.translate(_URL_SAFE)
        if before == 0:
            for width in _WRAPS:
                if len(encoded) > width:
                    yield from (encoded[at : at + width] for at in range(0, last - width + 1, width))
                    yield encoded[last // width * width : last]


_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def _in_urls(secret: bytes) -> Iterator[bytes]:
    for kept in _URL_KEPT:
        quoted = quote_from_bytes(secret, safe=kept).encode()
        for form in {quoted, quoted.replace(b"%20", b"+"), quoted.replace(b"~", b"%7E")}:
            yield form
            yield _PERCENT.sub(lambda found: found[0].lower(), form)


def _in_json(secret: bytes) -> Iterator[bytes]:
    try:
        text = secret.decode()
    except UnicodeDecodeError:
        return
    for pure in (True, False):
        form = json.dumps(text, ensure_ascii=pure)[1:-1]
        twice = json.dumps(form, ensure_ascii=pure)[1:-1]  # JSON in a string of JSON
        for variant in {form, form.replace("/", "\\/"), twice, _as_go(form)}:
            yield variant.encode()
    yield repr(text)[1:-1].encode()  # Python's, as in Ansible's messages
    yield text.replace("'", "''").encode()  # YAML in single quotes


def _as_go(form: str) -> str:
    """Go's encoding/json (Packer, Terraform) escapes these as well."""
    return form.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _in_shells(secret: bytes) -> Iterator[bytes]:
    text = _text(secret)
    ansi = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    for form in {
        text.replace("'", "'\"'\"'"),  # shlex.quote
        text.replace("'", "'\\''"),  # by hand, Go's and Ruby's libraries
        re.sub(r'(["$`\\])', r"\\\1", text),  # in double quotes
        re.sub(r'(["$`\\!])', r"\\\1", text),  # in double quotes, interactive
        _NOT_BASH_SAFE.sub(r"\\\1", text),  # printf %q
        _NOT_SHLEX_SAFE.sub(r"\\\1", text),
        ansi,  # $'…'
    }:
        yield form.encode(errors="surrogateescape")
