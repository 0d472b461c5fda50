"""Waivers: findings that somebody answers for, each with a reason and an end.

/etc/migprep/waivers.yaml holds one list, `waivers`, of mappings: `rule` and, for one finding only,
`subject`; or `fingerprint` instead of both; `reason`; `expires` (a date, the last day it holds);
`target` to limit it to one target.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from migprep import data
from migprep.model import Finding, MigprepError, Result, Waiver

MEMBERS = frozenset({"rule", "subject", "fingerprint", "target", "reason", "expires"})


class WaiverError(MigprepError):
    """A waiver that is refused: path, line and what is wrong."""

    code = 65


class Grant(NamedTuple):
    """One waiver as written; empty members match anything."""

    waiver: Waiver
    rule: str
    subject: str
    fingerprint: str
    target: str

    def covers(self, finding: Finding, target: str) -> bool:
        """Whether it speaks of this finding on this target."""
        return (
            self.target in ("", target)
            and self.rule in ("", finding.rule)
            and self.subject in ("", finding.subject)
            and self.fingerprint in ("", finding.fingerprint)
        )


def load(path: str, today: str) -> tuple[tuple[Grant, ...], tuple[str, ...]]:
    """Grants that hold on `today` (ISO date), and a sentence for each one refused or expired."""
    try:
        content = data.strict(path)
    except data.DataError as error:
        return (), (str(error),)
    given = content.get("waivers")
    if set(content) != {"waivers"} or not isinstance(given, list):
        return (), (f"{path}:1: must hold one list, waivers",)
    grants, refused = [], []
    for entry, line in zip(given, _lines(path)):
        try:
            grant = parse(entry)
            if grant.waiver.expires < today:
                raise WaiverError(f"this waiver expired on {grant.waiver.expires}; its findings are open again")
            grants.append(grant)
        except WaiverError as error:
            refused.append(f"{path}:{line}: {error}")
    return tuple(grants), tuple(refused)


def parse(entry: object) -> Grant:
    """One waiver. Raises WaiverError without the place."""
    if not isinstance(entry, dict):
        raise WaiverError("a waiver must be a mapping")
    unknown = set(map(str, entry)) - MEMBERS
    if unknown:
        raise WaiverError(f"unknown member {min(unknown)}")
    text = {key: str(entry.get(key, "")).strip() for key in MEMBERS}
    if not text["rule"] and not text["fingerprint"]:
        raise WaiverError("a waiver names a rule or a fingerprint")
    if not text["reason"]:
        raise WaiverError("a waiver says why: reason is missing")
    try:
        expires = time.strftime("%Y-%m-%d", time.strptime(text["expires"], "%Y-%m-%d"))
    except ValueError:
        raise WaiverError(f"expires must be a date such as 2027-01-31, not {text['expires']!r}") from None
    return Grant(Waiver(text["reason"], expires), text["rule"], text["subject"], text["fingerprint"], text["target"])


def _lines(path: str) -> list[int]:
    """The line of each entry, counted from 1."""
    import yaml

    with open(path, "rb") as stream:
        top: Any = yaml.compose(stream, yaml.SafeLoader)
    return [item.start_mark.line + 1 for key, value in top.value if key.value == "waivers" for item in value.value]


def apply(grants: tuple[Grant, ...], result: Result) -> Result:
    """`result` with each covered finding carrying its waiver; the status stays as it is."""
    if not grants or not result.findings:
        return result
    return result._replace(findings=tuple(_waived(grants, finding, result.target) for finding in result.findings))


def _waived(grants: tuple[Grant, ...], finding: Finding, target: str) -> Finding:
    for grant in grants:
        if grant.covers(finding, target):
            return finding._replace(waiver=grant.waiver)
    return finding
