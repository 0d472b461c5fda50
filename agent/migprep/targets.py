"""Target profiles: data that describes the hardware a machine moves to."""

from __future__ import annotations

from migprep import data
from migprep.model import MigprepError
from migprep.typed import NamedTuple


class TargetError(MigprepError):
    """A target file that is refused, or a target that does not exist."""

    code = 65


class Disk(NamedTuple):
    """The disks of a target. `drivers`: each a module name or alternatives `a|b`, all needed."""

    bus: str
    prefix: str  # vd, sd, nvme, xvd: how kernel names begin
    drivers: tuple[str, ...]


class Nic(NamedTuple):
    """The network devices of a target; `keeps_mac` when the source's MAC addresses move along.

    `macs` says which address each card gets instead, where that is known: {old: new}, both as 52:54:00:1a:b0:01.
    """

    model: str
    drivers: tuple[str, ...]
    keeps_mac: bool = True
    macs: dict[str, str] = {}  # noqa: RUF012  never changed

    def maps(self, macs: tuple[str, ...]) -> bool:
        """Whether the new address of every one of `macs` is known."""
        return bool(macs) and all(one in self.macs for one in macs)

    def finds(self, macs: tuple[str, ...]) -> bool:
        """Whether what asks for any of `macs` still finds a card there: its new address is among them."""
        return any(self.macs.get(one) in macs for one in macs)

    def expects(self, mac: str) -> bool:
        """Whether `mac` is the new address of a card."""
        return mac in self.macs.values()


class Video(NamedTuple):
    """The display: kernel DRM drivers, and X drivers that work there; empty when there is none."""

    model: str
    kernel_drivers: tuple[str, ...]
    x_drivers: tuple[str, ...]


class Processor(NamedTuple):
    """What every host of the target offers: x86-64 level (1 to 4) and vendors; () for any."""

    level: int
    vendors: tuple[str, ...] = ()


class Target(NamedTuple):
    """One target profile."""

    name: str
    title: str
    disk: Disk
    nic: Nic
    firmware: tuple[str, ...]  # bios, uefi, secure-boot
    display: Video
    cpu: Processor
    console: tuple[str, ...] = ("tty0",)
    platform: str = ""  # whose tools are at home there: kvm, vmware, xen, microsoft, amazon, google
    datasources: tuple[str, ...] = ()  # what cloud-init finds there, as in its datasource_list


_PARTS = {"disk": Disk, "nic": Nic, "display": Video, "cpu": Processor}


def parse(content: dict[str, object], path: str) -> Target:
    """A target from the mapping of its file. Raises TargetError naming path and member."""
    values: dict[str, object] = {}
    for key, value in content.items():
        if key in _PARTS:
            values[key] = _part(_PARTS[key], value, f"{path}: {key}")
        elif key in Target._fields:
            values[key] = tuple(value) if isinstance(value, list) else value
        else:
            raise TargetError(f"{path}: unknown member {key!r}")
    try:
        return Target(**values)  # type: ignore[arg-type]
    except TypeError as error:
        raise TargetError(f"{path}: {_missing(error)}") from None


def _part(kind: type, value: object, where: str) -> object:
    if not isinstance(value, dict):
        raise TargetError(f"{where}: must be a mapping")
    unknown = set(value) - set(kind._fields)  # type: ignore[attr-defined]
    if unknown:
        raise TargetError(f"{where}: unknown member {min(unknown)!r}")
    macs = value.get("macs", {})
    if not isinstance(macs, dict) or not all(_is_mac(one) for pair in macs.items() for one in pair):
        raise TargetError(
            f"{where}: macs: must map addresses like '52:54:00:1a:b0:01' (quoted, small letters) to new ones"
        )
    if len(set(macs.values())) < len(macs):
        raise TargetError(f"{where}: macs: two cards would get the same address")
    try:
        return kind(**{key: tuple(item) if isinstance(item, list) else item for key, item in value.items()})
    except TypeError as error:
        raise TargetError(f"{where}: {_missing(error)}") from None


def _is_mac(text: object) -> bool:
    if not isinstance(text, str):
        return False
    parts = text.split(":")
    return len(parts) in (6, 20) and all(len(one) == 2 and not set(one) - set("0123456789abcdef") for one in parts)


def _missing(error: TypeError) -> str:
    return "missing " + str(error).rsplit(":", 1)[-1].strip()


def load(site: str | None = None) -> dict[str, Target]:
    """All targets by name: those shipped, then those of the `site` folder, which win."""
    found = {}
    for path, content in data.mappings("targets", site):
        target = parse(content, path)
        found[target.name] = target
    return found
