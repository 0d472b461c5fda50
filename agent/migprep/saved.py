"""Reports read back from files, which may come from anybody: a member that renderers rely on is held to its type."""

from __future__ import annotations

import os
import stat

from migprep.model import Link, MigprepError
from migprep.typed import Any

#: No report of a machine comes near (bytes).
LIMIT = 64 << 20

VERDICT = frozenset({"ready", "conditional", "not_ready", "unknown"})
_EVIDENCE = {"path": str, "line": (int, type(None)), "observed": str, "expected": str}
_FIX = {
    "title": str,
    "safety": frozenset({"safe", "risky", "manual"}),
    "phase": frozenset({"prepare", "cutover", "after"}),
}
_FINDING = {
    "fingerprint": str, "subject": str, "message": str, "evidence": [_EVIDENCE], "fix": (None, _FIX),
    "waiver?": {"reason": str, "expires": str},
}  # fmt: skip
_LINK = {
    "link": frozenset(one.value for one in Link),
    "status": frozenset({"pass", "warn", "fail", "unknown"}),
    "note": str,
    "symptom?": str,
    "reached?": bool,
    "findings": [str],
}
_WORDS = (None, [str])
_NIC = {
    "name": str, "mac": str, "driver": str, "addresses": _WORDS, "configured_by": (None, str), "gateways?": _WORDS,
    "place?": str, "carries?": _WORDS,
    "lease?": (None, {"address": str, "server": str, "identity": str}),
}  # fmt: skip
_NETWORK = {
    "name": str, "configured_by": str, "configured_in": str, "method": str, "addresses": [str], "gateway": str,
    "dns": [str], "mtu": int, "stands_on": [str], "below": [str],
}  # fmt: skip
_DISK = {
    "name": str, "size": int, "bus": str, "driver": str, "model": str, "removable": bool, "serial?": str,
}  # fmt: skip
_FILESYSTEM = {
    "device": str, "type": str, "uuid": str, "label": str, "partuuid": str, "size": int, "partlabel?": str,
    "links?": [str], "stands_on?": [str], "changed_by?": str, "restore_uuid?": str, "restore_label?": str,
    "restore_partuuid?": str,
}  # fmt: skip
_REFERENCE = {
    "path": str, "line": int, "text": str, "kind": str, "devices": [str],
    "state": frozenset({"found", "missing", "ambiguous", "other"}),
}  # fmt: skip
_ENTRY = {"number": str, "title": str, "loader": str, "is_current": bool}
_CHANGE = {"path": str, "rules": [str], "diff": str}
#: The schema, as far as it is relied on: a type, types, a set of words, a list, a mapping; `?` may be absent.
SHAPE = {
    "tool": {"name": str, "version": str, "rules?": str},
    "host": {"name": str, "os": str, "kernel": str, "firmware": str, "virtualization": str, "id?": str},
    "run": {
        "started": str, "seconds": (int, float), "root": str, "complete": bool, "gaps": [{"fact": str, "reason": str}],
        "searched?": (int, type(None)),
    },
    "targets": [
        {"name": str, "title": str, "verdict": VERDICT, "after_fixes": VERDICT, "reasons": [str], "boot_chain": [_LINK],
         "fixes?": {"changes": [_CHANGE], "commands": [str], "mended?": [str],
                    "unmended?": [{"fingerprint": str, "reason": str}]}},
    ],
    "results": [
        {"rule": str, "title": str, "status": frozenset({"pass", "fail", "unknown", "not_applicable"}),
         "severity": frozenset({"blocker", "high", "low", "info"}),
         "blocks": frozenset({"", "boot", "network", "data"}), "link": str, "target": str, "reason?": str,
         "findings": [_FINDING], "by_hand?": str, "why?": str, "symptom?": str},
    ],
    "waivers?": [
        {"place": str, "rule": str, "subject": str, "fingerprint": str, "host": str, "target": str, "reason": str,
         "expires": str, "state": frozenset({"used", "unused", "expired"})},
    ],
    "inventory": {
        "disks": (None, [_DISK]), "filesystems": (None, [_FILESYSTEM]), "references?": (None, [_REFERENCE]),
        "nics": (None, [_NIC]), "network?": (None, [_NETWORK]), "cpu": (None, dict),
        "machine?": {"boots_from?": (None, [str]), "boot_entries?": (None, [_ENTRY])},
    },
}  # fmt: skip


