"""How a scenario's disk is divided, and the names and identities on it, known before it exists."""

from __future__ import annotations

from typing import NamedTuple

from .scenario import Scenario

# Fixed identities, one per role, so that every file can be written before its filesystem is made.
IDS = {
    "esp": "1AB0-0E5B",
    "boot": "b0000000-1ab0-4000-8000-0000000000b0",
    "root": "40000000-1ab0-4000-8000-000000000040",
    "swap": "50000000-1ab0-4000-8000-000000000050",
    "data": "da000000-1ab0-4000-8000-0000000000da",
    "more": "de000000-1ab0-4000-8000-0000000000de",
    "luks": "c0000000-1ab0-4000-8000-0000000000c0",
    "md": "3d000000:1ab04000:80000000:0000003d",
}
ESP_PARTITION = "e5b00000-1ab0-4000-8000-000000000e5b"
_NAMES = {"ide": "sd", "sata": "sd", "virtio": "vd", "virtio-scsi": "sd", "nvme": "nvme"}
_TYPES = {"swap": "S", "esp": "U", "stack": "L"}
ROOT_MIB = 1100
KERNEL_MIB = 400  # what one more kernel wants, and its initramfs while it is made


class Part(NamedTuple):
    """One partition: what it is for, how big, and where in the disk."""

    role: str
    mib: int
    start: int
    number: int

    @property
    def offset(self) -> int:
        return self.start * 1024 * 1024


class Layout(NamedTuple):
    """The partitions of the first disk and how filesystems are named on the source."""

    label: str
    parts: tuple[Part, ...]
    devices: dict[str, str]

    @property
    def mib(self) -> int:
        last = self.parts[-1]
        return last.start + last.mib + 2

    def part(self, role: str) -> Part:
        return next(part for part in self.parts if part.role == role)

    def has(self, role: str) -> bool:
        return any(part.role == role for part in self.parts)

    def sfdisk(self) -> str:
        """The partition table as sfdisk wants it."""
        head = f"label: {self.label}\n"
        if self.label == "dos":
            head += "label-id: 0x1ab01ab0\n"
        rows = (
            f"start={p.start}MiB, size={p.mib}MiB, type={_TYPES.get(p.role, 'L')}"
            + (f", uuid={ESP_PARTITION}" if p.role == "esp" else "")
            + (", bootable" if self.label == "dos" and p.number == 1 else "")
            for p in self.parts
        )
        return head + "\n".join(rows) + "\n"


def disk_name(bus: str, index: int = 0) -> str:
    """The kernel's name of the nth disk on this bus."""
    stem = _NAMES[bus]
    return f"/dev/nvme{index}n1" if stem == "nvme" else f"/dev/{stem}{'ab'[index]}"


def partition_name(bus: str, number: int, index: int = 0) -> str:
    """The kernel's name of a partition on this bus."""
    disk = disk_name(bus, index)
    return f"{disk}p{number}" if disk[-1].isdigit() else f"{disk}{number}"


def _roles(scenario: Scenario) -> list[tuple[str, int]]:
    if scenario.layout in ("plain", "data-disk", "luks-data"):
        kernels = sum(name.startswith("linux-image-") for name in scenario.packages)
        roles = [("root", ROOT_MIB + kernels * KERNEL_MIB), ("swap", 64), ("data", 64)]
    elif scenario.layout == "md":
        roles = [("boot", 192), ("stack", ROOT_MIB + 16), ("mirror", ROOT_MIB + 16), ("swap", 64), ("data", 64)]
    elif (
        scenario.layout == "md-two-disks"
    ):  # the whole system is mirrored, /boot too; the second disk has the other half
        roles = [("stack", ROOT_MIB + 16), ("swap", 64), ("data", 64)]
    elif scenario.layout == "lvm":
        roles = [("boot", 192), ("stack", ROOT_MIB + 192)]
    else:
        roles = [("boot", 192), ("stack", ROOT_MIB + 32), ("swap", 64), ("data", 64)]
    if scenario.loader.startswith("grub-uefi"):
        roles.insert(0, ("esp", 40))
    if scenario.loader == "systemd-boot" or scenario.loader.startswith("uefi-unified"):
        roles.insert(0, ("esp", 256))
    return roles


def layout(scenario: Scenario) -> Layout:
    """Divide the first disk of this scenario; pure."""
    label = "gpt" if "uefi" in scenario.loader or scenario.loader == "systemd-boot" else "dos"
    roles = _roles(scenario)
    if label == "dos" and len(roles) > 4:  # no extended partitions here: a table of four is enough
        roles = [role for role in roles if role[0] != "swap"]
    parts, start = [], 2
    for number, (role, mib) in enumerate(roles, 1):
        parts.append(Part(role, mib, start, number))
        start += mib
    devices = {p.role: partition_name(scenario.source.disk, p.number) for p in parts}
    above = {
        "lvm": {"root": "/dev/mapper/vg0-root", "swap": "/dev/mapper/vg0-swap", "data": "/dev/mapper/vg0-data"},
        "luks-root": {"root": "/dev/mapper/cryptroot"},
        "luks-data": {"data": "/dev/mapper/cryptdata"},
        "md": {"root": "/dev/md0"},
        "md-two-disks": {"root": "/dev/md0"},
        "btrfs": {"root": devices.get("stack", "")},
    }
    locked = {"locked": devices.get("stack", devices.get("data", ""))}
    devices = {**devices, **locked, **above.get(scenario.layout, {})}
    devices["disk"] = disk_name(scenario.source.disk)
    devices["more"] = partition_name(scenario.source.disk, 1, 1)
    return Layout(label, tuple(parts), devices)


def tokens(plan: Layout) -> dict[str, str]:
    """What @NAME@ and @NAMEID@ stand for in a scenario's own text."""
    devices = {f"@{role.upper()}@": name for role, name in plan.devices.items()}
    return {**devices, **{f"@{role.upper()}ID@": value for role, value in IDS.items()}}
