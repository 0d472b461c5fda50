"""Every format is read by the program that it is for; hostile text stays text."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import machines

from migprep import report, saved
from migprep.report import changes
from migprep.report import json as as_json

#: What a file of the machine may hold to trick whoever shows it.
HOSTILE = '</pre><script>alert(1)</script>\x1b[31m"\'>=cmd|x\udcff{{7*7}}\u202e\r\n'


def hostile(value: Any) -> Any:
    """A document in which every free text is hostile."""
    free = {"message", "subject", "observed", "expected", "path", "reason", "note", "os", "model", "diff", "title",
            "by_hand", "why", "symptom"}  # fmt: skip
    if isinstance(value, dict):
        return {
            key: HOSTILE + one if key in free and isinstance(one, str) else hostile(one) for key, one in value.items()
        }
    return [hostile(one) for one in value] if isinstance(value, list) else value


def documents() -> dict[str, dict[str, Any]]:
    """A plain one, one of several targets with a diff, a hostile one."""
    plain, many = machines.report(), machines.report("kvm", "xen", "aws")
    diff = "--- a/etc/fstab\n+++ b/etc/fstab\n@@ -1,1 +1,1 @@\n-/dev/sdb1 /data\n+UUID=1 /data\n"
    change = {"path": "/etc/fstab", "rules": ["fstab/volatile-device-name"], "diff": diff}
    for one in many["targets"]:
        one["fixes"] = {"changes": [change], "commands": ["update-initramfs -u"]}
    return {"plain": plain, "many": many, "hostile": hostile(many)}


DOCUMENTS = documents()
each = pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)


@each
@pytest.mark.parametrize("form", report.FORMATS)
def test_every_format_is_a_pure_function_of_the_saved_report(form: str, document: dict[str, Any]) -> None:
    read = saved.parse(as_json.render(document).encode(), "test")
    words = report.render(read, form)
    assert words == report.render(document, form)
    assert words.endswith("\n")
    assert "\x1b" not in words


# --- the readers ---


@each
def test_junit_is_read_by_junitparser(document: dict[str, Any]) -> None:
    junitparser = pytest.importorskip("junitparser")
    suites = list(junitparser.JUnitXml.fromstring(report.render(document, "junit").encode()))
    assert [suite.name for suite in suites] == [f"migprep {one['name']}" for one in document["targets"]]
    for suite in suites:
        cases = list(suite)
        assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (len(cases), 2, 2, 1)
        assert {case.name for case in cases if any(isinstance(one, junitparser.Failure) for one in case.result)} == {
            "fstab/volatile-device-name", "network/static-address",
        }  # fmt: skip


@each
def test_junit_is_xml(document: dict[str, Any]) -> None:
    top = ET.fromstring(report.render(document, "junit"))
    assert len(top.findall("testsuite/testcase")) == len(document["results"])


def test_sarif_is_read_by_the_validator(tmp_path: Path) -> None:
    tool = shutil.which("Sarif.Multitool")
    if not tool:
        pytest.skip("no Sarif.Multitool (npm: @microsoft/sarif-multitool-linux)")
    path = tmp_path / "report.sarif"
    path.write_text(report.render(DOCUMENTS["hostile"], "sarif"))
    said = subprocess.run(
        [tool, "validate", str(path)], capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"},
    )  # fmt: skip
    assert "Analysis completed successfully" in said.stdout, said.stdout
    assert not re.search(r": error (SARIF|JSON)\d+", said.stdout), said.stdout


@each
def test_sarif_tells_every_finding_once_a_target(document: dict[str, Any]) -> None:
    log = json.loads(report.render(document, "sarif"))
    assert log["version"] == "2.1.0"
    for run, target in zip(log["runs"], document["targets"]):
        rules = run["tool"]["driver"]["rules"]
        found = [
            finding["fingerprint"]
            for one in document["results"] if one["target"] == target["name"] for finding in one["findings"]
        ]  # fmt: skip
        assert [one["partialFingerprints"]["migprep/v1"] for one in run["results"]] == found
        assert all(rules[one["ruleIndex"]]["id"] == one["ruleId"] for one in run["results"])
        for one in run["results"]:
            uri = one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
            assert re.fullmatch(r"[A-Za-z0-9/._~%-]+", uri), uri


@each
def test_prom_is_read_by_promtool(document: dict[str, Any]) -> None:
    tool = shutil.which("promtool")
    if not tool:
        pytest.skip("no promtool (Debian: prometheus)")
    said = subprocess.run(
        [tool, "check", "metrics"], input=report.render(document, "prom"), capture_output=True, text=True, check=False
    )
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")


def test_prom_counts() -> None:
    words = report.render(DOCUMENTS["plain"], "prom")
    for line in (
        'migprep_verdict{target="kvm",state="not_ready"} 1',
        'migprep_findings_open{target="kvm",severity="blocker"} 2',
        'migprep_findings_open{target="kvm",severity="low"} 15',
        'migprep_findings_waived{target="kvm"} 1',
        'migprep_rules_unknown{target="kvm"} 2',
        "migprep_last_run_timestamp_seconds 1795428000",
    ):
        assert line + "\n" in words


@each
def test_csv_is_read_by_a_reader_and_calculates_nothing(document: dict[str, Any]) -> None:
    rows = list(csv.DictReader(io.StringIO(report.render(document, "csv"), newline="")))
    findings = sum(len(one["findings"]) for one in document["results"])
    assert len(rows) == findings + sum(one["status"] == "unknown" for one in document["results"])
    assert not [cell for row in rows for cell in row.values() if cell and cell[0] in "=+-@\t\r"]


def test_csv_quotes_a_formula() -> None:
    from migprep.report import csv as as_csv

    assert as_csv.cell("=1+1") == "'=1+1"
    assert as_csv.cell(7) == 7


@each
def test_ndjson_lines_stand_alone(document: dict[str, Any]) -> None:
    lines = [json.loads(line) for line in report.render(document, "ndjson").split("\n")[:-1]]
    assert [one["kind"] for one in lines].count("verdict") == len(document["targets"])
    assert all(one["host"] == "web1" and one["target"] and one["time"] for one in lines)


@each
def test_nagios_and_checkmk_lines(document: dict[str, Any]) -> None:
    first = report.render(document, "nagios").split("\n")[0]
    words, bar, performance = first.partition(" | ")
    assert words.startswith("MIGPREP CRITICAL - web1 kvm not ready") and bar and "|" not in performance
    # the grammar of the Monitoring Plugins guidelines: 'label'=value[UOM];[warn];[crit];[min];[max]
    for one in performance.split():
        assert re.fullmatch(r"[a-z]+=[0-9.]+s?(;[0-9]*){0,4}", one), one
    for line in report.render(document, "checkmk").split("\n")[:-1]:
        assert re.fullmatch(r'2 "migprep [a-z]+" blockers=\d+\|high=\d+\|unknown=\d+ [^|]+', line), line


# --- HTML ---


class Reader(HTMLParser):
    """The tags of a page and its texts; complains about what does not close."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read_page(words: str) -> Reader:
    reader = Reader()
    reader.feed(words)
    assert reader.open == []
    return reader


