"""What is known of a type after a terminal was rehearsed is not parsed again when somebody sits at one."""

import subprocess
import sys

import pytest

pytest.importorskip("pyghostty")


def test_nothing_is_parsed_any_more_when_a_terminal_is_used() -> None:
    code = """
from tui.terminal import rehearsal

rehearsal.load()

from cffi import cparser
from tui.terminal.colours import palette_of
from tui.terminal.ghostty import Ghostty

parsed = []
parse = cparser.Parser.parse_type_and_quals
cparser.Parser.parse_type_and_quals = lambda self, text: parsed.append(text) or parse(self, text)

first = Ghostty(118, 38, palette_of({}))
assert "".join(run.text for run in first.frame(whole=True).changed[0][1].runs).strip() == ""
rehearsal.rehearse(first)
first.close()
print(parsed)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
