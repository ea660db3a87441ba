"""What is found in repositories of the shapes that people really have, with nobody having prepared them."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import repository as repositories
from msgspec.structs import replace
from repository import write

from core.adapters.git import GitRepository
from core.errors import WorkspaceError
from core.model.image import ImageState, ImageVersion, UpstreamRecord
from core.model.role import Role, UpstreamKind
from core.model.workspace import Catalogue
from core.places import Places
from core.services import catalogue
from core.services.catalogue import discover
from core.services.staleness import why_stale
from core.store.index import Index
from core.store.ledger import Ledger

Make = Callable[[Mapping[str, str]], Path]


ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.org",
}  # fmt: skip


def git(root: Path, *words: str) -> str:
    return repositories.git(root, *words, environment=ENVIRONMENT)


def commit(root: Path, files: Mapping[str, str]) -> str:
    return repositories.commit(root, files, environment=ENVIRONMENT)


@pytest.fixture
def repository(tmp_path: Path) -> Make:
    def make(files: Mapping[str, str]) -> Path:
        root = tmp_path / "shop"
        root.mkdir(exist_ok=True)
        git(root, "init", "-q", "-b", "main")
        commit(root, files)
        return root

    return make


def template(source: str = "web", *, more: str = "", variables: str = "", body: str = "") -> str:
    return f"""
{variables}
source "null" "{source}" {{
  communicator = "none"
  {body}
}}
build {{
  sources = ["source.null.{source}"]
  {more}
}}
"""


def builder(**more: object) -> str:
    return json.dumps({"builders": [{"type": "null", "communicator": "none"}], **more})


def named(found: Catalogue, name: str) -> Role:
    role = found.role(name)
    assert role is not None, [one.name for one in found.roles]
    return role


def names(found: Catalogue) -> list[str]:
    return [role.name for role in found.roles]


def test_a_directory_is_a_role_with_its_playbook_and_all_that_it_is_made_of(repository: Make) -> None:
    root = repository(
        {
            "packer/web/web.pkr.hcl": template(
                variables='variable "size" {}\nvariable "password" {\n  sensitive = true\n  default = "x"\n}',
                body='http_directory = "${path.root}/http"\n  user_data = templatefile("${path.root}/user-data", {})',
                more="""
                provisioner "shell" { script = "${path.root}/../common/clean.sh" }
                provisioner "ansible" {
                  playbook_file = "ansible/web.yml"
                  extra_arguments = ["--extra-vars", "@ansible/web.json"]
                }
                """,
            ),
            "packer/web/defaults.auto.pkrvars.hcl": 'size = "4G"',
            "packer/web/http/preseed": "",
            "packer/web/user-data": "",
            "packer/web/unused.sh": "",
            "packer/common/clean.sh": "",
            "ansible/web.yml": "- hosts: all\n  roles:\n    - nginx\n",
            "ansible/web.json": "{}",
            "ansible/roles/nginx/tasks/main.yml": "- include_role:\n    name: tls\n",
            "ansible/roles/tls/tasks/main.yml": "",
            "ansible/roles/postgresql/tasks/main.yml": "",
        }
    )
    found = discover(root)
    role = named(found, "web")
    assert names(found) == ["web"]
    assert role.template == "packer/web"
    assert [build.name for build in role.builds] == ["null.web"]
    assert role.provisioners == ("shell", "ansible")
    assert role.playbooks == ("ansible/web.yml",)
    assert role.declares == ("size", "password")
    assert role.sensitive == ("password",)
    assert role.variable_files == ()
    assert role.problems == ()
    assert set(role.inputs) == {
        "packer/web/web.pkr.hcl",
        "packer/web/defaults.auto.pkrvars.hcl",
        "packer/web/http",
        "packer/web/user-data",
        "packer/common/clean.sh",
        "ansible/web.yml",
        "ansible/web.json",
        "ansible/roles/nginx",
        "ansible/roles/tls",
    }


def test_each_variable_file_is_a_role_of_its_own(repository: Make) -> None:
    files = {f"os/debian/debian-{number}.pkrvars.hcl": f'os = "debian-{number}"\n' for number in range(100)}
    root = repository(
        {
            **files,
            "templates/build.pkr.hcl": template(
                variables='variable "os" {}\nvariable "scripts" { default = null }',
                more="""
                provisioner "shell" {
                  scripts = var.scripts == null ? ["${path.root}/${var.os}.sh"] : var.scripts
                }
                """,
            ),
            "templates/debian-7.sh": "",
            "os/debian/example.pkrvars.hcl": 'os = "copy me"',
        }
    )
    found = discover(root)
    assert names(found) == [f"debian-{number}" for number in range(100)]
    assert named(found, "debian-7").variable_files == ("os/debian/debian-7.pkrvars.hcl",)
    assert "templates/debian-7.sh" in named(found, "debian-7").inputs
    assert "templates/debian-7.sh" not in named(found, "debian-8").inputs


def test_a_shared_variable_file_goes_before_each_of_the_others(repository: Make) -> None:
    root = repository(
        {
            "web/web.pkr.hcl": template(variables='variable "a" {}\nvariable "b" {}'),
            "web/common.pkrvars.hcl": 'a = "1"',
            "web/prod.pkrvars.hcl": 'b = "1"',
            "web/test.pkrvars.json": '{"b": "2"}',
        }
    )
    found = discover(root)
    assert names(found) == ["web-prod", "web-test"]
    assert named(found, "web-test").variable_files == ("web/common.pkrvars.hcl", "web/test.pkrvars.json")


def test_files_that_clash_are_templates_each_by_itself_and_others_are_one(repository: Make) -> None:
    variables = 'variable "iso" { default = "x" }'
    root = repository(
        {
            "windows-2019.pkr.hcl": template("w2019", variables=variables),
            "windows-2022.pkr.hcl": template("w2022", variables=variables),
            "linux/sources.pkr.hcl": 'source "null" "a" {\n  communicator = "none"\n}\n',
            "linux/debian.pkr.hcl": 'build {\n  name = "debian"\n  sources = ["null.a"]\n}\n',
            "linux/ubuntu.pkr.hcl": 'build {\n  name = "ubuntu"\n  sources = ["sources.null.a"]\n}\n',
        }
    )
    found = discover(root)
    assert names(found) == ["linux", "windows-2019", "windows-2022"]
    assert named(found, "windows-2019").template == "windows-2019.pkr.hcl"
    assert [build.name for build in named(found, "linux").builds] == ["debian.null.a", "ubuntu.null.a"]


def test_json_templates_in_deep_folders_with_variable_files(repository: Make) -> None:
    root = repository(
        {
            **{f"CentOS/{number}/server/packer.json": builder() for number in range(5, 9)},
            **{f"data/{number}.json": json.dumps({"builders": "none of ours"}) for number in range(50)},
            "angular.json": json.dumps({"builders": [{"name": "not Packer's"}]}),
            "big.json": json.dumps({"data": "x" * 3_000_000, "builders": []}),
            "ubuntu/ubuntu.json": builder(variables={"version": "", "unused": None}),
            "ubuntu/ubuntu-legacy.json": builder(variables={"version": ""}),
            "ubuntu/ubuntu1404.json": json.dumps({"_comment": "for ubuntu-legacy.json", "version": "14.04"}),
            "ubuntu/ubuntu2204.json": json.dumps({"version": "22.04"}),
            "ubuntu/manifest.json": json.dumps({"builds": [], "last_run_uuid": ""}),
            "secret.json": builder(**{"sensitive-variables": ["token"], "variables": {"token": None}}),
        }
    )
    found = discover(root)
    assert names(found) == [
        "CentOS-5-server",
        "CentOS-6-server",
        "CentOS-7-server",
        "CentOS-8-server",
        "secret",
        "ubuntu1404",
        "ubuntu2204",
    ]
    assert named(found, "ubuntu1404").template == "ubuntu/ubuntu-legacy.json"
    assert named(found, "ubuntu2204").template == "ubuntu/ubuntu.json"
    assert named(found, "secret").sensitive == ("token",)
    assert found.problems == ()


def test_what_does_not_parse_is_shown_with_its_line_and_hides_nothing(repository: Make) -> None:
    root = repository(
        {
            "good/good.pkr.hcl": template(),
            "bad/bad.pkr.hcl": 'source "null" "x" {\n  a = = 1\n}\n',
            "json/broken.json": '{\n  "builders": [],\n  "provisioners": [,]\n}',
            "vars/vars.pkr.hcl": template(variables='variable "a" {}'),
            "vars/wrong.pkrvars.hcl": 'a = "1\n',
            "unknown/unknown.pkr.hcl": 'build {\n  sources = ["null.nobody"]\n}\n',
            "open/open.pkr.hcl": 'variable "s" {}\nbuild {\n  sources = var.s\n}\n',
            "lonely/lonely.pkr.hcl": 'source "null" "x" {\n}\n',
            "empty/empty.pkr.hcl": "build {\n}\n",
            "many/many.pkr.hcl": 'source "null" "a" {\n}\nbuild {\n  dynamic "source" {\n    for_each = []\n  }\n}\n',
            "plugins/config.pkr.hcl": "packer {\n  required_plugins {\n  }\n}\n",
            "text/latin.pkr.hcl": "",
        }
    )
    (root / "text/latin.pkr.hcl").write_bytes(b"# caf\xe9\n")
    found = discover(root)
    assert {role.name: [(one.path, one.line) for one in role.problems] for role in found.roles} == {
        "bad": [("bad/bad.pkr.hcl", 2)],
        "broken": [("json/broken.json", 3)],
        "empty": [("empty/empty.pkr.hcl", 1)],
        "good": [],
        "lonely": [("lonely/lonely.pkr.hcl", 1)],
        "many": [("many/many.pkr.hcl", 4)],
        "open": [("open/open.pkr.hcl", 3)],
        "text": [("text/latin.pkr.hcl", 1)],
        "unknown": [("unknown/unknown.pkr.hcl", 2)],
        "wrong": [("vars/wrong.pkrvars.hcl", 1)],
    }
    for role in found.roles:
        for problem in role.problems:
            assert problem.reason
            assert problem.fix


def test_nothing_in_the_repository_is_executed(repository: Make, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    command = f"touch {canary}"
    root = repository(
        {
            "web/web.pkr.hcl": template(
                body='x = file("${path.root}/run.sh")',
                more=f'provisioner "shell-local" {{ inline = ["{command}", "./web/run.sh"] }}',
            ),
            "web/run.sh": f"#!/bin/sh\n{command}\n",
            "web.json": builder(variables={"a": "{{env `HOME`}}", "b": f"{{{{ consul_key `{command}` }}}}"}),
            ".gitattributes": "* filter=evil\n",
        }
    )
    (root / "web/run.sh").chmod(0o755)
    hook = root / ".git/hooks/post-index-change"
    hook.write_text(f"#!/bin/sh\n{command}\n")
    hook.chmod(0o755)
    for key in ("core.fsmonitor", "filter.evil.clean", "filter.evil.process", "diff.external", "core.pager"):
        git(root, "config", key, command)
    write(root, {"web/web.pkr.hcl": (root / "web/web.pkr.hcl").read_text() + "\n"})
    found = discover(root)
    assert names(found) == ["web", "web-2"]
    assert not canary.exists()


def test_what_git_ignores_submodules_and_tools_directories_are_left_out(repository: Make, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    git(inner, "init", "-q")
    commit(inner, {"inner/inner.pkr.hcl": template()})
    root = repository({"web/web.pkr.hcl": template(), ".gitignore": "build/\n"})
    git(root, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "sub")
    write(
        root,
        {
            "build/ignored.pkr.hcl": template(),
            "node_modules/x/x.pkr.hcl": template(),
            "vendor/y/y.pkr.hcl": template(),
            "new/new.pkr.hcl": template(),
        },
    )
    assert names(discover(root)) == ["new", "web"]


def test_hostile_files_neither_stop_nor_deceive(tmp_path: Path) -> None:
    root = tmp_path / "place"
    outside = tmp_path / "outside"
    write(outside, {"stolen.pkr.hcl": template(), "dir/inner.pkr.hcl": template()})
    write(
        root,
        {
            "good/good.pkr.hcl": template(more='provisioner "shell" { script = "../../outside/stolen.pkr.hcl" }'),
            "--help/x.pkr.hcl": template(),
            "\u202egnp.exe\n/x.pkr.hcl": template(),
            "a/../b/x.pkr.hcl": template(),
            f"{'long' * 50}/x.pkr.hcl": template(),
            "deep/deep.pkr.hcl": "x = " + "[" * 3000 + "]" * 3000,
        },
    )
    os.mkfifo(root / "fifo.pkr.hcl")
    os.mkfifo(root / "fifo.json")
    (root / "loop").symlink_to(root)
    (root / "dangling.pkr.hcl").symlink_to("nowhere")
    (root / "link").mkdir()
    (root / "link/link.pkr.hcl").symlink_to(outside / "stolen.pkr.hcl")
    (root / "dir").symlink_to(outside / "dir")
    (root / "bad").mkdir()
    Path(os.fsdecode(os.fsencode(root / "bad") + b"/\xff.pkr.hcl")).write_text(template())
    with (root / "huge.pkr.hcl").open("wb") as file:
        file.truncate(50_000_000)
    with (root / "huge.json").open("wb") as file:
        file.write(b'{"builders": [{"type": "null"}], "x": "')
        file.truncate(50_000_000)
    found = discover(root)
    assert named(found, "good").problems == ()
    assert named(found, "good").inputs == ("good/good.pkr.hcl",)
    assert [role.name for role in found.roles if role.template.startswith("--help")] == ["help"]
    assert not [role for role in found.roles if role.builds and role.template.startswith(("dir", "link", "loop"))]
    assert "leads out of the workspace" in str(named(found, "link").problems)
    assert "nested" in str(named(found, "deep").problems)
    assert "UTF-8" in str(found.problems)
    for name in names(found):
        assert name.isascii()
        assert len(name) <= 64
        assert not name.startswith("-")
    json.dumps(catalogue.as_json(found))


def test_a_tracked_file_that_became_something_else_does_not_block(repository: Make) -> None:
    root = repository({"web/web.pkr.hcl": template(), "web/web.json": builder(), "good/good.pkr.hcl": template()})
    for name in ("web/web.pkr.hcl", "web/web.json"):
        (root / name).unlink()
        os.mkfifo(root / name)
    (root / "ingot.toml").symlink_to("/dev/zero")
    found = discover(root)
    assert named(found, "good").problems == ()
    assert "not a plain file" in str(named(found, "web").problems)


def test_upstreams_are_read_where_they_are_certain(repository: Make) -> None:
    digest = "A" * 64
    root = repository(
        {
            "file/file.pkr.hcl": template(
                body=f'iso_url = "https://example.org/${{var.v}}.iso"\n  iso_checksum = "{digest}"',
                variables='variable "v" { default = "12" }',
            ),
            "sums/sums.pkr.hcl": template(
                body='iso_urls = ["missing.iso", "http://e.org/a"]\n  iso_checksum = "file:http://e.org/S"'
            ),
            "weak/weak.pkr.hcl": template(body='iso_url = "http://e.org/a"\n  iso_checksum = "md5:00"'),
            "none/none.pkr.hcl": template(body='iso_url = "http://e.org/a"\n  iso_checksum = "none"'),
            "given/given.pkr.hcl": template(
                body='iso_url = var.ingot_upstream\n  iso_checksum = "file:x"', variables='variable "ingot_upstream" {}'
            ),
            "old.json": json.dumps(
                {
                    "variables": {"url": "http://e.org/old.iso"},
                    "builders": [
                        {
                            "type": "qemu",
                            "iso_url": "{{user `url`}}",
                            "iso_checksum": "b" * 128,
                            "iso_checksum_type": "sha512",
                        }
                    ],
                }
            ),
        }
    )
    found = discover(root)
    upstreams = {role.name: role.upstream for role in found.roles}
    assert upstreams["file"].url == "https://example.org/12.iso"
    assert upstreams["file"].checksum == f"sha256:{digest.lower()}"
    assert (upstreams["sums"].url, upstreams["sums"].checksum) == ("http://e.org/a", "file:http://e.org/S")
    assert upstreams["old"].checksum == f"sha512:{'b' * 128}"
    for name in ("weak", "none", "given"):
        assert upstreams[name].kind is UpstreamKind.TEMPLATE


def test_ingot_toml_refines_renames_and_adds(repository: Make) -> None:
    root = repository(
        {
            "packer/base/x.pkr.hcl": template("base"),
            "packer/web/x.pkr.hcl": template(variables='variable "size" {}'),
            "packer/web/small.pkrvars.hcl": 'size = "1"',
            "attic/old.pkr.hcl": template(),
            "ingot.toml": """
