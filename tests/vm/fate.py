"""Compare what a machine was with what it became, and what was said with what happened."""

from __future__ import annotations

from typing import Any, NamedTuple, Optional

from .testimony import Testimony

LINKS = ("boot", "network", "data")


class Fate(NamedTuple):
    """What is lost on new hardware (of boot, network, data), and what limps."""

    lost: tuple[str, ...]
    limps: tuple[str, ...] = ()
    note: str = ""

    @property
    def whole(self) -> bool:
        return not self.lost and not self.limps

    def __str__(self) -> str:
        if self.lost:
            return "lost " + "+".join(self.lost)
        return "limps: " + ", ".join(self.limps) if self.limps else "whole"


class Prediction(NamedTuple):
    """What migprep said: its verdict, what its blockers block, and which rules failed."""

    verdict: str
    blocks: tuple[str, ...] = ()
    rules: frozenset[str] = frozenset()
    note: str = ""


NONE = Prediction("-", note="no prediction")


def dead(where: str, line: str) -> Fate:
    """The fate of a machine that did not come up: all is lost."""
    return Fate(("boot",), (), f"{where}: {line}")


def fate(source: Testimony, target: Testimony) -> Fate:
    """What the machine lost on its way from source to target."""
    notes = []
    lost = []
    why = network_loss(source, target)
    if why:
        lost.append("network")
        notes.append(why)
    missing = sorted(f"{where} {uuid}" for where, uuid in source.mounts - target.mounts)
    if missing:
        lost.append("data")
        notes.append(f"not mounted: {', '.join(missing)}")
    limps = sorted(target.failed - source.failed)
    if len(target.swap) < len(source.swap):  # one with a random key has another UUID at each start
        limps.append("no swap")
    if target.kernel != source.kernel:
        notes.append(f"kernel {target.kernel}")
    return Fate(tuple(lost), tuple(limps), "; ".join(notes))


def network_loss(source: Testimony, target: Testimony) -> str:
    """Why the network is not what it was, or nothing."""
    before = {address for link in source.links for address in link.addresses}
    after = {address for link in target.links for address in link.addresses}
    if before - after:
        return f"addresses gone: {', '.join(sorted(before - after))}"
    if source.gateways - target.gateways:
        return "the default route is gone"
    if source.ping and not target.ping:
        return "the gateway does not answer"
    return ""


def prediction(report: Optional[Any], target: str, note: str = "") -> Prediction:
    """Read one target's verdict out of a report."""
    if not isinstance(report, dict):
        return Prediction("-", note=note or "no report")
    verdict = next((t.get("verdict", "-") for t in report.get("targets", ()) if t.get("name") == target), "-")
    failed = [
        r for r in report.get("results", ())
        if r.get("status") == "fail" and r.get("target", target) in (target, None)
    ]  # fmt: skip
    blocks = {r["blocks"] for r in failed if r.get("severity") == "blocker" and r.get("blocks") in LINKS}
    unknown = sorted(
        str(r.get("rule")) for r in report.get("results", ())
        if r.get("status") == "unknown" and r.get("severity") == "blocker"
        and r.get("target", target) in (target, None)
    )  # fmt: skip
    return Prediction(
        verdict,
        tuple(link for link in LINKS if link in blocks),
        frozenset(str(r.get("rule")) for r in failed),
        f"unknown: {', '.join(unknown)}" if verdict == "unknown" else "",
    )


def judgement(said: Prediction, became: Fate) -> str:
    """One word: agree, missed (said ready, lost something), false alarm, or open."""
    if said.verdict == "ready":
        return "agree" if became.whole else "missed"
    if said.verdict == "not_ready":
        return "false alarm" if became.whole else "agree"
    if said.verdict == "conditional":  # a warning: right when something limps, tolerable when all is well
        return "missed" if became.lost else "agree"
    return "open"
