"""What stands between disks and file systems: LVM's filters and devices file, md's device list."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

from migprep import root as files
from migprep.facts.block import Block, BlockDevice, Kind, classify
from migprep.formats import lvmconf
from migprep.model import Undetermined, Unknown
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts
    from migprep.formats.expression import Expression

LVM = ("/etc/lvm/lvm.conf", "/etc/lvm/lvmlocal.conf")
OLD_CACHE = "/etc/lvm/cache/.cache"
DEVICES = "/etc/lvm/devices"
MDADM = ("/etc/mdadm.conf", "/etc/mdadm/mdadm.conf")
#: Entries that LVM finds by what is written on the device, wherever it is attached (lvmdevices(8)).
#: One by devname is searched for by its PVID (lvm.conf(5), search_for_devnames).
KEYS = ("IDTYPE", "IDNAME", "DEVNAME", "PVID")
STABLE_IDS = frozenset({"lvmlv_uuid", "crypt_uuid", "md_uuid", "loop_file", "devname"})


class Volume(NamedTuple):
    """A physical volume: the names by which LVM sees it here, and what of them stays on other hardware."""

    device: BlockDevice
    names: tuple[str, ...]

    def names_on(self, prefix: str) -> tuple[str, ...]:
        """Its names where disks are called `prefix`: the kernel name changes, content-derived links stay."""
        kept = tuple(name for name in self.names if _stays(name))
        if self.device.kind not in ("disk", "partition", "multipath"):
            return kept
        # A multipath disk is a plain one there; its own names go.
        kept = tuple(name for name in kept if self.device.kind != "multipath" or name.startswith("/dev/disk/"))
        return (*renamed(self.device.name, prefix), *kept)


# sda2 -> vda2 vdb2 …: which letter is not known, so that any of the first four may do
def renamed(name: str, prefix: str) -> tuple[str, ...]:
    """What a disk or partition may be called where disks are called `prefix`."""
    number = re.search(r"(?:p|(?<=[a-z]))(\d+)$", name) if not re.match(r"nvme\d+n\d+$", name) else None
    part = number.group(1) if number else ""
    if prefix == "nvme":
        return tuple(f"/dev/nvme{disk}n1{'p' if part else ''}{part}" for disk in range(4))
    return tuple(f"/dev/{prefix}{letter}{part}" for letter in "abcd")


def called(device: BlockDevice, prefix: str) -> tuple[str, ...]:
    """The names of a disk or partition where disks are called `prefix`: new kernel names, and links by its content."""
    return (*renamed(device.name, prefix), *(link for link in device.links if _stays(link)))


def _stays(name: str) -> bool:
    return classify(name)[0] not in (Kind.NAME, Kind.PATH, Kind.ID)


class Filter(NamedTuple):
    """A filter of lvm.conf(5) in force; patterns are a|accept| or r|reject| with a regular expression."""

    path: str
    line: int
    name: str  # filter or global_filter
    raw: str
    patterns: tuple[str, ...]
    at: int  # where in the text a further pattern may be put
    until: int  # where a value that is no list ends; -1 for a list
    volumes: tuple[Volume, ...]  # or an Unknown

    def rejected_on(self, prefix: str) -> tuple[Volume, ...]:
        """Volumes that it accepts here and rejects where disks are called `prefix`."""
        return tuple(one for one in self.volumes if self.accepts(one.names) and not self.accepts(one.names_on(prefix)))

    def rejects_on(self, prefix: str) -> bool:
        """Whether a volume that is used here would not be seen there."""
        return bool(self.rejected_on(prefix))

    def accepts(self, names: tuple[str, ...]) -> bool:
        """Whether a device of these names passes: one accepted name is enough, else one rejected name is too many."""
        rejected, parsed = False, compiled(self.patterns)
        for name in names:
            first = next((sign for sign, one in parsed if one.found_in(name)), "")
            if first == "a":
                return True
            rejected |= first == "r"
        return not rejected

    def accepting(self, prefix: str) -> str:
        """The pattern that lets through whatever the disks are called there."""
        return f"a|^/dev/{prefix}|"


def compiled(patterns: tuple[str, ...]) -> tuple[tuple[str, Expression], ...]:
    """Each pattern as (a or r, expression). Raises Undetermined for one that cannot be understood."""
    from migprep.formats import expression

    found = []
    for pattern in patterns:
        sign, rest = pattern[:1], pattern[1:].strip()
        closing = {"(": ")", "[": "]", "{": "}"}.get(rest[:1], rest[:1])
        if sign not in ("a", "r") or len(rest) < 2 or not rest.endswith(closing):
            raise Undetermined(f"the LVM filter pattern {pattern!r} cannot be understood")
        try:
            found.append((sign, expression.parse(rest[1:-1])))
        except ValueError as error:
            raise Undetermined(f"the LVM filter pattern {pattern!r} cannot be understood: {error}") from None
    return tuple(found)


class Tracked(NamedTuple):
    """One entry of LVM's devices file."""

    path: str
    line: int
    raw: str
    idtype: str
    idname: str
    devname: str
    pvid: str
    is_refreshed: bool  # LVM looks for it elsewhere when the machine's product UUID or name is another
    is_searched: bool = True  # by its PVID, where its name is another's (search_for_devnames)
    is_left_over: bool = False  # no device of this machine is the physical volume that it tells

    @property
    def is_stable(self) -> bool:
        """Found by what is written on the device; or found nowhere, here either."""
        return self.is_left_over or self.idtype in STABLE_IDS and (self.is_searched or self.idtype != "devname")

    @property
    def subject(self) -> str:
        """What the entry is about."""
        return f"{self.devname or self.idname} ({self.idtype})"


