"""Deleting and pruning image versions whose artifacts are AMIs, against moto's EC2."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cloud_account import NUMBER, CloudAccount, cloud_account
from cloud_machine import REGION
from msgspec.structs import replace

from core.adapters.aws import Ec2
from core.cli import main
from core.errors import IngotError, LedgerError, RefusedError, ToolError
from core.model.image import Artifact, ImageVersion
from core.model.machine import Machine, MachineState
from core.model.run import RunState, StageState
from core.model.states import Act, StateChange, Verdict
from core.services import amis, deleting, retention
from core.services.deleting import Freed
from core.store.ledger import Ledger
from tests.integration.test_images_service import ADA, Shop

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

OTHER_REGION = "eu-west-1"
VOLUME = 15 * 1024**3
"""Of each AMI that moto makes."""
DAY = 86400.0


class CloudShop(Shop):
    """A workspace whose images are AMIs."""

    def __init__(self, place: Path, account: CloudAccount) -> None:
        super().__init__(place)
        self.account = account

    def ami(
        self,
        role: str,
        version: str,
        *,
        regions: tuple[str, ...] = (REGION,),
        noted: str = NUMBER,
        on: str = "",
        **changes: object,
    ) -> ImageVersion:
        """One that has no file anywhere."""
        run = f"run-of-{role}-{version}"
        made = tuple(
            Artifact(
                f"amazon-ebs.{role}",
                "ami",
                self.account.ami(role, version, run, region),
                virtual_size=VOLUME,
                account=noted,
            )
            for region in regions
        )
        image = self.image(role, version, on=on, artifacts=made, **changes)
        shutil.rmtree(self.directory(role, version))
        return image

    def remove(
        self, role: str, version: str, account: CloudAccount | None = None, *, files_only: bool = False
    ) -> Freed:
        return deleting.delete(
            self.places,
            self.root,
            role,
            version,
            typed=f"{role} {version}",
            who=ADA,
            environment=(account or self.account).environment,
            files_only=files_only,
        )

    def recorded(self, role: str, version: str) -> list[str]:
        return [artifact.location for artifact in self.ledger.image(role, version).artifacts]

    def good(self, image: ImageVersion) -> None:
        passed = StateChange(image.role, image.version, image.run, Act.TESTED, ADA, time.time(), verdict=Verdict.PASSED)
        good = StateChange(image.role, image.version, image.run, Act.GOOD, ADA, time.time())
        self.ledger.decide([passed, good], ADA, "good")

    def plan(self, account: CloudAccount | None = None) -> retention.Plan:
        return retention.plan(self.places, self.root, environment=(account or self.account).environment)

    def prune(self, *names: str, account: CloudAccount | None = None) -> dict[str, retention.Pruned]:
        done = retention.prune(self.places, self.root, names, ADA, environment=(account or self.account).environment)
        return {one.name: one for one in done}


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudAccount]:
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with cloud_account() as made:
        yield made


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, account: CloudAccount) -> CloudShop:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    return CloudShop(tmp_path, account)


def test_the_amis_of_a_version_go_in_each_region_with_their_snapshots(shop: CloudShop) -> None:
    shop.ami("web", "1", regions=(REGION, OTHER_REGION))
    other = shop.ami("web", "2")
    assert len(shop.account.amis()) == 2
    assert shop.remove("web", "1") == Freed(0, 2 * VOLUME)
    assert shop.account.amis() == {other.artifacts[0].location}
    assert shop.account.snapshots() == set(shop.account.snapshots_of(other.artifacts[0].location))
    assert (shop.account.amis(OTHER_REGION), shop.account.snapshots(OTHER_REGION)) == (set(), set())
    assert shop.recorded("web", "1") == []
    assert len(shop.ledger.manifest("web", "1").artifacts) == 2, "that it existed stays"
    assert shop.ledger.history()[0].what == "remove files of web 1"
    with pytest.raises(RefusedError, match="its AMIs are gone"):
        shop.remove("web", "1")


def test_what_would_go_is_said_with_its_size_and_nothing_is_changed(shop: CloudShop) -> None:
    image = shop.ami("web", "1")
    goes = deleting.going(shop.places, shop.root, "web", "1", environment=shop.account.environment)
    assert [(one.location, one.size) for one in goes.clouds] == [(image.artifacts[0].location, VOLUME)]
    assert shop.account.amis() == {image.artifacts[0].location}
    assert shop.recorded("web", "1")


def test_files_here_and_amis_go_together_or_the_files_alone(shop: CloudShop) -> None:
    for version in ("1", "2"):
        web = shop.image("web", version)
        location = shop.account.ami("web", version, web.run)
        shop.ledger.add_artifacts(web, [Artifact("amazon-ebs.web", "ami", location, account=NUMBER)], ADA)
    freed = shop.remove("web", "1")
    assert (freed.disk >= 8192, freed.cloud) == (True, VOLUME)
    assert shop.recorded("web", "1") == []
    assert not shop.directory("web", "1").exists()
    assert shop.remove("web", "2", files_only=True).cloud == 0
    assert shop.recorded("web", "2") == [location]
    assert shop.account.amis() == {location}
    assert not shop.directory("web", "2").exists()


@pytest.mark.parametrize("tag", ["IngotRun", "ImageVersion", "ImageRole"])
def test_an_ami_that_does_not_say_that_it_is_this_image_is_not_touched(shop: CloudShop, tag: str) -> None:
    image = shop.ami("web", "1")
    (location,) = shop.recorded("web", "1")
    shop.account.tag(REGION, [location.partition(":")[2]], {tag: "another"})
    with pytest.raises(RefusedError, match=f"does not say that it is web 1: its tag {tag} is 'another'"):
        shop.remove("web", "1")
    shop.account.client().delete_tags(Resources=[location.partition(":")[2]], Tags=[{"Key": tag}])
    with pytest.raises(RefusedError, match=f"it has no tag {tag}"):
        shop.remove("web", "1")
    assert shop.account.amis() == {image.artifacts[0].location}
    assert shop.recorded("web", "1") == [location]


def test_an_ami_that_a_living_machine_was_launched_from_stays_and_the_machine_is_named(shop: CloudShop) -> None:
    image = shop.ami("web", "1")
    (location,) = shop.recorded("web", "1")
    ec2 = shop.account.client()
    launched = ec2.run_instances(ImageId=location.partition(":")[2], MinCount=2, MaxCount=2)["Instances"]
    ids = sorted(one["InstanceId"] for one in launched)
    ec2.stop_instances(InstanceIds=ids[:1])
    with pytest.raises(RefusedError) as refused:
        shop.remove("web", "1")
    assert all(one in refused.value.what for one in ids)
    assert (shop.account.amis(), shop.recorded("web", "1")) == ({image.artifacts[0].location}, [location])
    ec2.terminate_instances(InstanceIds=ids)
    shop.remove("web", "1")
    assert shop.account.amis() == set()


def test_the_rules_that_protect_disks_protect_amis(shop: CloudShop) -> None:
    base = shop.ami("base", "1")
    shop.ami("web", "1", on="base 1")
    with pytest.raises(RefusedError, match="web 1 is built on"):
        shop.remove("base", "1")
    shop.remove("web", "1")
    run = shop.run("web", on="base", state=RunState.RUNNING)
    ami = base.artifacts[0].location.partition(":")[2]
    shop.index.update_stage(run.uid, "upstream", state=StageState.SUCCEEDED, result={"path": "", "ami": ami})
    with pytest.raises(RefusedError, match=f"needed by run {run.id}"):
        shop.remove("base", "1")
    shop.index.save_machine(Machine(run.uid, "build/qemu.web", "qemu.web", "qemu", state=MachineState.KEPT))
    shop.index.set_run_state(run.uid, RunState.FAILED, "x")
    with pytest.raises(RefusedError, match=f"the kept machine of run {run.id}"):
        shop.remove("base", "1")
    assert shop.account.amis() == {base.artifacts[0].location}


def test_gone_already_counts_as_gone(shop: CloudShop) -> None:
    shop.ami("web", "1", regions=(REGION, OTHER_REGION))
    gone, left = shop.recorded("web", "1")
    ec2, snapshots = shop.account.client(), shop.account.snapshots_of(gone)
    ec2.deregister_image(ImageId=gone.partition(":")[2])
    for snapshot in snapshots:
        ec2.delete_snapshot(SnapshotId=snapshot)
    assert shop.remove("web", "1") == Freed(0, VOLUME)
    assert shop.recorded("web", "1") == []
    assert left not in shop.account.amis(OTHER_REGION)


@pytest.mark.parametrize("noted", [NUMBER, ""])
def test_what_other_credentials_do_not_see_is_not_gone(shop: CloudShop, noted: str) -> None:
    image = shop.ami("web", "1", noted=noted)
    with pytest.raises(RefusedError, match=NUMBER if noted else "whether it is gone cannot be told") as refused:
        shop.remove("web", "1", shop.account.other("222222222222"))
    assert "AWS_PROFILE" in refused.value.next_step
    assert shop.recorded("web", "1") == [image.artifacts[0].location]
    shop.remove("web", "1")
    assert shop.account.snapshots() == set()


def test_an_ami_whose_account_nobody_noted_is_gone_where_others_of_ours_are(shop: CloudShop) -> None:
    shop.ami("web", "1", noted="")
    shop.ami("web", "2")
    (location,) = shop.recorded("web", "1")
    snapshots = shop.account.snapshots_of(location)
    shop.account.client().deregister_image(ImageId=location.partition(":")[2])
    shop.account.client().delete_snapshot(SnapshotId=snapshots[0])
    assert shop.remove("web", "1") == Freed()
    assert shop.recorded("web", "1") == []


@pytest.mark.parametrize("described", [True, False])
@pytest.mark.parametrize("at", ["deregister", "remove_snapshot"])
def test_killed_half_way_it_is_repeated_and_everything_goes(
    shop: CloudShop, monkeypatch: pytest.MonkeyPatch, at: str, described: bool
) -> None:
    shop.ami("web", "1")
    other = shop.ami("web", "2")
    if not described:  # as of a builder that registers AMIs itself
        from moto.ec2.models import ec2_backends

        for snapshot in ec2_backends[NUMBER][REGION].snapshots.values():
            snapshot.description = "Packer: 1700000000"

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Ec2, at, killed)
        with pytest.raises(KeyboardInterrupt):
            shop.remove("web", "1")
    assert shop.recorded("web", "1") == [], "the ledger is told first"
    assert len(shop.account.snapshots()) == 2
    assert len(shop.account.amis()) == (2 if at == "deregister" else 1)
    assert shop.remove("web", "1") == Freed(0, VOLUME)
    assert shop.account.amis() == {other.artifacts[0].location}
    assert shop.account.snapshots() == set(shop.account.snapshots_of(other.artifacts[0].location))


def test_snapshots_that_only_have_the_tags_are_somebody_elses(shop: CloudShop) -> None:
    web = shop.ami("web", "1")
    ec2 = shop.account.client()
    volume = ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=3)["VolumeId"]
    data = ec2.create_snapshot(VolumeId=volume, Description="every night")["SnapshotId"]
    copied = ec2.create_snapshot(
        VolumeId=volume,
        Description=f"Copied for DestinationAmi ami-0123456789abcdef0 from SourceAmi {web.artifacts[0].location[-21:]}",
    )["SnapshotId"]
    shop.account.tag(REGION, [data, copied], {"ImageRole": "web", "ImageVersion": "1", "IngotRun": web.run})
    assert shop.remove("web", "1") == Freed(0, VOLUME)
    assert shop.account.snapshots() == {data, copied}


def test_who_may_not_deregister_deletes_nothing_and_the_ledger_says_so(shop: CloudShop) -> None:
    image = shop.image("web", "1")
    location = shop.account.ami("web", "1", image.run)
    shop.ledger.add_artifacts(image, [Artifact("amazon-ebs.web", "ami", location, account=NUMBER)], ADA)
    before = shop.ledger.image("web", "1").artifacts
    with shop.account.only("ec2:Describe*") as denied, pytest.raises(ToolError) as refused:
        shop.remove("web", "1", denied)
    assert "ec2:DeregisterImage" in refused.value.next_step
    assert shop.ledger.image("web", "1").artifacts == before
    assert shop.directory("web", "1").is_dir()
    assert shop.account.amis() == {location}


def test_who_may_not_delete_snapshots_leaves_them_to_be_deleted_later(shop: CloudShop) -> None:
    shop.ami("web", "1")
    with shop.account.only("ec2:Describe*", "ec2:DeregisterImage") as denied, pytest.raises(ToolError) as refused:
        shop.remove("web", "1", denied)
    assert "is there still" in refused.value.kept
    assert "again goes on" in refused.value.next_step
    assert (shop.account.amis(), len(shop.account.snapshots()), shop.recorded("web", "1")) == (set(), 1, [])
    assert shop.remove("web", "1") == Freed(0, VOLUME)
    assert shop.account.snapshots() == set()


def test_of_two_regions_the_one_that_refuses_stays_on_the_ledger(
    shop: CloudShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.ami("web", "1", regions=(REGION, OTHER_REGION))
    kept = shop.recorded("web", "1")[1]
    before = Ec2.deregister

    def protected(ec2: Ec2, ami: str) -> None:
        if ec2.region == OTHER_REGION:
            raise ToolError("It is protected against deregistering.", "Look at that.")
        before(ec2, ami)

    monkeypatch.setattr(Ec2, "deregister", protected)
    with pytest.raises(ToolError, match="protected"):
        shop.remove("web", "1")
    assert shop.recorded("web", "1") == [kept]
    assert (shop.account.amis(), shop.account.snapshots()) == (set(), set())
    assert shop.account.amis(OTHER_REGION) == {kept}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "Could not connect"),
        ({"AWS_PROFILE": "nobody", "AWS_ACCESS_KEY_ID": ""}, "nobody"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "credentials"),
    ],
)
def test_without_a_way_to_the_cloud_nothing_is_written(
    shop: CloudShop, monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], said: str
) -> None:
    shop.ami("web", "1")
    head = shop.ledger.head()
    environment = {name: value for name, value in (shop.account.environment | changed).items() if value}
    with pytest.raises(ToolError, match=said) as refused:
        deleting.delete(shop.places, shop.root, "web", "1", typed="web 1", who=ADA, environment=environment)
    assert refused.value.next_step
    assert shop.ledger.head() == head
    assert len(shop.account.amis()) == 1


@pytest.mark.parametrize("location", ["mars:ami-12345678", "evil.example.org/:ami-12345678", f"{REGION}:i-12345678"])
def test_a_place_that_is_none_is_refused_unasked(shop: CloudShop, location: str) -> None:
    shop.image("web", "1", artifacts=(Artifact("amazon-ebs.web", "ami", location),))
    shutil.rmtree(shop.directory("web", "1"))
    with pytest.raises(RefusedError, match="no place of an AMI"):
        shop.remove("web", "1")


def test_when_something_comes_to_need_it_meanwhile_nothing_goes(
    shop: CloudShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.ami("base", "1")
    before = shop.ledger.images()
    told = Ledger.remove_artifacts

    def then(*arguments: object, **more: object) -> None:
        told(*arguments, **more)  # pyright: ignore[reportArgumentType] - as they came
        shop.run("web", on="base", state=RunState.QUEUED)

    monkeypatch.setattr(Ledger, "remove_artifacts", then)
    with pytest.raises(RefusedError, match="is needed by run"):
        shop.remove("base", "1")
    assert shop.ledger.images() == before
    assert len(shop.account.amis()) == 1


def test_when_the_ledger_cannot_be_told_the_ami_stays(shop: CloudShop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.ami("web", "1")
    monkeypatch.setattr("core.store.ledger_sharing.PATIENCE", 0.2)
    (shop.root / ".git/refs/ingot/ledger.lock").write_text("")
    with pytest.raises(LedgerError):
        shop.remove("web", "1")
    assert len(shop.account.amis()) == 1


# Pruning


@pytest.fixture
def pruned(shop: CloudShop) -> CloudShop:
    """web 3 to 1, of which the rule keeps the newest."""
    (shop.root / "ingot.toml").write_text("[retention]\nkeep = 1\n")
    for age, version in enumerate(("3", "2", "1")):
        shop.good(shop.ami("web", version, created=time.time() - age * DAY))
    return shop


def test_a_plan_says_which_amis_go_and_how_much_at_most(pruned: CloudShop) -> None:
    plan = pruned.plan()
    assert {one.name: (one.fate.stays, one.cloud) for one in plan.judged} == {
        "web 3": ("the newest good one", VOLUME),
        "web 2": ("", VOLUME),
        "web 1": ("", VOLUME),
    }
    assert (plan.freed, plan.freed_in_cloud) == (0, 2 * VOLUME)
    assert len(pruned.account.amis()) == 3
    done = pruned.prune("web 1", "web 2")
    assert [one.freed for one in done.values()] == [Freed(0, VOLUME)] * 2
    assert len(pruned.account.amis()) == len(pruned.account.snapshots()) == 1
    assert [one.name for one in pruned.plan().judged] == ["web 3"]


def test_pruning_finds_what_a_deletion_that_was_killed_left(pruned: CloudShop) -> None:
    (location,) = pruned.recorded("web", "1")
    pruned.ledger.remove_artifacts("web", "1", [location], ADA, "then it was killed")
    pruned.account.client().deregister_image(ImageId=location.partition(":")[2])
    assert {one.name: one.cloud for one in pruned.plan().going} == {"web 2": VOLUME, "web 1": VOLUME}
    assert pruned.prune("web 1")["web 1"].freed == Freed(0, VOLUME)
    assert len(pruned.account.snapshots()) == 2


def test_machines_keep_what_they_were_launched_from(pruned: CloudShop) -> None:
    (location,) = pruned.recorded("web", "1")
    ec2 = pruned.account.client()
    launched = ec2.run_instances(ImageId=location.partition(":")[2], MinCount=1, MaxCount=1)["Instances"]
    stays = {one.name: one.fate.stays for one in pruned.plan().judged}
    assert stays["web 1"] == f"{launched[0]['InstanceId']} was launched from it"
    assert stays["web 2"] == ""


def test_where_the_cloud_cannot_be_asked_amis_are_left_alone_and_files_go(pruned: CloudShop) -> None:
    web = pruned.ledger.image("web", "1")
    file = pruned.directory("web", "1") / "qemu.web.qcow2"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x" * 8192)
    disk = replace(pruned.image("other", "1").artifacts[0], location=str(file))
    pruned.ledger.add_artifacts(web, [disk], ADA)
    with pruned.account.only("iam:Nothing") as denied:
        judged = {one.name: one for one in pruned.plan(denied).judged}
        assert judged["web 2"].fate.stays.startswith("left alone: Cannot look at AMIs")
        assert (judged["web 1"].fate.goes, judged["web 1"].cloud) == (True, 0)
        assert "Cannot look at AMIs" in judged["web 1"].left
        done = pruned.prune("web 1", "web 2", account=denied)
    assert [one.name for one in done.values() if one.freed.disk >= 8192] == ["web 1"]
    assert not file.exists()
    assert pruned.recorded("web", "1") == [web.artifacts[0].location]
    assert len(pruned.account.amis()) == 3


def test_parents_go_after_their_children_and_stay_for_those_that_cannot_be_judged(pruned: CloudShop) -> None:
    pruned.good(pruned.ami("base", "2", created=time.time()))
    pruned.good(pruned.ami("base", "1", created=time.time() - 9 * DAY))
    pruned.good(pruned.ami("app", "2", created=time.time()))
    pruned.good(pruned.ami("app", "1", created=time.time() - 8 * DAY, on="base 1"))
    assert {one.name for one in pruned.plan().going} >= {"base 1", "app 1"}
    assert [name for name, one in pruned.prune("base 1", "app 1").items() if not one.error] == ["app 1", "base 1"]


def test_without_a_rule_no_cloud_is_asked(shop: CloudShop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.ami("web", "1")

    def asked(*_: object) -> None:
        raise AssertionError("EC2 was asked")

    monkeypatch.setattr(amis, "look", asked)
    assert shop.plan().judged == ()


@pytest.fixture
def said(
    pruned: CloudShop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """What a command says in that workspace, and its exit status."""
    for name, value in (("name", "Ada Example"), ("email", "ada@example.org")):
        subprocess.run(("git", "config", f"user.{name}", value), cwd=pruned.root, check=True)
    for name, value in pruned.account.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("INGOT_HOME", str(pruned.places.home))

    def run(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        status = main(["-C", str(pruned.root), *words])
        told = capsys.readouterr()
        return status, told.out + told.err

    return run


def test_the_commands_say_what_amis_take_and_delete_them(
    pruned: CloudShop, said: Callable[..., tuple[int, str]]
) -> None:
    _, dry = said("prune", "--dry-run")
    rows = [line.split() for line in dry.splitlines() if "≤" in line]
    assert [" ".join((*row[:4], *row[5:])) for row in rows] == [  # without the age
        "· web 3 good ≤ 16 GB stay: the newest good one",
        "– web 2 good ≤ 16 GB go",
        "– web 1 good ≤ 16 GB go",
    ]
    assert "In EC2 up to 32 GB would be free again." in dry
    assert len(pruned.account.amis()) == 3
    assert said("images")[1].count("disk 16 GB") == 3
    assert said("images", "web", "--delete", "2", "--confirm", "web 2") == (
        0,
        "Deleted the files of web 2: up to 16 GB free again in EC2.\n",
    )
    status, told = said("prune", "--yes", "--json")
    assert (status, json.loads(told)["deleted_in_cloud"]) == (0, {"web 1": VOLUME})
    assert len(pruned.account.amis()) == len(pruned.account.snapshots()) == 1


def test_what_goes_is_shown_before_its_name_is_asked_for(
    pruned: CloudShop, said: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistyped(_: str) -> str:
        return "web 2"

    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", mistyped)
    status, told = said("images", "web", "--delete", "1")
    assert f"– {pruned.recorded('web', '1')[0]}: 1 snapshot, up to 16 GB" in told
    assert (status, len(pruned.account.amis())) == (2, 3)


def test_a_command_without_credentials_says_why_and_what_to_do(
    pruned: CloudShop, said: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in pruned.account.environment:
        monkeypatch.delenv(name)
    status, told = said("images", "web", "--delete", "1", "--confirm", "web 1")
    assert (status, "there are no credentials" in told, "AWS_PROFILE" in told) == (1, True, True)
    status, told = said("prune", "--yes")
    assert (status, told.count("left alone: Cannot look at AMIs"), "Nothing is to go." in told) == (0, 2, True)
    assert len(pruned.account.amis()) == 3


def test_errors_name_what_to_do(shop: CloudShop) -> None:
    shop.ami("web", "1")
    with shop.account.only("iam:Nothing") as denied, pytest.raises(IngotError) as refused:
        shop.remove("web", "1", denied)
    assert "ec2:DescribeImages" in refused.value.next_step
    assert "of this shell" in refused.value.next_step
