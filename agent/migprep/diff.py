"""Unified diffs, in linear time where no line comes or goes, as with nearly all fixes; they hold every byte."""

from __future__ import annotations

#: Lines around a change.
CONTEXT = 3


def unified(path: str, before: bytes | None, after: bytes | None) -> list[str]:
    """The lines of one file's diff for `patch -p1` in its root; None where the file is absent."""
    old, new = _split(before), _split(after)
    lines = [f"--- {_header('a', path, before)}\n", f"+++ {_header('b', path, after)}\n"]
    for group in _grouped(_blocks(old, new)):
        lines += _hunk(old, new, group)
    return lines


def _header(side: str, path: str, content: bytes | None) -> str:
    return "/dev/null" if content is None else f"{side}{path}" + ("\t" if " " in path else "")


def _split(content: bytes | None) -> list[str]:
    parts = (content or b"").decode("utf-8", "surrogateescape").split("\n")
    return [f"{one}\n" for one in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def _blocks(before: list[str], after: list[str]) -> list[tuple[int, int, int, int]]:
    if len(before) == len(after):
        found: list[tuple[int, int, int, int]] = []
        for number, (old, new) in enumerate(zip(before, after)):
            if old != new:
                if found and found[-1][1] == number:
                    found[-1] = (found[-1][0], number + 1, found[-1][2], number + 1)
                else:
                    found.append((number, number + 1, number, number + 1))
        return found
    start = next((at for at, (old, new) in enumerate(zip(before, after)) if old != new), min(len(before), len(after)))
    most = min(len(before), len(after)) - start
    end = next((at for at in range(most) if before[-1 - at] != after[-1 - at]), most)
    middle = before[start : len(before) - end], after[start : len(after) - end]
    if len(middle[0]) * len(middle[1]) > 1_000_000:  # difflib would take minutes
        return [(start, len(before) - end, start, len(after) - end)]
    import difflib

    codes = difflib.SequenceMatcher(None, *middle, autojunk=False).get_opcodes()
    return [(a + start, b + start, c + start, d + start) for tag, a, b, c, d in codes if tag != "equal"]


def _grouped(blocks: list[tuple[int, int, int, int]]) -> list[list[tuple[int, int, int, int]]]:
    groups: list[list[tuple[int, int, int, int]]] = []
    for block in blocks:
        if groups and block[0] - groups[-1][-1][1] <= 2 * CONTEXT:
            groups[-1].append(block)
        else:
            groups.append([block])
    return groups


def _hunk(before: list[str], after: list[str], group: list[tuple[int, int, int, int]]) -> list[str]:
    first, last = group[0], group[-1]
    lead = min(CONTEXT, first[0])
    trail = min(CONTEXT, len(before) - last[1])
    old = (first[0] - lead, last[1] + trail)
    new = (first[2] - lead, last[3] + trail)
    lines = [f"@@ -{_range(*old)} +{_range(*new)} @@\n"]
    at = old[0]
    for start, end, start_new, end_new in group:
        lines += [_line(" ", one) for one in before[at:start]]
        lines += [_line("-", one) for one in before[start:end]]
        lines += [_line("+", one) for one in after[start_new:end_new]]
        at = end
    return lines + [_line(" ", one) for one in before[at : old[1]]]


def _range(start: int, end: int) -> str:
    return f"{start + 1 if end > start else start},{end - start}"


def _line(sign: str, one: str) -> str:
    return f"{sign}{one}" if one.endswith("\n") else f"{sign}{one}\n\\ No newline at end of file\n"
