"""A workspace whose build fails until it is mended, built by the real Packer under the product's own worker."""

import asyncio
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from worked_site import WorkedSite

from core.adapters import packer_prompts
from core.engine.holds import tool_directory
from core.holding import Answered, Hold
from core.model.pause import Answer, Pause, PauseKind, PauseMode, Pausing
from core.model.run import Run, RunState

KEY = "build/null.web"
BOB = "Bob Example <bob@example.org>"
TEMPLATE = """\
source "null" "web" {{
  communicator = "none"
}}
build {{
  sources = ["source.null.web"]
  provisioner "shell-local" {{
    inline = ["echo once >>{place}/tried", "[ -e {place}/mended ]"]
  }}
  provisioner "breakpoint" {{
    note    = "look around"
    disable = {disabled}
  }}
  provisioner "shell-local" {{
    inline = ["echo whole >>{place}/whole"]
  }}
}}
"""


class Site(WorkedSite):
    """A workspace with a build that fails until it is mended."""

    def build(self, pausing: Pausing, *, with_breakpoint: bool = False, mended: bool = False) -> Run:
        if mended:
            self.mend()
        self.shop.commit(
            {"web/web.pkr.hcl": TEMPLATE.format(place=self.place, disabled=str(not with_breakpoint).lower())}
        )
        return self.building.build(self.shop.root, "web", trust=True, pausing=pausing)

    def mend(self) -> None:
        (self.place / "mended").touch()

    def paused(self, run: Run) -> Pause:
        """The pause that the run waits in, once it does."""

        def there() -> bool:
            again = self.shop.again(run)
            assert not again.state.ended, (again, self.log(run))
            return again.state is RunState.PAUSED and bool(self.open(run))

        self.wait(there, f"run {run.id} is paused")
        (pause,) = self.open(run)
        return pause

    def open(self, run: Run) -> list[Pause]:
        return self.shop.index.pauses(run.uid, open_only=True)

    def hold(self, run: Run) -> Hold:
        hold = asyncio.run(Hold.adopt(tool_directory(self.shop.places, run.uid, KEY, "packer")))
        assert hold is not None
        return hold

    def answer(self, pause: Pause, answer: Answer, by: str = BOB) -> Answered:
        run = self.shop.index.run(pause.run_uid)
        assert run is not None
        typed = packer_prompts.typed(pause.kind, answer)
        assert typed
        return asyncio.run(
            self.hold(run).answer(pause.number, typed, by, answer, keep=answer is Answer.KEEP),
        )

    def answer_number(self, run: Run, number: int, answer: Answer) -> None:
        """Answer a failure that nobody has written down yet."""
        typed = packer_prompts.typed(PauseKind.FAILURE, answer)
        asyncio.run(self.hold(run).answer(number, typed, BOB, answer))

    def held(self, run: Run) -> int:
        """The number of the prompt that Packer waits at; 0 when it waits at none."""
        held = asyncio.run(self.hold(run).held())
        return held.number if held else 0

    def log(self, run: Run) -> str:
        path = self.shop.places.log(run.uid, KEY)
        return path.read_text() if path.exists() else ""

    def tried(self) -> int:
        path = self.place / "tried"
        return len(path.read_text().split()) if path.exists() else 0


@contextmanager
def pausing_site(place: Path) -> Generator[Site]:
    """INGOT_HOME must be `place / "home"`. Leaves nothing of its runs behind."""
    with closing(Site(place)) as site:
        yield site


def pausing(mode: PauseMode = PauseMode.FAILURE, *stops: str, limit: float = 600.0) -> Pausing:
    return Pausing(mode, stops, limit)
