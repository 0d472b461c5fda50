"""What watches over files: integrity databases that tell every edit, and a relabelling that is still to come."""

from __future__ import annotations

from migprep import root
from migprep.model import Undetermined
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

#: A file that only a set-up watcher has, and what it is.
WATCHERS = (
    ("/var/lib/aide/aide.db", "AIDE"), ("/var/lib/aide/aide.db.gz", "AIDE"), ("/etc/tripwire/tw.cfg", "Tripwire"),
    ("/etc/samhain/samhainrc", "Samhain"), ("/etc/samhainrc", "Samhain"),
    ("/var/ossec/etc/ossec.conf", "Wazuh or OSSEC"),
    ("/etc/osquery/osquery.conf", "osquery"), ("/etc/ima/ima-policy", "IMA"),
)  # fmt: skip


class Watcher(NamedTuple):
    """One program that notices edits."""

    name: str
    path: str


class Security(NamedTuple):
    """What an edit has for consequences."""

    watchers: tuple[Watcher, ...]
    relabels: bool  # SELinux labels the whole disk anew at the next boot


def probe(facts: Facts) -> Security:
    """Look for WATCHERS and /.autorelabel. Raises Undetermined in a root without /etc."""
    place = facts.root
    if not place.names("/etc"):
        raise Undetermined("what watches over files: no /etc in this root")
    found = {name: Watcher(name, path) for path, name in WATCHERS if root.exists(place, path)}
    return Security(tuple(found.values()), root.exists(place, "/.autorelabel"))
