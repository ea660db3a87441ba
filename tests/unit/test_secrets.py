"""No known secret gets through the redactor, in no form and however the stream is cut; nothing else is changed."""

import base64
import json
import shlex
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.secrets import MARK, SHORTEST, Redactor

KEY = """-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
QyNTUxOQAAACC5m2Zb1p/9hZsVwZ3k9uYb0o8iGJH+SC5Y8sWvT3YbNAAAAJhVbnRydWU+
Zm9vYmFyYmF6
-----END OPENSSH PRIVATE KEY-----
"""
SECRETS = [
    "hunter2!",
    "pa ss'w\"o$rd`\\!",
    "ключ-от-сейфа",
    "a+b/c==?&<x>~*",
    "AKIAIOSFODNN7EXAMPLE",
    "tab\there\\n",
    KEY,
]


def in_base64(before: int, after: int, encode: Callable[[bytes], bytes]) -> Callable[[str], bytes]:
    return lambda secret: encode(b"#" * before + secret.encode() + b"#" * after)


def lowered(quoted: str) -> bytes:
    """The hexadecimal digits of percent-encoding in small letters."""
    first, *rest = quoted.split("%")
    return "".join((first, *("%" + part[:2].lower() + part[2:] for part in rest))).encode()


ENCODINGS: dict[str, Callable[[str], bytes]] = {
    "plain": str.encode,
    "crlf": lambda secret: secret.replace("\n", "\r\n").encode(),
    "url": lambda secret: quote(secret, safe="").encode(),
    "url path": lambda secret: quote(secret).encode(),
    "url form": lambda secret: quote_plus(secret).encode(),
    "url lower": lambda secret: lowered(quote(secret, safe="")),
    "json": lambda secret: json.dumps({"x": secret}).encode(),
    "json utf-8": lambda secret: json.dumps([secret], ensure_ascii=False).encode(),
    "json in json": lambda secret: json.dumps(json.dumps(secret)).encode(),
    "shlex": lambda secret: shlex.quote(secret).encode(),
    "shell by hand": lambda secret: ("'" + secret.replace("'", "'\\''") + "'").encode(),
    "python": lambda secret: repr({"x": secret}).encode(),
}
ENCODINGS.update(
    {
        f"base64 {before} {after} {encode.__name__}": in_base64(before, after, encode)
        for before in range(3)
        for after in (0, 1, 2)
        for encode in (base64.b64encode, base64.urlsafe_b64encode)
    }
)


