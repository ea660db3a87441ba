"""The one registry of what a person can do: footer, help, palette, `:` commands and keys all come from it.

A screen (or a list, for moving in it) keeps a table of `Action`s and gets its key bindings from it with `bindings`.
A screen that derives from `Acting` carries them out in methods named `do_<id>` and says in `why_not` what cannot be
done here and now, and why: such an action does not vanish, it explains itself when tried. Only these tables name a key,
and the keymap of the app those that the user chose instead.
"""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Protocol, cast, runtime_checkable

import msgspec
from msgspec.structs import replace
from textual.binding import Binding, BindingType
from textual.keys import KEY_NAME_REPLACEMENTS
from textual.message_pump import MessagePump
from textual.screen import Screen

if TYPE_CHECKING:
    from textual.app import App

    from tui.app import Ingot

_NAMES = {
    "escape": "Esc",
    "enter": "Enter",
    "space": "Space",
    "tab": "Tab",
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "home": "Home",
    "end": "End",
    "slash": "/",
    "colon": ":",
    "question_mark": "?",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "backslash": "\\",
    "circumflex_accent": "^",
    "underscore": "_",
    "plus": "+",
    "equals_sign": "=",
}

NO_KEYMAP: Mapping[str, str] = MappingProxyType({})
"""Every action has the keys of its table."""


def key_name(key: str) -> str:
    """A key as people say it: `ctrl+p` is `Ctrl+P`, `question_mark` is `?`."""
    *modifiers, last = key.split("+")
    name = _NAMES.get(last, last)
    if modifiers or (len(name) > 1 and name[0] == "f" and name[1:].isdigit()):
        name = name.upper() if len(name) < 3 or name[0] == "f" else name
    return "+".join([*(modifier.capitalize() for modifier in modifiers), name])


def key_of(key: str) -> str:
    """A key as Textual names it, of one that may be written with its sign: `ctrl+]` is `ctrl+right_square_bracket`."""
    before, plus, sign = key.rpartition("+")
    if len(sign) != 1 or sign.isalnum():
        return key
    name = unicodedata.name(sign, sign).lower().replace("-", "_").replace(" ", "_")
    return before + plus + KEY_NAME_REPLACEMENTS.get(name, name)


def app_of(node: MessagePump) -> "App[None]":
    """The app that a widget or screen is in, typed."""
    # Textual 8.2.8 declares it as App[object] in a branch that pyright reads as App[Unknown].
    return cast("App[None]", node.app)  # pyright: ignore[reportUnknownMemberType]


class Action(msgspec.Struct, frozen=True):
    """Something that can be done on a screen."""

    id: str
    """`build`: the screen carries it out in `do_build`."""
    title: str
    """In the footer, help and palette: a verb or two."""
    keys: tuple[str, ...] = ()
    """As Textual names keys; the first is shown."""
    about: str = ""
    """One sentence for the help."""
    group: str = "Here"
    """Its heading in the help."""
    changes: bool = False
    """Changes something beyond the screen: refused with --readonly."""
    rank: int = 0
    """How important it is to have it in the footer, 1 most; 0 keeps it out."""
    last: bool = False
    """At the right end of the footer."""
    command: str = ""
    """Its name as a `:` command."""
    argument: str = ""
    """What the command takes: `role`, `run`, `version`; empty for nothing."""
    internal: bool = False
    """A key that needs no line in help and palette."""
    passes: bool = False
    """Its key goes on to whoever is above when there is nothing left to do here: it is offered there, too."""

    @property
    def key(self) -> str:
        """The key to show."""
        return key_name(self.keys[0]) if self.keys else ""


def bindings(actions: Iterable[Action]) -> list[BindingType]:
    """Textual's bindings for a table of actions: all lead to `action_act`."""
    return [
        Binding(
            ",".join(action.keys),
            f"act('{action.id}')",
            action.title,
            show=False,
            id=action.id,
        )
        for action in actions
        if action.keys
    ]


class Offer(msgspec.Struct, frozen=True):
    """An action, by whom it would be carried out, and why it cannot be now."""

    action: Action
    actor: "Actor"
    why_not: str = ""


@runtime_checkable
class Actor(Protocol):
    """Whoever has a table of actions: a screen, the app, a list."""

    ACTIONS: ClassVar[tuple[Action, ...]]

    def why_not(self, action: Action) -> str:
        """Why this cannot be done now, in words for the person who tries; empty when it can."""
        ...

    def act(self, action: Action, argument: str = "") -> None:
        """Carry it out, or say why not."""
        ...


class Acting(Screen[None]):
    """A screen with a table of actions. Subclasses set `ACTIONS` and `BINDINGS = bindings(ACTIONS)`."""

    ACTIONS: ClassVar[tuple[Action, ...]] = ()
    READONLY = "Ingot was started with --readonly: nothing can be changed from here."

    @property
    def house(self) -> "Ingot":
        """The app, as what it is."""
        return cast("Ingot", app_of(self))

    def why_not(self, action: Action) -> str:
        """Refuses changes with --readonly; screens add their own conditions after asking this one."""
        return self.READONLY if action.changes and getattr(app_of(self), "readonly", False) else ""

    def act(self, action: Action, argument: str = "") -> None:
        """Carry the action out in its `do_<id>`, or say in a notice why it cannot be."""
        if reason := self.why_not(action):
            self.notify(reason, title=f"{action.title}: not now", severity="warning", markup=False)
            return
        carry_out = getattr(self, f"do_{action.id}")
        carry_out(argument)

    def action_act(self, action_id: str, argument: str = "") -> None:
        """What the keys lead to."""
        if action := find(self.ACTIONS, action_id):
            self.act(action, argument)


def find(actions: Sequence[Action], action_id: str) -> Action | None:
    return next((action for action in actions if action.id == action_id), None)


def offers(actors: Iterable[object], keymap: Mapping[str, str] = NO_KEYMAP) -> list[Offer]:
    """What can be done here, by the nearest actor first: a key that a nearer one takes is not offered again.

    What has a command stays without a key: it is typed, and found in help and palette; but not beside the same command
    of a nearer one. `keymap` has the keys that the user chose, by the id of the action.
    """
    found: list[Offer] = []
    taken: set[str] = set()
    commands: set[str] = set()
    for actor in actors:
        if not isinstance(actor, Actor):
            continue
        own: set[str] = set()
        for action in actor.ACTIONS:
            keys = (keymap[action.id],) if action.id in keymap else action.keys
            left = tuple(key for key in keys if key not in taken)
            if left or not keys or (action.command and action.command not in commands):
                found.append(Offer(replace(action, keys=left), actor, actor.why_not(action)))
                commands.add(action.command)
            own.update(keys if not action.passes else ())
        taken |= own
    return found
