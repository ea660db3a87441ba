"""What roles and workspaces are called."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.model import naming
from core.model.identity import normalised


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("packer/web", "web"),
        ("packer/web/packer", "web"),
        ("web", "web"),
        ("ubuntu-22.04/packer", "ubuntu-22.04"),
        ("images/ubuntu/templates", "ubuntu"),
        ("CentOS/7/server/template", "CentOS-7-server"),
        ("web/prod", "web-prod"),
        ("web/envs/prod/vars", "web-prod"),
        ("amd64/debian", "debian"),
        ("Test/test", "test"),
        ("linux/ubuntu/20-04-lts", "ubuntu-20-04-lts"),
        ("Windows/2008r2/server/template", "Windows-2008r2-server"),
        ("packer/main", ""),
    ],
)
def test_a_name_is_what_its_maintainer_would_say(path: str, name: str) -> None:
    assert naming.candidate(path.split("/"))[0] == name


def test_those_that_would_be_called_the_same_get_more_of_their_path() -> None:
    assert naming.unique([["a", "web"], ["b", "web"], ["c", "db"]], "x") == ["a-web", "b-web", "db"]


def test_words_that_say_nothing_are_used_only_where_nothing_else_tells_two_apart() -> None:
    assert naming.unique([["web", "packer"], ["web", "template"]], "x") == ["web-packer", "web-template"]


def test_two_files_of_one_name_get_a_number_and_no_long_path() -> None:
    assert naming.unique([["deep", "folder", "web"], ["deep", "folder", "web"]], "x") == ["web", "web-2"]


def test_what_says_nothing_gets_the_workspaces_name() -> None:
    assert naming.unique([["packer"], []], "shop") == ["shop-2", "shop"]


def test_two_that_differ_in_case_only_get_different_names() -> None:
    names = naming.unique([["Web"], ["web"]], "x")
    assert len({name.lower() for name in names}) == 2


@settings(deadline=None)  # a busy machine is no fault
@given(
    st.lists(
        st.lists(
            st.text(max_size=12) | st.just("long" * 20) | st.sampled_from(["web", "Web", "packer", "7", "prod"]),
            max_size=4,
        ),
        max_size=8,
    )
)
def test_names_are_safe_unique_and_do_not_depend_on_the_order(paths: list[list[str]]) -> None:
    names = naming.unique(paths, "shop")
    assert len({name.lower() for name in names}) == len(paths)
    for name in names:
        assert naming.is_safe(name)
    turned = naming.unique(paths[::-1], "shop")[::-1]
    assert sorted(names) == sorted(turned)
    different = {tuple(path): name for path, name in zip(paths, names, strict=True)}
    if len(different) == len(paths):
        assert names == turned


@settings(deadline=None)  # a busy machine is no fault
@given(st.text(max_size=200))
def test_a_safe_name_is_no_option_no_way_up_and_no_hidden_file(text: str) -> None:
    name = naming.safe(text)
    assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|", name)
    assert ".." not in name
    assert not name.lower().endswith(".lock")
    assert len(name) <= naming.LONGEST
    assert naming.safe(name) == name


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/team/shop",
        "https://example.org/team/shop.git",
        "https://example.org/team/shop.git/",
        "https://me:pass:word@example.org:8443/team/shop.git",
        "https://token@EXAMPLE.org/team//shop",
        "ssh://git@example.org:2222/team/shop.git",
        "ssh://example.org/team/shop",
        "git@example.org:team/shop.git",
        "example.org:team/shop",
        "git@example.org:/team/shop",
        "git://example.org/team/shop.git",
        "git+ssh://git@example.org/team/shop.git",
    ],
)
def test_all_forms_of_an_origin_are_one_workspace(url: str) -> None:
    assert normalised(url) == "example.org/team/shop"


def test_different_places_are_different_workspaces() -> None:
    urls = ["git@example.org:team/shop", "git@example.org:team/Shop", "git@example.com:team/shop", "/srv/git/shop.git"]
    assert len({normalised(url) for url in urls}) == len(urls)


@pytest.mark.parametrize(
    "url", ["/srv/git/shop.git", "file:///srv/git/shop.git", "/srv/git/shop/.git", "/srv/git/shop/"]
)
def test_a_local_origin_is_its_path(url: str) -> None:
    assert normalised(url) == "/srv/git/shop"


@settings(deadline=None)  # a busy machine is no fault
@given(st.text(max_size=60))
def test_no_password_is_ever_in_the_identity(secret: str) -> None:
    secret = re.sub(r"[\s/@:]", "", secret) or "x"
    assert normalised(f"https://me:canary{secret}@example.org/shop.git") == "example.org/shop"
