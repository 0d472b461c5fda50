"""Make a plan real, or undo it. With journal.py the only module that changes the machine.

Nothing is replaced before everything that can be prepared is prepared and the intent is on the disk;
what goes wrong afterwards is undone from the journal, at once or, after a power cut, by `rollback`.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from migprep import journal, obstacles, process, room, root
from migprep.journal import ABSENT, Journal, JournalError, Metadata, System
from migprep.model import MigprepError
from migprep.root import Tree

if TYPE_CHECKING:
    from migprep.builds import Build
    from migprep.plan import Change

#: Seconds that one command of a fix may take: an initramfs on a slow disk takes a few minutes.
SECONDS = 900.0
#: A folder or file that migprep makes itself.
NEW_FILE = Metadata(0o644, 0, 0, 0, {})
LOCK = "/run/migprep.lock"

Progress = Callable[[str], None]
#: Judge the machine again: a sentence for each finding that should be gone and is not.
Judge = Callable[[], Sequence[str]]


class Refused(MigprepError):
    """Nothing was touched: the plan is stale, a file was edited since, or something stands in the way."""

    code = 6


class Locked(MigprepError):
    """Another run is at work; the sentence says which process."""

    code = 75


class Failed(MigprepError):
    """A step that did not come out as it must; everything before it is undone."""

    code = 4


class Lost(MigprepError):
    """The way back failed too: the machine is not as before."""

    code = 5


class Work(NamedTuple):
    """What one run does: file changes in order, then what commands build; `plan` is kept for people."""

    name: str
    changes: tuple[Change, ...]
    builds: tuple[Build, ...]
    plan: dict[str, Any]

    @property
    def paths(self) -> list[str]:
        """Every file that is going to be replaced, in order."""
        return [one.path for one in self.changes] + [one.path for one in self.builds]


def silent(words: str) -> None:
    """Nobody watches."""


def new_name(taken: Sequence[str]) -> str:
    """An id for a transaction: the time, so that the newest sorts last."""
    name = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    same = [one for one in taken if one.startswith(name)]
    return f"{name}-{len(same) + 1}" if same else name


@contextmanager
def locked(path: str = LOCK) -> Iterator[None]:
    """Hold the lock file with flock(2); its content is the holder's process id. Raises Locked."""
    import fcntl

    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise Locked(f"another migprep is changing this machine (process {holder})") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


# --- apply ---


class Step(NamedTuple):
    """One thing to be replaced, with what stands there now."""

    number: int
    path: str
    before: dict[str, Any]


class Done(NamedTuple):
    """How a run ended: exit code, and the sentence that says why when it is not 0."""

    code: int
    name: str
    words: str = ""


def apply(place: Tree, work: Work, judge: Judge, system: System | None = None, progress: Progress = silent) -> Done:
    """Make every change of `work`, judge again, and keep it; or leave every file as it was.

    Raises Refused when nothing may be touched. A failure afterwards is undone: code 4, or 5 when the
    way back fails as well.
    """
    system = system or System()
    run = _Run(place, work, system, progress)
    run.prepare()
    try:
        run.change()
        progress("judging again")
        stays = judge()
        if stays:
            raise Failed("after the change this is still so: " + "; ".join(stays))
        run.book.say("COMMITTED", time=_now())
        return Done(0, work.name)
    except (Exception, KeyboardInterrupt) as error:
        words = _told(error)
        progress(f"failed: {words}; putting everything back")
        try:
            undo(place, work.name, system, progress)
        except Exception as second:
            raise Lost(
                f"{words}; and putting it back failed: {_told(second)}. `migprep rollback {work.name}` tries again"
            ) from error
        return Done(4, work.name, words)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _told(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror.lower()}" if error.filename else error.strerror.lower()
    return str(error) if isinstance(error, (MigprepError, OSError)) else f"{type(error).__name__}: {error}"


