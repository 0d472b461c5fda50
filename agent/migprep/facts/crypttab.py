"""/etc/crypttab: encrypted devices, by which name each is found, and what a boot needs of them."""

from __future__ import annotations

import re

from migprep import root as files
from migprep.facts.block import TAGS, Block, BlockDevice, Kind, Reference, unresolved
from migprep.formats import columns
from migprep.model import Undetermined, Unknown
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts
    from migprep.facts.fstab import Fstab
    from migprep.facts.mounts import Mounts

PATH = "/etc/crypttab"
#: Key files that give another key at every boot (crypttab(5)).
RANDOM = frozenset({"/dev/urandom", "/dev/random", "/dev/hw_random", "/dev/hwrng"})


class Entry(NamedTuple):
    """One line of crypttab(5): its device, and the one that holds its LUKS header, where that lies apart (header=).

    `is_needed`: the root or a mount that a boot waits for stands on it; `is_sealed`: of an entry that asks the TPM,
    whether its header is known to have no other key.
    """

    text: columns.Line
    name: str
    spec: str
    key: str
    options: tuple[str, ...]
    device: Reference
    header: Reference
    is_needed: bool  # or an Unknown, where the block devices could not be read
    key_place: Reference = Reference("", Kind.OTHER)  # the device that its key lies on, where that is another
    is_sealed: bool = False

    @property
    def line(self) -> int:
        """Its line number."""
        return self.text.number

    @property
    def raw(self) -> str:
        """The line without its end."""
        return self.text.raw.strip("\r\n").lstrip(columns.BOM)

    @property
    def is_random(self) -> bool:
        """Opened with a key that nobody keeps: the device is formatted anew at every boot."""
        return self.key in RANDOM or any(re.match(r"(swap|tmp(=.*)?)$", option) for option in self.options)

    @property
    def is_manual(self) -> bool:
        """Not opened at boot."""
        return "noauto" in self.options

    @property
    def is_optional(self) -> bool:
        """The boot goes on without it."""
        return "nofail" in self.options

    @property
    def holds_boot(self) -> bool:
        """Whether a boot stops when it cannot be opened."""
        return not (self.is_random or self.is_manual) and self.is_needed

    @property
    def holds_data(self) -> bool:
        """Whether a boot goes on without it, and without the data on it."""
        return not (self.is_random or self.is_manual) and not self.is_needed

    @property
    def is_bound_to_tpm(self) -> bool:
        """Opened by the TPM of this machine, whose state does not move."""
        return any(option.startswith(("tpm2-device=", "tpm2-pin=")) for option in self.options)

    @property
    def has_key_file(self) -> bool:
        """Opened with a key from a file; beside a TPM the file is only what the TPM has sealed."""
        return self.key.startswith("/") and not (self.is_random or self.is_bound_to_tpm)

    @property
    def key_device(self) -> str:
        """The device that the key lies on, when it is named by a name that changes; else ""."""
        return self.key_place.spec if self.key_place.is_volatile else ""

    @property
    def has_key_elsewhere(self) -> bool:
        """Whether its key lies on a device of its own, named by what is written there, and is wanted at boot."""
        return self.key_place.is_content and not self.is_manual

    @property
    def header_candidate(self) -> str:
        """The stable name of the device with its header, as a path: header= takes nothing else."""
        tag, mark, value = self.header.candidate.partition("=")
        return f"/dev/disk/{TAGS[tag]}/{value}" if mark else ""

    @property
    def candidate(self) -> str:
        """The stable name for it; for a random key never what is on the device, for that changes at every boot."""
        if not self.is_random:
            return self.device.candidate if self.is_luks else ""
        named = self.device.devices
        return f"/dev/disk/by-partuuid/{named[0].partuuid}" if len(named) == 1 and named[0].partuuid else ""

    @property
    def is_luks(self) -> bool:
        """Whether the device has a LUKS header now, which holds its UUID."""
        named = self.device.devices
        return len(named) == 1 and named[0].fstype == "crypto_LUKS"

    @property
    def expected(self) -> str:
        """What should stand there instead."""
        if isinstance(self.device.devices, Unknown):
            return "PARTUUID of the partition" if self.is_random else "UUID of the LUKS header"
        return self.candidate or ("a name by PARTUUID" if self.is_random else "UUID of the LUKS header")


class Crypttab(NamedTuple):
    """The whole file; empty when there is none, for then nothing is opened by it."""

    lines: tuple[columns.Line, ...]
    entries: tuple[Entry, ...]

    def render(self, items: tuple[Entry, ...]) -> str:
        """The text again, with each of `items` named by its stable candidate."""
        return self._with({item.line: item.text.with_field(1, item.candidate) for item in items})

    def render_headers(self, items: tuple[Entry, ...]) -> str:
        """The text again, with the header of each of `items` on a device named by its stable candidate."""
        return self._with({item.line: item.text.with_field(3, _moved_header(item)) for item in items})

    def _with(self, changed: dict[int, str]) -> str:
        """The text again, with these lines in the place of theirs."""
        return "".join(changed.get(line.number, line.raw) for line in self.lines)


