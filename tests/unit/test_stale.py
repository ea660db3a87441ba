"""Why a role is stale, and in which order stale roles are built."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from core.model import stale
from core.model.image import ImageState, ImageVersion, UpstreamRecord
from core.model.role import Role, Syntax, Upstream, UpstreamKind


def role(name: str, parent: str = "", *inputs: str) -> Role:
    upstream = Upstream(UpstreamKind.ROLE, role=parent) if parent else Upstream()
    return Role(name, f"packer/{name}", Syntax.HCL2, inputs=inputs, upstream=upstream)


def image(name: str, version: str = "0.1.0", parent: str = "", parent_version: str = "", *inputs: str) -> ImageVersion:
    record = UpstreamRecord("role" if parent else "template", parent, role=parent, version=parent_version)
    return ImageVersion(name, version, "c" * 40, 1.0, "run", "me", record, (), f"packer/{name}", inputs)


def test_files_below_an_input_directory_count_and_neighbours_do_not() -> None:
    web = role("web", "", "packer/web", "ansible/web.yml")
    changed = ["packer/web/http/preseed", "packer/webshop/x", "ansible/web.yml", "ansible/web.yml.bak", "README.md"]
    assert stale.changed_inputs(web, image("web"), changed) == ["packer/web/http/preseed", "ansible/web.yml"]


def test_what_the_image_was_built_from_counts_even_if_the_role_no_longer_names_it() -> None:
    assert stale.changed_inputs(role("web"), image("web", "1", "", "", "old.sh"), ["old.sh"]) == ["old.sh"]


def test_the_whole_workspace_can_be_an_input() -> None:
    assert stale.changed_inputs(role("web", "", "."), image("web"), ["anything"]) == ["anything"]


@pytest.mark.parametrize(
    ("paths", "words"),
    [(["a"], "changed: a"), (["a", "b"], "changed: a and b"), (["a", "b", "c"], "changed: a and 2 more")],
)
def test_the_reason_names_what_changed(paths: list[str], words: str) -> None:
    assert stale.because_of_files(paths) == words


def of_base(version: str, created: float, state: ImageState = ImageState.GOOD) -> ImageVersion:
    return replace(image("base", version), created=created, state=state)


def test_a_newer_image_of_the_parent_is_named() -> None:
    web, built = role("web", "base"), image("web", "1", "base", "0.1.0")
    old, new = of_base("0.1.0", 1.0), of_base("0.2.0", 2.0)
    assert stale.because_of_parent(web, built, {"base": old}, old) == ""
    assert stale.because_of_parent(web, built, {"base": new}, old) == "parent base has newer good 0.2.0"
    candidate = replace(new, state=ImageState.CANDIDATE)
    assert stale.because_of_parent(web, built, {"base": candidate}, old) == "parent base has newer 0.2.0"
    assert stale.because_of_parent(web, built, {"base": new}, None) == "parent base has newer good 0.2.0"
    assert stale.because_of_parent(web, built, {}, old) == ""
    assert "now built on base" in stale.because_of_parent(web, image("web"), {}, None)


def test_what_was_built_on_a_newer_one_that_is_not_good_yet_is_not_sent_back() -> None:
    web, built = role("web", "base"), image("web", "1", "base", "0.2.0")
    good, tried = of_base("0.1.0", 1.0), of_base("0.2.0", 2.0, ImageState.CANDIDATE)
    assert stale.because_of_parent(web, built, {"base": good}, tried) == ""
    assert stale.outdated([good, tried, built]) == {}
    revoked = replace(tried, state=ImageState.REVOKED)
    said = "parent base 0.2.0 is revoked, there is 0.1.0"
    assert stale.because_of_parent(web, built, {"base": good}, revoked) == said


def test_outdated_is_what_has_a_parent_with_a_newer_good_version() -> None:
    old, new = of_base("0.1.0", 1.0), of_base("0.2.0", 2.0)
    web, again = image("web", "1", "base", "0.1.0"), image("web", "2", "base", "0.2.0")
    shop = image("shop", "1", "web", "1")
    assert stale.outdated([old, new, web, again, shop]) == {("web", "1"): "0.2.0"}
    assert stale.outdated([new, old, replace(new, version="0.1.9", created=1.5), web]) == {("web", "1"): "0.2.0"}
    for state in (ImageState.CANDIDATE, ImageState.DEPRECATED, ImageState.REVOKED):
        assert stale.outdated([old, replace(new, state=state), web]) == {}, state
    assert stale.outdated([old, replace(new, state=ImageState.RELEASED), web]) == {("web", "1"): "0.2.0"}
    assert stale.outdated([old, new, replace(web, state=ImageState.REVOKED)]) == {}
    assert stale.outdated([image("web")]) == {}


def some_image(name: str, version: str, parent: str, of: str, created: float, state: ImageState) -> ImageVersion:
    return replace(image(name, version, parent, of), created=created, state=state)


IMAGES = st.lists(
    st.builds(
        some_image,
        st.sampled_from("abc"),
        st.sampled_from("123"),
        st.sampled_from(["", "a", "b", "c"]),
        st.sampled_from("1234"),
        st.floats(0, 9),
        st.sampled_from(ImageState),
    ),
    max_size=9,
    unique_by=lambda one: (one.role, one.version),
)


@settings(deadline=None)  # a busy machine is no fault
@given(IMAGES)
def test_building_on_what_is_newer_ends_being_outdated(images: list[ImageVersion]) -> None:
    for (name, version), newer in stale.outdated(images).items():
        before = next(one for one in images if (one.role, one.version) == (name, version))
        parent = next(one for one in images if (one.role, one.version) == (before.upstream.role, newer))
        assert parent.state in (ImageState.GOOD, ImageState.RELEASED)
        assert parent.version != before.upstream.version
        rebuilt = replace(before, upstream=replace(before.upstream, version=newer))
        others = [one for one in images if one is not before]
        if parent is not before:
            assert (name, version) not in stale.outdated([*others, rebuilt])


@settings(deadline=None)  # a busy machine is no fault
@given(IMAGES)
def test_a_role_is_outdated_when_its_last_image_is(images: list[ImageVersion]) -> None:
    last = stale.newest_in(images, frozenset(ImageState))
    roles = [role(name, one.upstream.role) for name, one in last.items()]
    why = stale.why_outdated(roles, images)
    newer = stale.outdated(images)
    for name, one in last.items():
        found = newer.get((name, one.version))
        assert why.get(name, "").endswith(f"has newer good {found}" if found else "is outdated" if name in why else "")


def test_children_of_what_is_stale_are_stale_all_the_way_down() -> None:
    roles = [role("shop", "web"), role("web", "base"), role("base"), role("other")]
    assert stale.with_parents(roles, {"base": "changed: x"}, {}) == {
        "base": "changed: x",
        "web": "parent base is stale",
        "shop": "parent web is stale",
    }


def test_the_chain_below_what_is_outdated_is_outdated_and_not_stale() -> None:
    roles = [role("shop", "web"), role("web", "base"), role("base")]
    chain = [
        of_base("0.1.0", 1.0),
        of_base("0.2.0", 2.0),
        image("web", "1", "base", "0.1.0"),
        image("shop", "1", "web", "1"),
    ]
    because = {"web": "parent base has newer good 0.2.0", "shop": "parent web is outdated"}
    assert stale.why_outdated(roles, chain) == because
    assert stale.with_parents(roles, {"web": because["web"]}, because) == because
    assert stale.with_parents(roles, {"web": "changed: x"}, because)["shop"] == "parent web is stale"


def test_parents_come_before_children_and_fresh_roles_are_left_out() -> None:
    roles = [role("a-child", "z-parent"), role("z-parent", "m-root"), role("m-root"), role("fresh")]
    assert stale.order_for_rebuild(roles, {"a-child", "m-root", "z-parent"}).roles == ("m-root", "z-parent", "a-child")
    assert stale.order_for_rebuild(roles, {"a-child"}).roles == ("a-child",)


def test_a_circle_is_found_and_does_not_hide_the_others() -> None:
    order = stale.order_for_rebuild([role("a", "b"), role("b", "c"), role("c", "a"), role("d")], {"a", "b", "c", "d"})
    assert set(order.circle) == {"a", "b", "c"}
    assert order.roles == ("d",)
    assert stale.order_for_rebuild([role("x", "x")], {"x"}) == stale.Order((), ("x",))


@settings(deadline=None)  # a busy machine is no fault
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(["", *"abcdef"])), max_size=8))
def test_in_every_order_the_parent_is_before_its_child(pairs: list[tuple[str, str]]) -> None:
    roles = list({name: role(name, parent) for name, parent in pairs}.values())
    by_name = {one.name: one for one in roles}
    order = stale.order_for_rebuild(roles, by_name)
    places = {name: place for place, name in enumerate(order.roles)}
    for name, place in places.items():
        parent = stale.parent_of(by_name[name])
        if parent in places:
            assert places[parent] < place
    assert set(order.roles).isdisjoint(order.circle)
