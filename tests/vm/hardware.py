"""Virtual hardware as QEMU arguments: the source a machine runs on and the targets it may move to."""

from __future__ import annotations

from pathlib import Path

from .scenario import Hardware, Scenario

# Each target as its profile promises it. QEMU has no ENA card: the AWS-like target has NVMe and e1000e;
# and like AWS it gives the card a new MAC. The last two are the lab's own, as a site describes its own (targets/).
_TARGETS = {
    "kvm": Hardware("virtio", "virtio-net", slot=9),
    "kvm-scsi": Hardware("virtio-scsi", "virtio-net", slot=9),
    "aws": Hardware("nvme", "e1000e", cpu="Haswell-noTSX", slot=9, mac="52:54:00:a5:00"),
    "generic": Hardware("sata", "e1000", slot=9),
    "kvm-bios": Hardware("virtio", "virtio-net", slot=9, firmware="bios"),
    "kvm-uefi": Hardware("virtio", "virtio-net", slot=9, firmware="uefi"),
}
_NICS = {"e1000": "e1000", "e1000e": "e1000e", "virtio-net": "virtio-net-pci"}
# A watchdog that runs out does nothing: the lab hears of a unit that failed, and a reset would look like a crash.
_DEVICES = {
    "watchdog": ["-device", "i6300esb", "-action", "watchdog=none"],
    "vmware-svga": ["-device", "vmware-svga"],
    "vga": ["-device", "VGA"],
    "tpm": ["-tpmdev", "emulator,id=tpm,chardev=tpm", "-device", "tpm-tis,tpmdev=tpm"],  # the chip itself: tpm.py
    "vmware-board": ["-smbios", "type=1,manufacturer=VMware,, Inc.,product=VMware Virtual Platform"],
}
_DISPLAYS = frozenset({"vmware-svga", "vga"})
OVMF = Path("/usr/share/OVMF")


def target(name: str, scenario: Scenario) -> Hardware:
    """The target's hardware for this scenario: another bus, another card in another slot, its own display if any."""
    made_of = _TARGETS[name]
    cpu = scenario.target_cpu or made_of.cpu
    devices = ("vga",) if _DISPLAYS & set(scenario.source.devices) and name != "aws" else ()
    devices += scenario.target_devices
    return made_of._replace(nics=scenario.source.nics, cpu=cpu, turned=scenario.reorder, devices=devices)


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
        place = hardware.slot + (hardware.nics - 1 - index if hardware.turned else index)
        card = f"{_NICS[hardware.nic]},netdev=n{index},mac={hardware.mac}:0{index + 1},addr={place:#x},romfile="
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
    args += _nics(hardware) + _disks(hardware.disk, images, "" if nvram else ",bootindex=1")
    return args + [word for device in hardware.devices for word in _DEVICES[device]]