class DeviceList(NamedTuple):
    """One DEVICE line of mdadm.conf(5), or the devices= of an ARRAY line: no others are looked at for that array."""

    path: str
    line: int
    raw: str
    words: tuple[str, ...]
    array: str = ""  # /dev/md0, of an ARRAY line

    @property
    def can_be_mended(self) -> bool:
        """Whether something else than its devices tells the array."""
        return not self.array or "devices=" in self.raw and bool(re.search(r"\suuid=", self.raw, re.IGNORECASE))

    def mended(self, line: str) -> str:
        """The line with all partitions let through too; comment and line end stay."""
        if self.array:
            return re.sub(r"\s+devices=\S+", "", line, count=1)
        kept = line.split("#", 1)[0].rstrip()
        return f"{kept} partitions{line[len(kept) :]}"

    def loses(self, members: tuple[BlockDevice, ...], prefix: str) -> bool:
        """Whether it names some of `members` here, and none of those where disks are called `prefix`."""
        here = [one for one in members if any(fnmatchcase(f"/dev/{one.name}", word) for word in self.words)]
        there = [name for one in here for name in called(one, prefix)]
        return bool(here) and not any(fnmatchcase(name, word) for word in self.words for name in there)

    @property
    def subject(self) -> str:
        """What the line is about."""
        return f"ARRAY {self.array} devices={','.join(self.words)}" if self.array else f"DEVICE {' '.join(self.words)}"


class Held(NamedTuple):
    """What one image brings of LVM's and md's configuration, for the root: None where it has no file of its own."""

    filters: tuple[Filter, ...] | None
    device_lists: tuple[DeviceList, ...] | None
    opens_every_volume: bool = False  # not only what the root stands on


class Stacks(NamedTuple):
    """LVM and md as configured; the `has_` and `root_` members may be an Unknown."""

    filters: tuple[Filter, ...]
    tracked: tuple[Tracked, ...]
    device_lists: tuple[DeviceList, ...]
    members: tuple[BlockDevice, ...]  # of md arrays; or an Unknown
    root_on_lvm: bool
    root_on_md: bool
    root_on_crypt: bool
    has_old_cache: bool = False  # or an Unknown: a list of device names that LVM of old went by
    root_drivers: tuple[str, ...] = ()  # modules for the root file system and what it stands on
    held: tuple[Held, ...] = ()  # of each image that boots next; () where the files outside are all that is known
    has_other_volumes: bool = False  # volumes of LVM that the root does not stand on
    has_other_arrays: bool = False

    def lets_root_on_lvm_through(self, prefix: str) -> bool:
        """Whether every image that boots next has filters of its own, and they accept all volumes on `prefix`."""
        return bool(self.held) and all(
            one.filters is not None
            and all(each.accepts(volume.names_on(prefix)) for each in one.filters for volume in each.volumes)
            for one in self.held
        )

    def opens_every_volume_on(self, prefix: str) -> bool:
        """Whether every image that boots next opens all volumes on `prefix`, before the started system looks."""
        return self.lets_root_on_lvm_through(prefix) and all(one.opens_every_volume for one in self.held)

    def lets_root_on_md_through(self, prefix: str) -> bool:
        """Whether every image that boots next has an mdadm.conf of its own, which breaks no array on `prefix`."""
        return bool(self.held) and all(
            one.device_lists is not None and not breaking(one.device_lists, self.members, prefix) for one in self.held
        )

    def shuts_out(self, prefix: str) -> bool:
        """Whether a filter rejects volumes where disks are called `prefix`."""
        return any(one.rejects_on(prefix) for one in self.filters)

    def tracks(self, entry: Tracked) -> bool:
        """Whether the devices file has an entry of the same kind and name."""
        return any((one.idtype, one.idname) == (entry.idtype, entry.idname) for one in self.tracked)

    def lists_that_break(self, prefix: str) -> tuple[DeviceList, ...]:
        """The last DEVICE line of a file whose lines together leave out every disk called `prefix`."""
        return breaking(self.device_lists, self.members, prefix)

    def accepting(self, text: str, items: tuple[Filter, ...], prefix: str) -> str:
        """The text of lvm.conf with a pattern for `prefix` put first in each of `items`."""
        for item in sorted(items, key=lambda one: -one.at):
            more = f'"{item.accepting(prefix)}",'
            if item.until < 0:
                text = f"{text[: item.at]} {more}{text[item.at :]}"
            else:
                text = f"{text[: item.at]}[ {more} {text[item.at : item.until]} ]{text[item.until :]}"
        return text

    def listing(self, text: str, items: tuple[DeviceList, ...]) -> str:
        """The text of mdadm.conf with all partitions let through by each of `items`."""
        lines = text.split("\n")
        for item in items:
            lines[item.line - 1] = item.mended(lines[item.line - 1])
        return "\n".join(lines)


