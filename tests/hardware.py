"""Files of a made-up machine, from a few words: disks, volumes, network cards, kernels and images, as the kernel shows them."""

from __future__ import annotations

import json
from typing import Any

VARIABLES = "/sys/firmware/efi/efivars"
UUID = "{0:08d}-aaaa-4aaa-8aaa-000000000001"
#: Where the kernel's tree has a driver; what is not named stands in kernel/drivers/misc.
PLACES = {
    "ata": "libata libahci ahci ata_piix", "scsi": "scsi_mod sd_mod sr_mod virtio_scsi vmw_pvscsi hv_storvsc pvscsi",
    "message/fusion": "mptbase mptscsih mptspi mptsas", "scsi/megaraid": "megaraid_sas", "hv": "hv_vmbus",
    "block": "virtio_blk xen_blkfront cciss loop", "nvme/host": "nvme nvme_core", "virtio": "virtio virtio_ring virtio_pci",
    "net": "virtio_net e1000 e1000e vmxnet3 xen_netfront ena tg3 bnx2", "net/hyperv": "hv_netvsc", "md": "dm_mod dm_crypt raid1",
    "gpu/drm": "bochs virtio_gpu cirrus hyperv_drm vmwgfx",
}  # fmt: skip
FILESYSTEMS = ("ext2", "ext3", "ext4", "xfs", "btrfs", "jbd", "jbd2", "mbcache", "vfat", "fat", "overlay", "erofs")
FOLDERS = {name: f"kernel/drivers/{place}" for place, names in PLACES.items() for name in names.split()}
BUSES = {
    "sata": ("pci0000:00/0000:00:1f.2", "ata1/host0/target0:0:0/0:0:0:0/block", 8, 16, "ahci"),
    "ide": ("pci0000:00/0000:00:07.1", "ide0/0.0/block", 3, 64, "piix"),
    "scsi": ("pci0000:00/0000:00:10.0", "host0/target0:0:0/0:0:0:0/block", 8, 16, "mptspi"),
    "nvme": ("pci0000:00/0000:00:04.0", "nvme/nvme0", 259, 16, "nvme"),
    "virtio": ("pci0000:00/0000:00:05.0", "virtio1/block", 252, 16, "virtio-pci"),
    "xen": ("vbd-51712", "block", 202, 16, "vbd"),
}  # fmt: skip


def files(machine: dict[str, Any]) -> dict[str, Any]:
    """All files of a machine, path to content as a case writes it; those that it names itself come last."""
    found: dict[str, Any] = {"/proc/sys/kernel/arch": "x86_64\n", "/proc/cpuinfo": CPU}
    numbers: dict[str, str] = {}
    old = machine.get("udev") == "old"
    for place, one in enumerate(machine["disks"]):
        numbers |= _disk(found, place, one, old)
    for place, one in enumerate(machine.get("volumes", [])):
        numbers |= _volume(found, place, one, old)
    for place, one in enumerate(machine.get("nics", [])):
        _nic(found, place, one, old)
    for one in machine.get("kernels", []):
        _kernel(found, one)
    for path, one in machine.get("images", {}).items():
        _image(found, path, one)
    rows = []
    for place, row in enumerate(machine["mounts"], 1):
        point, device, kind, *rest = row.split()
        sub, options = (rest + ["/", "rw"][len(rest) :])[:2]
        number = numbers.get(device, f"0:{place + 30}")
        rows.append(f"{place} {0 if place == 1 else 1} {number} {sub} {point} {options} - {kind} {device} {options}\n")
    found["/proc/1/mountinfo"] = "".join(rows)
    found |= observed(machine)
    found["/sys/firmware/memmap/0/type"] = "System RAM\n"
    if machine.get("uefi"):
        found["/sys/firmware/efi/fw_platform_size"] = "64\n"
        _firmware(found, machine["uefi"], machine.get("secure", False))
    for path, said in machine.get("loaders", {}).items():
        _loader(found, path, *said.split())
    return found | machine["files"]


def observed(machine: dict[str, Any]) -> dict[str, str]:
    """What only a running machine tells, as a capture keeps it: addresses, gateways and boot code."""
    names = {one["name"]: one.get("address", f"192.0.2.{place}/24") for place, one in enumerate(machine.get("nics", []), 10)}
    cards = {name: {"addresses": [at], "up": True, "mtu": 1500, "speed": 1000} for name, at in names.items()}
    cards["lo"] = {"addresses": ["127.0.0.1/8"], "up": True, "mtu": 65536, "speed": 0}
    found = {
        "/migprep/observed/network.json": json.dumps(cards),
        "/migprep/observed/gateways.json": json.dumps([{"address": "192.0.2.1", "interface": one} for one in [*names][:1]]),
        "/migprep/observed/room.json": json.dumps({"bytes": 400 << 20, "files": 5000}),
    }
    for one in machine["disks"]:
        found[f"/migprep/bootcode/{one['name']}"] = one.get("code", "" if machine.get("uefi") else "GRUB") + "\n"
    return found


