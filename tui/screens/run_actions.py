"""What can be done on the screen of a run: the table of its actions and keys."""

from tui.actions import Action

ACTIONS = (
    Action(
        "rebuild",
        "Retry",
        ("r",),
        "A new run of the same request: same role, same commit, same builds",
        "Run",
        True,
        1,
        command="retry",
    ),
    Action("cancel", "Cancel…", ("x",), "End the run; what it started is cleaned up", "Run", True, 2, command="cancel"),
    Action("debug", "Debug", ("d",), "A shell in the machine of the run", "Run", rank=1, command="debug"),
    Action("next_stage", "Next stage", ("right_square_bracket",), "Show the log of the next stage", "Run", rank=37),
    Action("previous_stage", "Stage before", ("left_square_bracket",), "Show the log of the stage before", "Run"),
    Action("stages", "Stages", ("1",), "To the stages", "Run"),
    Action("log", "Log", ("2",), "To the log", "Run"),
    Action(
        "tasks",
        "Tasks",
        ("3", "T"),
        "What Ansible does, task by task, in place of the log; again: the log",
        "Run",
        rank=6,
    ),
    Action("other_pane", "Other pane", ("tab", "shift+tab"), "From the stages to the log and back", "Run"),
    Action("follow", "Follow", ("f",), "Show the newest lines as they come", "Run"),
    Action("next_error", "Next error", ("e",), "Go to the next error line of the log", "Run"),
    Action("previous_error", "Previous error", ("E",), "Go to the error line before", "Run"),
    Action("wrap", "Wrap", ("w",), "Break long lines of the log, or not", "Run"),
    Action("times", "Times", ("t",), "Show when each line was written", "Run"),
    Action("back", "Back", ("escape", "q"), "Back to where you came from; the run goes on", "Run", rank=2, last=True),
)

TO_THE_LOG = frozenset({"follow", "next_error", "previous_error", "wrap", "times"})
"""Those that the log itself carries out."""