def without_edges(secret: str, encoded: bytes, name: str) -> bytes:
    """Of base64, the characters that carry nothing but the secret."""
    if not name.startswith("base64"):
        return encoded
    before, after = (int(number) for number in name.split()[1:3])
    first = -(-before * 8 // 6)
    return encoded[first : (before + len(secret.encode())) * 8 // 6 if after else None].rstrip(b"=")


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("secret", SECRETS, ids=range(len(SECRETS)))
def test_a_secret_cut_at_any_byte_is_never_given_out(secret: str, name: str) -> None:
    encoded = ENCODINGS[name](secret.strip())
    text = b"before " + encoded + b" after"
    whole = Redactor([secret]).redact(text)
    assert MARK in whole
    assert without_edges(secret.strip(), encoded, name) not in whole
    for cut in range(len(text) + 1):
        redactor = Redactor([secret])
        assert redactor.feed(text[:cut]) + redactor.feed(text[cut:]) + redactor.flush() == whole


@pytest.mark.parametrize("name", [name for name in ENCODINGS if not name.startswith("base64")])
@pytest.mark.parametrize("secret", SECRETS[:-1], ids=range(len(SECRETS) - 1))
def test_nothing_of_a_secret_is_left(secret: str, name: str) -> None:
    edges = b"{}[]\"\\'x: "
    encoded = ENCODINGS[name](secret)
    left = Redactor([secret]).redact(b"<<" + encoded + b">>")
    assert not left.replace(MARK, b"").strip(b"<>").strip(edges), left


def test_each_line_of_a_key_is_redacted_alone() -> None:
    lines = KEY.strip().splitlines()
    redactor = Redactor([KEY])
    for line in lines[1:-1]:
        assert redactor.redact(line.encode()) == MARK
    assert redactor.redact(lines[0].encode()) == lines[0].encode()


def test_a_key_in_wrapped_base64_is_redacted() -> None:
    wrapped = base64.encodebytes(KEY.encode())
    redacted = Redactor([KEY]).redact(wrapped)
    for line in wrapped.splitlines()[:-1]:
        assert line not in redacted


secrets = st.one_of(
    st.text(st.characters(codec="utf-8"), min_size=SHORTEST, max_size=30),
    st.text("ab", min_size=SHORTEST, max_size=12),
    st.text("aB3+/='\" \n\\%", min_size=SHORTEST, max_size=24),
).filter(lambda secret: len(secret.strip()) >= SHORTEST and not any(c in secret for c in "«»"))


@given(
    st.lists(secrets, min_size=1, max_size=3),
    st.sampled_from(sorted(ENCODINGS)),
    st.binary(max_size=12),
    st.binary(max_size=12),
    st.lists(st.tuples(st.integers(0, 200), st.booleans()), max_size=8),
)
def test_no_cut_and_no_flush_lets_a_secret_through(
    known: list[str], name: str, before: bytes, after: bytes, cuts: list[tuple[int, bool]]
) -> None:
    encoded = ENCODINGS[name](known[0].strip())
    text = before + encoded + after + known[-1].encode()
    redactor = Redactor(known)
    given_out, at = b"", 0
    for cut, flushed in sorted(cuts):
        given_out += redactor.feed(text[at : max(at, cut)])
        at = max(at, cut)
        if flushed:
            given_out += redactor.flush()
            assert not redactor.pending
    given_out += redactor.feed(text[at:]) + redactor.flush()
    for secret in known:
        assert secret.strip().encode() not in given_out
    assert without_edges(known[0].strip(), encoded, name) not in given_out


@given(st.lists(secrets, min_size=1, max_size=3), st.lists(st.text("abAB3+/='\" \n\\%«").map(str.encode), max_size=6))
def test_the_cuts_make_no_difference(known: list[str], chunks: list[bytes]) -> None:
    redactor = Redactor(known)
    assert b"".join(map(redactor.feed, chunks)) + redactor.flush() == Redactor(known).redact(b"".join(chunks))


@given(st.lists(st.binary(max_size=40), max_size=8), st.lists(st.booleans(), min_size=8, max_size=8))
def test_text_without_secrets_passes_unchanged(chunks: list[bytes], flushes: list[bool]) -> None:
    redactor = Redactor(["\x01 never there \x02", KEY])
    out = b""
    for chunk, flushed in zip(chunks, flushes, strict=False):
        out += redactor.feed(chunk) + (redactor.flush() if flushed else b"")
    assert out + redactor.flush() == b"".join(chunks)


def test_only_what_may_be_a_start_is_held_back() -> None:
    redactor = Redactor(["correct horse"])
    assert redactor.feed(b"nothing of it\n") == b"nothing of it\n"
    assert not redactor.pending
    assert redactor.feed(b"it is corr") == b"it is "
    assert redactor.pending
    assert redactor.feed(b"upt") == b"corrupt"
    assert not redactor.pending


def test_the_rest_of_a_secret_is_redacted_after_a_flush() -> None:
    redactor = Redactor(["correct horse"])
    out = redactor.feed(b"correct ") + redactor.flush()
    assert out == b"correct "
    assert redactor.feed(b"horse!") + redactor.flush() == MARK + b"!"


def test_short_and_blank_values_are_no_secrets() -> None:
    for value in ("", "short", " " * 20, "1234567  "):
        assert Redactor([value]).redact(f"<{value}>".encode()) == f"<{value}>".encode()


@pytest.mark.parametrize("blank", [" ", "\n", "\r\n", "\x1f", "\u00a0", "\u2003"])
def test_white_space_around_a_secret_is_no_part_of_it(blank: str) -> None:
    redactor = Redactor([f"{blank}correct horse{blank}"])
    assert redactor.redact(b"<correct horse>") == b"<" + MARK + b">"


def test_a_secret_can_be_added_in_the_middle_of_a_stream() -> None:
    redactor = Redactor(["first secret"])
    assert redactor.feed(b"second sec") == b"second sec"
    redactor.add("second secret")
    assert redactor.feed(b"ret second secret.") + redactor.flush() == b"ret " + MARK + b"."


def test_overlapping_secrets_leave_nothing_between_them() -> None:
    redactor = Redactor(["abcdefghij", "hijklmnopq"])
    assert redactor.redact(b"<abcdefghijklmnopq>") == b"<" + MARK + b">"
