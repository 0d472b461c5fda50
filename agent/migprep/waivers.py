"""Waivers: findings that somebody answers for, each with a reason and an end.

/etc/migprep/waivers.d/*.yaml hold one list each, `waivers`, of mappings: `rule` and, for one finding only, `subject`;
or `fingerprint` instead of both; `justification`; `expires` (a date, the last day it holds); `host`, a shell pattern,
and `target`, to limit it. They are read before anything is judged. A waived finding is still told; a waived blocker
gives `conditional` at best.
"""

from __future__ import annotations

import time

from migprep import data
from migprep.model import Finding, MigprepError, Result, Waiver
from migprep.typed import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MEMBERS = frozenset({"rule", "subject", "fingerprint", "host", "target", "justification", "expires"})


class WaiverError(MigprepError):
    """A waiver that is refused: path, line and what is wrong."""

    code = 65


class Grant(NamedTuple):
    """One waiver as written; empty members match anything. `place` is path:line."""

    waiver: Waiver
    rule: str
    subject: str
    fingerprint: str
    host: str
    target: str
    place: str

    def covers(self, finding: Finding, target: str) -> bool:
        """Whether it speaks of this finding on this target."""
        return (
            self.target in ("", target)
            and self.rule in ("", finding.rule)
            and self.subject in ("", finding.subject)
            and self.fingerprint in ("", finding.fingerprint)
        )

    def is_for(self, host: str) -> bool:
        """Whether it speaks of this host."""
        from fnmatch import fnmatchcase

        return not self.host or fnmatchcase(host.lower(), self.host.lower())


def load(path: str) -> tuple[tuple[Grant, ...], tuple[str, ...]]:
    """What one file grants, and a sentence for each waiver refused."""
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
            grants.append(parse(entry, f"{path}:{line}"))
        except WaiverError as error:
            refused.append(str(error))
    return tuple(grants), tuple(refused)


def parse(entry: object, place: str) -> Grant:
    """One waiver. Raises WaiverError with its place."""
    if not isinstance(entry, dict):
        raise WaiverError(f"{place}: a waiver must be a mapping")
    unknown = set(map(str, entry)) - MEMBERS
    if unknown:
        raise WaiverError(f"{place}: unknown member {min(unknown)}")
    text = {key: str(entry.get(key, "")).strip() for key in MEMBERS}
    if not text["rule"] and not text["fingerprint"]:
        raise WaiverError(f"{place}: a waiver names a rule or a fingerprint")
    if not text["justification"]:
        raise WaiverError(f"{place}: a waiver says why: justification is missing")
    if not text["expires"]:
        raise WaiverError(f"{place}: a waiver has an end: expires is missing")
    try:
        expires = time.strftime("%Y-%m-%d", time.strptime(text["expires"], "%Y-%m-%d"))
    except ValueError:
        raise WaiverError(f"{place}: expires must be a date such as 2027-01-31, not {text['expires']!r}") from None
    return Grant(
        Waiver(text["justification"], expires), text["rule"], text["subject"], text["fingerprint"], text["host"],
        text["target"], place,
    )  # fmt: skip


def _lines(path: str) -> list[int]:
    """The line of each entry, counted from 1."""
    import yaml

    with open(path, "rb") as stream:
        top: Any = yaml.compose(stream, yaml.SafeLoader)
    return [item.start_mark.line + 1 for key, value in top.value if key.value == "waivers" for item in value.value]


def apply(grants: tuple[Grant, ...], result: Result, today: str = "") -> Result:
    """`result` with each finding carrying the waiver that covers it and holds today; the status stays as it is."""
    if not grants or not result.findings:
        return result
    today = today or time.strftime("%Y-%m-%d")
    holding = tuple(one for one in grants if one.waiver.expires >= today)
    return result._replace(findings=tuple(_waived(holding, finding, result.target) for finding in result.findings))


def _waived(grants: tuple[Grant, ...], finding: Finding, target: str) -> Finding:
    for grant in grants:
        if grant.covers(finding, target):
            return finding._replace(waiver=grant.waiver)
    return finding


def register(grants: Iterable[Grant], results: Sequence[Result], today: str) -> list[dict[str, str]]:
    """What each waiver does here: `used`, `unused` (it covers no finding) or `expired` (what it covers is open)."""
    listed = []
    for grant in grants:
        covered = any(grant.covers(finding, one.target) for one in results for finding in one.findings)
        state = ("expired" if grant.waiver.expires < today else "used") if covered else "unused"
        words = grant._asdict()
        listed.append({**{key: words[key] for key in ("place", "rule", "subject", "fingerprint", "host", "target")},
                       **grant.waiver._asdict(), "state": state})  # fmt: skip
    return listed