class _Run:
    """One apply, step by step."""

    def __init__(self, place: Tree, work: Work, system: System, progress: Progress) -> None:
        self.place, self.work, self.system, self.progress = place, work, system, progress
        self.book = Journal(_folder(place, work.name), system)
        self.steps: list[Step] = []
        self.total = len(work.changes) + len(work.builds)

    def prepare(self) -> None:
        """Check and keep everything. Raises Refused; whatever fails here has changed nothing."""
        try:
            self._refuse()
            self._make_folders()
            self.book.open(self.work.plan)
            for number, path in enumerate(self.work.paths):
                self.steps.append(Step(number, path, self._keep(number, path)))
            for number, change in enumerate(self.work.changes):
                if change.after is not None:
                    self.book.keep(f"objects/{number}.new", change.after)
            self.book.settle()
            self.book.say("BEGIN", id=self.work.name, time=_now())
        except OSError as error:
            self._discard()
            raise Refused(f"cannot prepare: {_told(error)}") from None
        except MigprepError:
            self._discard()
            raise

    def _refuse(self) -> None:
        for change in self.work.changes:
            self._refuse_change(change)
        for build in self.work.builds:
            self._refuse_path(build.path)
        reason = room.shortage(self.place, self.work.changes, self.work.builds)
        if reason:
            raise Refused(f"{reason}; nothing was changed")

    def _refuse_change(self, change: Change) -> None:
        self._refuse_path(change.path)
        if _digest(change.before) != journal.state(self.place.base + change.path).digest:
            raise Refused(f"{change.path} was edited after the plan was made; make a new plan")

    def _refuse_path(self, path: str) -> None:
        if root.real(self.place, path) != path:
            raise Refused(f"{path} has become a symbolic link since the plan was made")
        reason = obstacles.obstacle(self.place, path)
        if reason:
            raise Refused(reason)

    def _make_folders(self) -> None:
        """The state folder, with its missing parents: it stays when everything else is undone."""
        missing = []
        folder = os.path.dirname(self.book.folder)
        while not os.path.isdir(folder):
            missing.append(folder)
            folder = os.path.dirname(folder)
        for folder in reversed(missing):
            self.system.mkdir(folder, 0o700 if "/migprep" in folder[len(self.place.base) :] else 0o755)
            self.system.sync(os.path.dirname(folder))

    def _keep(self, number: int, path: str) -> dict[str, Any]:
        where = self.place.base + path
        earlier = next((number for number, change in enumerate(self.work.changes) if change.path == path), number)
        if earlier < number:  # it replaces what an earlier step of this run made
            return {**self.steps[earlier].before, "digest": _digest(self.work.changes[earlier].after),
                    "object": f"objects/{earlier}.new"}  # fmt: skip
        found = journal.state(where)
        if found == ABSENT:
            return {"digest": ""}
        kept = f"objects/{number}.old"
        self.book.keep_copy(kept, where)
        if journal.state(os.path.join(self.book.folder, kept)).digest != found.digest:
            raise Refused(f"{path} changed while it was read")
        return {"digest": found.digest, "object": kept, "metadata": journal.metadata(where)._asdict()}

    def _discard(self) -> None:
        """Remove what was kept for a run that never began; if that fails it is harmless."""
        try:
            for folder, _, files in sorted(os.walk(self.book.folder), reverse=True):
                for name in files:
                    self.system.unlink(os.path.join(folder, name))
                self.system.rmdir(folder)
        except OSError:
            pass

    def change(self) -> None:
        """All steps, in order. Raises Failed, OSError."""
        for number, change in enumerate(self.work.changes):
            self.progress(f"[{number + 1}/{self.total}] {change.path}")
            self._file(self.steps[number], change)
        for number, build in enumerate(self.work.builds, len(self.work.changes)):
            self.progress(f"[{number + 1}/{self.total}] {build.title}")
            self._build(self.steps[number], build)

    def _file(self, step: Step, change: Change) -> None:
        where = self.place.base + step.path
        self._parents(os.path.dirname(step.path))
        temp = f"{os.path.dirname(step.path).rstrip('/')}/.migprep-{self.work.name}-{step.number}"
        self._intend(step, temp, _digest(change.after))
        self._unchanged(step)
        if change.after is None:
            self.system.unlink(where)
        else:
            self._make(step, change, temp)
            self._finish(step, self.place.base + temp, where)
        self.system.sync(os.path.dirname(where))
        self.book.say("DONE", step=step.number)

    def _make(self, step: Step, change: Change, temp: str) -> None:
        made, given = self.place.base + temp, "old" if change.argv else "new"
        self.system.copy(os.path.join(self.book.folder, f"objects/{step.number}.{given}"), made)
        if change.argv:
            self._run([temp if one == "{}" else one for one in change.argv])
            if journal.state(made).digest != _digest(change.after):
                raise Failed(f"{change.argv[0]} made something else of {change.path} than was planned")

    def _run(self, argv: list[str]) -> process.Outcome:
        outcome = self.system.run(argv, SECONDS)
        if outcome.code != 0:
            said = _quoted(outcome.stderr or outcome.stdout)
            raise Failed(f"`{shlex.join(argv)}` failed{_ended(outcome.code)}: {said}")
        return outcome

    def _finish(self, step: Step, made: str, where: str) -> None:
        self.system.describe(made, _inherited(step, made))
        self.system.sync(made)
        self.system.rename(made, where)

    def _intend(self, step: Step, temp: str, digest: str) -> None:
        self.book.say(
            "INTENT", kind="file", step=step.number, path=step.path, temps=[temp], before=step.before, after=digest
        )

    def _unchanged(self, step: Step) -> None:
        if journal.state(self.place.base + step.path).digest != step.before["digest"]:
            raise Failed(f"{step.path} was edited while the fix was running")

    def _parents(self, folder: str) -> None:
        missing = []
        while not os.path.isdir(self.place.base + folder):
            missing.append(folder)
            folder = os.path.dirname(folder)
        for folder in reversed(missing):
            self.book.say("INTENT", kind="folder", path=folder)
            self.system.mkdir(self.place.base + folder, 0o755)
            self.system.sync(os.path.dirname(self.place.base + folder))

    def _build(self, step: Step, build: Build) -> None:
        from migprep import actions

        where, made = self.place.base + step.path, self.place.base + build.beside
        self._parents(os.path.dirname(step.path))
        self.book.say("INTENT", kind="build", step=step.number, path=step.path, temps=[build.beside, *build.litter])
        outcome = self._run(list(build.argv))
        fault = actions.fault(build, self.place, self.system.run)
        if fault:
            raise Failed(f"{build.title}: {fault}{_quoted(outcome.stderr, '; the tool said: ')}")
        self._intend(step, build.beside, journal.state(made).digest)
        self._unchanged(step)
        self._finish(step, made, where)
        self.system.sync(os.path.dirname(where))
        for litter in build.litter:
            self.system.unlink(self.place.base + litter)
        self.book.say("DONE", step=step.number)