@each
def test_html_is_one_file_that_fetches_and_runs_nothing_of_others(document: dict[str, Any]) -> None:
    words = report.render(document, "html")
    page = read_page(words)
    assert [tag for tag, _ in page.tags].count("script") == 1
    for tag, attributes in page.tags:
        assert tag not in ("link", "img", "iframe", "object", "base"), tag
        assert not {"src", "onclick", "onerror"} & set(attributes)
        assert (attributes.get("href") or "#").startswith("#")
    assert "url(" not in words and "@import" not in words
    assert words.isprintable() or all(sign.isprintable() or sign == "\n" for sign in words)


def test_html_policy_is_of_the_script_inside() -> None:
    import base64
    import hashlib

    words = report.render(DOCUMENTS["hostile"], "html")
    script = re.search(r"<script>(.*)</script>", words, re.DOTALL)
    assert script
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in words.replace("&#39;", "'")


def test_html_shows_verdicts_findings_and_diffs() -> None:
    page = read_page(report.render(DOCUMENTS["many"], "html"))
    words = " ".join(page.words)
    for told in ("NOT READY", "/data is mounted from /dev/sdb1", "/etc/fstab:7", "+UUID=1 /data", "-/dev/sdb1 /data",
                 "migprep fix --only fstab/volatile-device-name", "Waived until 2027-01-31", "update-initramfs -u"):  # fmt: skip
        assert told in words, told
    signs = [attributes["aria-label"] for tag, attributes in page.tags if tag == "svg"]
    assert len(signs) == 3 * 9


