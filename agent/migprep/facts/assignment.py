"""Which configuration means which card, and what stands on a card."""

from __future__ import annotations

from collections.abc import Iterable

from migprep.facts import conditions
from migprep.facts.configuration import Configuration
from migprep.facts.interfaces import Interface, Interfaces
from migprep.facts.pins import BY_PLACE


def assigned(found: tuple[Configuration, ...], interfaces: Interfaces, by_place: bool) -> Iterable[Configuration]:
    """Each with the cards that it means; networkd's first matching file keeps a device from the later ones."""
    taken: set[str] = set()
    uppers = _uppers(found, interfaces)
    for one in found:
        if not conditions.now(one.conditions):
            continue
        means = tuple(card.name for card in interfaces.cards if one.means(card))
        if one.tool == "networkd":
            means = tuple(name for name in means if name not in taken)
            taken.update(means)
            if not means and any(one.means(card) for card in interfaces.cards):
                continue
        cards = [card for card in interfaces.cards if card.name in means]
        one = one._replace(devices=means, spares=_spares(one, found, cards, by_place) if one.is_by_hardware else ())
        stacked: list[str] = []
        if one.tool == "networkd" and one.selection.names and not one.selection.by_mac:
            stacked = [name for name in uppers if name not in taken and one.selection.allows_name(name)]
            taken.update(stacked)
            yield from (one._replace(interface=name, devices=()) for name in stacked)
        if means or not stacked:
            yield one


def _uppers(found: tuple[Configuration, ...], interfaces: Interfaces) -> tuple[str, ...]:
    """Bonds, bridges, VLANs … that networkd makes, or that are there: what a pattern (Name=bond*) may mean too."""
    made = [name for one in found if one.tool == "networkd" for name in one.over]
    made += [one.interface for one in found if one.tool == "networkd" and one.selection.is_empty]
    there = [one.name for one in interfaces.devices if not one.is_physical and one.kind != "loopback"]
    return tuple(dict.fromkeys(made + there))


def _spares(
    one: Configuration, found: tuple[Configuration, ...], cards: list[Interface], by_place: bool
) -> tuple[Configuration, ...]:
    """Files of the same kind that have the same device where the hardware they ask for is there."""
    kind = one.path.rpartition(".")[2]
    others = [each for each in found if each.tool == one.tool and each.path != one.path and each.path.endswith(kind)]
    if not cards:
        return tuple(each for each in others if each.interface == one.interface)
    found_again = []
    for each in others:
        chosen = each.selection
        possible = BY_PLACE if by_place else ("eth0",)
        if chosen.names not in ((), one.selection.names) and not all(map(chosen.allows_name, possible)):
            continue  # it asks for a name that the card may not have there
        bare = chosen._replace(names=(), drivers=(), places=(), properties=(), everything=True)
        if all(bare.means(card) for card in cards):
            found_again.append(each)
    return tuple(found_again)


def standing(found: tuple[Configuration, ...], interfaces: Interfaces) -> dict[str, tuple[str, ...]]:
    """{device: what stands directly on it}, as configured and as it is."""
    pairs = [(device.name, device.master) for device in interfaces.devices if device.master]
    pairs += [(lower, device.name) for device in interfaces.devices for lower in device.lower]
    for one in found:
        pairs += [(lower, one.interface) for lower in one.uses]
        pairs += [(lower, upper) for upper in one.over for lower in one.devices or (one.interface,)]
    standing: dict[str, tuple[str, ...]] = {}
    for lower, upper in dict.fromkeys(pairs):
        if lower != upper:
            standing[lower] = (*standing.get(lower, ()), upper)
    return standing


def above(name: str, standing: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """All that stands on the device `name`, directly or not, the nearest first."""
    found: list[str] = []
    todo = list(standing.get(name, ()))
    while todo:
        upper = todo.pop(0)
        if upper not in found and upper != name:
            found.append(upper)
            todo += standing.get(upper, ())
    return tuple(found)
