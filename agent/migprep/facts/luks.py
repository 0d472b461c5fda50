"""LUKS headers: which keys open a device, and which of them a TPM or a server keeps."""

from __future__ import annotations

from migprep import root as files
from migprep.facts.block import BlockDevice
from migprep.model import Undetermined, Unknown
from migprep.typed import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

#: Where a capture keeps what a header tells of its keys, by the UUID of the header.
HEADERS = "/migprep/luks"
#: Bytes of a header that are read: those of LUKS2 have 16 KiB, or as many as they say (LUKS2 On-Disk Format, 2.1).
USUAL, LIMIT = 16 << 10, 4 << 20
MAGIC = b"LUKS\xba\xbe"
#: Offset of the first key slot of a LUKS1 header, bytes from one to the next, and the mark of one in use.
SLOTS, STEP, ACTIVE = 208, 48, 0x00AC71F3


class Token(NamedTuple):
    """Something that keeps the keys of some slots: `keeper` is tpm2, tang, recovery or the token's own type."""

    keeper: str
    slots: tuple[str, ...]


class Header(NamedTuple):
    """The keys of one encrypted device."""

    device: BlockDevice
    version: int
    slots: tuple[str, ...]
    tokens: tuple[Token, ...]
    is_needed: bool  # a boot does not come up without it; or an Unknown
    is_told: bool  # crypttab says what opens it: the TPM (another rule tells), or a key file

    @property
    def is_in_tpm(self) -> bool:
        """Whether a TPM keeps one of its keys."""
        return any(one.keeper == "tpm2" for one in self.tokens)

    @property
    def is_on_server(self) -> bool:
        """Whether a server in the network keeps one of its keys."""
        return any(one.keeper == "tang" for one in self.tokens)

    @property
    def others(self) -> tuple[str, ...]:
        """Key slots that no token speaks of, or only one for recovery: those a person can open."""
        kept = {slot for token in self.tokens if token.keeper != "recovery" for slot in token.slots}
        return tuple(slot for slot in self.slots if slot not in kept)

    @property
    def is_sealed(self) -> bool:
        """Whether nothing but what stays behind opens it."""
        return self.is_in_tpm and not self.others and not self.is_on_server

    @property
    def keepers(self) -> str:
        """What keeps its keys, for a person."""
        kept = ", ".join(f"{one.keeper} (slot {', '.join(one.slots) or '-'})" for one in self.tokens)
        return f"{kept or 'no token'}; passphrase slots: {', '.join(self.others) or 'none'}"


class Luks(NamedTuple):
    """The header of every encrypted device; `unread` says why for those that could not be read."""

    headers: tuple[Header, ...]
    unread: tuple[str, ...] = ()

    @property
    def known(self) -> tuple[Header, ...]:
        """Every header. Raises Undetermined where one could not be read."""
        if self.unread:
            raise Undetermined(self.unread[0])
        return self.headers


def probe(facts: Facts) -> Luks:
    """Read the header of every encrypted device, and nothing of its content."""
    block = facts.block
    if isinstance(block, Unknown):
        raise Undetermined(block.reason)
    found: list[Header] = []
    unread: list[str] = []
    for device in block.devices:
        if device.fstype == "crypto_LUKS" and not device.is_shadow:
            try:
                version, slots, tokens = told(facts, device)
            except Undetermined as error:
                unread.append(str(error))
                continue
            found.append(Header(device, version, slots, tokens, _needed(facts, device), _is_told(facts, device)))
    return Luks(tuple(found), tuple(unread))


def _needed(facts: Facts, device: BlockDevice) -> bool:
    from migprep.facts.stacks import under_root

    block = facts.block
    below = block if isinstance(block, Unknown) else under_root(facts, block)
    if isinstance(below, Unknown):
        return below  # type: ignore[return-value]
    table = facts.crypttab
    entries = () if isinstance(table, Unknown) else table.entries
    return device in below or any(one.holds_boot for one in entries if device in one.device.devices)


def _is_told(facts: Facts, device: BlockDevice) -> bool:
    table = facts.crypttab
    entries = () if isinstance(table, Unknown) else table.entries
    return any(one.is_bound_to_tpm or one.has_key_file for one in entries if device in one.device.devices)


def is_sealed(facts: Facts, device: BlockDevice) -> bool:
    """Whether the header of this device is known to have no key but what stays behind."""
    try:
        return Header(device, *told(facts, device), is_needed=False, is_told=False).is_sealed
    except Undetermined:
        return False


Told = tuple[int, tuple[str, ...], tuple[Token, ...]]


