"""What a guest said about itself, as data; garbage is refused in one sentence."""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import json
import re
import zlib
from typing import Any, NamedTuple, Optional

from .command import LabError


class Link(NamedTuple):
    """One network link with the addresses that reach beyond the machine."""

    name: str
    mac: str
    addresses: tuple[str, ...]


class Act(NamedTuple):
    """One command of the product: its exit code, seconds of guest time, and last words."""

    name: str
    code: int
    seconds: int
    words: str


class Testimony(NamedTuple):
    """Where a guest's root, data and network are, in its own words."""

    root: str
    mounts: frozenset[tuple[str, str]]
    swap: frozenset[str]
    failed: frozenset[str]
    links: tuple[Link, ...]
    gateways: frozenset[str]
    ping: bool
    kernel: str
    report: Optional[Any] = None
    capture: bytes = b""
    acts: tuple[Act, ...] = ()
    manifest: str = ""
    files: tuple[str, ...] = ()


def sections(text: str) -> dict[str, str]:
    """Cut what was said into its sections, after checking that nothing was lost on the way."""
    head, mark, tail = text.rpartition("@@end ")
    body = head[max(head.find("@@"), 0) :]
    if not mark:
        raise LabError("the guest's words have no end")
    if hashlib.sha256(body.encode()).hexdigest() != tail.split("\n")[0].strip():
        raise LabError("the guest printed garbage: its words and their checksum differ")
    found: dict[str, str] = {}
    for part in re.split("^@@", body, flags=re.M)[1:]:
        name, _, content = part.partition("\n")
        found[name] = content
    return found


def read(text: str) -> Testimony:
    """Turn a guest's words into data."""
    said = sections(text)
    try:
        return _read(said)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise LabError(f"the guest printed garbage: {error!r}") from error


def _read(said: dict[str, str]) -> Testimony:
    mounts = (line.split() for line in said.get("mounts", "").splitlines())
    swaps = (line.split() for line in said.get("swap", "").splitlines())
    failed = (line.split() for line in said.get("failed", "").splitlines() if line.strip())
    acts = []
    for name, content in said.items():
        if name.startswith(("late ", "check ", "capture ", "fix ", "rollback ", "unit ")):
            act, code, began, ended = name.split()
            acts.append(Act(act, int(code), round(float(ended) - float(began)), content.strip()))
    files = gzip.decompress(base64.b64decode(said["files"])).decode("utf-8", "replace") if "files" in said else ""
    return Testimony(
        root=(said.get("root", "").split() or [""])[0],
        mounts=frozenset((row[0], row[3]) for row in mounts if len(row) > 3),
        swap=frozenset(row[-1] for row in swaps if row),
        failed=frozenset(row[0] for row in failed),
        links=links(said.get("addresses", "[]")),
        gateways=frozenset(
            route["gateway"]
            for route in json.loads(said.get("routes") or "[]")
            if route.get("dst") == "default" and "gateway" in route
        ),
        ping=said.get("ping", "").strip() == "yes",
        kernel=said.get("kernel", "").strip(),
        report=unpacked(said.get("report", "")),
        capture=base64.b64decode(said.get("archive", "")),
        acts=tuple(acts),
        manifest=said.get("manifest", "").split(" ")[0].strip(),
        files=tuple(files.splitlines()),
    )


def act(said: Testimony, name: str) -> Optional[Act]:
    """What came of one command, or None when it was not run."""
    return next((one for one in said.acts if one.name == name), None)


def links(text: str) -> tuple[Link, ...]:
    """The links of `ip -j addr`, without loopback and link-local addresses."""
    found = []
    for item in json.loads(text or "[]"):
        if item.get("link_type") == "loopback":
            continue
        addresses = tuple(
            f"{info['local']}/{info['prefixlen']}"
            for info in item.get("addr_info", ())
            if info.get("scope") == "global"
        )
        found.append(Link(item["ifname"], item.get("address", ""), addresses))
    return tuple(found)


def unpacked(content: str) -> Optional[Any]:
    """A report that came as packed JSON, or None when it did not come whole."""
    try:
        return json.loads(gzip.decompress(base64.b64decode(content)))
    except (ValueError, OSError, EOFError, zlib.error, binascii.Error):
        return None
