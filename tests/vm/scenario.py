"""Read scenario files; a file that is not understood is refused in one sentence that names its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import yaml

FOLDER = Path(__file__).parent / "scenarios"
SUITES = ("bullseye", "bookworm", "trixie")
LAYOUTS = ("plain", "data-disk", "lvm", "luks-data", "luks-root", "md", "md-two-disks", "btrfs")
LOADERS = (
    "grub-bios",
    "grub-uefi",
    "grub-uefi-no-fallback",
    "grub-uefi-shim",
    "grub-uefi-shim-alone",
    "extlinux",
    "systemd-boot",
    "uefi-unified",
    "uefi-unified-systemd-boot",
)
NETWORKS = ("networkd", "ifupdown", "netplan", "networkmanager")
INITRAMFS = ("most", "source", "dracut", "dracut-source")
DISKS = ("ide", "sata", "virtio", "virtio-scsi", "nvme")
NICS = ("e1000", "e1000e", "virtio-net")
DEVICES = ("watchdog", "vmware-svga", "vga", "vmware-board", "tpm")
TARGETS = ("kvm", "kvm-scsi", "aws", "generic", "kvm-bios", "kvm-uefi")


class ScenarioError(Exception):
    """A scenario file cannot be used; the text says which, where and why."""


class Hardware(NamedTuple):
    """What a machine is made of, as far as a guest can tell."""

    disk: str = "ide"
    nic: str = "e1000"
    nics: int = 1
    cpu: str = "Nehalem"
    machine: str = "pc"
    slot: int = 3
    mac: str = "52:54:00:1a:b0"
    turned: bool = False  # the last card sits in the first slot
    devices: tuple[str, ...] = ()  # what it has besides
    firmware: str = ""  # the only one it offers; else that of the scenario's loader

    @property
    def identity(self) -> str:
        """What differs from the plain machine: a property that is added here later changes nothing that is known."""
        given = self._asdict()
        return " ".join(
            f"{name}={given[name]}" for name, plain in Hardware._field_defaults.items() if given[name] != plain
        )


class Replace(NamedTuple):
    """One edit: in this file, this text becomes that."""

    path: str
    this: str
    by: str


class Scenario(NamedTuple):
    """One machine, its fault, where it is to go and what must be found."""

    name: str
    story: str
    suite: str = "bookworm"
    layout: str = "plain"
    loader: str = "grub-bios"
    network: str = "networkd"
    initramfs: str = "most"
    packages: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    replace: tuple[Replace, ...] = ()
    run: tuple[str, ...] = ()
    run_last: tuple[str, ...] = ()
    first: tuple[str, ...] = ()  # the source does this once to itself, at a start of its own; then its disk is built
    late: tuple[str, ...] = ()  # the started source does this to itself before it is judged: it would not start again
    source: Hardware = Hardware()
    targets: tuple[str, ...] = ("kvm",)
    target_cpu: str = ""
    target_devices: tuple[str, ...] = ()
    reorder: bool = False
    finds: tuple[tuple[str, tuple[str, ...]], ...] = ()
    smoke: bool = False
    fix: str = ""  # more options for the fix: some are done only when asked for

    @property
    def has_two_disks(self) -> bool:
        """Whether it has a disk besides the one with its boot loader."""
        return self.layout in ("data-disk", "md-two-disks")

    def expected(self, target: str) -> frozenset[str]:
        """The rules that must fail for this target."""
        return frozenset(rule for name, rules in self.finds for rule in rules if name in (target, "all"))


class _Reader:
    """Walk a YAML document so that every complaint knows its line."""

    def __init__(self, where: str) -> None:
        self.where = where

    def refuse(self, node: yaml.Node, why: str) -> ScenarioError:
        return ScenarioError(f"{self.where}:{node.start_mark.line + 1}: {why}")

    def mapping(self, node: yaml.Node, known: tuple[str, ...] = ()) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            raise self.refuse(node, "expected 'key: value' lines here")
        found: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = self.text(key)
            if known and name not in known:
                raise self.refuse(key, f"unknown key '{name}' (known: {', '.join(known)})")
            if name in found:
                raise self.refuse(key, f"'{name}' is given twice")
            found[name] = value
        return found

    def text(self, node: yaml.Node, one_of: tuple[str, ...] = ()) -> str:
        if not isinstance(node, yaml.ScalarNode) or not node.value.strip():
            raise self.refuse(node, "expected text here")
        if one_of and node.value not in one_of:
            raise self.refuse(node, f"'{node.value}' is not one of {', '.join(one_of)}")
        return str(node.value)

    def texts(self, node: yaml.Node, one_of: tuple[str, ...] = ()) -> tuple[str, ...]:
        if not isinstance(node, yaml.SequenceNode):
            raise self.refuse(node, "expected a list here")
        return tuple(self.text(item, one_of) for item in node.value)

    def flag(self, node: yaml.Node) -> bool:
        return self.text(node, ("true", "false")) == "true"

    def hardware(self, node: yaml.Node) -> Hardware:
        given = self.mapping(node, ("disk", "nic", "nics", "cpu", "devices"))
        values: dict[str, Any] = {}
        for name, choices in (("disk", DISKS), ("nic", NICS), ("cpu", ())):
            if name in given:
                values[name] = self.text(given[name], choices)
        if "nics" in given:
            values["nics"] = int(self.text(given["nics"], ("1", "2", "3")))
        if "devices" in given:
            values["devices"] = self.texts(given["devices"], DEVICES)
        return Hardware(**values)

    def replacements(self, node: yaml.Node) -> tuple[Replace, ...]:
        if not isinstance(node, yaml.SequenceNode):
            raise self.refuse(node, "expected a list of {in, this, by}")
        edits = []
        for item in node.value:
            given = self.mapping(item, ("in", "this", "by"))
            for name in ("in", "this", "by"):
                if name not in given:
                    raise self.refuse(item, f"an edit needs '{name}'")
            edits.append(Replace(*(self.text(given[name]) for name in ("in", "this", "by"))))
        return tuple(edits)

    def finds(self, node: yaml.Node) -> tuple[tuple[str, tuple[str, ...]], ...]:
        if isinstance(node, yaml.SequenceNode):
            return (("all", self.texts(node)),)
        given = self.mapping(node, ("all", *TARGETS))
        return tuple((target, self.texts(rules)) for target, rules in given.items())


_CHOICES = {
    "suite": SUITES,
    "layout": LAYOUTS,
    "loader": LOADERS,
    "network": NETWORKS,
    "initramfs": INITRAMFS,
    "story": (),
    "fix": (),
    "target-cpu": (),
}
_KEYS = (
    *_CHOICES, "packages", "files", "replace", "run", "run-last", "first", "late", "source", "targets", "target-devices", "finds",
    "smoke", "reorder",
)  # fmt: skip


def parse(text: str, name: str, where: str) -> Scenario:
    """Turn the text of a scenario file into a Scenario, or refuse it."""
    reader = _Reader(where)
    try:
        document = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ScenarioError(f"{where}:{line}: not YAML: {error.problem}") from error
    if document is None:
        raise ScenarioError(f"{where}:1: the file is empty")
    given = reader.mapping(document, _KEYS)
    if "story" not in given:
        raise reader.refuse(document, "a scenario needs a 'story'")
    values: dict[str, Any] = {}
    for key, node in given.items():
        values[key.replace("-", "_")] = _value(reader, key, node)
    values["story"] = " ".join(values["story"].split())
    return Scenario(name=name, **values)


def _value(reader: _Reader, key: str, node: yaml.Node) -> Any:
    if key in _CHOICES:
        return reader.text(node, _CHOICES[key])
    if key in ("packages", "run", "run-last", "first", "late"):
        return reader.texts(node)
    if key == "target-devices":
        return reader.texts(node, DEVICES)
    if key == "targets":
        return reader.texts(node, TARGETS)
    if key == "files":
        return tuple((path, reader.text(body)) for path, body in reader.mapping(node).items())
    if key == "replace":
        return reader.replacements(node)
    if key == "source":
        return reader.hardware(node)
    if key == "finds":
        return reader.finds(node)
    return reader.flag(node)


def load(name: str, folder: Path = FOLDER) -> Scenario:
    """Read one scenario by its name."""
    path = folder / f"{name}.yaml"
    if not path.is_file():
        raise ScenarioError(f"no scenario '{name}' (python -m tests.vm list names them)")
    return parse(path.read_text(encoding="utf-8"), name, str(path))


def load_all(folder: Path = FOLDER) -> list[Scenario]:
    """Read every scenario, in the order of their names."""
    return [load(path.stem, folder) for path in sorted(folder.glob("*.yaml"))]
