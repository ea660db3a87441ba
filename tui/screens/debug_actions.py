"""What can be done on the debug screen: the table of its actions and keys, reached when the way out was pressed."""

from core.model.pause import Answer
from tui.actions import Action

ACTIONS = (
    Action(
        "retry", "Retry", ("r",), "Have the step or task that failed repeated", "Debug", True, 1, command="answer-retry"
    ),
    Action("restart", "Playbook again", ("p",), "Have Ansible run the whole playbook again", "Debug", True, 2),
    Action("continue", "Continue", ("c",), "Have Packer go on", "Debug", True, 1, command="answer-continue"),
    Action(
        "keep", "Keep machine", ("k",), "Packer lets go of the machine; it goes on until it is ended", "Debug", True, 2
    ),
    Action("clean_up", "Clean up…", ("x",), "Destroy the machine; asks for the role's name", "Debug", True, 3),
    Action("new_shell", "New shell", ("n",), "One more shell in the machine", "Debug", True, 5),
    Action("login", "Other user or key…", ("u",), "Log in to the machine as another user, or otherwise", "Debug", True),
    Action("again", "Failed command", ("a",), "Put what failed into the shell; Enter there runs it", "Debug", True, 6),
    Action("extend", "1 h more", ("plus",), "Keep the machine one hour more", "Debug", True, 4),
    Action("whole", "Full screen", ("z",), "The shell on the whole screen, or not", "Debug", rank=7),
    Action("shell", "To the shell", ("2", "tab", "enter"), "Type into the shell", "Debug", rank=8),
    Action("why", "What went wrong", ("1",), "What went wrong, the machine, and what can be done", "Debug"),
    Action("next_shell", "Next shell", ("right_square_bracket",), "To the next shell", "Debug"),
    Action("previous_shell", "Shell before", ("left_square_bracket",), "To the shell before", "Debug"),
    Action(
        "to_machine", "Into the shell", ("ctrl+right_square_bracket",), "Into the shell; twice: to the machine", "Debug"
    ),
    Action("machines", "Other machine…", ("m",), "Another machine that waits: its run, its build", "Debug"),
    Action("log", "Log", ("l",), "The run, its stages and its log", "Debug", rank=9, command="logs"),
    Action("back", "Back", ("escape", "q"), "Back; the machine waits on", "Debug", rank=3, last=True),
)

TO_ANSWERS = {
    "retry": Answer.RETRY,
    "restart": Answer.RESTART,
    "continue": Answer.CONTINUE,
    "keep": Answer.KEEP,
    "clean_up": Answer.CLEAN_UP,
}
