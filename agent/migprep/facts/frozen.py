"""Configuration that the initramfs took along when it was made: it decides the next boot, not the file outside."""

from __future__ import annotations

import re

from migprep import root as files
from migprep.facts import awaited, crypttab, stacks
from migprep.facts.block import Block, BlockDevice, Reference
from migprep.facts.initramfs import EVERY, TOLD, Image
from migprep.model import Undetermined, Unknown
from migprep.typed import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

#: Names below the root of an image, in the order in which the tools inside read them.
LVM = ("etc/lvm/lvm.conf", "etc/lvm/lvmlocal.conf")
DEVICES_FILE = "etc/lvm/devices/system.devices"
MDADM = ("etc/mdadm.conf", "etc/mdadm/mdadm.conf")
CRYPTTABS = ("cryptroot/crypttab", "etc/crypttab")
#: Arguments by which dracut opens exactly one container: it waits for it, and opens no other (dracut.cmdline(7)).
OPENED = ("rd.luks.uuid", "rd_LUKS_UUID")


class Word(NamedTuple):
    """One setting inside an image that names a device."""

    image: str  # its path
    file: str  # the file inside
    text: str  # as it stands there
    device: Reference

    @property
    def subject(self) -> str:
        """What it is about."""
        return f"{self.text} in {self.image}"


class Frozen(NamedTuple):
    """What the images that boot next hold. Members that need the block devices may be an Unknown."""

    filters: tuple[stacks.Filter, ...]
    tracked: tuple[stacks.Tracked, ...]
    device_lists: tuple[stacks.DeviceList, ...]
    members: tuple[BlockDevice, ...]
    opened: tuple[Word, ...]  # by crypttab or dracut's arguments: what a boot needs opened
    roots: tuple[Word, ...]  # the root, where no argument of the boot menu tells
    resumes: tuple[Word, ...]
    waits: tuple[Word, ...]
    unopened: tuple[str, ...]  # images of initramfs-tools without a line for the container of the root
    unlisted: tuple[str, ...]  # images of initramfs-tools that bring LVM and no devices file: they open every volume
    held: tuple[stacks.Held, ...]  # one of each image; () unless all of them are known, and none is only planned

    def lists_that_break(self, prefix: str) -> tuple[stacks.DeviceList, ...]:
        """As Stacks.lists_that_break, of the images."""
        return stacks.breaking(self.device_lists, self.members, prefix)


def probe(facts: Facts) -> Frozen:
    """Look into the images of the kernels that boot next."""
    images = facts.initramfs
    if isinstance(images, Unknown):
        raise Undetermined(images.reason)
    found = [one.image for one in images.next if one.path]
    for image in found:
        if isinstance(image, Unknown):
            raise Undetermined(image.reason)
    known = [one for one in found if isinstance(one, Image) and not one.is_foreseen]
    if not any(one.texts or one.waits or one.lvm for one in known):
        return NOTHING
    block = facts.block
    if isinstance(block, Unknown):
        raise Undetermined(block.reason)
    members: Any = zip(*(_of(facts, block, image) for image in known))
    frozen = Frozen(*(tuple(each for part in parts for each in part) for parts in members))
    return frozen if len(known) == len(images.next) else frozen._replace(held=())


NOTHING = Frozen((), (), (), (), (), (), (), (), (), (), ())


