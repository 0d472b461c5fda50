"""Firmware that booted this machine: BIOS or UEFI, and whether it checks signatures."""

from __future__ import annotations

from migprep import root as files
from migprep.facts import nvram
from migprep.model import Undetermined, Unknown
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

EFI = "/sys/firmware/efi"


class Firmware(NamedTuple):
    """`kind` is bios, uefi or other (a machine whose firmware is neither, such as s390)."""

    kind: str
    secure_boot: bool
    keys: tuple[str, ...] | Unknown = ()  # whom Secure Boot trusts beside firmware's own keys, by name

    @property
    def is_uefi(self) -> bool:
        """Started by UEFI."""
        return self.kind == "uefi"

    @property
    def trusted(self) -> str:
        """Those keys as people say them."""
        if isinstance(self.keys, Unknown):
            return "keys that only root may read"
        return ", ".join(self.keys) or "no key but firmware's own"

    @property
    def shown(self) -> str:
        """As people write it."""
        return ("UEFI" if self.is_uefi else self.kind.upper()) + (" with Secure Boot" if self.secure_boot else "")


def probe(facts: Facts) -> Firmware:
    """Look at /sys/firmware (the kernel's Documentation/ABI/testing/sysfs-firmware-efi)."""
    if not files.is_dir(facts.root, "/sys/firmware"):
        raise Undetermined("no /sys/firmware: which firmware boots this machine cannot be told")
    if files.is_dir(facts.root, EFI):
        if nvram.variable(facts.root, "SecureBoot")[:1] != b"\1":
            return Firmware("uefi", False)
        try:
            return Firmware("uefi", True, nvram.keys(facts.root))
        except files.Unreadable as error:
            return Firmware("uefi", True, Unknown(str(error)))
    return Firmware("bios", False)
