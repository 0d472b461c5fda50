"""The hardware clock's basis, and what keeps the time: a service, or the hypervisor."""

from __future__ import annotations

import re
from collections.abc import Iterator

from migprep import root
from migprep.model import Undetermined, Unknown
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

SERVICES = (
    "chrony", "chronyd", "ntp", "ntpd", "ntpsec", "systemd-timesyncd", "openntpd", "ntpd-rs", "xntpd", "ptp4l",
    "phc2sys", "ntpdate", "sntp", "timemaster",
)  # fmt: skip
#: Tools that set the guest's clock from the host's.
KEEPERS = ("open-vm-tools", "vmtoolsd", "vmware-tools", "vboxadd-service", "virtualbox-guest-utils", "prltoolsd")
CHRONY = ("/etc/chrony.conf", "/etc/chrony/chrony.conf")
#: Clock devices that one hypervisor offers.
DEVICES = {"/dev/ptp_hyperv": "microsoft", "/dev/ptp_kvm": "kvm", "/dev/ptp_vmw": "vmware", "/dev/ptp_ena": "amazon"}


class Source(NamedTuple):
    """A line that makes chronyd read a clock device, and the platform that has it."""

    path: str
    line: int
    text: str
    device: str
    platform: str


class Clock(NamedTuple):
    """`local_path` names the file that says that the hardware clock runs in local time; "" for UTC."""

    local_path: str
    local_line: int
    local_text: str
    services: tuple[str, ...]  # that keep the time and start at boot
    keeper: str  # the hypervisor's tools that may set the clock, as started at boot
    sources: tuple[Source, ...]

    @property
    def is_local(self) -> bool:
        """Whether the hardware clock runs in local time."""
        return bool(self.local_path)

    @property
    def is_kept_by_tools_alone(self) -> bool:
        """Whether nothing but the hypervisor's tools can keep the time."""
        return bool(self.keeper) and not self.services


def probe(facts: Facts) -> Clock:
    """Read adjtime(5), distributions' older settings, chrony's. Raises Undetermined in a root without /etc."""
    services = facts.services
    if isinstance(services, Unknown):
        raise Undetermined(services.reason)
    path, line, text = basis(facts.root)
    keeping = tuple(name for name in SERVICES if name in services.enabled)
    return Clock(path, line, text, keeping, services.path(*KEEPERS), tuple(sources(facts.root)))


def basis(place: Root) -> tuple[str, int, str]:
    """The file, line and words that put the hardware clock in local time; ("", 0, "") when nothing does."""
    # 0.0 0 0.0 \n 0 \n LOCAL
    lines = (root.text(place, "/etc/adjtime") or "").split("\n")
    if len(lines) > 2 and lines[2].strip() in ("LOCAL", "UTC"):
        return ("/etc/adjtime", 3, "LOCAL") if lines[2].strip() == "LOCAL" else ("", 0, "")
    # /etc/sysconfig/clock: UTC=false (RHEL 5), HWCLOCK="--localtime" (SUSE); /etc/default/rcS: UTC=no
    for path in ("/etc/sysconfig/clock", "/etc/default/rcS", "/etc/conf.d/hwclock"):
        for number, line in enumerate((root.text(place, path) or "").split("\n"), 1):
            if re.match(r"(?:UTC=[\"']?(?:no|false|0)|HWCLOCK=[\"']?--localtime|clock=[\"']?local)\b", line):
                return path, number, line.strip()
    return "", 0, ""


def sources(place: Root) -> Iterator[Source]:
    """Clock devices of one hypervisor that chrony.conf(5) reads."""
    for path in CHRONY:
        for number, line in enumerate((root.text(place, path) or "").split("\n"), 1):
            words = line.split()
            if words[:2] == ["refclock", "PHC"] and len(words) > 2:
                device = words[2].split(":")[0]
                if device in DEVICES:
                    yield Source(path, number, line.strip(), device, DEVICES[device])