def breaking(lists: tuple[DeviceList, ...], arrays: tuple[BlockDevice, ...], prefix: str) -> tuple[DeviceList, ...]:
    """The lists that leave out every member of `arrays` as it is called where disks are `prefix`: the last DEVICE line.

    And each ARRAY line whose devices= does so for its own members.
    """
    common = tuple(one for one in lists if not one.array)
    words = [word for one in common for word in one.words]
    if any(word.lower() == "partitions" for word in words):
        lists, words = tuple(one for one in lists if one.array), []
    if not lists:
        return ()
    members = tuple(one for one in arrays if one.kind in ("disk", "partition"))
    own = tuple(one for one in lists if one.array and one.loses(members, prefix))
    names = [name for one in members for name in called(one, prefix)]
    is_open = not words or not names or any(fnmatchcase(name, word) for word in words for name in names)
    return own if is_open else (*common[-1:], *own)


def tracked(text: str, path: str, block: Block | Unknown, is_searched: bool = True) -> tuple[Tracked, ...]:
    """The entries of LVM's devices file (lvmdevices(8))."""
    found = []
    # PRODUCT_UUID=4c4c4544-…   HOSTNAME=web1     written by LVM 2.03.23 and later (device_ids_refresh)
    refreshed = bool(re.search(r"^(PRODUCT_UUID|HOSTNAME)=", text, re.MULTILINE))
    for number, line in enumerate(text.split("\n"), 1):
        # IDTYPE=sys_wwid IDNAME=naa.6000c29 DEVNAME=/dev/sda2 PVID=Yx2… PART=2
        words = dict(word.split("=", 1) for word in line.split() if "=" in word)
        if line.startswith("IDTYPE="):
            idtype, idname, devname, pvid = (words.get(key, "") for key in KEYS)
            gone = _is_left_over(pvid, block)
            found.append(
                Tracked(path, number, line.strip(), idtype, idname, devname, pvid, refreshed, is_searched, gone)
            )
    return tuple(found)


def _is_left_over(pvid: str, block: Block | Unknown) -> bool:
    if len(pvid) != 32 or isinstance(block, Unknown):
        return False
    return all(one.uuid.replace("-", "") != pvid for one in block.devices if one.fstype == "LVM2_member")


def device_lists(text: str, path: str) -> tuple[DeviceList, ...]:
    """The lists of devices in mdadm.conf(5); a line that begins with white space goes on with the one before."""
    found: list[tuple[int, str, list[str]]] = []
    arrays: list[tuple[int, str, list[str]]] = []
    current: list[str] | None = None
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        if line[:1] not in (" ", "\t"):
            keyword = words.pop(0).lower()
            kind = next((one for word, one in (("device", found), ("array", arrays)) if word.startswith(keyword)), None)
            current = [] if len(keyword) >= 3 and kind is not None else None
            if kind is not None and current is not None:
                kind.append((number, line.strip(), current))
        if current is not None:
            current.extend(words)
    lists = [DeviceList(path, number, raw, tuple(words)) for number, raw, words in found]
    # ARRAY /dev/md0 devices=/dev/sda2,/dev/sdb1
    for number, raw, words in arrays:
        named = [name for word in words if word.startswith("devices=") for name in word[len("devices=") :].split(",")]
        lists += [DeviceList(path, number, raw, tuple(named), words[0])] if named else []
    return tuple(lists)


