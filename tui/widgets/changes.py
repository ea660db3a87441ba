"""The list of what differs between two image versions: on the promote screen, and on a screen of its own."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, cast

from core.model.difference import Difference
from core.model.image import ImageVersion
from tui.actions import app_of
from tui.difference_cells import ChangeRow, Section, columns, rows, sections
from tui.loading import Loading
from tui.widgets.table import Table

if TYPE_CHECKING:
    from tui.app import Ingot

NOT_KNOWN = "What is in them is not known here."


class Told(NamedTuple):
    """A difference, line by line."""

    sections: tuple[Section, ...] = ()
    rows: tuple[tuple[str, ChangeRow], ...] = ()
    none: str = ""
    """What to say where there is no line."""


def told(difference: Difference, *, patch: bool) -> Told:
    """For a thread: a patch may have tens of thousands of lines."""
    found = tuple(sections(difference, patch=patch))
    of = f"{difference.before.version} and {difference.after.version}"
    return Told(found, tuple(rows(found)), f"{of} do not differ in anything known.")


class Changes(Table[ChangeRow]):
    """Asks for a difference once, and keeps it."""

    def __init__(
        self,
        *,
        title: str,
        id: str,  # noqa: A002 - as Textual names it
        ascii_only: bool,
        patch: bool = False,
        changed: Callable[[], None] | None = None,
    ) -> None:
        """`patch` shows the lines of templates and playbooks, too; `changed` is called when other sections show."""
        super().__init__(
            columns(lambda: self.size.width),
            title=title,
            id=id,
            ascii_only=ascii_only,
            copied=lambda row: row.copied,
            opens=False,
        )
        self._patch = patch
        self._changed = changed
        self._known: dict[tuple[str, str], Told] = {}
        self._pair: tuple[str, str] | None = None
        self.sections: tuple[Section, ...] = ()

    def nothing(self, why: str) -> None:
        """There is nothing to compare."""
        self._pair = None
        self.set_empty(why)
        self._fill(Told())

    def compare(self, old: ImageVersion, new: ImageVersion, loading: Loading) -> None:
        """Show what `new` has that `old` has not; what is not known yet is read in the background."""
        pair = (old.run, new.run)
        if pair == self._pair:
            self._say_problem(loading)
            return
        self._pair = pair
        if (known := self._known.get(pair)) is not None:
            self._show(known)
            return
        self._fill(Told())
        deciding = cast("Ingot", app_of(self)).deciding
        if deciding is None:
            self.set_empty(NOT_KNOWN)
            return
        self.set_empty(f"{old.role} {old.version} and {new.role} {new.version} are being compared…")

        def found(known: Told) -> None:
            self._known[pair] = known
            if pair == self._pair:
                self._show(known)

        words = f"comparing {old.version} and {new.version}"
        loading.read("difference", words, lambda: told(deciding.difference(old, new), patch=self._patch), found)

    def _say_problem(self, loading: Loading) -> None:
        if (problem := loading.problem("difference")) is not None and not self.sections:
            self.set_empty(f"{problem.what}\n{problem.next_step}")

    def _show(self, known: Told) -> None:
        self.set_empty(known.none)
        self._fill(known)

    def _fill(self, known: Told) -> None:
        self.sections = known.sections
        self.set_rows(known.rows, subject_changed=True)
        self.set_count(sum(len(one.rows) for one in known.sections if one.id != "patch"))
        if self._changed is not None:
            self._changed()
