"""What names may be, as rules and in words."""

import re

from core.adapters.template import NAME_IT, no_file_name

EVERY = [chr(code) for code in range(32, 127)]


def test_what_is_told_of_a_builds_name_is_what_is_asked_of_it() -> None:
    inside, _, first = NAME_IT.partition("begins with")
    for character in EVERY:
        told = character.isalnum()
        assert (not no_file_name(f"a{character}")) == (told or f"“{character}”" in inside), character
        assert (not no_file_name(character)) == (told or f"“{character}”" in first), character
    longest = int("".join(re.findall(r"at most (\d+)", NAME_IT)))
    assert not no_file_name("x" * longest)
    assert no_file_name("x" * (longest + 1))