def _of(facts: Facts, block: Block, image: Image) -> Frozen:
    texts = image.texts
    lvm = [(f"{image.path} ({name})", texts[name]) for name in LVM if name in texts]
    lists = [
        one for name in MDADM if name in texts for one in stacks.device_lists(texts[name], f"{image.path} ({name})")
    ]
    used = stacks.tracking(lvm, files.text(facts.root, stacks.LVM[0]) or "") if DEVICES_FILE in texts else None
    listed = texts[DEVICES_FILE] if used and used.name == DEVICES_FILE.rpartition("/")[2] else ""
    is_searched = not used or used.is_searched
    tracked = stacks.tracked(listed, f"{image.path} ({DEVICES_FILE})", block, is_searched)
    cmdlines = {name: text for name, text in texts.items() if "cmdline.d/" in name}
    told = facts.arguments
    is_told = not isinstance(told, Unknown) and any(one.key == "root" for one in told.deciding)
    by_list = bool(tracked) and all(one.is_stable for one in tracked)
    filters = () if by_list else stacks.filters(lvm, stacks.volumes(block))
    every_told = image.lvm == TOLD and _on_lvm(facts, block) and not awaited.names_volumes(facts, image)
    has_lvm = bool(texts.get(LVM[0], "").strip()) or image.lvm == TOLD  # without lvm.conf: every disk is looked at
    has_mdadm = any(texts.get(name, "").strip() for name in MDADM)
    opens = every_told or image.lvm == EVERY
    held = stacks.Held(filters if has_lvm else None, tuple(lists) if has_mdadm else None, opens)
    return Frozen(
        filters,
        tracked,
        tuple(lists),
        tuple(one for one in block.devices if one.fstype == "linux_raid_member"),
        (*_crypttab(facts, block, image), *_words(image, block, cmdlines, OPENED)),
        () if is_told else _words(image, block, cmdlines, ("root",)),
        (*_words(image, block, cmdlines, ("resume",)), *_words(image, block, _resumes(texts), ("RESUME",))),
        tuple(Word(image.path, "what it waits for", spec, block.reference(spec)) for spec in image.waits),
        _unopened(facts, block, image),
        (image.path,) if lvm and not tracked and image.tool == "initramfs-tools" else (),
        (held,),
    )


def _resumes(texts: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in texts.items() if name.startswith("conf/conf.d/")}


# root=UUID=… rd.luks.uuid=luks-6c1d0f4e-… rd.lvm.lv=vg0/root        RESUME=UUID=…
def _words(image: Image, block: Block, texts: dict[str, str], keys: tuple[str, ...]) -> tuple[Word, ...]:
    found = []
    for name, text in sorted(texts.items()):
        for key, value in re.findall(r"(?:^|\s)([A-Za-z_.]+)=([^\s\"']+|\"[^\"]*\"|'[^']*')", text):
            spec = value.strip("\"'")
            if key in OPENED:
                spec = f"UUID={spec[len('luks-') :] if spec.startswith('luks-') else spec}"
            if key in keys and spec.startswith(("/dev/", "UUID=", "LABEL=", "PARTUUID=", "PARTLABEL=")):
                found.append(Word(image.path, name, f"{key}={value}", block.reference(spec)))
    return tuple(found)


def _crypttab(facts: Facts, block: Block, image: Image) -> tuple[Word, ...]:
    needed = _containers(facts, block)
    return tuple(
        Word(image.path, name, f"{entry.name} {entry.spec}", entry.device)
        for name in CRYPTTABS
        if name in image.texts
        for entry in crypttab.parse(image.texts[name], block).entries
        if entry.name in needed and not entry.is_random
    )


def _on_lvm(facts: Facts, block: Block) -> bool:
    """Whether the root is a volume: only then does an image of dracut go on until LVM was looked at."""
    below = stacks.under_root(facts, block)
    return not isinstance(below, Unknown) and any(one.kind == "lvm" for one in below)


def _containers(facts: Facts, block: Block) -> frozenset[str]:
    """Names of the encrypted devices that the root stands on."""
    below = stacks.under_root(facts, block)
    return frozenset() if isinstance(below, Unknown) else frozenset(one.mapper for one in below if one.kind == "crypt")


def _unopened(facts: Facts, block: Block, image: Image) -> tuple[str, ...]:
    """initramfs-tools opens only what its own copy of crypttab lists (cryptsetup-initramfs)."""
    needed = _containers(facts, block)
    if not needed or image.tool != "initramfs-tools":
        return ()
    listed = {entry.name for entry in crypttab.parse(image.texts.get(CRYPTTABS[0], ""), block).entries}
    return () if needed <= listed else (image.path,)
