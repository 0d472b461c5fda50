"""What this machine runs on now: bare metal, or which hypervisor."""

from __future__ import annotations

from migprep import root
from migprep.model import Undetermined
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

#: Beginnings of DMI texts and the name that systemd-detect-virt(1) gives; the order matters (first match).
PRODUCTS = (
    ("KVM", "kvm"), ("Google Compute Engine", "google"), ("VMware", "vmware"), ("VirtualBox", "oracle"),
    ("HVM domU", "xen"), ("OpenStack", "kvm"), ("RHEL", "kvm"), ("RHEV", "kvm"), ("oVirt", "kvm"), ("BHYVE", "bhyve"),
    ("Parallels", "parallels"), ("Bochs", "bochs"), ("Apple Virtualization", "apple"), ("Virtual Machine", "microsoft"),
    ("AHV", "kvm"),
)  # fmt: skip
VENDORS = (
    ("Amazon EC2", "amazon"), ("QEMU", "qemu"), ("VMware", "vmware"), ("VMW", "vmware"), ("innotek", "oracle"),
    ("Xen", "xen"), ("Bochs", "bochs"), ("Parallels", "parallels"), ("BHYVE", "bhyve"), ("Google", "google"),
    ("Hyper-V", "microsoft"), ("Nutanix", "kvm"), ("DigitalOcean", "kvm"), ("Hetzner", "kvm"), ("Scaleway", "kvm"),
)  # fmt: skip
#: The clock that a hypervisor offers names it even where there is no DMI.
CLOCKS = (("kvm-clock", "kvm"), ("hyperv", "microsoft"), ("xen", "xen"), ("vmware", "vmware"))
IDENTITY = "/sys/class/dmi/id"


class Virtualization(NamedTuple):
    """`name` as systemd-detect-virt(1) says it: none, kvm, qemu, vmware, xen, microsoft, amazon … vm-other."""

    name: str
    is_paravirtual: bool = False  # of Xen, which starts a kernel that it takes out of the guest's file system

    @property
    def is_virtual(self) -> bool:
        """Whether this is a virtual machine already."""
        return self.name != "none"


def probe(facts: Facts) -> Virtualization:
    """What `of` finds."""
    return of(facts.root)


def of(place: Root) -> Virtualization:
    """Ask the DMI texts, /sys/hypervisor, /proc/cpuinfo and the clock. Raises Undetermined without any of them."""
    cpuinfo = root.text(place, "/proc/cpuinfo") or ""
    if not cpuinfo and not root.is_dir(place, IDENTITY):
        raise Undetermined("neither /sys/class/dmi nor /proc/cpuinfo: what this machine runs on cannot be told")
    is_paravirtual = root.value(place, "/sys/hypervisor/guest_type") == "PV"
    return Virtualization(_xen(place) or _other(place, cpuinfo), is_paravirtual)


def _xen(place: Root) -> str:
    if root.value(place, "/sys/hypervisor/type") != "xen":
        return ""
    # The first domain owns the hardware: control_d in /proc/xen/capabilities.
    if "control_d" in root.value(place, "/proc/xen/capabilities"):
        return "none"
    return "amazon" if by_dmi(vendor=_dmi(place, "sys_vendor")) == "amazon" else "xen"


def _other(place: Root, cpuinfo: str) -> str:
    named = by_dmi(
        _dmi(place, "product_name"), _dmi(place, "sys_vendor"), _dmi(place, "board_vendor"), _dmi(place, "bios_vendor")
    )
    flagged = "hypervisor" in cpuinfo.partition("\nflags")[2].split("\n")[0].split()
    clocks = root.value(place, "/sys/devices/system/clocksource/clocksource0/available_clocksource")
    clock = next((name for sign, name in CLOCKS if sign in clocks), "")
    if named == "qemu":  # QEMU with acceleration is kvm; its own emulation has no such clock
        return "kvm" if clock == "kvm" else "qemu"
    if named == "microsoft" and not flagged:
        return "none"  # a Microsoft laptop
    return named or by_firmware(place) or clock or ("vm-other" if flagged else "none")


def _dmi(place: Root, name: str) -> str:
    return root.value(place, f"{IDENTITY}/{name}")


def by_dmi(product: str = "", vendor: str = "", board: str = "", bios: str = "") -> str:
    """The hypervisor that DMI texts name, or ""."""
    for sign, name in PRODUCTS:
        if product.startswith(sign) and not (name == "microsoft" and not vendor.startswith("Microsoft")):
            return name
    for text in (vendor, board, bios):
        for sign, name in VENDORS:
            if text.startswith(sign):
                return name
    return ""


def by_firmware(place: Root) -> str:
    """The hypervisor that a device tree (ARM, POWER) or /proc/sysinfo (s390) names, or ""."""
    tree = root.value(place, "/proc/device-tree/hypervisor/compatible")
    if tree:
        return "kvm" if "linux,kvm" in tree else "xen" if "xen" in tree else "vm-other"
    if root.exists(place, "/proc/device-tree/ibm,partition-name"):
        return "powervm"
    for line in root.value(place, "/proc/sysinfo").split("\n"):
        # VM00 Control Program: z/VM    6.4.0
        if line.startswith("VM00 Control Program"):
            return "zvm" if "z/VM" in line else "kvm"
    return ""
