"""The report of a machine that did not change since it was made: kept in the cache with what it rests on."""

from __future__ import annotations

import os
import sys
import time

import migprep
from migprep import witness
from migprep.cache import Cache
from migprep.data import COMPILED, HERE, SITE
from migprep.typed import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Callable

    from migprep.root import Root

    Report = dict[str, Any]

#: A number that is another after each boot (random(4)).
BOOT = "/proc/sys/kernel/random/boot_id"
#: Rules about the first sectors of disks.
CODE = ("bootloader/no-boot-code", "bootloader/first-disk-without-code", "bootloader/first-half-without-code")
#: Reasons that may be gone at the next run, though nothing changed.
PASSING = ("took more than", "internal error")


def program() -> list[Any] | None:
    """What tells this installation and this boot from any other; None for a checkout, whose rules may change."""
    place = HERE
    while not os.path.exists(place):  # a zip, or an executable that holds one
        place = os.path.dirname(place)
    if place == HERE and not os.path.exists(os.path.join(HERE, COMPILED)):
        return None
    folders = [witness.identity(place), witness.identity(os.path.dirname(place))]  # the second: what it depends on
    return [migprep.__version__, sys.version, list(os.uname()), witness.content(BOOT), *folders]


def report(names: Sequence[str], make: Callable[[Root], Report], cache: Cache | None = None) -> Report:
    """The report for the targets `names`: the one kept while nothing changed, else what `make` says of the machine."""
    cache = cache or Cache()
    here = _here()
    kept = cache.get(_key(names), here) if here else None
    if isinstance(kept, dict) and witness.unchanged(kept["notes"]):
        known: Report = kept["report"]
        return known
    place = witness.Witness()
    for folder in (SITE, f"{SITE}/rules.d", f"{SITE}/targets.d", f"{SITE}/waivers.d"):
        for name in place.names(folder):
            place.stat(f"{folder}/{name}")
    made = make(place)
    is_whole = not _has_passing_fault(made) and not _rests_on_more(made)
    if here and is_whole and witness.settled(place.notes, time.time_ns()):
        cache.put(_key(names), here, {"notes": place.notes, "report": made})
    return made


def _key(names: Sequence[str]) -> str:
    return " ".join(["report", *names])


def _here() -> list[Any] | None:
    """The program and the day, for waivers end."""
    installed = program()
    return installed and [*installed, time.strftime("%Y-%m-%d")]


def _has_passing_fault(report: dict[str, Any]) -> bool:
    told = [*report["run"]["gaps"], *report["results"]]
    return any(sign in one.get("reason", "") for one in told for sign in PASSING)


def _rests_on_more(report: dict[str, Any]) -> bool:
    """Whether it tells of what no file shows: keys of an encrypted device, boot code that was missing."""
    if any(one["rule"] in CODE and one["status"] == "fail" for one in report["results"]):
        return True
    known = (report.get("inventory") or {}).get("filesystems") or ()
    return any(one["type"] == "crypto_LUKS" for one in known)
