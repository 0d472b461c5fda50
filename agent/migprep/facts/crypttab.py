"""/etc/crypttab: encrypted devices that are opened at boot, and what their names mean on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from migprep import root as files
from migprep.facts.block import STACKED, Block, Reference
from migprep.formats import columns
from migprep.model import Unknown

if TYPE_CHECKING:
    from migprep.facts import Facts
    from migprep.facts.mounts import Mounts

PATH = "/etc/crypttab"
#: Keys that are new at every boot: what stands on the device is overwritten (crypttab(5)).
RANDOM = frozenset({"/dev/urandom", "/dev/random", "/dev/hw_random"})


class Entry(NamedTuple):
    """One line of crypttab(5)."""

    text: columns.Line
    name: str
    spec: str
    key: str
    options: tuple[str, ...]
    device: Reference | Unknown
    candidate: str
    holds_root: bool

    @property
    def line(self) -> int:
        """Its line number."""
        return self.text.number

    @property
    def is_random(self) -> bool:
        """Opened with a key of this boot alone, so that its content is made anew each time."""
        return self.key in RANDOM or bool({"swap", "tmp"} & {option.split("=")[0] for option in self.options})

    @property
    def is_optional(self) -> bool:
        """Boot goes on without it."""
        return bool({"noauto", "nofail"} & set(self.options))

    @property
    def expected(self) -> str:
        """What should stand in the second field."""
        return self.candidate or ("PARTUUID=… of the partition" if self.is_random else "UUID=… of the LUKS header")


class Crypttab(NamedTuple):
    """Every line, and those that open a device."""

    lines: tuple[columns.Line, ...]
    entries: tuple[Entry, ...]

    def render(self, items: tuple[Entry, ...]) -> str:
        """The text again, with each of `items` named by its stable candidate."""
        changed = {item.line: item.text.with_field(1, item.candidate) for item in items}
        return "".join(changed.get(line.number, line.raw) for line in self.lines)


def parse(text: str, block: Block | Unknown, root_parents: frozenset[str] = frozenset()) -> Crypttab:
    """crypttab(5): name, device, key, options; the last two may be missing."""
    lines = columns.parse(text)
    entries = tuple(_entry(line, block, root_parents) for line in lines if len(line.spans) >= 2)
    return Crypttab(lines, entries)


def _entry(line: columns.Line, block: Block | Unknown, root_parents: frozenset[str]) -> Entry:
    name, spec, key, options = (*line.fields, "none", "")[:4] if len(line.fields) < 4 else line.fields[:4]
    if len(line.fields) == 3:
        name, spec, key, options = (*line.fields, "")
    given = tuple(options.split(",")) if options else ()
    device = block if isinstance(block, Unknown) else block.reference(spec.strip("\"'"))
    entry = Entry(line, name, spec, key, given, device, "", name in root_parents)
    return entry._replace(candidate=_candidate(entry, block))


def _candidate(entry: Entry, block: Block | Unknown) -> str:
    """A random key leaves no header, so only the partition's own identifier stays."""
    if isinstance(block, Unknown) or isinstance(entry.device, Unknown) or len(entry.device.devices) != 1:
        return ""
    device = entry.device.devices[0]
    if device.kind in STACKED:
        return ""
    if entry.is_random:
        return f"PARTUUID={device.partuuid}" if device.partuuid else ""
    luks = device.fstype == "crypto_LUKS" and len(block.by_name.get(f"UUID={device.uuid.lower()}", ())) == 1
    return f"UUID={device.uuid}" if luks else f"PARTUUID={device.partuuid}" if device.partuuid else ""


def under(block: Block | Unknown, mounts: Mounts | Unknown, mountpoint: str) -> frozenset[str]:
    """Kernel and mapper names of every device that a mounted filesystem stands on."""
    if isinstance(block, Unknown) or isinstance(mounts, Unknown):
        return frozenset()
    mount = mounts.at(mountpoint)
    device = block.numbered(mount.number) if mount else None
    found: set[str] = set()
    todo = [device] if device else []
    while todo:
        one = todo.pop()
        if one.name not in found:
            found |= {one.name, one.mapper}
            todo += [parent for parent in map(block.named, one.parents) if parent]
    return frozenset(found - {""})


def probe(facts: Facts) -> Crypttab:
    """Read /etc/crypttab; a machine that has /etc and no such file opens nothing."""
    text = files.text(facts.root, PATH)
    if text is None:
        facts.root.names("/etc")
        if not files.is_dir(facts.root, "/etc"):
            raise files.Unreadable("no /etc")
        text = ""
    return parse(text, facts.block, under(facts.block, facts.mounts, "/"))
