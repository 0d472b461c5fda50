"""What a report comes to: its exit code, and what of the site's own files it left out."""

from __future__ import annotations

from migprep.typed import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: The worst first, as in the report.
SEVERITIES = ("blocker", "high", "low", "info")
#: What a gap is called that is no fact: a file of /etc/migprep that was refused.
SITE_FILES = "site files"


def code(report: Mapping[str, Any], fail_on: str) -> int:
    """The exit code: 2 action needed from the severity `fail_on` on, 3 unknown, 65 a site file was refused, 0."""
    serious = SEVERITIES[: SEVERITIES.index(fail_on) + 1]
    found = [finding for one in report["results"] if one["severity"] in serious for finding in one["findings"]]
    if not all(finding.get("waiver") for finding in found):
        return 2
    if any(one["verdict"] == "unknown" for one in report["targets"]):
        return 3
    return 65 if refused(report) else 0


def refused(report: Mapping[str, Any]) -> list[str]:
    """A sentence for each site file that was left out."""
    return [gap["reason"] for gap in report["run"]["gaps"] if gap["fact"] == SITE_FILES]


def mends(target: Mapping[str, Any], finding: Mapping[str, Any]) -> bool:
    """Whether `migprep fix` mends it there: as its plan came out, or without a plan as the rule promises."""
    planned = target.get("fixes", {}).get("mended")
    if planned is not None:
        return finding["fingerprint"] in planned
    fix = finding["fix"]
    return bool(fix) and fix["safety"] == "safe" and fix["phase"] == "prepare" and not finding.get("waiver")


def unmended(target: Mapping[str, Any], finding: Mapping[str, Any]) -> str:
    """Why the safe fix of a finding would not mend it there, as its plan came out; "" for any other."""
    left = target.get("fixes", {}).get("unmended", ())
    return next((str(one["reason"]) for one in left if one["fingerprint"] == finding["fingerprint"]), "")


def failing(document: Mapping[str, Any], finding: Mapping[str, Any], names: Sequence[str]) -> str:
    """`unmended`, where it is so on every one of the targets called `names`."""
    reasons = [unmended(one, finding) for one in document["targets"] if one["name"] in names]
    return reasons[0] if reasons and all(reasons) else ""
