"""Several connections to the index in one process, beside other processes: as the workbench has them."""

import subprocess
import sys
from pathlib import Path

from core.model.workspace import Workspace
from core.store.index import Index

WRITER = """
import sys
from pathlib import Path
from core.model.workspace import Workspace
from core.store.index import Index
index = Index(Path(sys.argv[1]))
for number in range(300):
    index.remember_workspace(Workspace(f"{sys.argv[2]}-{number}", "x" * 400, f"/{sys.argv[2]}/{number}"))
index.close()
"""


def test_opening_the_index_again_drops_no_lock_of_this_process(tmp_path: Path) -> None:
    """POSIX drops all locks of a process on a file when it closes any descriptor of it (fcntl(2))."""
    path = tmp_path / "index.sqlite"
    first = Index(path)
    first.remember_workspace(Workspace("own", "own", "/own"))
    for attempt in range(4):
        Index(path).close()  # opened and closed again, as each service does
        subprocess.run([sys.executable, "-c", WRITER, str(path), str(attempt)], check=True)
        assert len(first.workspaces()) == 1 + 300 * (attempt + 1)
        first.remember_workspace(Workspace("own", "own", "/own"))
    first.close()
    again = Index(path)
    assert len(again.workspaces()) == 1201
    again.close()
