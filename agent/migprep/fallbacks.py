"""The loader that firmware without boot entries starts: a copy of the one that starts this machine, added beside it."""

from __future__ import annotations

from migprep import root
from migprep.builds import ActionError, Build, beside, prefix, size
from migprep.facts import efi, loaders
from migprep.model import Unknown
from migprep.root import Root, Tree
from migprep.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from migprep.facts import Facts


def builds(facts: Facts, place: Root) -> list[Build]:
    """One copy a file; what the loader itself needs comes before it. Raises ActionError, Undetermined."""
    copies = _esp(facts).copies
    if not copies:
        raise ActionError("no loader is known here that could be copied to EFI/BOOT and still find its menu")
    return [_build(place, one) for one in copies]


def _esp(facts: Facts) -> efi.Esp:
    loader = facts.bootloader
    if isinstance(loader, Unknown):
        raise ActionError(loader.reason)
    return loader.esp


def _build(place: Root, one: efi.Copy) -> Build:
    made = beside(one.path)
    argv = (*prefix(place), "cp", "--", one.source, made)
    return Build(
        "fallback-loader", f"copy {one.source} to {one.path}", one.path, made, argv, (), size(place, one.source),
        (one.source,),
    )  # fmt: skip


def imagined(facts: Facts) -> dict[str, bytes]:
    """Files that stand for the copies, to judge the planned machine by: empty, with what each says of itself."""
    esp = _esp(facts)
    found = {}
    for one in esp.copies:
        found[one.path] = b""
        said = esp.loaders.get(esp.key(one.source), loaders.UNKNOWN)
        found[f"{loaders.NAMES}{one.path}"] = said.text.encode("utf-8", "surrogateescape")
    return found


def fault(build: Build, place: Tree) -> str:
    """Why the copy may not stand; "" when it is what it is a copy of."""
    source = build.wanted[0]
    same = root.read(place, build.beside) == root.read(place, source)
    return "" if same else f"it is not the same as {source}"
