"""What an image of dracut waits for because an argument names it: volumes, arrays, encrypted containers."""

from __future__ import annotations

import re

from migprep import root as files
from migprep.facts import arguments
from migprep.facts.block import Block
from migprep.formats import cmdline
from migprep.model import Undetermined, Unknown
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migprep.facts import Facts
    from migprep.facts.initramfs import Image

#: Arguments after which nothing goes on until the device is there, of today and of Red Hat 6 (dracut.cmdline(7)); and
#: those that switch them off.
KINDS = {
    "rd.lvm.lv": "volume", "rd_LVM_LV": "volume", "rd.lvm.vg": "group", "rd_LVM_VG": "group",
    "rd.md.uuid": "array", "rd_MD_UUID": "array", "rd.luks.uuid": "container", "rd_LUKS_UUID": "container",
}  # fmt: skip
OFF = {"volume": ("rd.lvm", "rd_NO_LVM"), "group": ("rd.lvm", "rd_NO_LVM"), "array": ("rd.md", "rd_NO_MD"),
       "container": ("rd.luks", "rd_NO_LUKS")}  # fmt: skip


class Awaited(NamedTuple):
    """One device that an argument of the next boot makes the image wait for, and that no device is."""

    path: str
    line: int
    text: str  # rd.lvm.lv=vg0/swap
    kind: str  # volume, group, array, container

    @property
    def subject(self) -> str:
        """What it is about."""
        return f"{self.text} in {self.path}"


class Waits(NamedTuple):
    """What the next boot waits for in vain; () where its image is none of dracut's."""

    lost: tuple[Awaited, ...]


def probe(facts: Facts) -> Waits:
    """Compare the arguments of the next boot with the devices that are there. Raises Undetermined."""
    images = facts.initramfs
    if isinstance(images, Unknown):
        raise Undetermined(images.reason)
    made: list[Image] = []
    for one in images.next:
        if not one.path:
            continue
        if isinstance(one.image, Unknown):
            raise Undetermined(one.image.reason)
        made.append(one.image)
    if not any(one.tool == "dracut" for one in made):
        return Waits(())
    named = [*_of_boot(facts), *(word for one in made for word in _inside(one))]
    if not named:
        return Waits(())
    block = facts.block
    if isinstance(block, Unknown):
        raise Undetermined(block.reason)
    lost = (one for one in named if not is_there(one, block) and not _is_known(facts, one))
    return Waits(tuple(dict.fromkeys(lost)))


def _of_boot(facts: Facts) -> Iterator[Awaited]:
    for path, words in arguments.boots(facts):
        yield from _named(path, words)


def _inside(image: Image) -> Iterator[Awaited]:
    for name, text in sorted(image.texts.items()):
        if "cmdline.d/" in name:
            for one in _named(image.path, cmdline.words(text)):
                if one.kind != "container":  # those inside are the business of facts.frozen
                    yield one._replace(line=0)


def _named(path: str, words: tuple[cmdline.Word, ...]) -> Iterator[Awaited]:
    off = {word.key for word in words if word.value == "0" or word.key.startswith("rd_NO_")}
    for word in words:
        kind = KINDS.get(word.key)
        if kind and word.value and not off.intersection(OFF[kind]):
            yield Awaited(path, word.line, f"{word.key}={word.value}", kind)


def is_there(one: Awaited, block: Block) -> bool:
    """Whether a device is what it names; parts of a container's UUID are enough for dracut."""
    value = one.text.partition("=")[2]
    if one.kind == "volume":
        escaped = "-".join(part.replace("-", "--") for part in value.split("/"))
        return f"/dev/{value}" in block.by_name or f"/dev/mapper/{escaped}" in block.by_name
    if one.kind == "group":
        start = f"{value.replace('-', '--')}-"
        return any(device.mapper.startswith(start) for device in block.devices if device.kind == "lvm")
    wanted = _plain(re.sub("^luks-", "", value))
    if one.kind == "container":
        return any(wanted in _plain(device.uuid) for device in block.devices if device.fstype == "crypto_LUKS")
    links = (link for device in block.devices for link in device.links if "/md-uuid-" in link)
    members = (device.uuid for device in block.devices if device.fstype == "linux_raid_member")
    return any(wanted in _plain(text) for text in (*links, *members))


# /etc/lvm/backup/vg0:     swap {
def _is_known(facts: Facts, one: Awaited) -> bool:
    """Whether it is a volume that LVM has and that is only not in use (vgcfgbackup(8), written at every change)."""
    group, _, volume = one.text.partition("=")[2].partition("/")
    if one.kind != "volume" or not volume:
        return False
    text = files.text(facts.root, f"/etc/lvm/backup/{group}", 1 << 20) or ""
    return re.search(rf"(?m)^\t\t{re.escape(volume)} {{$", text) is not None


def _plain(uuid: str) -> str:
    return re.sub(r"[^0-9a-z]", "", uuid.lower())
