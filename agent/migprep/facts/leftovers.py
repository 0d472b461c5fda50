"""Programs that serve the machine's present hypervisor, cloud or board, and what the target makes of them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from migprep import root
from migprep.model import MigprepError, Undetermined, Unknown
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts
    from migprep.facts.services import Services


class Product(NamedTuple):
    """A program that is known by its services or files; `platforms`: where it belongs, as targets say it."""

    name: str
    platforms: tuple[str, ...]
    services: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()


#: Tools of hypervisors and agents of clouds.
TOOLS = (
    Product("VMware Tools", ("vmware",), ("open-vm-tools", "vmtoolsd", "vgauthd", "vmware-tools", "vmware-guestd"),
            ("/usr/bin/vmtoolsd", "/usr/sbin/vmware-guestd")),
    Product("VirtualBox Guest Additions", ("oracle",), ("vboxadd", "vboxadd-service", "virtualbox-guest-utils"),
            ("/usr/sbin/VBoxService",)),
    Product("XenServer guest tools", ("xen",), ("xe-linux-distribution", "xe-daemon", "xen-guest-agent"),
            ("/usr/sbin/xe-daemon", "/usr/sbin/xe-linux-distribution")),
    Product("Parallels Tools", ("parallels",), ("prltoolsd", "prltools"), ("/usr/lib/parallels-tools/install",)),
    Product("Hyper-V daemons", ("microsoft",), ("hv-kvp-daemon", "hypervkvpd", "hv-vss-daemon", "hypervvssd")),
    Product("Azure agent", ("microsoft",), ("walinuxagent", "waagent"), ("/usr/sbin/waagent",)),
    Product("Google guest agent", ("google",), ("google-guest-agent", "google-guest-agent-manager",
            "google-osconfig-agent", "google-startup-scripts", "google-accounts-daemon")),
    Product("Amazon agents", ("amazon",), ("amazon-ssm-agent", "amazon-cloudwatch-agent", "hibinit-agent",
            "acpid-ec2", "ec2-instance-connect-harvest-hostkeys", "ec2net-scan")),
    Product("Oracle Cloud agent", ("oracle-cloud",), ("oracle-cloud-agent", "ocid")),
    Product("Alibaba Cloud agents", ("alibaba",), ("aliyun", "aegis", "cloudmonitor", "AssistDaemon")),
    Product("Nutanix guest tools", ("nutanix",), ("ngt_guest_agent", "ngt_self_service_restore")),
    Product("DigitalOcean agents", ("digitalocean",), ("do-agent", "droplet-agent")),
)  # fmt: skip

#: Agents of the board's maker, and services that ask physical hardware.
HARDWARE = (
    Product("HPE management agents", (), ("hp-health", "hp-asrd", "hp-snmp-agents", "hpsmhd", "amsd",
            "smad", "hpssad")),
    Product("Dell OpenManage", (), ("dataeng", "dsm_om_connsvc", "dsm_om_shrsvc", "dsm_sa_datamgrd", "instsvcdrv",
            "racsvc", "dsm_sa_eventmgrd")),
    Product("Fujitsu ServerView", (), ("srvmagt", "eecd", "eecd_mods_src")),
    Product("Supermicro SuperDoctor", (), ("sd5", "superdoctor5")),
    Product("IPMI", (), ("ipmi", "openipmi", "ipmievd", "ipmidetectd", "ipmiseld", "ipmiutil_evt",
            "freeipmi-bmc-watchdog")),
    Product("RAID controller tools", (), ("vivaldiframeworkd", "mrmonitor", "megaraid-storage-manager",
            "lsi_mrdsnmpagent",
            "stor_agent", "3dm2", "megaclisas-statusd", "aacraid-status", "hpssacli", "cciss-vol-status",
            "mpt-statusd")),
    Product("smartd", (), ("smartd", "smartmontools")),
    Product("machine check and memory error logs", (), ("mcelog", "rasdaemon", "edac", "mced")),
    Product("sensors and fans", (), ("lm_sensors", "lm-sensors", "sensord", "fancontrol", "thermald",
            "hddtemp", "i8kmon")),
    Product("processor frequency tools", (), ("cpupower", "cpufrequtils", "cpuspeed", "loadcpufreq", "tlp",
            "laptop-mode")),
    Product("InfiniBand and fibre channel tools", (), ("openibd", "opensm", "rdma-ndd", "qlremote", "elxhbamgrd")),
    Product("NVIDIA services", (), ("nvidia-persistenced", "nvidia-fabricmanager", "dcgm", "nvidia-gridd")),
)  # fmt: skip
#: Uninstallers that put back files as they were at installation, and rebuild every initramfs.
UNINSTALLERS = (
    ("VMware Tools", "/usr/bin/vmware-uninstall-tools.pl"),
    ("VirtualBox Guest Additions", "/var/lib/VBoxGuestAdditions/config"),
    ("Parallels Tools", "/usr/lib/parallels-tools/install"),
)
GUEST_AGENT = ("/usr/sbin/qemu-ga", "/usr/bin/qemu-ga")
WATCHDOGS = ("watchdog", "wd_keepalive", "sbd", "hp-asrd", "bmc-watchdog", "freeipmi-bmc-watchdog")


class Found(NamedTuple):
    """One product of this machine; `path` shows that it is there, `unit` has it started ("" for nothing)."""

    name: str
    platforms: tuple[str, ...]
    path: str
    unit: str = ""

    def belongs_on(self, platform: str) -> bool:
        """Whether it has something to serve on `platform`."""
        return platform in self.platforms


class Watchdog(NamedTuple):
    """A program that resets the machine through a timer in hardware, unless it is heard from."""

    name: str
    path: str
    module: str  # the timer's driver, "" when no file names it

    @property
    def needs_hardware(self) -> bool:
        """Whether its timer is a device; the kernel's own, softdog, runs anywhere."""
        return self.module != "softdog"


