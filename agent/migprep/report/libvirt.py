"""A libvirt domain for the target, from a report: what virsh define takes."""

from __future__ import annotations

import re
from typing import Any

from migprep.model import MigprepError
from migprep.targets import Target

#: How libvirt calls a target's disk bus and network card, and how long a disk's serial number may be there.
BUSES = {"virtio-blk": ("virtio", "vd", 20), "virtio-scsi": ("scsi", "sd", 36), "sata": ("sata", "sd", 20)}
CARDS = {"virtio-net": "virtio", "e1000 or e1000e": "e1000e", "e1000": "e1000", "e1000e": "e1000e"}
#: What XML 1.0 cannot hold; what a name of a domain, and a serial number, are made of.
FORBIDDEN = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
MAC = re.compile(r"[0-9a-f][02468ace](?::[0-9a-f]{2}){5}$")
#: Memory is rounded up to whole pieces of so many bytes.
PIECE = 256 << 20


class ExportError(MigprepError):
    """A target that is no machine of libvirt's, or a machine that is not known well enough."""

    code = 64


def render(document: dict[str, Any], target: Target) -> str:
    """The domain's XML. Raises ExportError where the target or the inventory does not allow one."""
    from migprep.render import environment

    if target.disk.bus not in BUSES or target.nic.model not in CARDS:
        able = "kvm, kvm-scsi, generic"
        raise ExportError(f"target {target.name} is no machine that libvirt can define; targets that are: {able}")
    stock = document["inventory"]
    for what, fact in (("disks", "block"), ("nics", "interfaces"), ("cpu", "cpu")):
        if stock[what] is None:
            why = next((f": {gap['reason']}" for gap in document["run"]["gaps"] if gap["fact"] == fact), "")
            raise ExportError(f"no domain can be written, for the {what} of this machine could not be read{why}")
    machine = stock["machine"]
    values = {
        "name": word(document["host"]["name"]) or "machine",
        "uuid": machine["uuid"] if UUID.match(machine["uuid"] or "") else "",
        "serial": clean(machine["serial"] or ""),
        "memory": -(-(machine["memory"] or 0) // PIECE) * PIECE >> 10 or 1 << 20,
        "cpu": stock["cpu"],
        "uefi": document["host"]["firmware"] in ("uefi", "secure-boot"),
        "clock": machine["clock"] or "utc",
        "bus": BUSES[target.disk.bus][0],
        "disks": _disks(stock["disks"], machine["boots_from"] or [], BUSES[target.disk.bus]),
        "card": CARDS[target.nic.model],
        "macs": [one["mac"] for one in stock["nics"] if MAC.match(one["mac"])],
        "watchdog": any(one["findings"] for one in document["results"] if one["rule"] == "leftovers/hardware-watchdog"),
        "target": word(target.name),
    }
    return environment().get_template("export/libvirt.j2").render(values)


def word(text: str) -> str:
    """A text that may stand in a file's name and in a comment of XML, which holds no two dashes in a row."""
    return re.sub(r"[^\w.]+", "-", text, flags=re.ASCII).strip("-.")


def clean(text: str) -> str:
    """A text that XML can hold."""
    return FORBIDDEN.sub("", text)


def _disks(disks: list[dict[str, Any]], boot: list[str], bus: tuple[str, str, int]) -> list[dict[str, str]]:
    fixed = [one for one in disks if not one["removable"] and one["size"]]
    ordered = sorted(fixed, key=lambda one: one["name"] not in boot)
    return [
        {
            "name": bus[1] + letters(number),
            "was": word(one["name"]),
            "gib": f"{one['size'] / (1 << 30):.1f}",
            "serial": re.sub(r"[^A-Za-z0-9_.+-]", "", one.get("serial") or "")[: bus[2]],
        }
        for number, one in enumerate(ordered)
    ]


def letters(number: int) -> str:
    """a, b … z, aa: how disks are counted."""
    name, number = "", number + 1
    while number:
        number, digit = divmod(number - 1, 26)
        name = chr(97 + digit) + name
    return name