id = "the-shop"
ignore = ["attic"]
[roles.frontend]
template = "packer/web"
variable-files = ["packer/web/small.pkrvars.hcl"]
variables = { size = 3 }
builds = ["null.web"]
upstream = { role = "base" }
[roles.again]
template = "attic/old.pkr.hcl"
""",
        }
    )
    found = discover(root)
    assert found.workspace.id == "the-shop"
    assert names(found) == ["again", "base", "frontend"]
    frontend = named(found, "frontend")
    assert frontend.upstream.role == "base"
    assert frontend.variables == {"size": "3"}
    assert frontend.problems == ()
    assert found.problems == ()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("[roles.wbe]\n", "Did you mean 'web'?"),
        ('[roles.x]\ntemplate = "packer/wbe"\n', "Did you mean 'packer/web'?"),
        ('[roles.web]\nbuilds = ["null.wbe"]\n', "Did you mean 'null.web'?"),
        ('[roles.web]\nvariable-files = ["nowhere.pkrvars.hcl"]\n', "“outside”"),
        ('[roles.web]\nupstream = { role = "bsae" }\n', "Did you mean 'base'?"),
        ('[roles.web]\nupstream = { role = "base" }\n[roles.base]\nupstream = { role = "web" }\n', "in a circle"),
        ("[roles.web]\nvariabels = {}\n", "Did you mean 'variables'?"),
        ('[roles.web]\nupstream = { ami = { owners = ["self"], name = "x-*" } }\n', "ingot_upstream"),
        (
            '[roles.web]\nupstream = { url = "https://a/d", signature = "https://a/d.sig", key = "a.asc" }\n',
            "ingot_upstream",
        ),
    ],
)
def test_what_ingot_toml_says_of_what_is_not_there_names_line_and_fix(
    repository: Make, settings: str, said: str
) -> None:
    files = {
        "packer/web/x.pkr.hcl": template(),
        "packer/base/x.pkr.hcl": template("base"),
        "ingot.toml": f"\n{settings}",
    }
    found = discover(repository(files))
    problems = [*found.problems, *(problem for role in found.roles for problem in role.problems)]
    assert any(said in f"{problem.reason} {problem.fix}" for problem in problems)
    assert all(problem.path == "ingot.toml" and problem.line for problem in problems)
    assert {"base", "web"} <= set(names(found))


def test_a_key_is_one_of_the_things_that_a_role_is_built_from(repository: Make) -> None:
    root = repository(
        {
            "web/x.pkr.hcl": template(variables='variable "ingot_upstream" {}'),
            "keys/vendor.asc": "a key",
            "ingot.toml": '[roles.web.upstream]\nurl = "https://a/d"\n'
            'checksum = "file:media/SUMS"\nkey = "keys/vendor.asc"',
        }
    )
    web = named(discover(root), "web")
    assert web.problems == ()
    assert {"keys/vendor.asc", "media/SUMS"} <= set(web.inputs)


@pytest.mark.parametrize("name", ["a/b", "../../../images", "..", ".web", "my web", "x" * 300])
def test_a_build_whose_name_is_no_file_name_is_a_problem(repository: Make, name: str) -> None:
    """It is one, in what a run keeps: `keys/<name>` is removed with all that is in it."""
    given = json.dumps(name)
    inline = f'source "source.null.web" {{\n name = {json.dumps(f"a/{name}")}\n }}'
    root = repository(
        {
            "prefix/prefix.pkr.hcl": template().replace("build {", f"build {{\n  name = {given}"),
            "inline/inline.pkr.hcl": template().replace('sources = ["source.null.web"]', inline),
            "old.json": json.dumps({"builders": [{"type": "null", "name": name}]}),
            "open.json": json.dumps({"builders": [{"type": "null", "name": "x-{{env `CHANNEL`}}"}]}),
            "ingot.toml": f"[roles.open]\nbuilds = [{given}]\n",
        }
    )
    found = discover(root)
    for role, path in (
        ("prefix", "prefix/prefix.pkr.hcl"),
        ("inline", "inline/inline.pkr.hcl"),
        ("old", "old.json"),
        ("open", "ingot.toml"),
    ):
        (problem,) = named(found, role).problems
        assert problem.path == path
        assert "cannot be the name of a file" in problem.reason
        assert "letters, digits" in problem.fix


def test_builds_that_the_template_leaves_open_can_be_named(repository: Make) -> None:
    root = repository(
        {
            "hcl/open.pkr.hcl": 'variable "s" {}\n' + template().replace('["source.null.web"]', "var.s"),
            "old.json": json.dumps({"builders": [{"type": "qemu", "name": "x-{{env `CHANNEL`}}"}]}),
            "comma.json": json.dumps({"builders": [{"type": "qemu", "name": "a,b"}]}),
        }
    )
    found = discover(root)
    for name in ("open", "old"):
        assert "depends on a value" in named(found, name).problems[0].reason
    assert "-only=" in named(found, "comma").problems[0].reason
    commit(root, {"ingot.toml": '[roles.open]\nbuilds = ["null.web"]\n[roles.old]\nbuilds = ["x-stable"]\n'})
    found = discover(root)
    for name, build, kind in (("open", "null.web", "null"), ("old", "x-stable", "qemu")):
        assert named(found, name).problems == ()
        assert [(one.name, one.kind) for one in named(found, name).builds] == [(build, kind)]


def test_discovery_can_be_switched_off(repository: Make) -> None:
    settings = '[discovery]\nenabled = false\n[roles.web]\ntemplate = "web"\n'
    root = repository({"web/x.pkr.hcl": template(), "db/x.pkr.hcl": template(), "ingot.toml": settings})
    assert names(discover(root)) == ["web"]


def test_clones_and_worktrees_are_one_workspace(repository: Make, tmp_path: Path) -> None:
    root = repository({"web/web.pkr.hcl": template()})
    git(root, "worktree", "add", "-q", str(tmp_path / "tree"))
    assert catalogue.identify(root / "web").id == catalogue.identify(tmp_path / "tree").id == str(root / ".git")
    git(root, "remote", "add", "origin", "https://me:secret@example.org/team/shop.git")
    for place in (root, tmp_path / "tree"):
        found = discover(place).workspace
        assert (found.id, found.name, found.root) == ("example.org/team/shop", "shop", str(place))


def test_outside_of_git_a_directory_is_a_workspace_too(tmp_path: Path) -> None:
    write(tmp_path, {"web/web.pkr.hcl": template()})
    found = discover(tmp_path)
    assert names(found) == ["web"]
    assert found.git.commit == ""
    with pytest.raises(WorkspaceError, match="no directory"):
        discover(tmp_path / "nowhere")


def test_a_second_look_parses_nothing_again(repository: Make, tmp_path: Path) -> None:
    root = repository({"web/web.pkr.hcl": template(), "bad/bad.pkr.hcl": "a = = 1\n"})
    script = f"""