class SavedError(MigprepError):
    """A file that is no report; the sentence says where it goes wrong."""

    code = 65


def load(path: str) -> dict[str, Any]:
    """The report in a file. Raises SavedError."""
    return parse(read(path), path)


def read(path: str, limit: int = LIMIT) -> bytes:
    """What a regular file of at most `limit` bytes holds. Raises SavedError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            found = os.fstat(stream.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise SavedError(f"{path}: not a regular file")
            if found.st_size > limit:
                raise SavedError(f"{path}: larger than any report ({found.st_size >> 20} MiB)")
            return stream.read(limit + 1)
    except OSError as error:
        raise SavedError(f"{path}: {(error.strerror or str(error)).lower()}") from None


def parse(content: bytes, path: str) -> dict[str, Any]:
    """The report that `content` is. Raises SavedError naming `path` and the member."""
    import json

    try:
        document = json.loads(content, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise SavedError(f"{path}: not JSON ({error})") from None
    if not isinstance(document, dict) or not str(document.get("schema", "")).startswith("migprep/report/"):
        raise SavedError(f"{path}: not a migprep report")
    if not document["schema"].startswith("migprep/report/1."):
        raise SavedError(f"{path}: {document['schema'][:60]} is not understood; this is migprep/report/1.0")
    fault = _fault(document, SHAPE, "") or _unsound(document)
    if fault:
        raise SavedError(f"{path}: {fault}")
    return document


def _refuse(word: str) -> float:
    raise ValueError(f"{word} is no number of JSON")


def _fault(value: Any, shape: Any, where: str) -> str:
    """What is wrong with `value`, with the place; "" when it has the shape."""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return f"{where or 'the report'} must be an object"
        for key, inner in shape.items():
            name = key.rstrip("?")
            if name in value:
                fault = _fault(value[name], inner, f"{where}.{name}" if where else name)
                if fault:
                    return fault
            elif name == key:
                return f"{where or 'the report'} has no {name}"
        return ""
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{where} must be a list"
        faults = (_fault(one, shape[0], f"{where}[{at}]") for at, one in enumerate(value))
        return next(filter(None, faults), "")
    if isinstance(shape, frozenset):
        return (
            ""
            if isinstance(value, str) and value in shape
            else f"{where} is {str(value)[:40]!r}, which is no such word"
        )
    if isinstance(shape, tuple) and shape[0] is None:
        return "" if value is None else _fault(value, shape[1], where)
    if isinstance(value, shape) and (shape is bool or not isinstance(value, bool)):
        return ""
    return f"{where} is of the wrong type"


def _unsound(document: dict[str, Any]) -> str:
    """What no shape says: a target at least, evidence for every finding, a time, a reason for what is unknown."""
    import time

    if not document["targets"]:
        return "targets is empty"
    try:
        time.strptime(document["run"]["started"], "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        return "run.started is no time such as 2026-11-23T10:00:00Z"
    if not 0 <= document["run"]["seconds"] < 1e9:
        return "run.seconds is no duration"
    for number, one in enumerate(document["results"]):
        if one["status"] == "unknown" and not one.get("reason"):
            return f"results[{number}] is unknown without a reason"
        for finding in one["findings"]:
            if not finding["evidence"]:
                return f"results[{number}] has a finding without evidence"
            if not all(0 < (seen["line"] or 1) < 1 << 31 for seen in finding["evidence"]):
                return f"results[{number}] has evidence in a line that cannot be"
    return ""