def _folder(place: Tree, name: str) -> str:
    return f"{place.base}{root.real(place, journal.FOLDER)}/{name}"


def _digest(content: bytes | None) -> str:
    return "" if content is None else hashlib.sha256(content).hexdigest()


def _inherited(step: Step, made: str) -> Metadata:
    """What the new file gets: all of the old one's but its time and its signatures."""
    if "metadata" not in step.before:
        return NEW_FILE._replace(attributes=journal.metadata(made).attributes, uid=os.geteuid(), gid=os.getegid())
    old = Metadata(**step.before["metadata"])
    return old._replace(
        mtime=0, attributes={name: value for name, value in old.attributes.items() if name not in journal.SIGNATURES}
    )


def _ended(code: int) -> str:
    return f" (killed by signal {-code})" if code < 0 else f" (exit code {code})"


def _quoted(output: bytes, before: str = "") -> str:
    lines = [one.strip() for one in output.decode("utf-8", "replace").split("\n") if one.strip()]
    return before + " / ".join(lines[-5:]) if lines else ("" if before else "it said nothing")


# --- undo ---


class Intent(NamedTuple):
    """One thing that the journal says was going to be done, as it has to be undone."""

    kind: str  # file, folder, build
    path: str
    temps: tuple[str, ...]
    before: dict[str, Any]
    after: tuple[str, ...]  # digests that it may have by now


def intents(records: Sequence[dict[str, Any]]) -> list[Intent]:
    """All intents, the last first; of several for one file the first tells how it was, and stands for all."""
    todo = [
        Intent(one["kind"], one["path"], tuple(one.get("temps", ())), one.get("before", {}), (one.get("after", ""),))
        for one in reversed(records)
        if one["type"] == "INTENT"
    ]
    files: dict[str, Intent] = {}
    for one in todo:
        if one.kind == "file":
            later = files.pop(one.path, one._replace(temps=(), after=()))
            files[one.path] = one._replace(temps=one.temps + later.temps, after=one.after + later.after)
        else:
            files[f"{one.kind} {one.path}"] = one
    return list(files.values())