# luks,header=/dev/sdb1     luks,header=/header.img:/dev/sdb1
def _moved_header(item: Entry) -> str:
    old, new = item.header.spec, item.header_candidate
    return ",".join(one.replace(old, new) if one.startswith("header=") else one for one in item.options)


def parse(text: str, block: Block | Unknown, needed: frozenset[str] | Unknown = frozenset()) -> Crypttab:
    """crypttab(5): name, device, key, options; `needed` holds the names without which a boot stops."""
    lines = columns.parse(text)
    entries = [_entry(line, block, needed) for line in lines if len(line.spans) >= 2]
    return Crypttab(lines, tuple(entries))


def _entry(line: columns.Line, block: Block | Unknown, needed: frozenset[str] | Unknown) -> Entry:
    fields = [*line.fields, "", ""]
    spec = columns.decode(fields[1])
    device = _meant(spec, block)
    if device.kind is Kind.PSEUDO:  # not a file system: a bare word is a file beside nothing
        device = device._replace(kind=Kind.OTHER)
    is_needed: bool = needed if isinstance(needed, Unknown) else fields[0] in needed  # type: ignore[assignment]
    options = tuple(fields[3].split(","))
    apart = next((one.partition("=")[2] for one in options if one.startswith("header=")), "")
    _, mark, below = f":{apart}".partition(":/dev/")  # /dev/sdb1   /header.img:/dev/sdb1   a file on the root
    header = _meant(f"/dev/{below}", block) if mark else Reference("", Kind.OTHER)
    key = columns.decode(fields[2])
    place = _key_device(key, options)
    return Entry(line, fields[0], spec, key, options, device, header, is_needed, _meant(place, block))


# /key:/dev/sdb1   /key:UUID=6c1d0f4e-… (systemd)     /dev/disk/by-label/stick:/key:5 (Debian's passdev)
def _key_device(key: str, options: tuple[str, ...]) -> str:
    """The device that a key is read from, or that it is itself; "" for a file of this machine, or a random key."""
    if key in RANDOM:
        return ""
    first, mark, rest = key.partition(":")
    if key.startswith("/dev/"):
        return first if mark and (rest.startswith("/") or any("passdev" in one for one in options)) else key
    return rest if re.match(r"/dev/|[A-Z]+=", rest) else ""


def _meant(spec: str, block: Block | Unknown) -> Reference:
    return unresolved(spec, "", block) if isinstance(block, Unknown) else block.reference(spec)


def needed_names(block: Block, mounts: Mounts | Unknown, fstab: Fstab | Unknown) -> frozenset[str]:
    """Device-mapper names under the root file system and under every mount that a boot waits for."""
    tops: list[BlockDevice] = []
    names: set[str] = set()
    if not isinstance(mounts, Unknown):
        root = mounts.at("/")
        device = (block.numbered(root.number) or _by_path(block, root.source)) if root else None
        tops += [device] if device else []
    if not isinstance(fstab, Unknown):
        for entry in fstab.entries:
            if entry.is_required or entry.is_root:
                tops += entry.device.devices
                names.add(entry.spec.rpartition("/dev/mapper/")[2])  # not opened at this moment
    names.update(below.mapper for top in dict.fromkeys(tops) for below in block.stack(top))
    return frozenset(names - {""})


def _by_path(block: Block, path: str) -> BlockDevice | None:
    return next(iter(block.by_name.get(path, ())), None)


def probe(facts: Facts) -> Crypttab:
    """Read /etc/crypttab."""
    if not files.is_dir(facts.root, "/etc"):
        raise Undetermined("no /etc")
    text = files.text(facts.root, PATH)
    if text is None:
        return Crypttab((), ())
    block = facts.block
    needed = block if isinstance(block, Unknown) else needed_names(block, facts.mounts, facts.fstab)
    found = parse(text, block, needed)
    if isinstance(block, Unknown) or not any(entry.is_bound_to_tpm for entry in found.entries):
        return found
    return found._replace(entries=tuple(_looked_into(facts, entry) for entry in found.entries))


def _looked_into(facts: Facts, entry: Entry) -> Entry:
    from migprep.facts import luks

    headers = [one for one in entry.device.devices if one.fstype == "crypto_LUKS"] if entry.is_bound_to_tpm else []
    return entry._replace(is_sealed=any(luks.is_sealed(facts, one) for one in headers))
