"""What is started at boot by name, whatever the init system; and units that a hypervisor switches off."""

from __future__ import annotations

import re

from migprep import root
from migprep.model import Undetermined
from migprep.root import Root, Unreadable
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

UNITS = "/etc/systemd/system"
#: Where unit files are looked for, the first one wins (systemd.unit(5)).
FOLDERS = (UNITS, "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
#: Links of the runlevels that servers start in: Debian, RHEL, SUSE.
RUNLEVELS = ("/etc/rc2.d", "/etc/rc3.d", "/etc/rc.d/rc3.d", "/etc/rc.d/rc5.d", "/etc/init.d/rc3.d", "/etc/init.d/rc5.d")
STARTED = re.compile(r"S\d\d(.+)$")


class Services(NamedTuple):
    """Names without .service, each with the link or file that has it started."""

    enabled: dict[str, str]
    bare_metal: frozenset[str]  # those that systemd does not start on a virtual machine

    def path(self, *names: str) -> str:
        """What has the first of `names` that is enabled started; "" when none is."""
        return next((self.enabled[name] for name in names if name in self.enabled), "")


def probe(facts: Facts) -> Services:
    """Read the folders of links that init systems keep. Raises Undetermined in a root without /etc."""
    place = facts.root
    if not place.names("/etc"):
        raise Undetermined("what starts at boot: no /etc in this root")
    found: dict[str, str] = {}
    own = place.names(UNITS)
    for folder in own:
        if folder.endswith((".wants", ".requires")):
            for name in place.names(f"{UNITS}/{folder}"):
                found.setdefault(name.removesuffix(".service"), f"{UNITS}/{folder}/{name}")
    by_systemd = root.real(place, "/sbin/init").endswith("/systemd")
    for folder in RUNLEVELS:
        for link in place.names(folder):
            started = STARTED.match(link)
            name = started.group(1) if started else ""
            if name and name not in found and not (by_systemd and has_unit(place, name)):
                found[name] = f"{folder}/{link}"
    for name in place.names("/etc/init"):
        if name.endswith(".conf"):
            found.setdefault(name[:-5], f"/etc/init/{name}")
    for name in place.names("/etc/runlevels/default"):
        found.setdefault(name, f"/etc/runlevels/default/{name}")
    for name in own:  # a link to /dev/null switches a unit off
        if name.endswith(".service") and place.link(f"{UNITS}/{name}") == "/dev/null":
            found.pop(name[:-8], None)
    return Services(found, frozenset(name for name in found if name in PHYSICAL and is_bare_metal(place, name)))


def has_unit(place: Root, name: str) -> bool:
    """Whether a unit has the name of an init script, which systemd then passes over (systemd-sysv-generator(8))."""
    try:
        return any(root.exists(place, f"{folder}/{name}.service") for folder in FOLDERS)
    except Unreadable:  # a capture that was made without this question: the script counts
        return False


#: Services of physical hardware, which many distributions start on physical hardware alone.
PHYSICAL = frozenset({
    "smartd", "smartmontools", "mcelog", "rasdaemon", "lm_sensors", "lm-sensors", "sensord", "thermald", "fancontrol",
    "edac", "hddtemp", "cpupower", "cpufrequtils", "numad", "tlp", "watchdog",
})  # fmt: skip


def is_bare_metal(place: Root, name: str) -> bool:
    """Whether the unit has ConditionVirtualization=no (systemd.unit(5))."""
    for folder in FOLDERS:
        text = root.text(place, f"{folder}/{name}.service")
        if text is not None:
            return bool(re.search(r"(?m)^ConditionVirtualization\s*=\s*(?:no|false|0|off|!vm|!yes)\s*$", text))
    return False
