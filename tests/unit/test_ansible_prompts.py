"""What a build by Ansible asks when a task fails, what is typed for each answer, and what each means."""

from hypothesis import given
from hypothesis import strategies as st

from core.adapters import ansible_prompts
from core.model.pause import Answer, PauseKind, PauseMode, Pausing, choices

LINE = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=60)
"""What a playbook may print on a line."""


def test_the_question_is_held_and_cleaned_up_when_the_build_is_ended() -> None:
    (prompt,) = ansible_prompts.rules(Pausing(PauseMode.FAILURE))
    said = ansible_prompts.task_failed("ansible.web", "nginx : start") + "\n" + ansible_prompts.question("ansible.web")
    assert prompt.asks(f"    ansible.web: fatal\n{said}")
    assert not prompt.reply
    assert prompt.goodbye == "c\r"
    assert ansible_prompts.failed_task(said) == "nginx : start"
    assert not ansible_prompts.rules(Pausing(PauseMode.NEVER))


@given(LINE)
def test_what_a_playbook_prints_is_neither_question_nor_machine(line: str) -> None:
    (prompt,) = ansible_prompts.rules(Pausing(PauseMode.FAILURE))
    printed = f"    ansible.web: {line}{ansible_prompts.QUESTION}"
    assert not prompt.asks(printed)
    assert ansible_prompts.read_machine(f"    ansible.web: {line}") is None
    assert not ansible_prompts.is_connected(f"    ansible.web: {line}")


def test_where_the_machine_is_is_read_as_it_is_said() -> None:
    assert ansible_prompts.read_machine(ansible_prompts.machine_runs("ansible.web", 17, 4022)) == (17, 4022)
    assert ansible_prompts.is_connected(ansible_prompts.connected("ansible.web"))


def test_each_answer_that_a_failed_task_allows_can_be_typed() -> None:
    allowed = [choice.answer for choice in choices(PauseKind.TASK, "nginx : start")]
    assert allowed == [Answer.RETRY, Answer.RESTART, Answer.KEEP, Answer.CLEAN_UP]
    assert set(allowed) == set(ansible_prompts.TYPED)
    assert len(set(ansible_prompts.TYPED.values())) == 4


def test_a_retry_says_what_it_skips() -> None:
    retry = choices(PauseKind.TASK, "nginx : start")[0]
    assert "nginx : start" in retry.consequence
    assert "handlers" in retry.consequence
    assert "registered" in retry.consequence


def test_what_failed_before_any_task_can_only_be_run_again_whole() -> None:
    assert choices(PauseKind.TASK)[0].answer is Answer.RESTART
