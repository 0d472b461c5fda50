"""teamd run by itself, with ports that its own file names: teamd.conf(5)."""

from __future__ import annotations

from migprep.facts.configuration import LEFT, Configuration, text
from migprep.facts.selection import Selection, mac
from migprep.model import Undetermined
from migprep.root import Root

FOLDER = "/etc/teamd"


# {"device": "team0", "runner": {"name": "activebackup"}, "ports": {"ens3": {"prio": 10}, "ens4": {}}}
def parse(content: str, path: str) -> tuple[Configuration, ...]:
    """The team that one file makes. Raises Undetermined for what is no JSON, as teamd refuses it."""
    import json

    try:
        told = json.loads(content) if content.strip() else {}
    except (ValueError, RecursionError) as error:
        raise Undetermined(f"{path}: teamd cannot read this file ({error})") from None
    if not isinstance(told, dict):
        raise Undetermined(f"{path}: teamd cannot read this file (no object)")
    name, ports = str(told.get("device", "")) or path.rpartition("/")[2].partition(".")[0], told.get("ports")
    if not isinstance(ports, dict) or not ports:
        return ()  # a tool that knows the ports adds them: NetworkManager, ifcfg
    at = content.find('"ports"')
    return (
        Configuration(
            tool="teamd",
            path=path,
            line=content.count("\n", 0, at) + 1 if at >= 0 else 1,
            interface=name,
            selection=Selection(),
            method="manual",
            uses=tuple(str(port) for port in ports),
            set_mac=mac(str(told.get("hwaddr", ""))),
        ),
    )


def read(tree: Root) -> tuple[Configuration, ...]:
    """Every team with ports of its own in teamd's folder."""
    names = [name for name in tree.names(FOLDER) if name.endswith((".conf", ".json")) and not LEFT.search(name)]
    return tuple(one for name in names for one in parse(text(tree, f"{FOLDER}/{name}"), f"{FOLDER}/{name}"))
