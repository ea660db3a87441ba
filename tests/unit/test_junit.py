"""Results of suites as XML: what pytest, goss and Pester write is understood; what means harm is not."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.adapters import junit
from core.errors import ToolError
from core.model.test_report import Case, Outcome

PYTEST = b"""<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests"><testsuite name="pytest" errors="1"
 failures="1" skipped="1" tests="4" time="3.1"><testcase classname="tests.base.test_x" name="test_up[ssh://machine]"
 time="1.250" /><testcase classname="tests.base.test_x" name="test_down" time="0.5"><failure message="AssertionError:
 assert 1 == 2">def test_down():\n&gt; assert 1 == 2</failure><system-out>it said so</system-out></testcase><testcase
 classname="tests.base.test_x" name="test_skipped" time="0"><skipped type="pytest.skip" message="not here">x.py:3: not
 here</skipped></testcase><testcase classname="tests.base.test_x" name="test_broken" time="0"><error message="failed on
 setup">RuntimeError</error></testcase></testsuite></testsuites>"""
# As goss 0.4.10 printed it here (0.4.9 prints the same), but for most of its cases.
GOSS = b"""<?xml version="1.0" encoding="UTF-8"?>
<testsuite name="goss" errors="0" tests="16" failures="6" skipped="3" time="0.301" timestamp="2026-11-21T21:01:53Z">
<testcase name="Command skipme exit-status" time="0.000">
<skipped/><system-out>Command: skipme: exit-status: skipped</system-out>
</testcase>
<testcase name="File /etc/passwd mode" time="0.000">
<system-out>File: /etc/passwd: mode: matches expectation: &#34;0644&#34;</system-out>
</testcase>
<testcase name="Command printf &#39;hello&#xA;world&#xA;&#39;; echo bad &gt;&amp;2 stdout" time="0.000">
<system-err>Command: printf &#39;hello&#xA;world&#xA;&#39;; echo bad &gt;&amp;2: stdout: \
Expected &#34;object: *bytes.Reader&#34; to have patterns [&#34;hello&#34;,&#34;/w.*x/&#34;] \
the missing elements were [&#34;/w.*x/&#34;]</system-err>
<failure>Command: printf &#39;hello&#xA;world&#xA;&#39;; echo bad &gt;&amp;2: stdout: \
Expected &#34;object: *bytes.Reader&#34; to have patterns [&#34;hello&#34;,&#34;/w.*x/&#34;] \
the missing elements were [&#34;/w.*x/&#34;]</failure>
</testcase>
<testcase name="Command slow exit-status" time="0.301">
<system-err>Command: slow: exit-status: Error Command execution timed out (300ms)</system-err>
<failure>Command: slow: exit-status: Error Command execution timed out (300ms)</failure>
</testcase>
</testsuite>
"""
NUNIT3 = b"""<?xml version="1.0" encoding="utf-8"?><test-run result="Failed" total="3"><test-suite name="Pester">
<test-suite><test-case name="is up" fullname="IIS.is up" result="Passed" duration="0.5"><output><![CDATA[fine]]>
</output></test-case><test-case name="has TLS" fullname="IIS.has TLS" result="Failed"
 duration="0.1"><failure><message>Expected 1.2, got 1.0
</message><stack-trace>at line 7</stack-trace></failure></test-case><test-case name="broke" fullname="IIS.broke"
 result="Failed" label="Error" duration="0"><failure><message>boom</message></failure></test-case>
<test-case name="later" fullname="IIS.later" result="Inconclusive"><reason><message>no
 domain</message></reason></test-case></test-suite>
</test-suite></test-run>"""
NUNIT2 = b"""<?xml version="1.0" encoding="utf-8"?><test-results name="Pester"
 total="2"><test-suite><results><test-case
 name="IIS.is up" executed="True" result="Success" success="True" time="0.04" /><test-case name="IIS.has TLS"
 executed="True" result="Failure" success="False" time="1.5"><failure><message>Expected 1.2</message><stack-trace>
at line 7</stack-trace></failure></test-case><test-case name="IIS.later" executed="False"
 result="Ignored"><reason><message>no
 domain</message></reason></test-case></results></test-suite></test-results>"""


def outcomes(raw: bytes) -> list[tuple[str, str]]:
    return [(case.name.rpartition(": ")[2], case.outcome.value) for case in junit.parse(raw, "suite")]