def _udev(found: dict[str, Any], old: bool, kind: str, name: str, number: str, text: str) -> None:
    found[f"/dev/.udev/db/{kind}:{name}" if old else f"/run/udev/data/{number}"] = text


def _disk(found: dict[str, Any], place: int, one: dict[str, Any], old: bool) -> dict[str, str]:
    name, (host, way, major, step, driver) = one["name"], BUSES[one["bus"]]
    way = way.replace("0:0:0", f"0:{place}:0") if place else way
    base = f"/sys/devices/{host}/{way}/{name}"
    number = f"{major}:{place * step}"
    found[f"/sys/devices/{host}/driver"] = {"link": f"../../../bus/pci/drivers/{driver}"}
    found[f"/sys/bus/pci/drivers/{driver}/module"] = {"link": f"../../../../module/{driver}"}
    _device(found, base, name, number, one.get("sectors", 83886080), "disk")
    table = one.get("table", "dos")
    by_path = f"disk/by-path/{host.replace('pci0000:00/', 'pci-')}-{one['bus']}-0:0:{place}:0"
    serial = one.get("id", f"{one['bus']}-DISK_{place}")
    _udev(found, old, "block", name, f"b{number}", f"S:disk/by-id/{serial}\nS:{by_path}\nE:ID_PART_TABLE_TYPE={table}\nE:ID_SERIAL={serial}\n")
    numbers = {f"/dev/{name}": number}
    entry = "" if old else "S:disk/by-partuuid/{0}\nE:ID_PART_ENTRY_UUID={0}\nE:ID_PART_ENTRY_SCHEME={1}\n"
    for at, part in enumerate(one.get("parts", []), 1):
        kind, ident, *label = part.split()
        link = f"{name}p{at}" if name[-1].isdigit() else f"{name}{at}"
        number = f"{major}:{place * step + at}"
        _device(found, f"{base}/{link}", link, number, 2097152 * at, "partition")
        found[f"{base}/{link}/partition"] = f"{at}\n"
        text = f"S:disk/by-id/{serial}-part{at}\nS:{by_path}-part{at}\n" + entry.format(f"0bad{place}afe-0{at}", table)
        if kind == "vfat":
            text += "E:ID_PART_ENTRY_TYPE=c12a7328-f81f-11d2-ba4b-00a0c93ec93b\n"
        _udev(found, old, "block", link, f"b{number}", text + _content(kind, ident, label))
        numbers[f"/dev/{link}"] = number
    return numbers


def _content(kind: str, ident: str, label: list[str]) -> str:
    uuid = UUID.format(int(ident)) if ident.isdigit() else ident
    if kind == "none":
        return ""
    text = f"E:ID_FS_TYPE={kind}\nE:ID_FS_UUID={uuid}\n"
    if kind == "LVM2_member":
        text += f"S:disk/by-id/lvm-pv-uuid-{uuid}\n"
    else:
        text += f"S:disk/by-uuid/{uuid}\n"
    for one in label:
        text += f"S:disk/by-label/{one}\nE:ID_FS_LABEL={one}\n"
    return text


def _device(found: dict[str, Any], base: str, name: str, number: str, size: int, kind: str) -> None:
    major, _, minor = number.partition(":")
    found[f"/sys/class/block/{name}"] = {"link": f"../..{base[len('/sys') :]}"}
    found[f"{base}/dev"] = f"{number}\n"
    found[f"{base}/size"] = f"{size}\n"
    found[f"{base}/removable"] = "0\n"
    found[f"{base}/uevent"] = f"MAJOR={major}\nMINOR={minor}\nDEVNAME={name}\nDEVTYPE={kind}\n"


def _volume(found: dict[str, Any], place: int, one: dict[str, Any], old: bool) -> dict[str, str]:
    """One of LVM (`vg/lv`) or an opened LUKS device (a plain name)."""
    name, number = f"dm-{place}", f"253:{place}"
    base = f"/sys/devices/virtual/block/{name}"
    _device(found, base, name, number, 1048576, "disk")
    group, _, volume = one["name"].partition("/")
    mapped = f"{group}-{volume}" if volume else group
    for on in one["above"].split():
        found[f"{base}/slaves/{on}"] = {"link": f"../../../../../class/block/{on}"}
    found[f"{base}/dm/name"] = f"{mapped}\n"
    uuid = f"LVM-abcdefabcdefabcdefabcdefabcdefab{place:032d}" if volume else f"CRYPT-LUKS2-abc-{mapped}"
    found[f"{base}/dm/uuid"] = f"{uuid}\n"
    kind, ident, *label = one["has"].split()
    text = f"S:mapper/{mapped}\n{f'S:{group}/{volume}' if volume else ''}\nE:DM_NAME={mapped}\nE:DM_UUID={uuid}\n"
    if volume:
        text += f"E:DM_VG_NAME={group}\nE:DM_LV_NAME={volume}\n"
    _udev(found, old, "block", name, f"b{number}", text + _content(kind, ident, label))
    return {f"/dev/mapper/{mapped}": number, f"/dev/{name}": number}


