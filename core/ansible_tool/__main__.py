"""`python -m core.ansible_tool PLAN`."""

import sys
from pathlib import Path

import msgspec

from core.ansible_tool.plan import Plan
from core.ansible_tool.work import Work

if __name__ == "__main__":
    sys.exit(Work(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)).carry_out())
