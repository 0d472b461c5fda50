"""Package repositories that only machines of one cloud can reach."""

from __future__ import annotations

import re

from migprep import root
from migprep.model import Undetermined
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

#: What stands in an address or name of such a repository, and whose it is, as targets say it.
SIGNS = re.compile(
    r"(?P<amazon>\.ec2\.archive\.ubuntu\.com|rhui[\w.-]*\.amazonaws\.com|rhui\.[\w-]+\.aws\.ce\.redhat\.com"
    r"|amazonlinux[\w.-]*\.amazonaws\.com|cdn\.amazonlinux\.com)"
    r"|(?P<microsoft>azure\.archive\.ubuntu\.com|rhui[\w.-]*\.microsoft\.com|debian-archive\.trafficmanager\.net)"
    r"|(?P<google>\.gce\.archive\.ubuntu\.com|rhui\.googlecloud\.com|cds\.rhel\.updates\.googlecloud\.com)"
    r"|(?P<alibaba>mirrors\.cloud\.aliyuncs\.com)|(?P<tencent>mirrors\.tencentyun\.com)"
    r"|(?P<suse>plugin:/?susecloud|smt-(?:ec2|azure|gce)\.susecloud\.net)"
)
FOLDERS = ("/etc/apt/sources.list.d", "/etc/yum.repos.d", "/etc/zypp/repos.d")


class Repository(NamedTuple):
    """One line that names such a repository; `platform` is the cloud's."""

    path: str
    line: int
    text: str
    platform: str


class Repositories(NamedTuple):
    """The first such line of each file."""

    bound: tuple[Repository, ...]


def probe(facts: Facts) -> Repositories:
    """Read the sources of apt, yum and zypper. Raises Undetermined in a root without /etc."""
    place = facts.root
    if not place.names("/etc"):
        raise Undetermined("where packages come from: no /etc in this root")
    paths = ["/etc/apt/sources.list"]
    for folder in FOLDERS:
        names = place.names(folder)
        paths += [f"{folder}/{name}" for name in names if name.endswith((".list", ".sources", ".repo"))]
    found = []
    for path in paths:
        for number, line in enumerate((root.text(place, path) or "").split("\n"), 1):
            sign = None if line.lstrip().startswith("#") else SIGNS.search(line)
            if sign:
                found.append(Repository(path, number, line.strip()[:200], sign.lastgroup or ""))
                break
    return Repositories(tuple(found))
