"""What is offered where several have actions: the nearest first, a key once, a command once."""

from typing import ClassVar

from tui.actions import Action, offers


class Here:
    """Something with a table of actions."""

    ACTIONS: ClassVar[tuple[Action, ...]] = ()

    def __init__(self, *actions: Action) -> None:
        type(self).ACTIONS = actions

    def why_not(self, action: Action) -> str:
        return ""

    def act(self, action: Action, argument: str = "") -> None:
        raise NotImplementedError


class Above(Here):
    """Another one."""


def offered(nearer: tuple[Action, ...], above: tuple[Action, ...]) -> list[tuple[str, tuple[str, ...]]]:
    return [(offer.action.title, offer.action.keys) for offer in offers((Here(*nearer), Above(*above)))]


def test_a_command_stays_when_its_key_is_taken() -> None:
    before, notices = Action("before", "Before", ("N",)), Action("notices", "Notices", ("N",), command="notices")
    assert offered((before,), (notices,)) == [("Before", ("N",)), ("Notices", ())]


def test_an_action_without_a_command_goes_with_its_key() -> None:
    assert offered((Action("a", "A", ("x",)),), (Action("b", "B", ("x",)),)) == [("A", ("x",))]


def test_a_command_of_a_nearer_one_is_not_offered_twice() -> None:
    nearer, above = Action("debug", "This one", ("d",), command="debug"), Action("d", "Any", ("d",), command="debug")
    assert offered((nearer,), (above,)) == [("This one", ("d",))]
