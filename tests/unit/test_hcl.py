"""HCL2 text becomes a tree, and its expressions become values, whatever the text is."""

import time
from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.adapters import hcl, hcl_json, hcl_tree
from core.adapters.hcl_scope import Scope, variables_of
from core.adapters.hcl_tree import HclError
from core.adapters.hcl_values import MAX_TEXT, UNKNOWN, Value

TEMPLATE = """
packer {
  required_plugins {
    qemu = { version = ">= 1.0", source = "github.com/hashicorp/qemu" }
  }
}
variable "name" {
  type      = string
  default   = "web"
  sensitive = true
}
locals {
  scripts = [for one in ["a", "b"] : "${path.root}/${one}.sh"]
}
source "qemu" "web" {
  iso_url = "https://example.org/${var.name}.iso"
  boot_command = [
    "<enter>", # the menu
    <<-EOT
      install ${var.name}
    EOT
  ]
}
build {
  name    = "app"
  sources = ["source.qemu.web"]
  provisioner "shell" { scripts = local.scripts }
}
"""


def value_of(
    expression: str, variables: Mapping[str, Value] | None = None, local: Mapping[str, str] | None = None
) -> Value:
    lines = [f"{name} = {text}\n" for name, text in (local or {}).items()]
    body = hcl.parse("".join(lines) + f"x = {expression}\n")
    expressions = {attribute.name: attribute.value for attribute in body.attributes}
    return Scope(variables or {}, expressions, root="/repo/packer").value(expressions["x"])


def test_blocks_keep_their_labels_lines_and_attributes() -> None:
    body = hcl.parse(TEMPLATE)
    assert [(block.type, block.labels) for block in body.blocks] == [
        ("packer", ()),
        ("variable", ("name",)),
        ("locals", ()),
        ("source", ("qemu", "web")),
        ("build", ()),
    ]
    source = next(body.of_type("source"))
    assert source.line == 15
    url = source.body.attribute("iso_url")
    assert url is not None
    assert url.line == 16
    assert Scope({"name": "db"}, {}).value(url.value) == "https://example.org/db.iso"


def test_a_tree_survives_being_kept() -> None:
    body = hcl.parse(TEMPLATE)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(body), type=hcl_tree.Body) == body


@pytest.mark.parametrize("form", ["\ufeff{}", "{}", "{}\n\n"])
def test_byte_order_marks_and_windows_newlines_change_nothing(form: str) -> None:
    text = form.format(TEMPLATE.replace("\n", "\r\n")) if form != "{}" else TEMPLATE
    body = hcl.parse(hcl.decode(text.encode()))
    assert [block.type for block in body.blocks] == [block.type for block in hcl.parse(TEMPLATE).blocks]
    assert [block.line for block in body.blocks] == [block.line for block in hcl.parse(TEMPLATE).blocks]


def test_the_json_form_means_the_same_as_the_native_one() -> None:
    body = hcl_json.from_json(
        """{
          "variable": {"name": {"default": "web"}},
          "source": {"qemu": {"web": {"iso_url": "https://example.org/${var.name}.iso"}}},
          "build": [{"name": "app", "sources": ["source.qemu.web"], "provisioner": [{"shell": {"inline": ["true"]}}]}]
        }"""
    )
    assert [(block.type, block.labels) for block in body.blocks] == [
        ("variable", ("name",)),
        ("source", ("qemu", "web")),
        ("build", ()),
    ]
    url = body.blocks[1].body.attribute("iso_url")
    assert url is not None
    assert Scope({"name": "db"}, {}).value(url.value) == "https://example.org/db.iso"
    assert body.blocks[2].body.blocks[0].labels == ("shell",)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('build {\n  sources = ["a"]\n', 2, "in line 1 is not closed"),
        ("a = 1\nb = = 2\n", 2, "cannot stand here"),
        ("a = 1\n}\n", 2, "line 2 is one too many"),
        ('a = "one\nb = 2\n', 1, "quote"),
        ("a = <<EOT\nnever closed\n", 1, ""),
        ("source qemu web\nbuild {}\n", 2, "“build” cannot stand here"),
    ],
)
def test_what_does_not_parse_names_the_line_and_a_fix(text: str, line: int, said: str) -> None:
    with pytest.raises(HclError) as raised:
        hcl.parse(text)
    assert raised.value.line == line
    assert said in f"{raised.value.reason} {raised.value.fix}"


def test_broken_json_names_the_line_and_a_fix() -> None:
    with pytest.raises(HclError) as raised:
        hcl_json.load_json('{\n  "builders": [],\n}')
    assert raised.value.line in (2, 3)
    assert "last entry" in raised.value.fix


def test_bytes_that_are_no_text_name_the_line() -> None:
    with pytest.raises(HclError) as raised:
        hcl.decode(b"a = 1\nb = \xff\n")
    assert raised.value.line == 2


@pytest.mark.parametrize("unit", ["[", "(", "{ a = ", "!", "-", 'f("${', "a ? b : "])
def test_deep_nesting_is_refused_and_never_overflows(unit: str) -> None:
    with pytest.raises(HclError):
        hcl.parse(f"x = {unit * 5_000}")
    closing = {"[": "]", "(": ")", "{ a = ": "}"}.get(unit)
    if closing:
        with pytest.raises(HclError, match="nested"):
            hcl.parse(f"x = {unit * 5_000}1{closing * 5_000}")