import sys
from pathlib import Path
from core.places import Places
from core.services.catalogue import discover
found = discover(Path({str(root)!r}), Places(Path({str(tmp_path / "state")!r})))
print([role.name for role in found.roles], [role.problems[:1] != () for role in found.roles], "hcl2" in sys.modules)
"""
    said = [
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout for _ in "12"
    ]
    assert said == ["['bad', 'web'] [True, False] True\n", "['bad', 'web'] [True, False] False\n"]
    (kept,) = (tmp_path / "state/cache/parsed").iterdir()
    assert kept.stat().st_mode & 0o077 == 0
    kept.write_bytes(b"damaged")
    assert names(discover(root, Places(tmp_path / "state"))) == ["bad", "web"]


def image(role: str, at: str, version: str = "0.1.0", parent: str = "", parent_version: str = "") -> ImageVersion:
    upstream = UpstreamRecord("role" if parent else "template", parent, role=parent, version=parent_version)
    return ImageVersion(role, version, at, float(len(version)), "run-1", "A <a@example.org>", upstream, (), role)


def test_a_role_is_stale_when_what_it_is_built_from_was_changed_and_committed(repository: Make) -> None:
    settings = '[roles.web]\nupstream = { role = "base" }\n[roles.db]\nupstream = { role = "base" }\n'
    root = repository(
        {
            "base/x.pkr.hcl": template("base"),
            "web/x.pkr.hcl": template(),
            "db/x.pkr.hcl": template("db"),
            "ingot.toml": settings,
        }
    )
    first = git(root, "rev-parse", "HEAD")
    images = [image("base", first), image("web", first, "1", "base", "0.1.0"), image("db", first, "1", "base", "0.1.0")]
    repo = GitRepository(root)
    assert why_stale(repo, discover(root), images) == {}

    write(root, {"web/x.pkr.hcl": template() + "# changed\n"})
    assert why_stale(repo, discover(root), images) == {}, "what is not committed is not built either"
    commit(root, {"README.md": "unrelated"})
    assert why_stale(repo, discover(root), images) == {"web": "changed: web/x.pkr.hcl"}

    second = commit(root, {"ingot.toml": settings + "variables = { a = 1 }\n"})
    assert why_stale(repo, discover(root), [*images, image("web", second, "0.1.11", "base", "0.1.0")]) == {
        "db": "changed: its part of ingot.toml"
    }

    newer = [image("base", second, "0.1.0.2"), image("web", second, "0.1.11", "base", "0.1.0")]
    assert why_stale(repo, discover(root), newer) == {}, "it is not good, so nothing would be built on it"
    newer[0] = replace(newer[0], state=ImageState.GOOD)
    assert why_stale(repo, discover(root), newer) == {"web": "parent base has newer good 0.1.0.2"}

    commit(root, {"base/x.pkr.hcl": template("base") + "# changed\n"})
    assert why_stale(repo, discover(root), [image("base", second), image("web", second, "1", "base", "0.1.0")]) == {
        "base": "changed: base/x.pkr.hcl",
        "web": "parent base is stale",
    }


def test_an_image_whose_commit_is_gone_is_stale_and_says_so(repository: Make) -> None:
    root = repository({"web/x.pkr.hcl": template()})
    why = why_stale(GitRepository(root), discover(root), [image("web", "d" * 40)])
    assert why == {"web": "its commit ddddddd is not in this repository"}


def test_a_refresh_makes_the_index_equal_to_repository_and_ledger(repository: Make, tmp_path: Path) -> None:
    root = repository({"web/x.pkr.hcl": template()})
    first = git(root, "rev-parse", "HEAD")
    who = "A <a@example.org>"
    ledger = Ledger(root)
    version = ledger.reserve("web", "0.1.0", "run-1", who)
    ledger.register(image("web", first, version), who, "built")
    commit(root, {"web/x.pkr.hcl": template() + "# changed\n"})
    places = Places(tmp_path / "state")
    found = catalogue.refresh(places, root / "web")
    index = Index(places.index)
    try:
        kept = index.catalogue(found.workspace.id)
        assert kept == found
        assert [one.version for one in index.images(found.workspace.id)] == ["0.1.0"]
        assert index.stale(found.workspace.id) == {"web": "changed: web/x.pkr.hcl"}
    finally:
        index.close()


def test_a_colleagues_image_is_seen_and_a_remote_that_is_gone_is_said(repository: Make, tmp_path: Path) -> None:
    root = repository({"web/x.pkr.hcl": template(), "ingot.toml": 'id = "shop"\n[ledger]\nremote = "origin"\n'})
    shared, colleague = tmp_path / "shared.git", tmp_path / "colleague"
    git(tmp_path, "clone", "-q", "--bare", str(root), str(shared))
    git(root, "remote", "add", "origin", str(shared))
    git(tmp_path, "clone", "-q", str(shared), str(colleague))
    who = "B <b@example.org>"
    theirs = Ledger(colleague, "origin")
    version = theirs.reserve("web", "0.1.0", "run-1", who)
    theirs.register(image("web", git(root, "rev-parse", "HEAD"), version), who, "built")
    theirs.share()

    places = Places(tmp_path / "state")
    found = catalogue.refresh_with_others(places, root)
    assert found.problems == ()
    index = Index(places.index)
    try:
        assert [one.version for one in index.images("shop")] == ["0.1.0"]
        shutil.rmtree(shared)
        again = catalogue.refresh_with_others(places, root)
        assert [problem.path for problem in again.problems] == ["ledger"]
        assert [one.version for one in index.images("shop")] == ["0.1.0"], "what is known stays"
    finally:
        index.close()


@pytest.mark.skipif(not shutil.which("packer"), reason="Packer is not installed")
def test_packer_takes_the_names_of_builds_for_only(repository: Make) -> None:
    root = repository(
        {
            "many/x.pkr.hcl": """