def volumes(block: Block) -> tuple[Volume, ...]:
    """The physical volumes of this machine."""
    found = [one for one in block.devices if one.fstype in ("LVM2_member", "LVM1_member") and not one.is_shadow]
    return tuple(Volume(one, (f"/dev/{one.name}", *([one.path] if one.mapper else []), *one.links)) for one in found)


def filters(texts: Iterable[tuple[str, str]], present: tuple[Volume, ...] | Unknown) -> tuple[Filter, ...]:
    """The filters in force after the files of (path, text), of which a later one wins."""
    known: tuple[Volume, ...] = present  # type: ignore[assignment]
    found: dict[str, Filter] = {}
    for path, text in texts:
        for name, setting in lvmconf.settings(text).items() if text else ():
            if name in ("devices/filter", "devices/global_filter") and setting.strings:
                short = name.rpartition("/")[2]
                place = (setting.strings, setting.inside, setting.until)
                found[short] = Filter(path, setting.line, short, setting.raw, *place, known)
    return tuple(found.values())


# # use_devicesfile = 0     Debian, SUSE; 1 on Red Hat since RHEL 9
SHIPPED = re.compile(r"^\s*#\s*use_devicesfile\s*=\s*(\d)", re.MULTILINE)


class Tracking(NamedTuple):
    """How LVM uses its devices file."""

    name: str  # below /etc/lvm/devices; "" for none
    is_searched: bool  # a device of a name that has changed is looked for


def tracking(texts: Iterable[tuple[str, str]], shipped: str) -> Tracking:
    """Whether LVM looks only at what its devices file lists, where there is one, after the files of (path, text).

    `shipped` is lvm.conf as the distribution has it, which says in a comment what holds where nothing is set.
    """
    default = SHIPPED.search(shipped)
    told = {
        "use_devicesfile": default[1] if default else "",
        "devicesfile": "system.devices",
        "search_for_devnames": "",
    }
    for _, text in texts:
        given = lvmconf.settings(text) if text else {}
        named = ((key, given.get(f"devices/{key}")) for key in tuple(told))
        told.update((key, setting.raw.partition("=")[2].strip(' "')) for key, setting in named if setting)
    name = "" if told["use_devicesfile"] == "0" else told["devicesfile"]
    return Tracking(name, told["search_for_devnames"] != "none")


def arrays(root: Root) -> tuple[tuple[str, str], ...]:
    """The files of md as (path, text), those of mdadm.conf.d after them (mdadm.conf(5))."""
    found = list(MDADM)
    for path in MDADM:
        try:
            found += files.glob(root, f"{path}.d/*.conf")
        except files.Unreadable:  # a capture that was made without this question
            continue
    return tuple((path, files.text(root, path) or "") for path in found)


TAGGED = re.compile(r"(?m)^[ \t]*tags(?:[ \t]*\{|/)")


def configuration(root: Root) -> tuple[tuple[str, str], ...]:
    """LVM's files as (path, text), of which a later one wins; lvm_TAG.conf for the tags of this host (lvm.conf(5))."""
    found = [(path, files.text(root, path) or "") for path in LVM]
    whole = "\n".join(text for _, text in found)
    if TAGGED.search(whole):
        from migprep.facts import system

        host, given = system.hostname(root), lvmconf.settings(whole)
        hosttags = "tags/hosttags" in given and given["tags/hosttags"].raw.endswith("1")
        for path in files.glob(root, "/etc/lvm/lvm_*.conf"):
            tag = path[len("/etc/lvm/lvm_") : -len(".conf")]
            hosts = given.get(f"tags/{tag}/host_list")
            own = tag == host and hosttags
            is_named = bool(re.search(rf"\b{re.escape(tag)}\s*\{{", whole)) and (not hosts or host in hosts.strings)
            found += [(path, files.text(root, path) or "")] if own or is_named else []
    return tuple(found)


def under_root(facts: Facts, block: Block) -> tuple[BlockDevice, ...] | Unknown:
    """The device of the root file system and all that it stands on."""
    mounts = facts.mounts
    if isinstance(mounts, Unknown):
        return mounts
    mount = mounts.at("/")
    top = (block.numbered(mount.number) or next(iter(block.by_name.get(mount.source, ())), None)) if mount else None
    return block.stack(top) if top else Unknown("the device of the root file system cannot be told")


