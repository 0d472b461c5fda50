"""The device database: live through libudev, else the files that udev keeps (/run/udev/data)."""

from __future__ import annotations

from migprep import root as files
from migprep.model import Undetermined
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from migprep.cache import Cache

DATABASE = "/run/udev/data"
#: Where udev kept it before there was a /run, one file a device, named like block:sda1 (udev 147 to 166).
OLD_DATABASE = "/dev/.udev/db"


class Device(NamedTuple):
    """One device: kernel name, folder in /sys, udev properties, and its links below /dev."""

    name: str
    syspath: str
    properties: dict[str, str]
    links: tuple[str, ...] = ()


def devices(root: Root, subsystem: str, cache: Cache | None = None) -> tuple[Device, ...]:
    """All devices of `subsystem` (block, net) by name. Raises Undetermined without a /sys to look in."""
    folder = f"/sys/class/{subsystem}"
    names = root.names(folder)
    if not names and not files.is_dir(root, folder):
        raise Undetermined(f"no {folder}")
    if root.live:
        found = _asked(subsystem) if cache is None else _remembered(root, subsystem, cache)
        if found is not None:
            return found
    return tuple(_read(root, subsystem, name) for name in names)


def has_database(root: Root, subsystem: str) -> bool:
    """Whether udev has told anything about `subsystem`: without it identifiers are unknown, not absent."""
    return any(name.startswith(subsystem[0]) for folder in (DATABASE, OLD_DATABASE) for name in root.names(folder))


def _remembered(root: Root, subsystem: str, cache: Cache) -> tuple[Device, ...] | None:
    """What libudev said, while this boot has seen no further event and udev has written nothing.

    Importing pyudev and walking the devices costs as much as a third of a whole check.
    """
    from zlib import crc32

    database = root.stat(DATABASE)
    boot = files.value(root, "/proc/sys/kernel/random/boot_id")
    events = files.value(root, "/sys/kernel/uevent_seqnum")
    if not (boot and events.isdigit()):
        return _asked(subsystem)
    identity = [crc32(boot.encode()), int(events), database.mtime if database else 0]
    known = cache.get(f"udev/{subsystem}", identity)
    if known is None:
        known = _asked(subsystem)
        if known is not None:
            cache.put(f"udev/{subsystem}", identity, known)
        return known
    return tuple(Device(name, syspath, properties, tuple(links)) for name, syspath, properties, links in known)


def _asked(subsystem: str) -> tuple[Device, ...] | None:
    """What libudev says, or None where pyudev or libudev is missing."""
    try:
        context = _context()
    except (ImportError, OSError):
        return None
    found = [
        Device(device.sys_name, device.sys_path, dict(device.properties), tuple(device.device_links))
        for device in context.list_devices(subsystem=subsystem)
    ]
    return tuple(sorted(found))


#: What the library is called since udev 183, and before (RHEL 6, SLES 11).
LIBRARIES = ("libudev.so.1", "libudev.so.0")


def _context() -> Any:
    """A connection to libudev. Raises ImportError or OSError where there is none."""
    import ctypes.util

    search = ctypes.util.find_library
    # The search would start ldconfig or a compiler for a name that is known.
    ctypes.util.find_library = lambda name: _library(ctypes) if name == "udev" else search(name)
    try:
        import pyudev

        return pyudev.Context()
    finally:
        ctypes.util.find_library = search


def _library(ctypes: Any) -> str | None:
    for name in LIBRARIES:
        try:
            ctypes.CDLL(name)
            return name
        except OSError:
            continue
    return None


def _read(root: Root, subsystem: str, name: str) -> Device:
    folder = f"/sys/class/{subsystem}/{name}"
    syspath = files.real(root, folder) if not root.live else folder
    properties = _assignments((files.text(root, f"{folder}/uevent", 65536) or "").split("\n"))
    where = f"{folder}/dev" if subsystem == "block" else f"{folder}/ifindex"
    number = files.value(root, where)
    if not all(part.isdigit() for part in number.split(":")) and number:
        raise Undetermined(f"{where} does not hold a number")
    key = f"{subsystem[0]}{number}"
    kept = files.text(root, f"{DATABASE}/{key}") or files.text(root, f"{OLD_DATABASE}/{subsystem}:{name}")
    links, recorded = parse(kept or "")
    properties.update(recorded)
    return Device(name, syspath, properties, links)


# S:disk/by-uuid/6c1d0f4e-…
# E:ID_FS_TYPE=ext4
def parse(text: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """(links, properties) of one file of the database; other kinds of line are udev's own business."""
    lines = text.split("\n")
    links = tuple("/dev/" + line[2:] for line in lines if line.startswith("S:"))
    return links, _assignments([line[2:] for line in lines if line.startswith("E:")])


def _assignments(lines: list[str]) -> dict[str, str]:
    return dict(line.split("=", 1) for line in lines if "=" in line)
