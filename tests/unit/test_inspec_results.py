"""Results of InSpec as JSON: each of its controls is named, with its state and why; what is no result is refused."""

import contextlib
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.adapters import inspec_results, junit
from core.errors import ToolError
from core.model.test_report import Case, Outcome

# As InSpec 5.24.24 wrote it here (4.56.61 writes the same of what is read), but for most of its controls and of what
# it says of each.
FOUND = rb"""{"platform":{"name":"debian","release":"12.11"},"profiles":[
{"name":"pdep","version":"0.1.0","attributes":[],
"controls":[{"id":"ssh-1","title":"sshd is there","impact":0.7,"code":"control","results":[]}],
"status":"loaded","status_message":""},
{"name":"small","version":"0.1.0","parent_profile":"pdep","controls":[
{"id":"ssh-1","title":"sshd is there","desc":"More words","impact":0.7,"refs":[],"tags":{},"code":"control","results":[
{"status":"passed","code_desc":"File /etc/passwd mode is expected to cmp == \"0644\"","run_time":0.798582438,
"start_time":"2026-11-21T21:14:05+00:00","resource_class":"file","resource_params":"[\"/etc/passwd\"]"},
{"status":"failed","code_desc":"User nobody-here is expected to exist","run_time":0.903577248,
"message":"expected User nobody-here to exist","resource_class":"user"}]},
{"id":"skip-1","title":null,"desc":null,"impact":0.5,"waiver_data":{},"results":[{"status":"skipped","code_desc":"No-op",
"run_time":1.6574e-05,"resource":"No-op","skip_message":"Skipped control due to only_if condition: not here"}]},
{"id":"throws-1","title":null,"results":[{"status":"failed","code_desc":"File /etc/passwd content ",
"run_time":0.000128531,"message":"boom in a test","exception":"RuntimeError","backtrace":[
"/usr/lib/ruby/vendor_ruby/rspec/its.rb:134:in `block (3 levels) in its'",
"./tests/prof/controls/a.rb:21:in `block (3 levels) in load_with_context'"]}]},
{"id":"empty-1","title":null,"results":[]},
{"id":"(generated from a.rb:35 f6582236084ed7764bcf067fec46a88e)","title":null,"results":[{"status":"failed",
"code_desc":"Command: `printf 'a\nb\n'` exit_status is expected to eq 0","run_time":0.01706484,
"message":"\nexpected: 0\n     got: 3\n\n(compared using ==)\n"}]}],"status":"loaded","status_message":""}],
"statistics":{"duration":0.10518223},"version":"5.24.24"}"""
BROKEN = rb"""{"profiles":[{"name":"ptop","status":"failed","controls":[],
"status_message":"Failed to load source for controls/a.rb: boom at the top"}],"version":"5.24.24"}"""
ELSEWHERE = rb"""{"name":"pwin","controls":[],"status":"skipped",
"status_message":"Skipping profile: 'pwin' on unsupported platform: 'debian/12.11'."}"""


def test_every_control_is_named_with_its_state_and_why() -> None:
    passed, failed, skipped, thrown, loose = inspec_results.parse(FOUND, "tests/prof")
    name = 'small.ssh-1: File /etc/passwd mode is expected to cmp == "0644"'
    assert passed == Case("tests/prof", name, Outcome.PASSED, 0.798582438)
    assert (failed.name, failed.outcome) == ("small.ssh-1: User nobody-here is expected to exist", Outcome.FAILED)
    assert (failed.message, failed.output) == ("expected User nobody-here to exist", "")
    assert (skipped.name, skipped.outcome) == ("small.skip-1: No-op", Outcome.SKIPPED)
    assert skipped.message == "Skipped control due to only_if condition: not here"
    # No test that failed, but one that could not be made: and where, of all that lies between.
    assert (thrown.name, thrown.outcome) == ("small.throws-1: File /etc/passwd content", Outcome.ERROR)
    assert thrown.message == "RuntimeError: boom in a test"
    assert thrown.output == "./tests/prof/controls/a.rb:21:in `block (3 levels) in load_with_context'"
    assert loose.name == "small.a.rb:35: Command: `printf 'a b '` exit_status is expected to eq 0"
    assert loose.message.startswith("expected: 0\n     got: 3")


def test_the_beginning_of_a_trace_is_kept_that_does_not_name_the_profile() -> None:
    (thrown,) = (case for case in inspec_results.parse(FOUND, "elsewhere") if case.outcome is Outcome.ERROR)
    assert len(thrown.output.splitlines()) == 2


def test_a_profile_that_cannot_be_read_is_an_error() -> None:
    (case,) = inspec_results.parse(BROKEN, "tests/ptop")
    assert (case.name, case.outcome) == ("ptop", Outcome.ERROR)
    assert case.message == "Failed to load source for controls/a.rb: boom at the top"


def test_a_profile_for_another_platform_may_be_one_of_several_but_not_all() -> None:
    (case,) = inspec_results.parse(b'{"profiles":[%b]}' % ELSEWHERE, "tests/pwin")
    assert (case.outcome, case.message.partition(":")[0]) == (Outcome.ERROR, "Skipping profile")
    beside = FOUND.replace(b'"profiles":[', b'"profiles":[' + ELSEWHERE + b",")
    assert [case.outcome for case in inspec_results.parse(beside, "tests/prof") if case.name == "pwin"] == [
        Outcome.SKIPPED
    ]


def test_nothing_is_no_case() -> None:
    assert inspec_results.parse(b'{"profiles":[{"name":"empty","status":"loaded","controls":[]}]}', "empty") == []


MANY = json.dumps({"profiles": [{"controls": [{"results": [{}] * (junit.MOST_CASES + 1)}]}]}).encode()


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "not what InSpec writes"),
        (b"<testsuites/>", "not what InSpec writes"),
        (b"[]", "not what InSpec writes"),
        (b'{"profiles":[{"controls":[{"results":[{"run_time":"long"}]}]}]}', "not what InSpec writes"),
        (b'{"profiles":[],"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not what InSpec writes"),
        (b'{"profiles":[{"name":"\xff\xfe"}]}', "not what InSpec writes"),
        (MANY, "more than"),
        (b" " * (junit.LARGEST + 1), "larger"),
    ],
)
def test_what_is_no_result_is_refused(raw: bytes, why: str) -> None:
    with pytest.raises(ToolError, match=re.escape(why)):
        inspec_results.parse(raw, "suite")


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5), st.lists, max_leaves=5), st.binary())
def test_any_bytes_are_cases_or_an_error_of_ours(value: object, tail: bytes) -> None:
    cases: list[Case] = []
    said = json.dumps({"profiles": [{"controls": [{"results": [{"status": "failed", "run_time": value}]}]}]}).encode()
    for raw in (said, said + tail, tail):
        with contextlib.suppress(ToolError):
            cases += inspec_results.parse(raw, "suite")
    assert all(case.name and case.seconds >= 0 for case in cases)