def test_pytests_results_are_read_with_their_times_and_reasons() -> None:
    up, down, skipped, broken = junit.parse(PYTEST, "tests/base")
    assert up == Case("tests/base", "tests.base.test_x: test_up[ssh://machine]", Outcome.PASSED, 1.25)
    assert (down.outcome, down.seconds) == (Outcome.FAILED, 0.5)
    assert down.message.startswith("AssertionError:")
    assert "assert 1 == 2" in down.output
    assert "it said so" in down.output
    assert (skipped.outcome, skipped.message) == (Outcome.SKIPPED, "not here")
    assert broken.outcome is Outcome.ERROR


def test_what_goss_says_is_read_once_and_its_names_are_one_line() -> None:
    skipped, passed, failed, late = junit.parse(GOSS, "tests/goss")
    assert (skipped.name, skipped.outcome) == ("Command skipme exit-status", Outcome.SKIPPED)
    assert (passed.name, passed.outcome, passed.message) == ("File /etc/passwd mode", Outcome.PASSED, "")
    assert passed.output == 'File: /etc/passwd: mode: matches expectation: "0644"'
    assert (failed.name, failed.outcome) == ("Command printf 'hello world '; echo bad >&2 stdout", Outcome.FAILED)
    assert failed.message.startswith("Command: printf 'hello\nworld\n'; echo bad >&2: stdout: Expected")
    assert failed.message.endswith('the missing elements were ["/w.*x/"]')
    assert failed.output == "", "it is the message"
    assert (late.outcome, late.seconds, late.output) == (Outcome.FAILED, 0.301, "")
    assert late.message == "Command: slow: exit-status: Error Command execution timed out (300ms)"


def test_the_results_of_pester_are_read() -> None:
    assert outcomes(NUNIT3) == [
        ("IIS.is up", "passed"), ("IIS.has TLS", "failed"), ("IIS.broke", "error"), ("IIS.later", "skipped"),
    ]  # fmt: skip
    assert junit.parse(NUNIT3, "iis")[1].output == "at line 7"
    assert outcomes(NUNIT2) == [("IIS.is up", "passed"), ("IIS.has TLS", "failed"), ("IIS.later", "skipped")]
    assert junit.parse(NUNIT2, "iis")[2].message == "no\n domain"


LAUGHS = b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><testsuite><testcase name="&b;"/></testsuite>'
A_FILE = (
    b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><testsuite><testcase name="x">&f;</testcase></testsuite>'
)
DEEP = b"<testsuite>" * 5000 + b"</testsuite>" * 5000


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (LAUGHS, "entities"),
        (A_FILE, "entities"),
        (DEEP, "deep"),
        (b"", "no XML"),
        (b"<html><body/></html>", "neither"),
        (b"<testsuite><testcase name='x'>", "no XML"),
        (b"\xff\xfe\x00garbage", "no XML"),
        (b"<testsuite>" + b"<testcase/>" * (junit.MOST_CASES + 1) + b"</testsuite>", "more than"),
        (b" " * (junit.LARGEST + 1), "larger"),
    ],
)
def test_what_is_no_result_or_means_harm_is_refused(raw: bytes, why: str) -> None:
    with pytest.raises(ToolError, match=why):
        junit.parse(raw, "suite")


def test_a_report_stays_small_whatever_a_suite_writes(tmp_path: Path) -> None:
    endless = b"x" * 1_000_000
    file = tmp_path / "junit.xml"
    file.write_bytes(
        b'<testsuite><testcase name="%b" time="nan"><failure message="%b">%b</failure></testcase></testsuite>'
        % (endless, endless, endless)
    )
    (case,) = junit.read(file, "suite")
    assert len(case.name) == junit.LONGEST_NAME
    assert len(case.message) == junit.LONGEST_MESSAGE
    assert len(case.output) == junit.LONGEST_OUTPUT
    assert case.seconds == 0.0
    with pytest.raises(ToolError, match="cannot be read"):
        junit.read(tmp_path / "missing.xml", "suite")


pieces = st.lists(
    st.sampled_from(
        [
            b"<testsuite>",
            b"</testsuite>",
            b"<testcase name='a' time='-1'>",
            b"</testcase>",
            b"<failure/>",
            b"<skipped>x",
            b"</skipped>",
            b"<test-run>",
            b"<test-case result='Failed'>",
            b"</test-case>",
            b"</test-run>",
            b"<![CDATA[",
            b"]]>",
            b"&lt;",
            b"<!DOCTYPE x>",
            b"\x00",
            b"text",
        ]
    )
    | st.binary(max_size=8)
)


@given(pieces)
def test_any_bytes_are_cases_or_an_error_of_ours(parts: list[bytes]) -> None:
    cases: list[Case] = []
    with contextlib.suppress(ToolError):
        cases = junit.parse(b"".join(parts), "suite")
    assert all(case.name and case.seconds >= 0 for case in cases)
