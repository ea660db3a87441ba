"""What real repositories look like, and that nothing in them is ever run by looking at them."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest
import repository
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from repository import git, nobodys_settings

from core.adapters.git import GitRepository
from core.errors import IngotError, RefusedError, ToolError, WorkspaceError

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture(autouse=True)
def own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = "[user]\n\tname = Ada Moreau\n\temail = ada@example.org\n[init]\n\tdefaultBranch = main\n"
    nobodys_settings(tmp_path / "home", monkeypatch, settings)


def commit(root: Path, message: str = "a change", **files: str) -> str:
    return repository.commit(root, {name.replace("__", "/"): content for name, content in files.items()}, message)


def new(root: Path, *options: str) -> Path:
    root.mkdir(parents=True)
    git(root, "init", "-q", *options)
    return root


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    root = new(tmp_path / "shop")
    commit(root, web__main="one", db__main="one")
    return root


def found(path: Path) -> GitRepository:
    repository = GitRepository.find(path)
    assert repository is not None
    return repository


def test_a_repository_is_found_from_any_place_in_it(shop: Path, tmp_path: Path) -> None:
    assert found(shop / "web").root == shop
    assert found(shop / "web" / "main").root == shop
    assert GitRepository.find(tmp_path) is None


def test_facts_say_commit_branch_and_distance_from_the_tag_with_the_prefix(shop: Path) -> None:
    git(shop, "tag", "release-0.1.0")
    commit(shop, web__main="two")
    head = commit(shop, web__main="three")
    git(shop, "tag", "nightly")
    facts = found(shop).facts("release-")
    assert (facts.commit, facts.branch, facts.last_tag, facts.commits_since_tag) == (head, "main", "release-0.1.0", 2)
    assert not facts.dirty
    assert not facts.shallow
    assert found(shop).facts().last_tag == "nightly"


@pytest.mark.parametrize("change", ["edited", "untracked", "staged", "ignored"])
def test_dirty_is_what_git_does_not_ignore(shop: Path, change: str) -> None:
    (shop / ".git/info/exclude").write_text("*.log\n")
    match change:
        case "edited":
            (shop / "web/main").write_text("edited")
        case "untracked":
            (shop / "new").write_text("new")
        case "staged":
            (shop / "new").write_text("new")
            git(shop, "add", "new")
        case _:
            (shop / "a.log").write_text("noise")
    assert found(shop).facts().dirty is (change != "ignored")


def test_a_repository_without_a_commit_has_facts_and_a_clear_error(tmp_path: Path) -> None:
    repository = found(new(tmp_path / "empty"))
    facts = repository.facts("v")
    assert (facts.commit, facts.branch, facts.last_tag) == ("", "main", "")
    with pytest.raises(WorkspaceError, match="no commit yet"):
        repository.resolve("HEAD")


def test_detached_and_shallow_and_worktree_are_seen_as_such(shop: Path, tmp_path: Path) -> None:
    commit(shop, web__main="two")
    git(shop, "worktree", "add", "-q", "--detach", str(tmp_path / "other"), "HEAD~1")
    other = found(tmp_path / "other")
    assert other.facts().branch == ""
    assert other.common_directory() == found(shop).common_directory() == shop / ".git"
    git(tmp_path, "clone", "-q", "--depth=1", shop.as_uri(), "cut")
    assert found(tmp_path / "cut").facts().shallow


def test_a_bare_repository_is_refused_with_what_to_do(shop: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(shop), "bare.git")
    for place in (tmp_path / "bare.git", shop / ".git"):
        with pytest.raises(WorkspaceError, match="worktree add"):
            GitRepository.find(place)


@pytest.mark.parametrize("missing", ["git", "env"])
def test_a_program_that_is_missing_is_named_with_how_to_get_it(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in {"git", "env"} - {missing}:
        (programs / name).symlink_to(shutil.which(name) or "")
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(ToolError, match=f"^{missing} is not installed, or not on PATH") as caught:
        GitRepository.find(shop)
    assert "apt install" in caught.value.next_step


def test_a_repository_of_somebody_else_says_how_to_trust_it(shop: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a directory away")
    os.chown(shop, 12345, 12345)
    os.chown(shop / ".git", 12345, 12345)
    with pytest.raises(WorkspaceError, match=r"safe\.directory"):
        GitRepository.find(shop)


def test_resolve_takes_what_git_takes_and_peels_tags(shop: Path) -> None:
    repository = found(shop)
    first = repository.resolve("HEAD")
    git(shop, "tag", "-a", "-m", "a tag", "v1")
    commit(shop, web__main="two")
    assert repository.resolve("v1") == repository.resolve("HEAD~1") == repository.resolve(first[:9]) == first
    with pytest.raises(WorkspaceError):
        repository.resolve("HEAD:web")


def test_a_missing_reference_suggests_the_near_one(shop: Path) -> None:
    git(shop, "branch", "feature/login")
    with pytest.raises(WorkspaceError, match="Did you mean feature/login"):
        found(shop).resolve("feature/logn")
    with pytest.raises(WorkspaceError, match="git fetch"):
        found(shop).resolve("v9.9.9-rc1")


@pytest.mark.parametrize(
    "ref", ["--output=x", "-n1", "a\nb", "a\0b", "", "--all", "^HEAD", "HEAD..HEAD", "@{-9}", "a b"]
)
def test_a_hostile_reference_is_refused_and_writes_nothing(shop: Path, ref: str) -> None:
    with pytest.raises((RefusedError, WorkspaceError)):
        found(shop).resolve(ref)
    assert not (shop / "x").exists()
    if ref.startswith("-") or "\n" in ref or "\0" in ref or not ref:
        with pytest.raises(RefusedError, match="Git reference"):
            found(shop).resolve(ref)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ref=st.text(min_size=1, max_size=20))
def test_any_text_as_a_reference_is_a_commit_or_a_clear_error(shop: Path, ref: str) -> None:
    try:
        outcome = found(shop).resolve(ref)
    except IngotError as error:
        outcome = error.next_step
    assert outcome


def test_identity_is_gits_and_falls_back_to_the_login(
    shop: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert found(shop).identity() == "Ada Moreau <ada@example.org>"
    (tmp_path / "home/gitconfig").write_text("[user]\n\tuseConfigOnly = true\n")
    monkeypatch.setenv("LOGNAME", "nightly")
    assert found(shop).identity().startswith("nightly <nightly@")


def test_origin_comes_without_its_password(shop: Path) -> None:
    assert found(shop).origin_url() == ""
    git(shop, "remote", "add", "origin", "https://ada:s3cr3t-token@git.example.org/shop.git")
    assert found(shop).origin_url() == "https://git.example.org/shop.git"


def test_describe_and_tags_look_at_the_prefix_literally(shop: Path) -> None:
    repository = found(shop)
    head = repository.resolve("HEAD")
    assert repository.describe(head, "v") == head[:7]
    git(shop, "tag", "v1")
    git(shop, "tag", "w1")
    assert repository.tags_at(head) == ["v1", "w1"]
    assert repository.describe(head, "w") == "w1"
    assert repository.describe(head, "[vw]") == head[:7]
    later = commit(shop, web__main="two")
    assert repository.describe(later, "v") == f"v1-1-g{later[:7]}"


def test_changed_between_names_files_below_the_paths_only(shop: Path) -> None:
    repository = found(shop)
    old = repository.resolve("HEAD")
    head = commit(shop, web__main="two", **{"web__ü \t*": "new", "webby__x": "not below web"})
    assert repository.changed_between(old, head, ["web"]) == ["web/main", "web/ü \t*"]
    assert repository.changed_between(old, head, ["w*"]) == []
    assert len(repository.changed_between(old, head, ["."])) == 3
    assert repository.changed_between(old, head, ["db/", "nowhere"]) == []
    assert repository.changed_between(old, head, []) == []
    with pytest.raises(WorkspaceError, match="not in"):
        repository.changed_between("0" * 40, head, ["."])
    for bad in ("../x", "/etc"):
        with pytest.raises(RefusedError):
            repository.changed_between(old, head, [bad])


def test_files_are_those_of_the_tree_that_are_not_ignored(shop: Path) -> None:
    (shop / ".gitignore").write_text("*.log\n")
    (shop / "a.log").write_text("")
    (shop / "new\nline").write_text("")
    (shop / os.fsdecode(b"not-utf8-\xff")).write_text("")
    (shop / "db/main").unlink()
    assert set(found(shop).files()) == {".gitignore", "new\nline", os.fsdecode(b"not-utf8-\xff"), "web/main"}
    repository = found(shop)
    head = repository.resolve("HEAD")
    assert repository.file_at(head, "db/main") == b"one"
    with pytest.raises(WorkspaceError):
        repository.file_at(head, "db/none")


def test_looking_runs_nothing_that_the_repository_names(shop: Path, tmp_path: Path) -> None:
    """Each setting here is a program that plain Git would run."""
    ran = tmp_path / "ran"
    evil = tmp_path / "evil"
    evil.write_text(f'#!/bin/sh\necho "$0 $*" >>{ran}\ncat\n')
    evil.chmod(0o755)
    commit(shop, **{".gitattributes": "* filter=bad diff=bad\n", "big.bin": "x"})
    for key in (
        "core.fsmonitor", "core.pager", "core.sshCommand", "core.askPass", "filter.bad.clean", "filter.bad.smudge",
        "filter.bad.process", "diff.bad.textconv", "diff.external", "gpg.program", "credential.helper", "core.editor",
    ):  # fmt: skip
        git(shop, "config", key, str(evil))
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for hook in ("post-checkout", "reference-transaction", "post-index-change", "pre-push"):
        shutil.copy(evil, hooks / hook)
        shutil.copy(evil, shop / ".git/hooks" / hook)
    git(shop, "config", "core.hooksPath", str(hooks))
    ran.unlink(missing_ok=True)
    (shop / "big.bin").write_text("y")
    os.utime(shop / "web/main", (1, 1))

    repository = found(shop)
    head = repository.resolve("HEAD")
    assert repository.facts().dirty
    repository.changed_between(head, repository.resolve("HEAD~1"), ["."])
    repository.files()
    repository.describe(head)
    GitRepository.clone_at(shop, head, tmp_path / "clone")
    assert not ran.exists(), ran.read_text()
    git(shop, "-c", "core.fsmonitor=false", "status")
    assert ran.exists(), "the trap itself works"


def test_the_users_own_credential_helper_is_asked_and_the_repositorys_is_not(shop: Path, tmp_path: Path) -> None:
    git(shop, "config", "--global", "credential.helper", "!printf 'username=ada\\npassword=hers\\n' #")
    git(shop, "config", "credential.helper", f"!touch {tmp_path}/ran; printf 'username=evil\\npassword=x\\n' #")
    wanted = b"protocol=https\nhost=git.example.org\n\n"
    assert "username=ada" in found(shop).git("credential", "fill", given=wanted).text
    git(shop, "config", "--global", "--unset", "credential.helper")
    assert found(shop).git("credential", "fill", given=wanted).code != 0
    assert not (tmp_path / "ran").exists()


def test_the_shells_git_variables_lead_nowhere_else(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = new(tmp_path / "other")
    commit(other, x="x")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    assert found(shop / "web").root == shop
    assert "web/main" in found(shop).files()


def test_looking_does_not_touch_the_users_index(shop: Path) -> None:
    os.utime(shop / "web/main", (5, 5))
    before = (shop / ".git/index").stat()
    found(shop).facts()
    after = (shop / ".git/index").stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)


def test_a_clone_is_the_exact_commit_with_its_history_and_its_own_objects(shop: Path, tmp_path: Path) -> None:
    git(shop, "tag", "v1")
    wanted = commit(shop, web__main="two")
    git(shop, "checkout", "-q", "-b", "later")
    commit(shop, web__main="three")
    (shop / "web/main").write_text("uncommitted")
    clone = GitRepository.clone_at(shop, wanted, tmp_path / "store/clone")
    assert (clone.root / "web/main").read_text() == "two"
    facts = clone.facts("v")
    assert (facts.commit, facts.branch, facts.dirty, facts.last_tag) == (wanted, "", False, "v1")
    assert not (clone.root / ".git/objects/info/alternates").exists()
    assert all(file.stat().st_nlink == 1 for file in (clone.root / ".git").rglob("*") if file.is_file())
    assert clone.root.stat().st_mode & 0o077 == 0
    shutil.rmtree(shop)
    git(clone.root, "fsck", "--strict")


def test_a_clone_takes_a_commit_that_no_branch_has_any_more(shop: Path, tmp_path: Path) -> None:
    lost = commit(shop, web__main="two")
    git(shop, "reset", "-q", "--hard", "HEAD~1")
    assert (GitRepository.clone_at(shop, lost, tmp_path / "c").root / "web/main").read_text() == "two"


def test_a_clone_is_kept_when_asked_for_again_and_anything_else_is_refused(shop: Path, tmp_path: Path) -> None:
    head = found(shop).resolve("HEAD")
    GitRepository.clone_at(shop, head, tmp_path / "c")
    (tmp_path / "c/made-by-the-build").write_text("")
    (tmp_path / ".c.part").mkdir()
    GitRepository.clone_at(shop, head, tmp_path / "c")
    assert (tmp_path / "c/made-by-the-build").exists()
    later = commit(shop, web__main="two")
    with pytest.raises(RefusedError):
        GitRepository.clone_at(shop, later, tmp_path / "c")


def test_a_clone_that_fails_leaves_nothing_behind(shop: Path, tmp_path: Path) -> None:
    with pytest.raises(ToolError):
        GitRepository.clone_at(shop, "1" * 40, tmp_path / "store/c")
    assert list((tmp_path / "store").iterdir()) == []


@pytest.mark.parametrize("shape", ["worktree", "shallow", "sha256"])
def test_clones_of_odd_repositories(shop: Path, tmp_path: Path, shape: str) -> None:
    source = tmp_path / "source"
    match shape:
        case "worktree":
            git(shop, "worktree", "add", "-q", str(source))
        case "shallow":
            commit(shop, web__main="two")
            git(tmp_path, "clone", "-q", "--depth=1", shop.as_uri(), str(source))
        case _:
            commit(new(source, "--object-format=sha256"), web__main="sha256")
    head = found(source).resolve("HEAD")
    clone = GitRepository.clone_at(source, head, tmp_path / "clone")
    assert clone.facts().commit == head
    assert clone.facts().shallow is (shape == "shallow")
    assert (clone.root / "web/main").exists()


def test_a_checkout_has_the_commits_bytes_whatever_this_machine_is_set_to(shop: Path, tmp_path: Path) -> None:
    git(shop, "config", "--global", "core.autocrlf", "true")
    git(shop, "config", "--global", "filter.shout.smudge", "tr a-z A-Z")
    head = commit(shop, **{".gitattributes": "web/* filter=shout\n", "web__main": "one\ntwo\n"})
    clone = GitRepository.clone_at(shop, head, tmp_path / "clone")
    assert (clone.root / "web/main").read_bytes() == b"one\ntwo\n"


def test_no_hook_runs_in_a_clone_not_even_the_users_own(shop: Path, tmp_path: Path) -> None:
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "post-checkout").write_text(f"#!/bin/sh\necho ran >>{tmp_path}/ran\n")
    (hooks / "post-checkout").chmod(0o755)
    git(shop, "config", "--global", "core.hooksPath", str(hooks))
    GitRepository.clone_at(shop, found(shop).resolve("HEAD"), tmp_path / "clone")
    assert not (tmp_path / "ran").exists()
    git(shop, "checkout", "-q", "--detach")
    assert (tmp_path / "ran").exists(), "the trap itself works"


def test_submodules_come_along_with_theirs(shop: Path, tmp_path: Path) -> None:
    git(shop, "config", "--global", "protocol.file.allow", "always")
    inner, outer = new(tmp_path / "inner"), new(tmp_path / "outer")
    commit(inner, deep="deep")
    git(outer, "submodule", "--quiet", "add", str(inner), "inner")
    commit(outer, library="library")
    git(tmp_path, "clone", "-q", "--bare", str(outer), "outer.git")
    git(shop, "remote", "add", "origin", str(tmp_path / "shop.git"))
    git(shop, "submodule", "--quiet", "add", "../outer.git", "roles/outer")
    head = commit(shop)
    clone = GitRepository.clone_at(shop, head, tmp_path / "store/clone")
    assert (clone.root / "roles/outer/library").read_text() == "library"
    assert (clone.root / "roles/outer/inner/deep").read_text() == "deep"
    git(clone.root / "roles/outer/inner", "status")


def test_a_submodule_that_git_does_not_allow_or_reach_says_so(shop: Path, tmp_path: Path) -> None:
    inner = new(tmp_path / "inner")
    commit(inner, deep="deep")
    git(shop, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "inner")
    head = commit(shop)
    with pytest.raises(ToolError, match=r"Getting the submodules failed.*'file' not allowed"):
        GitRepository.clone_at(shop, head, tmp_path / "clone")
    assert not (tmp_path / "clone").exists()


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {size}\n"


def with_large_file(root: Path, content: str) -> tuple[str, Path]:
    """A commit of an LFS pointer made by hand (spec.md of git-lfs), and where its content belongs."""
    digest = hashlib.sha256(content.encode()).hexdigest()
    head = commit(
        root,
        **{
            ".gitattributes": "*.iso filter=lfs diff=lfs merge=lfs -text\n",
            "disk.iso": POINTER.format(digest=digest, size=len(content)),
        },
    )
    return head, root / ".git/lfs/objects" / digest[:2] / digest[2:4] / digest


def test_large_files_without_git_lfs_are_an_error_that_names_it(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, _ = with_large_file(shop, "the disk")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("git", "env"):
        (programs / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(ToolError, match=r"disk\.iso.*git-lfs is not installed"):
        GitRepository.clone_at(shop, head, tmp_path / "clone")


@pytest.mark.skipif(shutil.which("git-lfs") is None, reason="git-lfs is not installed")
def test_large_files_come_from_the_source_or_are_missed(shop: Path, tmp_path: Path) -> None:
    head, place = with_large_file(shop, "the disk")
    with pytest.raises(ToolError, match="LFS"):
        GitRepository.clone_at(shop, head, tmp_path / "clone")
    place.parent.mkdir(parents=True)
    place.write_text("the disk")
    clone = GitRepository.clone_at(shop, head, tmp_path / "clone")
    assert (clone.root / "disk.iso").read_text() == "the disk"
    assert not clone.facts().dirty
