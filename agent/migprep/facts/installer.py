"""Where GRUB's installer would write the next time."""

from __future__ import annotations

import re

from migprep import root as files
from migprep.facts.block import Reference, unresolved
from migprep.model import Undetermined, Unknown
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migprep.facts import Facts

DEBCONF = "/var/cache/debconf/config.dat"
#: What SUSE's update-bootloader gives to grub2-install: a device, or a word (mbr, activate) a line.
SUSE = "/etc/default/grub_installdevice"
#: Bytes that debconf's database may have; the largest seen is 3 MB.
LIMIT = 16 << 20
MAPS = ("/boot/grub/device.map", "/boot/grub2/device.map")


class Place(NamedTuple):
    """One device that is written down for an installer."""

    path: str
    line: int
    text: str
    device: Reference

    @property
    def is_gone(self) -> bool:
        """Whether nothing on this machine has that name."""
        return not self.device.devices


class Installer(NamedTuple):
    """Texts for the future: the disks of GRUB's installer, and device.map."""

    disks: tuple[Place, ...]
    maps: tuple[Place, ...]


def probe(facts: Facts) -> Installer:
    """Read debconf's answer or SUSE's list, and device.map."""
    root = facts.root
    if not files.is_dir(root, "/etc"):
        raise Undetermined("no /etc")
    debconf = _debconf(facts) if files.is_dir(root, "/boot/grub/i386-pc") else ()
    return Installer((*debconf, *_listed(facts)), tuple(_maps(facts)))


def _reference(facts: Facts, spec: str) -> Reference:
    block = facts.block
    return unresolved(spec, "", block) if isinstance(block, Unknown) else block.reference(spec)


# Name: grub-pc/install_devices
# Template: grub-pc/install_devices
# Value: /dev/disk/by-id/ata-VMware_Virtual_SATA_Hard_Drive_00000000000000000001, /dev/sdb
def _debconf(facts: Facts) -> Iterator[Place]:
    text = files.text(facts.root, DEBCONF, LIMIT) or ""
    at = text.find("Name: grub-pc/install_devices\n")
    if at < 0:
        return
    found = re.match(r"(?:[^\n]+\n)*?Value: ([^\n]*)", text[at : at + 65536])
    for spec in found.group(1).split(",") if found else ():
        if spec.strip().startswith("/dev/"):
            yield Place(DEBCONF, text.count("\n", 0, at) + 1, spec.strip(), _reference(facts, spec.strip()))


# /dev/disk/by-id/ata-QEMU_HARDDISK_QM00001
# activate
def _listed(facts: Facts) -> Iterator[Place]:
    for number, line in enumerate((files.text(facts.root, SUSE) or "").split("\n"), 1):
        if line.startswith("/dev/"):
            yield Place(SUSE, number, line.strip(), _reference(facts, line.strip()))


# (hd0)	/dev/disk/by-id/ata-QEMU_HARDDISK_QM00001
def _maps(facts: Facts) -> Iterator[Place]:
    for path in MAPS:
        for number, line in enumerate((files.text(facts.root, path) or "").split("\n"), 1):
            words = line.split()
            if len(words) > 1 and words[0].startswith("(") and words[1].startswith("/dev/"):
                yield Place(path, number, line.strip(), _reference(facts, words[1]))
