"""What firmware remembers and what stays behind with it: boot entries, and keys that were enrolled on this machine."""

from __future__ import annotations

from migprep import root as files
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLES = "/sys/firmware/efi/efivars"
#: The namespace of the variables that the UEFI specification itself defines (2.10, 3.3).
GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
#: shim's namespace; its list of keys as the kernel mirrors it whole (Linux: drivers/firmware/efi/mokvar-table.c).
SHIM = "605dab50-e046-4300-abb6-3dd810dd8b23"
MOK = "/sys/firmware/efi/mok-variables/MokListRT"
#: systemd-boot's namespace (systemd.io, The Boot Loader Interface).
LOADER = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
#: EFI_CERT_X509_GUID (UEFI 2.10, 32.4.1), as it is stored.
X509 = bytes.fromhex("a159c0a5e494a74a87b5ab155c2bf072")
#: 2.5.4.3, commonName, as DER has it.
COMMON_NAME = b"\x06\x03\x55\x04\x03"


class BootEntry(NamedTuple):
    """One way to start this machine that its firmware remembers."""

    number: str  # 0001 of Boot0001
    title: str
    loader: str  # a file on a partition; "" for another kind, such as the network
    is_current: bool  # this boot began with it


def variable(root: Root, name: str, namespace: str = GLOBAL) -> bytes:
    """A variable's data, after its four bytes of attributes; b"" for none. Raises Unreadable."""
    return (files.read(root, f"{VARIABLES}/{name}-{namespace}", 65536) or b"")[4:]


def remembered(root: Root, is_saved: bool) -> tuple[str, str]:
    """(name of the variable, entry) of what systemd-boot starts because firmware keeps it; ("", "") for nothing.

    `is_saved`: its configuration asks for the entry of the last boot.
    """
    for name in ("LoaderEntryOneShot", "LoaderEntryDefault", *(["LoaderEntryLastBooted"] if is_saved else [])):
        told = variable(root, name, LOADER).decode("utf-16-le", "replace").rstrip("\0")
        if told and told != "@saved":
            return f"{VARIABLES}/{name}-{LOADER}", told
    return "", ""


def entries(root: Root) -> tuple[BootEntry, ...]:
    """Those in BootOrder (UEFI 2.10, 3.3), the first to be tried first. Raises Unreadable."""
    order = variable(root, "BootOrder")
    current = variable(root, "BootCurrent")[:2]
    found = []
    for at in range(0, len(order) - 1, 2):
        number = f"{int.from_bytes(order[at : at + 2], 'little'):04X}"
        option = variable(root, f"Boot{number}")
        if option:
            found.append(BootEntry(number, title_of(option), loader_of(option), order[at : at + 2] == current))
    return tuple(found)


def started_from(root: Root) -> str:
    """The folder of the loader that this boot began with, lower case; "" when firmware does not tell."""
    current = variable(root, "BootCurrent")
    if len(current) < 2:
        return ""
    path = loader_of(variable(root, f"Boot{int.from_bytes(current[:2], 'little'):04X}"))
    parts = path.lower().strip("\\").split("\\")
    return parts[1] if len(parts) == 3 and parts[0] == "efi" and parts[1] != "boot" else ""


def _title(option: bytes) -> int:
    """Where the description of a load option ends, two zero bytes before its device path (UEFI 2.10, 3.1.3)."""
    at = 6
    while at + 2 <= len(option) and option[at : at + 2] != b"\0\0":
        at += 2
    return at


def title_of(option: bytes) -> str:
    """What firmware calls a load option in its menu."""
    return option[6 : _title(option)].decode("utf-16-le", "replace")


def loader_of(option: bytes) -> str:
    r"""The file that a load option starts: \EFI\debian\shimx64.efi; "" for another kind."""
    length = int.from_bytes(option[4:6], "little")
    at = _title(option) + 2
    end = min(at + length, len(option))
    while at + 4 <= end:
        size = int.from_bytes(option[at + 2 : at + 4], "little")
        if size < 4:
            return ""
        if option[at : at + 2] == b"\x04\x04":  # a media device path of kind file path
            return option[at + 4 : at + size].decode("utf-16-le", "replace").rstrip("\0")
        at += size
    return ""


def keys(root: Root) -> tuple[str, ...]:
    """Names of the certificates that shim trusts beside firmware's own: the distribution's, and those enrolled here.

    Raises Unreadable: only root may read the list.
    """
    content = files.read(root, MOK, 1 << 20)
    return tuple(map(subject, certificates(variable(root, "MokListRT", SHIM) if content is None else content)))


def certificates(lists: bytes) -> Iterator[bytes]:
    """The X.509 certificates in EFI_SIGNATURE_LISTs: type, sizes of list, header and signature, then owner and data."""
    at = 0
    while at + 28 <= len(lists):
        size, head, each = (int.from_bytes(lists[at + 16 + n : at + 20 + n], "little") for n in (0, 4, 8))
        if size < 28 or each <= 16:
            return
        if lists[at : at + 16] == X509:
            end = min(at + size, len(lists))
            for start in range(at + 28 + head, end - each + 1, each):
                yield lists[start + 16 : start + each]
        at += size


def subject(certificate: bytes) -> str:
    """The common name of whom an X.509 certificate is for (RFC 5280, 4.1), else "without a name"."""
    _, at, _ = _der(certificate, 0)  # Certificate
    _, at, _ = _der(certificate, at)  # tbsCertificate
    tag, _, after = _der(certificate, at)
    at = after if tag == 0xA0 else at  # version
    for _ in range(4):  # serialNumber, signature, issuer, validity
        _, _, at = _der(certificate, at)
    _, start, end = _der(certificate, at)
    found = certificate.find(COMMON_NAME, start, end)
    if found < 0:
        return "without a name"
    _, start, end = _der(certificate, found + len(COMMON_NAME))
    return certificate[start:end].decode("utf-8", "replace")


def _der(content: bytes, at: int) -> tuple[int, int, int]:
    """Tag, start and end of the element at `at` (X.690, 8.1); empty where the content ends."""
    size = content[at + 1] if at + 1 < len(content) else 0
    start = at + 2
    if size > 0x80:
        start += size - 0x80
        size = int.from_bytes(content[at + 2 : start], "big")
    return (content[at] if at < len(content) else 0), start, min(start + size, len(content))