def test_json_nested_deeply_is_refused() -> None:
    with pytest.raises(HclError):
        hcl_json.from_json('{"a":' * 100_000 + "1" + "}" * 100_000)
    with pytest.raises(HclError, match="nested"):
        hcl_json.from_json('{"a":' * 200 + "1" + "}" * 200)


def test_a_huge_file_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(HclError, match="more than"):
        hcl.parse("a = 1\n" * 200_000)


def outcome(text: str) -> hcl_tree.Body | HclError:
    try:
        return hcl.parse(text)
    except HclError as error:
        return error


@settings(deadline=None)  # a busy machine is no fault
@given(st.text(max_size=300))
def test_no_text_whatever_crashes_the_reader(text: str) -> None:
    found = outcome(text)
    assert isinstance(found, hcl_tree.Body) or found.reason


@settings(deadline=None)  # a busy machine is no fault
@given(
    st.integers(0, len(TEMPLATE)),
    st.integers(0, 60),
    st.sampled_from(["", "{", "}", '"', "${", "%{", "<<X\n", "[", "]", "=", "\0", "\u202e", "*/", "/*", "...", "\\"]),
)
def test_a_damaged_template_is_read_or_refused(at: int, gone: int, put: str) -> None:
    damaged = TEMPLATE[:at] + put + TEMPLATE[at + gone :]
    found = outcome(damaged)
    if isinstance(found, hcl_tree.Body):
        variables_of(found)
    else:
        assert found.reason
        assert found.line is None or 1 <= found.line <= damaged.count("\n") + 1


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ('"a${1 + 2}b"', "a3b"),
        ('"$${not}"', "${not}"),
        ('"${path.root}/x.sh"', "/repo/packer/x.sh"),
        ("[1, 2, 3][1]", 2),
        ('{ a = "b", "c" = "d" }["c"]', "d"),
        ('lookup({ a = "b" }, "z", "none")', "none"),
        ('[for k, v in { a = "b" } : "${k}=${v}"]', ["a=b"]),
        ('{ for one in ["a", "b"] : one => upper(one) if one != "a" }', {"b": "B"}),
        ('var.os == "windows" ? ["w.ps1"] : concat(["a"], ["b"])', ["a", "b"]),
        ('join(",", split(" ", "a b"))', "a,b"),
        ('format("%s-%d", "a", 3)', "a-3"),
        ('replace("a.b", ".", "-")', "a-b"),
        ('trimprefix("source.qemu.web", "source.")', "qemu.web"),
        ("!true || 1 < 2 && -3 + 3 == 0", True),
        ('length(flatten([["a"], [["b"]]]))', 2),
        ("null", None),
    ],
)
def test_expressions_that_are_certain_are_worked_out(expression: str, expected: Value) -> None:
    assert value_of(expression, {"os": "debian"}) == expected


@pytest.mark.parametrize(
    "expression",
    [
        "var.nobody",
        'env("HOME")',
        "timestamp()",
        'file("secret")',
        "data.amazon-ami.debian.id",
        '"${timestamp()}.iso"',
        'var.nobody ? "a" : "b"',
        'replace("a", "/(a+)+$/", "b")',
        "1 / 0",
        "join(1, 2, 3)",
        "local.x",
        '"%{ if true }a%{ endif }"',
        "[1][9]",
    ],
)
def test_what_is_not_certain_is_unknown(expression: str) -> None:
    assert value_of(expression) is UNKNOWN


def test_locals_are_found_in_any_order_and_circles_are_unknown() -> None:
    assert value_of("local.a", local={"a": "local.b", "b": '"found"'}) == "found"
    assert value_of("local.a", local={"a": "local.b", "b": "local.a"}) is UNKNOWN


def test_paths_that_functions_would_read_are_noted_and_not_read() -> None:
    body = hcl.parse('x = templatefile("${path.root}/user-data.tpl", { name = "a" })')
    scope = Scope({}, {}, root="/repo")
    assert scope.value(body.attributes[0].value) is UNKNOWN
    assert list(scope.files) == ["/repo/user-data.tpl"]


def test_text_that_doubles_itself_is_cut_short() -> None:
    doubling = {f"l{number}": f'"${{local.l{number - 1}}}${{local.l{number - 1}}}"' for number in range(1, 45)}
    found = value_of("local.l44", local={"l0": f'"{"x" * 100}"', **doubling})
    assert found is UNKNOWN or len(str(found)) <= MAX_TEXT


def test_lists_that_double_themselves_are_cut_short() -> None:
    doubling = {f"l{number}": f"[local.l{number - 1}, local.l{number - 1}]" for number in range(1, 45)}
    started = time.process_time()
    assert value_of("length(flatten(local.l44))", local={"l0": '["x"]', **doubling}) is UNKNOWN
    assert time.process_time() - started < 5  # not a measurement: without the bound it takes years


@settings(deadline=None)  # a busy machine is no fault
@given(st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab$}", max_size=4), st.lists))
def test_variable_files_give_their_values_back(value: object) -> None:
    text = msgspec.json.encode(value).decode()
    assert variables_of(hcl.parse(f"x = {text}"))["x"] == value
