"""What an image of dracut waits for because an argument names it, and what of the root an argument keeps it from."""

from __future__ import annotations

import re

from migprep import root as files
from migprep.facts import arguments, stacks
from migprep.facts.block import Block, BlockDevice, plain
from migprep.formats import cmdline
from migprep.model import MigprepError, Undetermined, Unknown
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
#: By kind of device: the argument that switches it off, that of Red Hat 6, and those that, once given, leave out all
#: other devices of that kind. Further ones name a container in ways that are not compared here.
LISTS = {
    "lvm": ("rd.lvm", "rd_NO_LVM", ("rd.lvm.lv", "rd_LVM_LV", "rd.lvm.vg", "rd_LVM_VG")),
    "md": ("rd.md", "rd_NO_MD", ("rd.md.uuid", "rd_MD_UUID")),
    "crypt": ("rd.luks", "rd_NO_LUKS", ("rd.luks.uuid", "rd_LUKS_UUID", "luks.uuid")),
}
OTHERS = ("rd.luks.name", "luks.name", "rd.luks.partuuid", "rd.luks.serial", "rd.luks.dev")


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


class Skipped(NamedTuple):
    """An argument by which the image leaves out something that the root stands on."""

    path: str
    line: int
    text: str  # rd.lvm=0, or the first of those that name other devices alone
    device: str  # /dev/mapper/vg0-root
    is_list: bool

    @property
    def subject(self) -> str:
        """What it is about."""
        return f"{self.device} in {self.path}"


class Waits(NamedTuple):
    """What the next boot waits for in vain, and what it leaves out; () where its image is none of dracut's."""

    lost: tuple[Awaited, ...]
    skipped: tuple[Skipped, ...] = ()


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
    given = tuple(arguments.boots(facts))
    named = list(of_boot(facts))
    named += [word for one in made for word in _inside(one)]
    has_switch = any(one.key in (off, old) for _, words in given for one in words for off, old, _ in LISTS.values())
    if not named and not has_switch:
        return Waits(())
    block = facts.block
    if isinstance(block, Unknown):
        raise Undetermined(block.reason)
    lost = (one for one in named if not devices(one, block) and not _is_known(facts, one))
    return Waits(tuple(dict.fromkeys(lost)), _left_out(facts, block, given, made))


def _left_out(
    facts: Facts, block: Block, given: tuple[tuple[str, tuple[cmdline.Word, ...]], ...], made: list[Image]
) -> tuple[Skipped, ...]:
    """What of the root the next boot leaves out; what this one came up with does no harm."""
    below = stacks.under_root(facts, block)
    if isinstance(below, Unknown):
        return ()
    inside = tuple(
        (one.path, cmdline.words(text)) for one in made for name, text in one.texts.items() if "cmdline.d/" in name
    )
    running = cmdline.words(files.text(facts.root, arguments.RUNNING, 65536) or "")
    today = {one.device for one in skipped(((arguments.RUNNING, running), *inside), below)}
    return tuple(one for one in skipped((*inside, *given), below) if one.device not in today)


def skipped(
    given: tuple[tuple[str, tuple[cmdline.Word, ...]], ...], below: tuple[BlockDevice, ...]
) -> tuple[Skipped, ...]:
    """The devices of `below` that arguments keep an image of dracut from putting together; the last of each counts."""
    words = [(path, word) for path, some in given for word in some]
    parts = {name for one in below if one.kind == "lvm" for name in one.parents}
    found = []
    for device in below:
        if device.kind not in LISTS or device.kind == "lvm" and device.name in parts:
            continue
        off, old, lists = LISTS[device.kind]
        switches = [one for one in words if one[1].key in (off, old)][-1:]
        listed = [one for one in words if one[1].key in lists and one[1].value]
        other = device.kind == "crypt" and any(word.key in OTHERS for _, word in words)
        if any(word.key == old or word.value in ("0", "no", "off") for _, word in switches):
            found.append(_skipped(*switches[0], device, False))
        elif listed and not other and not any(_means(word, device, below) for _, word in listed):
            found.append(_skipped(*listed[0], device, True))
    return tuple(found)


def _skipped(path: str, word: cmdline.Word, device: BlockDevice, is_list: bool) -> Skipped:
    text = f"{word.key}={word.value}" if word.value else word.key
    return Skipped(path, word.line, text, device.path, is_list)


def _means(word: cmdline.Word, device: BlockDevice, below: tuple[BlockDevice, ...]) -> bool:
    """Whether an argument names a device; so too where nothing tells how the device is called."""
    if device.kind == "lvm":
        group, _, volume = (part.replace("-", "--") for part in word.value.partition("/"))
        return device.mapper == f"{group}-{volume}" if volume else device.mapper.startswith(f"{group}-")
    if device.kind == "md":
        known = [link for link in device.links if "/md-uuid-" in link]
        known += [one.uuid for one in below if one.name in device.parents and one.fstype == "linux_raid_member"]
    else:
        known = [one.uuid for one in below if one.name in device.parents and one.fstype == "crypto_LUKS"]
    wanted = plain(re.sub("^luks-", "", word.value))
    return not known or any(wanted in plain(one) for one in known)


def of_boot(facts: Facts) -> Iterator[Awaited]:
    """What the arguments of the next boot name in this way."""
    for path, words in arguments.boots(facts):
        yield from _named(path, words)


def names_volumes(facts: Facts, image: Image) -> bool:
    """Whether the arguments of the next boot name volumes or groups of LVM, or cannot be told."""
    try:
        given = [word for path, words in arguments.boots(facts) for word in _named(path, words)]
        return any(one.kind in ("volume", "group") for one in (*given, *_inside(image)))
    except MigprepError:
        return True


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


def devices(one: Awaited, block: Block) -> tuple[BlockDevice, ...]:
    """What it names; parts of a container's or an array's UUID are enough for dracut."""
    value = one.text.partition("=")[2]
    if one.kind == "volume":
        escaped = "-".join(part.replace("-", "--") for part in value.split("/"))
        return block.by_name.get(f"/dev/{value}") or block.by_name.get(f"/dev/mapper/{escaped}") or ()
    if one.kind == "group":
        start = f"{value.replace('-', '--')}-"
        return tuple(one for one in block.devices if one.kind == "lvm" and one.mapper.startswith(start))
    if one.kind == "array":
        return block.array(value)
    wanted = plain(re.sub("^luks-", "", value))
    return tuple(one for one in block.devices if one.fstype == "crypto_LUKS" and wanted in plain(one.uuid))


# /etc/lvm/backup/vg0:     swap {
def _is_known(facts: Facts, one: Awaited) -> bool:
    """Whether it is a volume that LVM has and that is only not in use (vgcfgbackup(8), written at every change)."""
    group, _, volume = one.text.partition("=")[2].partition("/")
    if one.kind != "volume" or not volume:
        return False
    text = files.text(facts.root, f"/etc/lvm/backup/{group}", 1 << 20) or ""
    return re.search(rf"(?m)^\t\t{re.escape(volume)} {{$", text) is not None
