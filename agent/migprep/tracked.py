"""Facts that know what each was read from: a plan reads again only what its changes touch."""

from __future__ import annotations

from migprep import root
from migprep.facts import Facts, fact, guarded
from migprep.model import MigprepError
from migprep.root import Root, Stat
from migprep.typed import BinaryIO, NamedTuple


class Watched:
    """A root that notes which paths were asked for, so that a fact is probed again only when it must."""

    def __init__(self, base: Root, live: bool) -> None:
        self.base = base
        self.live = live
        self.seen: set[str] = set()
        self.listed: set[str] = set()

    def stat(self, path: str) -> Stat | None:
        self.seen.add(path)
        return self.base.stat(path)

    def link(self, path: str) -> str | None:
        return self.base.link(path)

    def names(self, path: str) -> list[str]:
        self.listed.add(path)
        return self.base.names(path)

    def open(self, path: str) -> BinaryIO:
        self.seen.add(path)
        return self.base.open(path)


class _Trace(NamedTuple):
    """Paths that one fact depends on, those of the facts it used among them."""

    seen: set[str]
    listed: set[str]


class Tracked:
    """Facts that know what each of them was read from."""

    def __init__(self, base: Root, facts: Facts) -> None:
        """What `facts` is asked about its machine, asked about `base`."""
        self.root = Watched(base, facts.root.live)
        self.cache, self.is_scan, self.folders = facts.cache, facts.is_scan, facts.folders
        self._values: dict[str, object] = {}
        self._traces: dict[str, _Trace] = {}
        self._open: list[_Trace] = []
        self._resolved: dict[str, str] = {}

    def __getattr__(self, name: str) -> object:
        found = vars(Facts).get(name)
        if not isinstance(found, fact):
            raise AttributeError(name)
        if name not in self._values:
            self._probe(name, found)
        for outer in self._open[-1:]:
            outer.seen.update(self._traces[name].seen)
            outer.listed.update(self._traces[name].listed)
        return self._values[name]

    def _probe(self, name: str, found: fact[object]) -> None:
        before = self.root.seen, self.root.listed
        self.root.seen, self.root.listed = set(), set()
        trace = _Trace(self.root.seen, self.root.listed)
        self._open.append(trace)
        try:
            self._values[name] = guarded(lambda: found.probe(self), name)  # type: ignore[arg-type]
        finally:
            self._open.pop()
            self.root.seen, self.root.listed = before
        self._traces[name] = trace

    def changed(self, base: Root, paths: dict[str, bool]) -> Facts:
        """The facts of `base`, which differs from this one's root in `paths` (value: whether a name came or went).

        Facts that were read from none of these are taken over as they are.
        """
        after = Tracked(base, self)  # type: ignore[arg-type]
        after._resolved = self._resolved
        for name, trace in self._traces.items():
            if not self._touches(trace, paths):
                after._values[name] = self._values[name]
                after._traces[name] = trace
        return after  # type: ignore[return-value]

    def _touches(self, trace: _Trace, paths: dict[str, bool]) -> bool:
        if any(self._real(one) in paths for one in trace.seen):
            return True
        folders = {parent for path, moved in paths.items() if moved for parent in _parents(path)}
        return bool(folders) and any(self._real(one) in folders for one in (*trace.listed, *trace.seen))

    def _real(self, path: str) -> str:
        if path.startswith(("/sys/", "/proc/", "/dev/", "/run/")):
            return path
        if path not in self._resolved:
            try:
                self._resolved[path] = root.real(self.root.base, path)
            except MigprepError:
                self._resolved[path] = path
        return self._resolved[path]

    def known(self, name: str) -> object:
        """The fact, when it was probed already; else None."""
        return self._values.get(name)


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) or "/" for count in range(1, len(parts))]


def of(facts: Facts) -> Facts:
    """The same machine's facts, of which a plan can take over what a change does not touch."""
    if isinstance(facts, Tracked):
        return facts
    return Tracked(facts.root, facts)  # type: ignore[return-value]


def bare(place: Root) -> Root:
    """The machine itself, without who notes what it is asked."""
    return place.base if isinstance(place, Watched) else place