source "null" "a" {
  communicator = "none"
}
source "null" "unused" {
  communicator = "none"
}
build {
  sources = ["source.null.a"]
}
build {
  name    = "named"
  sources = ["null.a"]
}
build {
  source "source.null.a" {
    name = "renamed"
  }
}
""",
            "old/old.json": json.dumps(
                {
                    "variables": {"name": "resolved"},
                    "builders": [
                        {"type": "null", "communicator": "none"},
                        {"type": "null", "name": "{{user `name`}}", "communicator": "none"},
                    ],
                }
            ),
        }
    )
    found = discover(root)
    assert [build.name for build in named(found, "many").builds] == ["null.a", "named.null.a", "null.renamed"]
    assert [build.name for build in named(found, "old").builds] == ["null", "resolved"]
    for role in found.roles:
        for build in role.builds:
            done = subprocess.run(
                ["packer", "build", "-color=false", f"-only={build.name}", role.template],
                cwd=root,
                env={"PATH": os.environ["PATH"], "HOME": str(root), "CHECKPOINT_DISABLE": "1", "TERM": "dumb"},
                check=True,
                capture_output=True,
                text=True,
            )
            ended = [line for line in done.stdout.splitlines() if "finished" in line and line.startswith("Build ")]
            assert len(ended) == 1, done.stdout
            assert f"'{build.name}'" in ended[0]
