"""Volume groups that lack a part: what LVM last wrote down of them, against the devices that are there."""

from __future__ import annotations

import re

from migprep import root as files
from migprep.facts import guarded
from migprep.facts.block import Block
from migprep.formats import lvmconf
from migprep.model import Undetermined, Unknown
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migprep.facts import Facts

#: Where LVM writes each group's metadata down after every change (vgcfgbackup(8)).
BACKUPS = "/etc/lvm/backup"
#: Groups that came up whole at this boot, and the physical volumes that came up (pvscan(8), event activation).
WHOLE, CAME = "/run/lvm/vgs_online", "/run/lvm/pvs_online"
#: Kinds of segments that bear the loss of a part (lvmraid(7)); the others do not.
REDUNDANT = ("raid1", "raid4", "raid5", "raid6", "raid10", "mirror")
#: What a segment stands on: physical volumes, or other logical ones.
BELOW = ("stripes", "raids", "raid0_lvs", "mirrors", "thin_pool", "pool", "metadata", "data", "origin", "cache_pool",
         "cache_vol", "cow_store")  # fmt: skip
# vg0-data-missing_0_0: what stands for a part that is not there while a volume is in use without it
STAND_IN = re.compile(r"-missing_\d+_\d+$")


class Lost(NamedTuple):
    """A physical volume that a group which is here counts on, and no device is."""

    group: str
    path: str
    line: int
    id: str
    hint: str  # what it was called when that was written
    volumes: tuple[str, ...]  # logical volumes that cannot do without it

    @property
    def subject(self) -> str:
        """What it is about."""
        return f"{self.group}: {self.id}"

    @property
    def held(self) -> str:
        """What lay on it, in words."""
        return f"{', '.join(self.volumes)} cannot do without it" if self.volumes else "no volume needs it alone"


class Groups(NamedTuple):
    """What is missing; `lost` may be an Unknown."""

    lost: tuple[Lost, ...]
    stand_ins: tuple[str, ...]  # below the root, in use: names of the device mapper


def probe(facts: Facts) -> Groups:
    """Compare LVM's own notes with the physical volumes there are. Raises Undetermined."""
    block = facts.block
    if isinstance(block, Unknown):
        raise Undetermined(block.reason)
    present = frozenset(one.uuid for one in block.devices if one.fstype == "LVM2_member")
    if not present:
        return Groups((), ())
    lost: tuple[Lost, ...] = guarded(lambda: tuple(_lost(facts.root, present)), BACKUPS)  # type: ignore[assignment]
    return Groups(lost, tuple(_stand_ins(facts, block)))


def _stand_ins(facts: Facts, block: Block) -> Iterator[str]:
    if not any(STAND_IN.search(one.mapper) for one in block.devices):
        return
    from migprep.facts.stacks import under_root

    below = under_root(facts, block)
    if isinstance(below, Unknown):
        raise Undetermined(below.reason)
    yield from (one.mapper for one in below if STAND_IN.search(one.mapper))


def _lost(root: Root, present: frozenset[str]) -> Iterator[Lost]:
    for group in root.names(BACKUPS):
        path = f"{BACKUPS}/{group}"
        found = parse(group, path, files.text(root, path) or "", present)
        # A group that came up whole without it: the note is older than the group is now.
        yield from (one for one in found if not _came_whole(root, one))


def _came_whole(root: Root, one: Lost) -> bool:
    return files.exists(root, f"{WHOLE}/{one.group}") and not files.exists(root, f"{CAME}/{one.id.replace('-', '')}")


# vg0 { physical_volumes { pv0 { id = "Yx2kQ2-…"  device = "/dev/sda2"  flags = ["MISSING"] } } logical_volumes { … } }
def parse(group: str, path: str, text: str, present: frozenset[str]) -> tuple[Lost, ...]:
    """The physical volumes of a group that are not `present`; () for a group of which nothing is."""
    settings = lvmconf.settings(text)
    head = f"{group}/physical_volumes/"
    ids = ((name[len(head) :], one) for name, one in settings.items() if name.startswith(head))
    volumes = {name[: -len("/id")]: one for name, one in ids if name.endswith("/id")}
    here = {name for name, one in volumes.items() if one.strings[:1] and one.strings[0] in present}
    if not here:
        return ()
    found = []
    for name, one in volumes.items():
        flags = settings.get(f"{head}{name}/flags")
        if name in here and not (flags and "MISSING" in flags.strings):
            continue
        hint = settings.get(f"{head}{name}/device")
        needing = tuple(_needing(settings, f"{group}/logical_volumes/", name))
        found.append(Lost(group, path, one.line, "".join(one.strings), "".join(hint.strings if hint else ()), needing))
    return tuple(found)


def _needing(settings: dict[str, lvmconf.Setting], head: str, wanted: str) -> Iterator[str]:
    """The volumes that a person knows, and that stand on `wanted` without anything to replace it."""
    below: dict[str, set[str]] = {}
    for name, one in settings.items():
        volume, _, rest = name[len(head) :].partition("/") if name.startswith(head) else ("", "", "")
        segment, _, key = rest.partition("/")
        kind = settings.get(f"{head}{volume}/{segment}/type")
        if key in BELOW and not (kind and kind.strings[:1] and kind.strings[0].startswith(REDUNDANT)):
            below.setdefault(volume, set()).update(one.strings)
    needing = {wanted}
    while True:
        more = {volume for volume, parts in below.items() if parts & needing} - needing
        if not more:
            break
        needing |= more
    status = ((one, settings.get(f"{head}{one}/status")) for one in sorted(needing - {wanted}))
    yield from (one for one, told in status if told is None or "VISIBLE" in told.strings)