#: Modules without which the kernel mounts no root of that sort, alternatives as ``a|b``.
FILESYSTEMS = {"ext2": "ext4|ext2", "ext3": "ext4|ext3", "ext4": "ext4", "xfs": "xfs", "btrfs": "btrfs", "f2fs": "f2fs",
               "jfs": "jfs", "reiserfs": "reiserfs", "bcachefs": "bcachefs"}  # fmt: skip
LAYERS = {"lvm": "dm_mod", "crypt": "dm_crypt", "dm": "dm_mod", "md": "raid1|raid456|raid10|raid0|raid5|raid6|linear"}


#: The same for what LVM makes of several volumes, by a part's name in the device mapper (lvmraid(7), lvmthin(7)).
PARTS = (
    (re.compile(r"_r(?:image|meta)_\d+$"), "dm_raid"), (re.compile(r"_mimage_\d+$"), "dm_mirror"),
    (re.compile(r"_tdata$|-tpool$"), "dm_thin_pool"), (re.compile(r"_cdata$|_corig$|_cvol-cdata$"), "dm_cache"),
    (re.compile(r"_vdata$|-vpool$"), "dm_vdo|kvdo"), (re.compile(r"-(?:real|cow)$"), "dm_snapshot"),
    (re.compile(r"_wcorig$"), "dm_writecache"), (re.compile(r"_iorig$"), "dm_integrity"),
)  # fmt: skip


def root_drivers(facts: Facts, below: tuple[BlockDevice, ...]) -> tuple[str, ...]:
    """Modules for the root file system and for what it stands on, disks left out."""
    mounts = facts.mounts
    mount = None if isinstance(mounts, Unknown) else mounts.at("/")
    found = [FILESYSTEMS.get(mount.fstype, "") if mount else "", *(LAYERS.get(one.kind, "") for one in below)]
    found += [driver for one in below if one.kind == "lvm" for sign, driver in PARTS if sign.search(one.mapper)]
    return tuple(dict.fromkeys(one for one in found if one))


def probe(facts: Facts) -> Stacks:
    """Read the configuration of LVM and md, and what stands on it."""
    root, block = facts.root, facts.block
    if not files.is_dir(root, "/etc"):
        raise Undetermined("no /etc")
    listed = [one for path, text in arrays(root) for one in device_lists(text, path)]
    lvm = configuration(root)
    used = tracking(lvm, lvm[0][1])
    path = f"{DEVICES}/{used.name}"
    entries = tracked((files.text(root, path) or "") if used.name else "", path, block, used.is_searched)
    # What LVM goes by is one of them (filters are passed over with a devices file, lvm.conf(5)).
    lvm = () if entries and all(one.is_stable for one in entries) else lvm
    from migprep.facts import guarded

    # A detail that cannot be told must not hide what decides a boot.
    cached: bool = guarded(lambda: files.exists(root, OLD_CACHE), OLD_CACHE)  # type: ignore[assignment]
    if isinstance(block, Unknown):
        return Stacks(filters(lvm, block), entries, tuple(listed), *(block,) * 4, cached, block)  # type: ignore[arg-type]
    members = tuple(one for one in block.devices if one.fstype == "linux_raid_member")
    below = under_root(facts, block)
    drivers = below if isinstance(below, Unknown) else root_drivers(facts, below)
    on_lvm = below if isinstance(below, Unknown) else any(one.kind == "lvm" for one in below)
    on_md = below if isinstance(below, Unknown) else any(one.kind == "md" for one in below)
    on_crypt = below if isinstance(below, Unknown) else any(one.kind == "crypt" for one in below)
    found = filters(lvm, volumes(block))
    others = below if isinstance(below, Unknown) else tuple(one for one in block.devices if one not in below)
    told = (on_lvm, on_md, on_crypt, cached, drivers)
    rest = (_held(facts) if found or listed else (), _has(others, "lvm", "LVM"), _has(others, "md", "linux_raid"))
    return Stacks(found, entries, tuple(listed), members, *told, *rest)  # type: ignore[arg-type]


def _held(facts: Facts) -> tuple[Held, ...]:
    frozen = facts.frozen
    return () if isinstance(frozen, Unknown) else frozen.held


def _has(devices: tuple[BlockDevice, ...] | Unknown, kind: str, signature: str) -> bool | Unknown:
    """Whether one of `devices` is of that layer, or a part of it."""
    if isinstance(devices, Unknown):
        return devices
    return any(one.kind == kind or one.fstype.startswith(signature) for one in devices)
