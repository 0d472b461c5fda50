"""The words that every layer shares: what is unknown, how bad, which link, what was found."""

from __future__ import annotations

from enum import Enum

from migprep.typed import Any, NamedTuple


class MigprepError(Exception):
    """A condition the user can act on: one sentence, and the exit code that goes with it."""

    code = 1


class Undetermined(MigprepError):
    """Raised when an Unknown is used as if it were a value; carries its reason."""


class Unknown:
    """A fact that could not be read, with the reason.

    It poisons whatever touches it: every use but ``isinstance`` raises Undetermined, so that what
    could not be read can never be mistaken for something that is absent.
    """

    __slots__ = ("reason",)
    reason: str

    def __init__(self, reason: str) -> None:
        object.__setattr__(self, "reason", reason)

    def _raise(self, *_: object) -> Any:
        raise Undetermined(self.reason)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise Undetermined(self.reason)

    def __bool__(self) -> bool:
        raise Undetermined(self.reason)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Unknown):
            return self.reason == other.reason
        raise Undetermined(self.reason)

    def __hash__(self) -> int:
        return hash(self.reason)

    def __repr__(self) -> str:
        return f"Unknown({self.reason!r})"

    __iter__ = __len__ = __contains__ = __lt__ = __le__ = __gt__ = __ge__ = __add__ = _raise


class Severity(Enum):
    """How bad a failing rule is; a blocker must also say what it blocks."""

    BLOCKER = "blocker"
    HIGH = "high"
    LOW = "low"
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return list(Severity).index(self)


class Status(Enum):
    """What became of one rule for one target."""

    PASS = "pass"  # noqa: S105  a verdict, not a password
    FAIL = "fail"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "not_applicable"


class Verdict(Enum):
    """What a target means for the whole machine."""

    READY = "ready"
    CONDITIONAL = "conditional"
    NOT_READY = "not_ready"
    UNKNOWN = "unknown"


class Link(Enum):
    """One link of the boot chain, in the order in which a machine goes through them."""

    FIRMWARE = "firmware"
    BOOT_LOADER = "boot loader"
    ARGUMENTS = "kernel arguments"
    INITRAMFS = "initramfs"
    STORAGE = "storage stack"
    ROOT = "root"
    MOUNTS = "mounts"
    NETWORK = "network"
    SERVICES = "services"


class Safety(Enum):
    """What a fix may do to the source: see the contract."""

    SAFE = "safe"
    RISKY = "risky"
    MANUAL = "manual"


class Phase(Enum):
    """When a fix may be made: any time, as the last act before the move, or on the target."""

    PREPARE = "prepare"
    CUTOVER = "cutover"
    AFTER = "after"


class Evidence(NamedTuple):
    """Where a finding can be seen, and what should stand there; `line` counts from 1."""

    path: str
    line: int | None
    observed: str
    expected: str


class Mend(NamedTuple):
    """What a fix would be called and when it may be made."""

    title: str
    safety: Safety
    phase: Phase


class Waiver(NamedTuple):
    """A finding that somebody answers for: why, and until when (ISO date)."""

    reason: str
    expires: str


class Finding(NamedTuple):
    """One rule failing for one subject."""

    rule: str
    subject: str
    message: str
    evidence: tuple[Evidence, ...]
    fix: Mend | None = None
    waiver: Waiver | None = None

    @property
    def fingerprint(self) -> str:
        """16 hex digits of the rule and the subject alone: stable when words or lines change."""
        from migprep.digest import sha256

        return sha256(f"{self.rule}\0{self.subject}".encode("utf-8", "surrogateescape")).hexdigest()[:16]


class Result(NamedTuple):
    """One rule judged for one target."""

    rule: str
    target: str
    status: Status
    reason: str = ""
    findings: tuple[Finding, ...] = ()
