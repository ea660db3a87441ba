"""`builder = "ansible"` in ingot.toml: what it says, and what is wrong in it."""

import pytest

from core import config
from core.model.ansible_build import AnsibleBuild


def read(text: str) -> tuple[config.RoleSettings, list[str]]:
    found = config.parse(f"[roles.web]\n{text}".encode())
    return found.roles["web"], [problem.reason for problem in found.problems]


def test_a_role_is_built_by_ansible_with_what_the_table_says() -> None:
    settings, problems = read(
        'builder = "ansible"\nplaybook = "ansible/web.yml"\nuser = "debian"\nmemory = 2048\ncpus = 4\n'
        'disk_size = "8G"\nidempotent = true\nsensitive = ["password"]\n'
    )
    assert not problems
    assert settings.ansible == AnsibleBuild("ansible/web.yml", "debian", 2048, 4, "8G", idempotent=True)
    assert settings.sensitive == ("password",)


def test_what_is_not_said_has_a_default() -> None:
    settings, _ = read('builder = "ansible"\nplaybook = "web.yml"\n')
    assert settings.ansible == AnsibleBuild("web.yml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('builder = "ansible"', "needs a playbook"),
        ('builder = "ansible"\nplaybook = "../web.yml"', "needs a playbook"),
        ('builder = "chef"\nplaybook = "web.yml"', "no builder"),
        ('playbook = "web.yml"', "only with the builder"),
        ('template = "web"\nsensitive = ["password"]', "only with the builder"),
        ('builder = "ansible"\nplaybook = "web.yml"\ntemplate = "web"', "has no template"),
        ('builder = "ansible"\nplaybook = "web.yml"\nmemory = 1', "from 128"),
        ('builder = "ansible"\nplaybook = "web.yml"\ncpus = true', "from 1"),
        ('builder = "ansible"\nplaybook = "web.yml"\ndisk_size = "big"', "no size"),
        ('builder = "ansible"\nplaybook = "web.yml"\nuser = "-o x"', "no user"),
        ('builder = "ansible"\nplaybook = "web.yml"\nidempotent = "yes"', "true or false"),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str) -> None:
    _, problems = read(f"{text}\n")
    assert any(said in problem for problem in problems), problems


def test_another_playbook_is_another_build() -> None:
    old = b'[roles.web]\nbuilder = "ansible"\nplaybook = "a.yml"\n'
    assert config.differs_for("web", old, old.replace(b"a.yml", b"b.yml"))
    assert config.differs_for("web", old, old + b"memory = 2048\n")
    assert not config.differs_for("web", old, old + b"# a remark\n")