class Feeding(NamedTuple):
    """The setting by which systemd itself feeds a watchdog."""

    path: str
    line: int
    text: str


class NamedDriver(NamedTuple):
    """A driver that every initramfs made from now on is to hold."""

    path: str
    line: int
    name: str


class Leftovers(NamedTuple):
    """What serves this hardware alone."""

    tools: tuple[Found, ...]
    tarballs: tuple[Found, ...]
    hardware: tuple[Found, ...]  # of HARDWARE, started at boot, on virtual machines too
    watchdogs: tuple[Watchdog, ...]
    has_guest_agent: bool
    kudzu: str  # what has kudzu started; it asks at the console about new hardware
    fed_by_systemd: tuple[Feeding, ...] = ()  # at most one, and none where the timer is the kernel's own
    xen_drivers: tuple[NamedDriver, ...] = ()  # of kernels that run on Xen alone
    mtab_is_file: bool | Unknown = False  # instead of a link to what the kernel says


def probe(facts: Facts) -> Leftovers:
    """Look for what TOOLS, HARDWARE and UNINSTALLERS name. Raises Undetermined where services are unknown."""
    place, services = facts.root, facts.services
    if isinstance(services, Unknown):
        raise Undetermined(services.reason)
    tarballs = tuple(Found(name, (), path) for name, path in UNINSTALLERS if root.exists(place, path))
    agent = any(root.exists(place, path) for path in GUEST_AGENT)
    hardware = tuple(
        Found(product.name, (), services.enabled[name], name)
        for product in HARDWARE
        for name in product.services
        if name in services.enabled and name not in services.bare_metal
    )
    return Leftovers(
        tuple(_tools(place, services)), tarballs, hardware, tuple(watchdogs(place, services)), agent,
        services.path("kudzu"), tuple(fed_by_systemd(place)), tuple(xen_drivers(place)),
        mtab_is_file(place),
    )  # fmt: skip


