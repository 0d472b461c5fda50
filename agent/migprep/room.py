"""How much room a run needs in which folders, and which filesystem has not as much. Reads only."""

from __future__ import annotations

import os
from collections.abc import Sequence

from migprep import actions, journal, obstacles
from migprep.root import Tree
from migprep.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from migprep.builds import Build
    from migprep.plan import Change


def shortage(place: Tree, changes: Sequence[Change], builds: Sequence[Build]) -> str:
    """Which filesystem has not the bytes or inodes for these changes and builds; "" for none."""
    needs: dict[str, int] = {}

    def need(path: str, size: int) -> None:
        folder = obstacles.existing(os.path.dirname(place.base + path))
        needs[folder] = needs.get(folder, 0) + size

    for change in changes:
        need(change.path, len(change.after or b""))
    for build in builds:
        need(build.path, max(0, build.space - _size(place, build.path)))
    for folder, size in _meanwhile(place, builds).items():
        need(f"{folder}/x", size)
    paths = [one.path for one in changes] + [one.path for one in builds]
    kept = sum(_size(place, path) for path in paths)
    need(journal.FOLDER + "/x", kept + sum(len(one.after or b"") for one in changes))
    return obstacles.shortage(needs)


def _meanwhile(place: Tree, builds: Sequence[Build]) -> dict[str, int]:
    """Bytes by folder: builds run one after another, each new file beside the old one, and some lay things out."""
    beside: dict[str, int] = {}
    outside: dict[str, int] = {}
    for build in builds:
        folder = os.path.dirname(build.path)
        beside[folder] = max(beside.get(folder, 0), _size(place, build.path))
        folder, size = actions.workspace(build, place)
        if folder:
            outside[folder] = max(outside.get(folder, 0), size)
    return {folder: beside.get(folder, 0) + outside.get(folder, 0) for folder in {**beside, **outside}}


def _size(place: Tree, path: str) -> int:
    try:
        return os.lstat(place.base + path).st_size
    except OSError:
        return 0
