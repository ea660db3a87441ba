"""ingot.toml: what it says counts; what is wrong in it names the line and the fix, and hides nothing else."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import config
from core.model.role import Upstream, UpstreamKind

WHOLE = b"""\
id = "shop"
name = "The shop"
ignore = ["old", "packer/*/attic"]

[discovery]
enabled = true

[version]
tag-prefix = "v"

[ledger]
remote = "origin"

[build]
variables = { headless = true }
outside = ["secrets.pkrvars.hcl"]

[roles.base]
template = "./packer/base/"

[roles.base.upstream]
distribution = "debian"
suite = "bookworm"
packages = ["python3-apt"]
disk-size = "4G"

[roles.web]
template = "packer/web"
variable-files = ["packer/web/small.pkrvars.hcl"]
variables = { cpus = 2, name = "web" }
builds = ["qemu.web"]
upstream = { role = "base" }
outside = ["web.key"]
playbooks = ["ansible/web.yml"]

[roles.db]
upstream = { url = "https://example.org/db.img", checksum = "file:https://example.org/SHA256SUMS" }
"""


def test_every_key_is_read() -> None:
    found = config.parse(WHOLE)
    assert found.problems == ()
    assert (found.id, found.name, found.tag_prefix, found.ledger_remote) == ("shop", "The shop", "v", "origin")
    assert found.ignore == ("old", "packer/*/attic")
    assert found.variables == {"headless": "true"}
    assert found.outside == ("secrets.pkrvars.hcl",)
    base, web, db = found.roles["base"], found.roles["web"], found.roles["db"]
    assert base.template == "packer/base"
    assert base.upstream == Upstream(
        UpstreamKind.ARCHIVE, distribution="debian", suite="bookworm", packages=("python3-apt",), disk_size="4G"
    )
    assert web.variable_files == ("packer/web/small.pkrvars.hcl",)
    assert web.variables == {"cpus": "2", "name": "web"}
    assert web.builds == ("qemu.web",)
    assert web.upstream == Upstream(UpstreamKind.ROLE, role="base")
    assert web.outside == ("web.key",)
    assert web.playbooks == ("ansible/web.yml",)
    assert db.upstream is not None
    assert db.upstream.kind is UpstreamKind.FILE


def test_dashes_and_underscores_are_the_same_in_keys() -> None:
    assert config.parse(WHOLE.replace(b"disk-size", b"disk_size")).roles == config.parse(WHOLE).roles


def test_without_a_file_everything_has_its_default(tmp_path: Path) -> None:
    assert config.load(tmp_path) == config.Configuration()
    assert config.Configuration().tag_prefix == "release-"


@pytest.mark.parametrize(
    ("content", "line", "reason", "fix"),
    [
        ('nmae = "x"', 1, "'nmae' is not known in the file", "Did you mean 'name'?"),
        ("\n[vresion]\n", 2, "'vresion' is not known", "Did you mean 'version'?"),
        ('[roles.web]\n\ntemplat = "x"', 3, "'templat' is not known in [roles.web]", "Did you mean 'template'?"),
        ('[roles.web]\nvariable-file = ["a"]', 2, "'variable-file'", "Did you mean 'variable-files'?"),
        (
            '[roles.web]\nvariable-files = ["a"]\nvariable_files = ["b"]',
            3,
            "'variable_files' is there twice, with “-” and with “_”",
            "Take one of them away.",
        ),
        ('[roles.web]\nupstream = { rol = "b" }', 2, "'rol' is not known", "Did you mean 'role'?"),
        ("[version]\ntag-prefix = 3", 2, "version.tag-prefix: must be text", 'tag-prefix = "…"'),
        ("ignore = 'x'", 1, "must be a list of texts", 'ignore = ["…"]'),
        ("[discovery]\nenabled = 'no'", 2, "must be true or false", "enabled = false"),
        ('[roles."a b"]\n', 1, "cannot be the name of a role", "'a-b'"),
        ("[roles.web]\ntemplate = '../other'", 2, "no path inside the workspace", "relative to"),
        ("[roles.web]\ntemplate = '/etc'", 2, "no path inside the workspace", "relative to"),
        ("[roles.web]\nupstream = {}", 2, "an upstream is one of", 'role = "base"'),
        ("[roles.web.upstream]\nurl = 'http://a/b'", 1, "needs a checksum", "sha256:"),
        ("[roles.web.upstream]\nurl = 'http://a/b'\nchecksum = 'md5:1'", 3, "needs a checksum that counts", "sha256:"),
        (
            "[roles.web.upstream]\nurl = 'ftp://a/b'\nchecksum = 'file:x'",
            2,
            "neither an http(s) URL nor",
            "relative to",
        ),
        ("[roles.web.upstream]\ndistribution = 'debian'", 1, "needs its suite", 'suite = "bookworm"'),
        ("[roles.web.upstream]\nrole = 'a'\nsuite = 'b'", 3, "'suite' means nothing beside 'role'", "Take it away"),
        ("[roles.web.variables]\nlist = [1]", 2, "must be text, a number", 'list = "…"'),
        ("[ledger]\nremote = '--upload-pack=x'", 2, "no name of a Git remote", "git remote"),
        ("name = 'a'\n[build\n", 2, "not valid TOML", "docs/workspace.md"),
        ("roles = 3", 1, "must be a table", "[roles.web]"),
    ],
)
def test_what_is_wrong_names_the_line_and_the_fix(content: str, line: int, reason: str, fix: str) -> None:
    found = config.parse(content.encode())
    assert [(one.path, one.line) for one in found.problems] == [("ingot.toml", line)]
    assert reason in found.problems[0].reason
    assert fix in found.problems[0].fix


def test_a_mistake_in_one_role_is_a_problem_of_that_role_and_leaves_the_others() -> None:
    found = config.parse(b'[roles.a]\ntemplat = "x"\n[roles.b]\ntemplate = "y"\n')
    assert len(found.roles["a"].problems) == 1
    assert found.roles["b"].problems == ()
    assert found.roles["b"].template == "y"


def test_a_file_that_is_no_text_is_a_problem_with_its_line() -> None:
    found = config.parse(b'name = "a"\nid = "\xff"\n')
    assert [(one.line, one.reason) for one in found.problems] == [(2, "it is not valid UTF-8")]


def test_a_link_out_of_the_workspace_is_not_read(tmp_path: Path) -> None:
    outside = tmp_path / "outside.toml"
    outside.write_text('name = "stolen"')
    root = tmp_path / "root"
    root.mkdir()
    (root / "ingot.toml").symlink_to(outside)
    found = config.load(root)
    assert found.name == ""
    assert "leads out of the workspace" in found.problems[0].reason


@settings(deadline=None)  # a busy machine is no fault
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_no_content_whatever_raises(content: bytes) -> None:
    config.parse(content)


@settings(deadline=None)  # a busy machine is no fault
@given(
    st.integers(0, len(WHOLE)), st.integers(0, 30), st.sampled_from([b"", b"[", b"]", b'"', b"=", b"{", b"\n", b"."])
)
def test_a_damaged_file_never_raises(at: int, gone: int, put: bytes) -> None:
    for problem in config.parse(WHOLE[:at] + put + WHOLE[at + gone :]).problems:
        assert problem.reason


def test_only_what_a_role_is_built_from_makes_its_part_different() -> None:
    before = b'name = "a"\n[roles.web]\nvariables = { cpus = 1 }\n[roles.db]\ntemplate = "db"\n'
    assert not config.differs_for("web", before, before.replace(b'"a"', b'"b"'))
    assert not config.differs_for("web", before, before.replace(b'"db"', b'"database"'))
    assert config.differs_for("web", before, before.replace(b"cpus = 1", b"cpus = 2"))
    assert config.differs_for("web", before, b"")
    assert config.differs_for("web", before, before + b"[build]\nvariables = { all = 1 }\n")