def _tools(place: Root, services: Services) -> Iterator[Found]:
    for product in TOOLS:
        unit = services.path(*product.services)
        path = unit or next((path for path in product.paths if root.exists(place, path)), "")
        if path:
            yield Found(product.name, product.platforms, path, unit)


def watchdogs(place: Root, services: Services) -> Iterator[Watchdog]:
    """The watchdog programs that start, each with the driver that a file names for it."""
    for name in WATCHDOGS:
        path = services.path(name)
        if path and name not in services.bare_metal:
            yield Watchdog(name, path, watchdog_module(place))


def watchdog_module(place: Root) -> str:
    """The timer's driver: Debian's /etc/default/watchdog, else a module that is loaded at every boot."""
    # watchdog_module="iTCO_wdt"   (none: no module is loaded)
    found = re.search(r"(?m)^watchdog_module=[\"']?([\w-]+)", root.text(place, "/etc/default/watchdog") or "")
    if found and found.group(1) != "none":
        return found.group(1)
    paths = ["/etc/modules"]
    paths += [f"/etc/modules-load.d/{name}" for name in place.names("/etc/modules-load.d") if name.endswith(".conf")]
    for path in paths:
        for line in (root.text(place, path) or "").split("\n"):
            name = line.strip()
            if name == "softdog" or re.fullmatch(r"[\w-]*(?:_?wdt|watchdog|_tco)", name):
                return name
    return ""


SYSTEMD = "systemd/system.conf"


def fed_by_systemd(place: Root) -> Iterator[Feeding]:
    """RuntimeWatchdogSec= as the last of the files that systemd-system.conf(5) lists says it, unless it is off."""
    drop_ins: dict[str, str] = {}
    for folder in ("/usr/lib", "/lib", "/run", "/etc"):
        drop_ins.update((name, folder) for name in place.names(f"{folder}/{SYSTEMD}.d") if name.endswith(".conf"))
    paths = [f"/etc/{SYSTEMD}", *(f"{drop_ins[name]}/{SYSTEMD}.d/{name}" for name in sorted(drop_ins))]
    last = None
    for path in paths:
        text = root.text(place, path) or ""
        # RuntimeWatchdogSec=30s
        for found in re.finditer(r"(?m)^[ \t]*RuntimeWatchdogSec[ \t]*=[ \t]*(.*?)[ \t\r]*$", text):
            last = Feeding(path, text.count("\n", 0, found.start(1)) + 1, found.group().strip()), found.group(1)
    if last and last[1] not in ("", "0", "0s", "off", "no", "infinity") and watchdog_module(place) != "softdog":
        yield last[0]


def mtab_is_file(place: Root) -> bool | Unknown:
    """Whether the list of mounts is a file, as it was before systemd; Unknown where a capture does not say."""
    try:
        return place.link("/etc/mtab") is None and root.exists(place, "/etc/mtab")
    except MigprepError as error:
        return Unknown(str(error))


SUSE = "/etc/sysconfig/kernel"
# INITRD_MODULES="xenblk processor"   (DOMU_INITRD_MODULES names them on every machine, and is read on Xen alone)
INITRD_MODULES = re.compile(r"(?m)^[ \t]*INITRD_MODULES=[\"']?([^\"'\n#]*)")
XEN_DRIVERS = frozenset({"xennet", "xenblk", "xen-vnif", "xen-vbd", "xen_vnif", "xen_vbd"})


def xen_drivers(place: Root) -> Iterator[NamedDriver]:
    """Drivers of XenLinux that SUSE's mkinitrd(8) is told to put into each image."""
    text = root.text(place, SUSE) or ""
    for found in INITRD_MODULES.finditer(text):
        line = text.count("\n", 0, found.start(1)) + 1
        yield from (NamedDriver(SUSE, line, name) for name in found.group(1).split() if name in XEN_DRIVERS)