def _nic(found: dict[str, Any], place: int, one: dict[str, Any], old: bool) -> None:
    name, base = one["name"], f"/sys/devices/pci0000:00/0000:00:1{place}.5"
    at = f"{base}/net/{name}"
    found[f"/sys/class/net/{name}"] = {"link": f"../..{at[len('/sys') :]}"}
    found |= {
        f"{at}/address": f"{one['mac']}\n", f"{at}/type": "1\n", f"{at}/ifindex": f"{place + 2}\n", f"{at}/operstate": "up\n",
        f"{at}/uevent": f"INTERFACE={name}\nIFINDEX={place + 2}\n", f"{at}/device": {"link": f"../../../0000:00:1{place}.5"},
        f"{base}/driver": {"link": f"../../../bus/pci/drivers/{one['driver']}"},
        f"/sys/bus/pci/drivers/{one['driver']}/module": {"link": f"../../../../module/{one['driver']}"},
        "/sys/class/net/lo/address": "00:00:00:00:00:00\n", "/sys/class/net/lo/type": "772\n",
        "/sys/class/net/lo/ifindex": "1\n", "/sys/class/net/lo/uevent": "INTERFACE=lo\nIFINDEX=1\n",
    }  # fmt: skip
    _udev(found, old, "net", name, f"n{place + 2}", f"E:ID_BUS=pci\nE:ID_PATH=pci-0000:00:1{place}.5\n" + one.get("udev", ""))


def _firmware(found: dict[str, Any], path: str, secure: bool) -> None:
    """The variables of a machine that was started from this file of the EFI system partition."""
    name = path.replace("/", "\\").encode("utf-16-le") + b"\0\0"
    nodes = b"\x04\x01" + (42).to_bytes(2, "little") + bytes(38)
    nodes += b"\x04\x04" + (4 + len(name)).to_bytes(2, "little") + name + b"\x7f\xff\x04\0"
    option = (1).to_bytes(4, "little") + len(nodes).to_bytes(2, "little") + "own".encode("utf-16-le") + b"\0\0" + nodes
    for key, value in {"Boot0001": option, "BootCurrent": b"\1\0", "BootOrder": b"\1\0", "SecureBoot": bytes([secure])}.items():
        found[f"{VARIABLES}/{key}-8be4df61-93ca-11d2-aa0d-00e098032b8c"] = {"hex": (bytes(4) + value).hex()}


def _loader(found: dict[str, Any], path: str, program: str, version: str = "1", prefix: str = "") -> None:
    """What a capture keeps of a loader: `grub 2.06 /EFI/redhat`."""
    end = f"\n# prefix: {prefix}" if prefix else ""
    found.setdefault(path, "loader\n")
    found[f"/migprep/loaders{path}"] = f"sbat,1,x\n{program},1,{version}\n{end}"


def _where(name: str) -> str:
    folder = f"kernel/fs/{name}" if name in FILESYSTEMS else FOLDERS.get(name.replace("-", "_"), "kernel/drivers/misc")
    return f"{folder}/{name}"


def _kernel(found: dict[str, Any], one: dict[str, Any]) -> None:
    version, folder, end = one["version"], one.get("folder", "/lib/modules"), one.get("ending", ".ko")
    found[f"{folder}/{version}/modules.dep"] = "".join(f"{_where(name)}{end}:\n" for name in one["modules"].split())
    builtin = one.get("builtin")
    if builtin is not None:
        found[f"{folder}/{version}/modules.builtin"] = "".join(f"{_where(name)}.ko\n" for name in builtin.split())
    if one.get("file", True):
        found[one.get("file", f"/boot/vmlinuz-{version}")] = "kernel\n"
    if one.get("running"):
        found["/proc/sys/kernel/osrelease"] = f"{version}\n"


def _image(found: dict[str, Any], path: str, one: dict[str, Any]) -> None:
    """The listing that stands for an image in a capture."""
    folder, end = one.get("folder", "lib/modules"), one.get("ending", ".ko")
    lines = [f"# tool: {one['tool']}", "# compression: gzip"]
    for name, text in one.get("texts", {}).items():
        lines += [f"# in {name}: {line}" for line in text.split("\n") if line]
    lines += [*one.get("names", "").split(), *one.get("texts", {})]
    of = f"{folder}/{one['version']}/" if one.get("version") else f"{folder}/"
    lines += [f"{of}{_where(name) if one.get('version') else name}{end}" for name in one["modules"].split()]
    found.setdefault(path, "archive\n")
    found[f"/migprep/initramfs{path}"] = "\n".join([*lines, ""])


CPU = """\
processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 85
model name\t: Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz
flags\t\t: fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 syscall nx rdtscp lm constant_tsc pni ssse3 cx16 sse4_1 sse4_2 popcnt movbe aes avx f16c fma bmi1 avx2 bmi2 abm xsave osxsave lahf_lm
"""
