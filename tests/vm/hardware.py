"""Virtual hardware as QEMU arguments: the source a machine runs on and the targets it may move to."""

from __future__ import annotations

from pathlib import Path

from .scenario import Hardware, Scenario

# Disk and card of each target. QEMU has no ENA card: the AWS-like target has NVMe and e1000e.
_TARGETS = {
    "kvm": ("virtio", "virtio-net"),
    "kvm-scsi": ("virtio-scsi", "virtio-net"),
    "aws": ("nvme", "e1000e"),
    "generic": ("sata", "e1000"),
}
_NICS = {"e1000": "e1000", "e1000e": "e1000e", "virtio-net": "virtio-net-pci"}
OVMF = Path("/usr/share/OVMF")


def target(name: str, scenario: Scenario) -> Hardware:
    """The target's hardware for this scenario: another bus, another card in another slot."""
    disk, nic = _TARGETS[name]
    return Hardware(disk, nic, scenario.source.nics, scenario.target_cpu, slot=9)


def _disks(bus: str, images: list[str], first: str) -> list[str]:
    args: list[str] = []
    controllers = {"sata": "ich9-ahci,id=bus", "virtio-scsi": "virtio-scsi-pci,id=bus"}
    if bus in controllers:
        args += ["-device", controllers[bus]]
    for index, image in enumerate(images):
        kind = "qcow2" if image.endswith(".qcow2") else "raw"
        drive = f"file={image},format={kind},id=d{index},cache=unsafe"
        boot = first if index == 0 else ""
        device = {
            "ide": f"ide-hd,bus=ide.{index},drive=d{index}",
            "sata": f"ide-hd,bus=bus.{index},drive=d{index}",
            "virtio": f"virtio-blk-pci,drive=d{index}",
            "virtio-scsi": f"scsi-hd,bus=bus.0,drive=d{index}",
            "nvme": f"nvme,serial=lab{index},drive=d{index}",
        }[bus]
        args += ["-drive", f"{drive},if=none", "-device", device + boot]
    return args


def _nics(hardware: Hardware) -> list[str]:
    args: list[str] = []
    for index in range(hardware.nics):
        card = f"{_NICS[hardware.nic]},netdev=n{index},mac=52:54:00:1a:b0:0{index + 1},addr={hardware.slot + index:#x},romfile="
        net = f"user,id=n{index},ipv6=off,net=10.0.{index + 2}.0/24"
        args += ["-netdev", net, "-device", card]
    return args


def arguments(hardware: Hardware, images: list[str], nvram: Path | None) -> list[str]:
    """The QEMU command line of one machine, without its channels to the lab."""
    args = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-machine", f"{hardware.machine},graphics=off"]
    args += ["-cpu", hardware.cpu, "-smp", "1", "-m", "768", "-nodefaults", "-vga", "none"]
    args += ["-display", "none", "-no-reboot"]
    if nvram is not None:
        code = OVMF / "OVMF_CODE_4M.fd"
        args += ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={code}"]
        args += ["-drive", f"if=pflash,format=raw,unit=1,file={nvram}"]
    return args + _nics(hardware) + _disks(hardware.disk, images, "" if nvram else ",bootindex=1")
