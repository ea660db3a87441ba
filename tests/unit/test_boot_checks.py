"""The rules of a boot test: what two booted machines say, and what follows."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.adapters import booted
from core.model import boot_checks as rules
from core.model.boot_checks import Unit
from core.model.states import Verdict
from core.model.test_report import Case, Facts, Outcome, Report, first_bad, fitting, verdict_of

ANSWER = b"""
==uid==
0
==machine-id==
19fb4b59a1d85afdaf588628adfff215

==host-keys==
ecdsa-sha2-nistp256 AAAAE2Vj root@base
ssh-ed25519 AAAAC3Nz root@base
==release==
IMAGE_ROLE="base"
IMAGE_VERSION="0.1.0"
==kernel==
Linux 6.1.0-28-cloud-amd64
==disk==
/dev/vda1 3997376 812345 2959032 22% /
==users==
root
packer
==authorized==
/root/.ssh/authorized_keys ssh-ed25519 AAAAC3Nz test-of-x
/home/ada/.ssh/authorized_keys # ssh-ed25519 AAAAC3Nz gone
/home/ada/.ssh/authorized_keys command="echo ssh-rsa no",no-pty ssh-rsa AAAAB3Nz ada at home
==ports==
tcp LISTEN 0 4096 *:22 *:* users:(("sshd",pid=326,fd=3),("systemd",pid=1,fd=55))
udp UNCONN 0 0 127.0.0.54:53 0.0.0.0:*
==init==
systemd
==services==
ssh.service loaded active running OpenBSD Secure Shell server
cron.service loaded active running cron
==clock==
systemd-timesyncd
==synchronised==
no
==end==
"""


def test_what_a_machine_says_of_itself_is_understood() -> None:
    said = booted.read(ANSWER)
    assert said.whole
    assert said.root
    assert said.systemd
    assert said.machine_id == "19fb4b59a1d85afdaf588628adfff215"
    assert said.host_keys == ("ecdsa-sha2-nistp256 AAAAE2Vj", "ssh-ed25519 AAAAC3Nz")
    assert (said.disk_used, said.disk_size) == (812345 * 1024, 3997376 * 1024)
    assert [(key.file, key.key, key.comment) for key in said.authorized] == [
        ("/root/.ssh/authorized_keys", "ssh-ed25519 AAAAC3Nz", "test-of-x"),
        ("/home/ada/.ssh/authorized_keys", "ssh-rsa AAAAB3Nz", "ada at home"),
    ]
    assert said.ports == ("tcp *:22 sshd", "udp 127.0.0.54:53")
    assert said.services == ("cron.service", "ssh.service")
    assert said.clock == ("systemd-timesyncd",)


@given(st.binary() | st.lists(st.sampled_from(ANSWER.splitlines(keepends=True))).map(b"".join))
def test_a_machine_may_say_anything(answer: bytes) -> None:
    booted.read(answer)


def test_what_is_left_in_the_image_is_the_same_in_both_machines() -> None:
    def fresh(first: list[str], second: list[str]) -> Case:
        return rules.fresh(rules.HOST_KEYS, "SSH host key", "/etc/ssh", first, second)

    assert fresh(["ed A", "rsa B"], ["ed C", "rsa D"]).outcome is Outcome.PASSED
    left = fresh(["ed A", "rsa B"], ["ed C", "rsa B"])
    assert left.outcome is Outcome.FAILED, "one of two is enough"
    assert "rsa B" in left.message
    assert fresh([], ["ed A"]).outcome is Outcome.FAILED
    assert fresh(["ed A"], []).outcome is Outcome.FAILED


def test_a_failed_unit_is_named_with_its_last_words() -> None:
    case = rules.units("degraded", [Unit("web.service", "no such file"), Unit("db.service", "")])
    assert (case.outcome, case.message) == (Outcome.FAILED, "failed: web.service, db.service")
    assert "no such file" in case.output
    assert rules.units("running", []).outcome is Outcome.PASSED
    assert rules.units("degraded", []).outcome is Outcome.PASSED
    assert rules.units("maintenance", []).outcome is Outcome.FAILED
    assert "starting" in rules.units("still starting after 60 s: slow.service", []).message


@given(st.floats(0, 3e9), st.floats(0, 60), st.floats(-1000, 1000))
def test_a_clock_is_right_within_seconds_however_long_the_question_took(now: float, took: float, off: float) -> None:
    case = rules.clock(float(int(now + took / 2 + off)), now, now + took)
    right = abs(off) <= rules.CLOCK_TOLERANCE + took / 2 - 1
    wrong = abs(off) > rules.CLOCK_TOLERANCE + took / 2 + 2
    if right or wrong:
        assert (case.outcome is Outcome.PASSED) == right


def test_something_has_to_keep_the_time() -> None:
    assert rules.time_service([], "").outcome is Outcome.FAILED
    assert "not synchronised" in rules.time_service(["chrony"], "no").message
    assert rules.time_service(["chrony"], "yes").outcome is Outcome.PASSED


@pytest.mark.parametrize(
    ("release", "outcome"),
    [
        ('IMAGE_ROLE="web"\nIMAGE_VERSION="0.1.0"\nIMAGE_RUN=x', Outcome.PASSED),
        ('IMAGE_ROLE="base"\nIMAGE_VERSION="0.1.0"', Outcome.FAILED),
        ('IMAGE_ROLE="web"\nIMAGE_VERSION="0.1.0.2"', Outcome.FAILED),
        ("", Outcome.FAILED),
    ],
)
def test_the_stamp_has_to_name_this_very_image(release: str, outcome: Outcome) -> None:
    assert rules.stamp(release, "web", "0.1.0").outcome is outcome


def test_keys_that_builds_make_are_recognised_and_others_are_nobodys_business() -> None:
    def keys(*authorized: tuple[str, str], opened: tuple[str, ...] = (), all_seen: bool = True) -> Case:
        return rules.build_keys(authorized, "test-of-x", ("ingot-", "packer_"), opened, all_seen=all_seen)

    assert keys(("/root/.ssh/authorized_keys", "test-of-x"), ("/a", "ada@example.org")).outcome is Outcome.PASSED
    left = keys(("/root/.ssh/authorized_keys", "ingot-1a-qemu.web"))
    assert (left.outcome, "/root/.ssh/authorized_keys: ingot-1a-qemu.web" in left.message) == (Outcome.FAILED, True)
    assert keys(("/home/vagrant/.ssh/authorized_keys", rules.VAGRANT_KEY)).outcome is Outcome.FAILED
    assert keys(opened=("the key build.pem for admin",)).outcome is Outcome.FAILED
    assert keys(all_seen=False).outcome is Outcome.SKIPPED


def test_a_password_that_opens_it_fails_it() -> None:
    assert rules.passwords(["root"], []).outcome is Outcome.PASSED
    assert rules.passwords(["vagrant", "root"], ["vagrant"]).outcome is Outcome.FAILED


def test_a_machine_that_never_came_up_leaves_no_case_without_a_word() -> None:
    cases = rules.never_answered("it hangs", "Kernel panic")
    assert [case.name for case in cases] == list(rules.ALL)
    assert cases[0].output == "Kernel panic"
    assert {case.outcome for case in cases[1:]} == {Outcome.SKIPPED}
    assert verdict_of(cases) is Verdict.FAILED


@given(st.lists(st.sampled_from(Outcome)))
def test_one_bad_case_is_enough_and_nothing_at_all_is_no_pass(outcomes: list[Outcome]) -> None:
    cases = [Case("s", f"case {number}", outcome) for number, outcome in enumerate(outcomes)]
    verdict = verdict_of(cases)
    bad = [outcome for outcome in outcomes if outcome in (Outcome.FAILED, Outcome.ERROR)]
    assert (verdict is Verdict.FAILED) == bool(bad)
    assert (verdict is Verdict.PASSED) == (not bad and Outcome.PASSED in outcomes)
    said = first_bad(cases)
    assert bool(said) == bool(bad)
    assert (f"and {len(bad) - 1} more" in said) == (len(bad) > 1)


def test_a_report_is_the_same_after_the_ledger() -> None:
    facts = Facts("Linux 6.1", ("tcp *:22 sshd",), ("ssh.service",), 1, 2)
    report = Report(
        "web",
        "0.1.0",
        "qemu.web",
        "sha256:1",
        "r",
        "c",
        1.0,
        2.0,
        "tcg",
        17.5,
        (Case("s", "c", Outcome.PASSED),),
        facts,
    )
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report


@given(st.lists(st.tuples(st.sampled_from(Outcome), st.text(max_size=9), st.text(max_size=9))), st.integers(0, 60))
def test_a_report_has_room_for_what_went_wrong_first(said: list[tuple[Outcome, str, str]], room: int) -> None:
    cases = [Case("s", str(number), outcome, 0.0, *texts) for number, (outcome, *texts) in enumerate(said)]
    kept = fitting(cases, room)
    assert [(case.name, case.outcome) for case in kept] == [(case.name, case.outcome) for case in cases]
    assert sum(len(case.message) + len(case.output) for case in kept) <= room
    if sum(len(case.message) + len(case.output) for case in cases if case.outcome.bad) <= room:
        assert [case for case in kept if case.outcome.bad] == [case for case in cases if case.outcome.bad]
