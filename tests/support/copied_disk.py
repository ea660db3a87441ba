"""A build without a machine: its disk is a copy of one that there is."""

from pathlib import Path


def template(disk: Path) -> str:
    """A build that makes a copy of this disk."""
    return f"""\
variable "ingot_output" {{
  default = "output"
}}
source "file" "disk" {{
  source = "{disk}"
  target = "${{var.ingot_output}}/{disk.name}"
}}
build {{
  sources = ["source.file.disk"]
}}
"""
