"""X: whether it starts at boot, and the Device sections that name graphics hardware."""

from __future__ import annotations

from migprep import root
from migprep.facts import graphical
from migprep.formats import xorg
from migprep.formats.xorg import Config, Line, plain
from migprep.model import Undetermined
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

FOLDERS = ("/etc/X11/xorg.conf.d", "/usr/share/X11/xorg.conf.d")

#: Drivers that draw into memory and need no graphics hardware.
SOFTWARE_DRIVERS = frozenset({"dummy", "void", "xspice", "spiceqxl", "xrdpdev"})


class XFile(NamedTuple):
    """One file of X configuration."""

    path: str
    config: Config


class Device(NamedTuple):
    """A Device section. Texts are "" where the entry is missing; lines count from 1, 0 where there is none."""

    path: str
    line: int
    identifier: str
    driver: str
    driver_line: int
    bus_id: str
    bus_line: int
    vendor: str
    vendor_line: int
    bound: tuple[Line, ...] = ()  # lines that only make sense with this section: it, its screens, their layouts
    is_contained: bool = True  # all of them are in this file

    @property
    def subject(self) -> str:
        """What people call it: its file and identifier."""
        return f"{self.path}: {self.identifier or 'Device'}"

    def fits(self, drivers: tuple[str, ...]) -> bool:
        """Whether its driver is one of `drivers`, needs no hardware, or is left for the server to choose."""
        return not self.driver or self.driver in drivers or self.driver in SOFTWARE_DRIVERS

    def is_stale(self, drivers: tuple[str, ...]) -> bool:
        """Whether it names a driver that is none of `drivers`, or a place on the bus."""
        return not self.fits(drivers) or bool(self.bus_id)

    @property
    def named(self) -> str:
        """The hardware that it names, for people."""
        parts = [("Driver", self.driver), ("BusID", self.bus_id)]
        return ", ".join(f'{key} "{value}"' for key, value in parts if value)


class Monitor(NamedTuple):
    """A Monitor section with timings of one model; `keyword` is the first of them."""

    path: str
    line: int
    identifier: str
    keyword: str
    value: str

    @property
    def subject(self) -> str:
        """What people call it: its file and identifier."""
        return f"{self.path}: {self.identifier or 'Monitor'}"


class Stack(NamedTuple):
    """A graphics driver from its maker instead of the kernel."""

    name: str
    path: str


#: A file of each proprietary driver: where its installer or the distributions' packages put it.
STACKS = (
    ("NVIDIA driver", "/usr/lib64/xorg/modules/drivers/nvidia_drv.so"),
    ("NVIDIA driver", "/usr/lib/xorg/modules/drivers/nvidia_drv.so"),
    ("NVIDIA driver", "/usr/lib/x86_64-linux-gnu/nvidia/xorg/nvidia_drv.so"),
    ("NVIDIA driver", "/usr/bin/nvidia-smi"), ("NVIDIA driver", "/usr/bin/nvidia-uninstall"),
    ("AMD Catalyst (fglrx)", "/etc/ati/amdpcsdb.default"), ("AMDGPU-PRO", "/opt/amdgpu-pro"),
    ("AMDGPU-PRO", "/usr/bin/amdgpu-pro-uninstall"),
)  # fmt: skip
TIMINGS = ("horizsync", "vertrefresh", "modeline", "usemodes")


class Display(NamedTuple):
    """X as it is set up; `starts` when something starts it at boot, which the file `started_by` says.

    What is no display manager is looked for only where a Device or Monitor section is there to go wrong.
    """

    starts: bool
    started_by: str
    files: tuple[XFile, ...]
    devices: tuple[Device, ...]
    monitors: tuple[Monitor, ...] = ()
    stacks: tuple[Stack, ...] = ()

    def config(self, path: str) -> Config:
        """The parsed file of that path; raises Undetermined when there is none."""
        for file in self.files:
            if file.path == path:
                return file.config
        raise Undetermined(f"no {path}")

    @property
    def is_configured(self) -> bool:
        """Whether any Device section exists."""
        return bool(self.devices)


def probe(facts: Facts) -> Display:
    """Read what starts X and how it is configured. Raises Undetermined in a root without /etc."""
    place = facts.root
    if not place.names("/etc"):
        raise Undetermined("how X is set up: no /etc in this root")
    paths = [path for path in graphical.MAIN if root.exists(place, path)][:1]
    for folder in FOLDERS:
        paths += [f"{folder}/{name}" for name in place.names(folder) if name.endswith(".conf")]
    files = tuple(_read(place, path) for path in paths)
    found, timed = devices(files), monitors(files)
    by = graphical.manager(place) or (graphical.starter(place, facts.services) if found or timed else "")
    stacks = {name: Stack(name, path) for name, path in reversed(STACKS) if root.exists(place, path)}
    return Display(bool(by), by, files, found, timed, tuple(stacks.values()))


def _read(place: Root, path: str) -> XFile:
    return XFile(path, xorg.parse(root.text(place, path) or ""))


def devices(files: tuple[XFile, ...]) -> tuple[Device, ...]:
    """All Device sections of all files, in order."""
    return tuple(
        _device(files, file, index)
        for file in files
        for index, section in enumerate(file.config.sections)
        if section.kind == "device"
    )


def monitors(files: tuple[XFile, ...]) -> tuple[Monitor, ...]:
    """All Monitor sections that name timings."""
    found = []
    for file in files:
        for section in file.config.sections:
            entries = [(keyword, section.entry(keyword)) for keyword in TIMINGS if section.kind == "monitor"]
            named = next(((keyword, entry) for keyword, entry in entries if entry.number), None)
            if named:
                keyword, entry = named
                found.append(Monitor(file.path, entry.number, section.identifier, keyword, entry.value))
    return tuple(found)


def _device(files: tuple[XFile, ...], file: XFile, index: int) -> Device:
    section = file.config.sections[index]
    driver, bus, vendor = section.entry("driver"), section.entry("busid"), section.entry("vendorname")
    bound, contained = _bound(files, file, index)
    return Device(
        file.path, section.line, section.identifier, driver.value, driver.number,
        bus.value, bus.number, vendor.value, vendor.number, bound, contained,
    )  # fmt: skip


def _bound(files: tuple[XFile, ...], file: XFile, index: int) -> tuple[tuple[Line, ...], bool]:
    """Lines that go with a Device section: the server refuses a Screen without it, and a layout without that Screen."""
    lines = list(file.config.sections[index].lines)
    contained = True
    names = {plain(file.config.sections[index].identifier)}
    for kind, keyword in (("screen", "device"), ("serverlayout", "screen")):
        found = set()
        for one in files:
            for section in one.config.sections:
                if section.kind == kind and names & {plain(value) for value in section.values(keyword)}:
                    found.add(plain(section.identifier))
                    lines += section.lines if one is file else ()
                    contained &= one is file
        names = found
    return tuple(lines), contained