def told(facts: Facts, device: BlockDevice) -> Told:
    """(version, slots, tokens) of one device, live or from a capture. Raises Undetermined."""
    from migprep.facts import observed

    if facts.root.live:
        content = observed.beginning(f"/dev/{device.name}", USUAL)
        size = _big(content, 8, 8) if content[6:8] == b"\0\2" else 0
        if USUAL < size <= LIMIT:
            content = observed.beginning(f"/dev/{device.name}", size)
        return parse(content, device.path)
    given = files.text(facts.root, f"{HEADERS}/{device.uuid}", 65536)
    if given is None:
        raise Undetermined(f"only the running machine can tell the keys of {device.path}")
    return restored(given)


def parse(content: bytes, name: str) -> Told:
    """The first bytes of a device (LUKS On-Disk Format 1.2.3, LUKS2 On-Disk Format 1.1.1). Raises Undetermined."""
    import json

    if content[:6] != MAGIC:
        raise Undetermined(f"{name} has no LUKS header at its start")
    version = int.from_bytes(content[6:8], "big")
    if version == 1:
        starts = range(SLOTS, SLOTS + 8 * STEP, STEP)
        active = (str(number) for number, at in enumerate(starts) if _big(content, at) == ACTIVE)
        return 1, tuple(active), ()
    size = _big(content, 8, 8)
    try:
        area = json.loads(content[4096:size].split(b"\0", 1)[0])
        slots, tokens = area.get("keyslots", {}), area.get("tokens", {})
        return version, tuple(sorted(slots)), tuple(_token(tokens[one]) for one in sorted(tokens))
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise Undetermined(f"the LUKS2 header of {name} cannot be understood") from None


def _big(content: bytes, at: int, size: int = 4) -> int:
    return int.from_bytes(content[at : at + size], "big")


def _token(token: dict[str, Any]) -> Token:
    kind = str(token.get("type", ""))
    slots = tuple(str(one) for one in token.get("keyslots", ()))
    if kind == "systemd-tpm2":
        return Token("tpm2", slots)
    if kind == "systemd-recovery":
        return Token("recovery", slots)
    if kind == "clevis":
        pins = _pins(token.get("jwe") or {}, 0)
        return Token("tpm2" if "tpm2" in pins else "tang" if "tang" in pins else "clevis", slots)
    return Token(kind, slots)


# {"clevis":{"pin":"tpm2","tpm2":{…}}}     {"clevis":{"pin":"sss","sss":{"jwe":["eyJ…","eyJ…"],"t":2}}}
def _pins(sealed: Any, depth: int) -> frozenset[str]:
    """The pins of a JSON web encryption of clevis(1), of which only the header is read."""
    import base64
    import json

    head = str(sealed.get("protected", "")) if isinstance(sealed, dict) else str(sealed).partition(".")[0]
    try:
        inside = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["clevis"]
        pin = str(inside["pin"])
        more = inside["sss"]["jwe"] if pin == "sss" and depth < 4 else []
        return frozenset({pin}).union(*(_pins(one, depth + 1) for one in more))
    except (ValueError, KeyError, TypeError):
        return frozenset()


# version 2
# slots 0 1
# token tpm2 1
def kept(found: Told) -> str:
    """The text that stands for a header in a capture: no key, no salt, no sealed blob."""
    version, slots, tokens = found
    lines = [f"version {version}", " ".join(["slots", *slots]), *(" ".join(["token", *one]) for one in _flat(tokens))]
    return "\n".join([*lines, ""])


def _flat(tokens: tuple[Token, ...]) -> list[tuple[str, ...]]:
    return [("".join(one.keeper.split()) or "-", *one.slots) for one in tokens]


def restored(text: str) -> Told:
    """What `kept` wrote."""
    lines = [line.split() for line in text.split("\n") if line.strip()]
    version = next((int(words[1]) for words in lines if words[0] == "version" and words[1:2] and words[1].isdigit()), 0)
    slots = next((tuple(words[1:]) for words in lines if words[0] == "slots"), ())
    return (
        version,
        slots,
        tuple(Token(words[1], tuple(words[2:])) for words in lines if words[0] == "token" and words[1:]),
    )


def headers(facts: Facts) -> dict[str, bytes]:
    """What stands for each header, for a capture."""
    block = facts.block
    found: dict[str, bytes] = {}
    for device in () if isinstance(block, Unknown) else block.devices:
        if device.fstype == "crypto_LUKS" and device.uuid:
            try:
                found[f"{HEADERS}/{device.uuid}"] = kept(told(facts, device)).encode("utf-8", "surrogateescape")
            except Undetermined:
                continue
    return found
