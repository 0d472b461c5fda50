"""Conditions on the machine in systemd's files: [Match] of .link, .network and .netdev, Condition…= of units.

Those that ask for the hypervisor or for what the firmware says of the board end with a move; all others move along.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

from migprep import root
from migprep.formats import ini
from migprep.model import Unknown
from migprep.root import Root
from migprep.typed import NamedTuple

#: Keys of a [Match] section that ask for the machine instead of the device (systemd.network(5)).
KEYS = frozenset({"Host", "Virtualization", "KernelCommandLine", "KernelVersion", "Architecture", "Firmware"})
YES, NO = frozenset({"yes", "y", "true", "t", "1", "on"}), frozenset({"no", "n", "false", "f", "0", "off"})
#: uname's machine as ConditionArchitecture= calls it.
ARCHITECTURES = {"x86_64": "x86-64", "i686": "x86", "i586": "x86", "aarch64": "arm64", "ppc64le": "ppc64-le"}

# smbios-field(product_name = VMware*)   smbios-field(sys_vendor $= "Dell*")
FIELD = re.compile(
    r"smbios-field\(\s*(?P<name>\w+)\s*(?P<operator>!\$=|\$=|!=|<>|==|<=|>=|=|<|>)\s*\"?(?P<value>[^)\"]*)\"?\s*\)"
)
UNEQUAL = ("!=", "<>", "!$=")


class Condition(NamedTuple):
    """One condition. `here`: whether it holds on this machine now."""

    path: str
    line: int
    text: str  # as it stands there: Virtualization=!container
    key: str  # Virtualization, Firmware, Host …
    value: str  # without "!" and "|"
    turned: bool  # "!" turns the answer round
    triggering: bool  # "|": of all such conditions of one unit, one is enough
    here: bool

    @property
    def is_hardware(self) -> bool:
        """Whether it asks for what a move changes."""
        return self.key == "Virtualization" or (self.key == "Firmware" and self.value != "uefi")

    @property
    def is_for_metal(self) -> bool:
        """Whether it leaves out every virtual machine, and nothing else."""
        return (self.value.lower() in NO, self.value.lower() in YES | {"vm"}) == (not self.turned, self.turned)

    def holds_on(self, platform: str) -> bool | None:
        """Whether it will hold on a target of that platform ("" for any); None where that cannot be told."""
        if not self.is_hardware:
            return self.here
        told = _virtual_on(self.value, platform) if self.key == "Virtualization" else _board_on(self.value, platform)
        return None if told is None else told != self.turned


def _virtual_on(value: str, platform: str) -> bool | None:
    word = value.lower()
    if word in YES or word == "vm":
        return True
    if word in NO or word in ("container", "private-users"):
        return False
    # systemd before 248 and 252 took Amazon's and Google's machines for any other of KVM.
    if not platform or (word == "kvm" and platform in ("amazon", "google")):
        return None
    return word == platform


def _board_on(value: str, platform: str) -> bool | None:
    """Firmware=: no target has a device tree, and each writes its own name on the board."""
    asked = FIELD.match(value)
    if asked is None:
        return False
    from migprep.facts import virtualization

    bare = asked.group("value").strip("*? ")
    of = virtualization.by_dmi(product=bare) or virtualization.by_dmi(vendor=bare)
    if of and not platform:
        return None
    same = bool(of) and of.replace("qemu", "kvm") == platform
    return same != (asked.group("operator") in UNEQUAL)


def surely(conditions: Iterable[Condition], platform: str) -> bool:
    """Whether all of `conditions` are sure to hold on the target; of those with "|", one is enough."""
    return _all((one, one.holds_on(platform)) for one in conditions)


def now(conditions: Iterable[Condition]) -> bool:
    """Whether all of them hold on this machine."""
    return _all((one, one.here) for one in conditions)


def _all(answers: Iterable[tuple[Condition, bool | None]]) -> bool:
    answers = tuple(answers)
    triggers = [answer for one, answer in answers if one.triggering]
    rest = all(answer is True for one, answer in answers if not one.triggering)
    return rest and (not triggers or any(answer is True for answer in triggers))


def of_match(place: Root, path: str, lines: Iterable[ini.Line]) -> tuple[Condition, ...]:
    """Those of a [Match] section; of each kind the last one counts. Raises Undetermined where one cannot be told."""
    last = {line.key: line for line in lines if line.section == "Match" and line.key in KEYS}
    return tuple(_condition(place, path, line, line.key) for line in last.values() if line.value)


def of_unit(place: Root, files: Iterable[tuple[str, Iterable[ini.Line]]]) -> tuple[Condition, ...]:
    """Those of a unit's files, in order, that a move may end; an empty one forgets all before it, of every key.

    Raises Undetermined where one cannot be told.
    """
    found: dict[str, list[tuple[str, ini.Line]]] = {"Condition": [], "Assert": []}
    for path, lines in files:
        for line in lines:
            kind = "Condition" if line.key.startswith("Condition") else "Assert" if line.key[:6] == "Assert" else ""
            if line.section == "Unit" and kind:
                found[kind] = [*found[kind], (path, line)] if line.value else []
    asked = [(path, line, line.key[len(kind) :]) for kind, kept in found.items() for path, line in kept]
    return tuple(
        _condition(place, path, line, key) for path, line, key in asked if key in ("Virtualization", "Firmware")
    )


def _condition(place: Root, path: str, line: ini.Line, key: str) -> Condition:
    triggering = line.value[:1] == "|"
    asked = line.value[1:].lstrip() if triggering else line.value
    turned = asked[:1] == "!"
    value = asked[1:].lstrip() if turned else asked
    here = _ASKED[key](place, value) != turned
    return Condition(path, line.number, f"{line.key}={line.value}", key, value, turned, triggering, here)


def _virtual(place: Root, value: str) -> bool:
    from migprep.facts import system, virtualization

    word, container = value.lower(), system.container(place)
    if container or word in ("container", "private-users"):
        return bool(container) and word in YES | {"container", container}
    name = virtualization.of(place).name
    if word in YES | NO or word == "vm":
        return (name != "none") != (word in NO)
    return word == name


def _host(place: Root, value: str) -> bool:
    from migprep.facts import system

    identity = root.value(place, "/etc/machine-id")
    return value.replace("-", "").lower() == identity or fnmatchcase(system.hostname(place), value)


def _argument(place: Root, value: str) -> bool:
    words = root.value(place, "/proc/cmdline").split()
    return value in words or ("=" not in value and any(word.startswith(f"{value}=") for word in words))


def _kernel(place: Root, value: str) -> bool:
    """Patterns; a comparison (">= 5.4") counts as true, for the kernel moves along."""
    if value[:1] in "<>=!$":
        return True
    release = root.value(place, "/proc/sys/kernel/osrelease")
    return any(fnmatchcase(release, pattern) for pattern in value.split())


def _architecture(place: Root, value: str) -> bool:
    from migprep.facts import system

    machine = system.machine(place)
    return value == "native" or isinstance(machine, Unknown) or value == ARCHITECTURES.get(machine, machine)


def _firmware(place: Root, value: str) -> bool:
    if value == "uefi":
        return root.is_dir(place, "/sys/firmware/efi")
    asked = FIELD.match(value)
    if asked is None:
        return root.is_dir(place, "/sys/firmware/devicetree") or root.is_dir(place, "/proc/device-tree")
    has = root.value(place, f"/sys/class/dmi/id/{asked.group('name')}")
    same = fnmatchcase(has, asked.group("value").strip())
    return same != (asked.group("operator") in UNEQUAL)


_ASKED = {
    "Virtualization": _virtual, "Host": _host, "KernelCommandLine": _argument, "KernelVersion": _kernel,
    "Architecture": _architecture, "Firmware": _firmware,
}  # fmt: skip
