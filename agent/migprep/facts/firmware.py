"""Firmware that booted this machine: BIOS or UEFI, and whether it checks signatures."""

from __future__ import annotations

from migprep import root as files
from migprep.model import Undetermined
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

EFI = "/sys/firmware/efi"
SECURE_BOOT = f"{EFI}/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"


class Firmware(NamedTuple):
    """`kind` is bios, uefi or other (a machine whose firmware is neither, such as s390)."""

    kind: str
    secure_boot: bool

    @property
    def is_uefi(self) -> bool:
        """Started by UEFI."""
        return self.kind == "uefi"

    @property
    def shown(self) -> str:
        """As people write it."""
        return ("UEFI" if self.is_uefi else self.kind.upper()) + (" with Secure Boot" if self.secure_boot else "")


def probe(facts: Facts) -> Firmware:
    """Look at /sys/firmware (the kernel's Documentation/ABI/testing/sysfs-firmware-efi)."""
    if not files.is_dir(facts.root, "/sys/firmware"):
        raise Undetermined("no /sys/firmware: which firmware boots this machine cannot be told")
    if files.is_dir(facts.root, EFI):
        # An EFI variable is four bytes of attributes, then its data.
        state = files.read(facts.root, SECURE_BOOT, 64) or b""
        return Firmware("uefi", state[4:5] == b"\1")
    return Firmware("bios", False)