def conflicts(place: Tree, todo: Sequence[Intent]) -> list[str]:
    """Files that are neither as the fix left them nor as they were before. Raises OSError."""
    found = []
    for intent in todo:
        if intent.kind == "file":
            now = journal.state(place.base + intent.path).digest
            if root.real(place, intent.path) != intent.path or now not in (intent.before["digest"], *intent.after):
                found.append(intent.path)
    return sorted(found)


def restorable(place: Tree, name: str) -> list[tuple[str, str]]:
    """(path; restore, delete or nothing) for each file of a transaction, in the order of undoing. Raises Refused."""
    todo = intents(journal.look(place, name).records)
    _refuse_conflicts(place, name, todo)
    told = []
    for intent in todo:
        if intent.kind == "file":
            same = journal.state(place.base + intent.path).digest == intent.before["digest"]
            told.append((intent.path, "nothing" if same else "restore" if intent.before["digest"] else "delete"))
    return told


def undo(place: Tree, name: str, system: System | None = None, progress: Progress = silent) -> int:
    """Restore every byte of the transaction `name`; returns how many files were put back.

    May be repeated, also after a power cut in the middle. Raises Refused, touching nothing, when a
    file was edited since; JournalError when what was kept is damaged; OSError when a step fails.
    """
    book = Journal(_folder(place, name), system or System())
    records = book.records()
    todo = intents(records)
    _refuse_conflicts(place, name, todo)
    if _last(records) == "COMMITTED":
        book.say("ROLLBACK", time=_now())
    restored = sum(_undo(place, book, intent, progress) for intent in todo)
    if records and _last(records) != "ROLLED_BACK":
        book.say("ROLLED_BACK", time=_now())
    return restored


def _last(records: Sequence[dict[str, Any]]) -> str:
    return next((str(one["type"]) for one in reversed(records) if one["type"] in journal.WORDS), "")


def _refuse_conflicts(place: Tree, name: str, todo: Sequence[Intent]) -> None:
    edited = conflicts(place, todo)
    if edited:
        objects = {one.path: one.before.get("object") for one in todo if one.kind == "file"}
        kept = [
            f"{path} (before the fix: {_folder(place, name)}/{objects[path]})" if objects[path] else path
            for path in edited
        ]
        raise Refused(f"edited since the fix, so nothing is restored: {', '.join(kept)}")


def _undo(place: Tree, book: Journal, intent: Intent, progress: Progress) -> bool:
    """Undo one step; whether a file was put back."""
    system = book.system
    restored = False
    if intent.kind == "file":
        where = place.base + intent.path
        if journal.state(where).digest != intent.before["digest"]:
            progress(f"restoring {intent.path}")
            if intent.before["digest"]:
                _restore(book, intent, where, place.base + intent.temps[0] + ".old")
            else:
                system.unlink(where)
            restored = True
        if os.path.isdir(os.path.dirname(where)):
            system.sync(os.path.dirname(where))
    for temp in (*intent.temps, *(f"{one}.old" for one in intent.temps)):
        if os.path.lexists(place.base + temp):
            system.unlink(place.base + temp)
            system.sync(os.path.dirname(place.base + temp))
    if intent.kind == "folder" and os.path.isdir(place.base + intent.path):
        system.rmdir(place.base + intent.path)
        system.sync(os.path.dirname(place.base + intent.path))
    return restored


def _restore(book: Journal, intent: Intent, where: str, made: str) -> None:
    kept = os.path.join(book.folder, intent.before["object"])
    if journal.state(kept).digest != intent.before["digest"]:
        raise JournalError(f"{kept} is damaged: {intent.path} cannot be restored from it")
    book.system.unlink(made)
    book.system.copy(kept, made)
    book.system.describe(made, Metadata(**intent.before["metadata"]))
    book.system.sync(made)
    book.system.rename(made, where)
    book.system.sync(os.path.dirname(where))


def poweroff(system: System | None = None) -> None:
    """Shut the machine down. Raises Failed when no command does it."""
    system = system or System()
    for argv in (["systemctl", "poweroff"], ["shutdown", "-h", "now"], ["poweroff"]):
        try:
            if system.run(argv, 60.0).code == 0:
                return
        except OSError:
            continue
    raise Failed("the machine could not be shut down; the fix is in place")