def test_html_in_chromium(tmp_path: Path) -> None:
    """The page as a browser has it: the filter works, and no script of the machine's ran."""
    browser = shutil.which("chromium")
    if not browser:
        pytest.skip("no chromium")
    path = tmp_path / "report.html"
    path.write_text(report.render(DOCUMENTS["hostile"], "html").replace("alert(1)", "document.title='owned'"))
    said = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
         f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", path.as_uri()],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    if not said.stdout:
        pytest.skip(f"chromium does not start here: {said.stderr[:200]}")
    assert "<title>web1: kvm not ready" in said.stdout
    assert re.search(r'id="told"[^>]*>\d+ of \d+ shown', said.stdout), "our own script must run"


# --- saved reports ---


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)), st.data())
@settings(max_examples=60, deadline=None)
def test_a_report_with_anything_in_any_place_is_refused_or_rendered(anything: Any, data: st.DataObject) -> None:
    document = json.loads(as_json.render(machines.report()))
    place, key = document, data.draw(st.sampled_from(sorted(document)))
    while isinstance(place[key], (dict, list)) and place[key] and data.draw(st.booleans()):
        place = place[key]
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
    place[key] = anything
    try:
        read = saved.parse(json.dumps(document).encode(), "test")
    except saved.SavedError as error:
        assert str(error).startswith("test: ")
        return
    for form in report.FORMATS:
        report.render(read, form)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"schema": NaN}', "NaN is no number"),
        (b"[]", "not a migprep report"),
        (b'{"schema": "migprep/plan/1.0"}', "not a migprep report"),
        (b'{"schema": "migprep/report/2.0"}', "is not understood"),
        (b'{"schema": "migprep/report/1.0"}', "has no tool"),
        (b"\xff\xfe\x00", "not JSON"),
    ],
)
def test_what_is_no_report_is_told(content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(saved.SavedError, match=re.escape(told)):
        saved.load(str(tmp_path / "x.json"))


def test_a_fifo_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.json")
    with pytest.raises(saved.SavedError, match="not a regular file"):
        saved.load(str(tmp_path / "x.json"))


# --- what changed ---


def test_changes_tell_new_gone_changed_and_still() -> None:
    before, after = machines.report(), machines.report()
    mounts = next(one for one in after["results"] if one["rule"] == "fstab/volatile-device-name")
    gone = mounts["findings"].pop()
    mounts["findings"][0] = {**mounts["findings"][0], "message": "another word"}
    fresh = {**gone, "fingerprint": "f" * 16, "message": "a new one"}
    mounts["findings"].append(fresh)
    after["targets"][0]["verdict"] = "conditional"
    after["results"] = [one for one in after["results"] if one["rule"] != "initramfs/other"]
    found = changes.compare(before, after)
    assert [one["fingerprint"] for one in found.new] == ["f" * 16]
    assert [one["fingerprint"] for one in found.gone] == [gone["fingerprint"]]
    assert [now["message"] for _, now in found.changed] == ["another word"]
    assert [one["rule"] for one in found.regained] == ["initramfs/other"]
    assert found.verdicts == (("kvm", "not_ready", "conditional"),)
    words = changes.render(found, after)
    for told in ("NEW (1)", "FIXED (1)", "CHANGED (1)", "was: /data is mounted", "kvm: CONDITIONAL (was NOT READY)"):
        assert told in words
    assert not found.is_empty and changes.compare(before, before).is_empty


def test_a_moved_line_is_no_change() -> None:
    before, after = machines.report(), machines.report()
    for result in after["results"]:
        for finding in result["findings"]:
            for one in finding["evidence"]:
                one["line"] = 99
    assert changes.compare(before, after).is_empty
