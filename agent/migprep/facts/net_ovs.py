"""Open vSwitch's own database, which remembers bridges and their ports by name: ovsdb(5), ovs-vswitchd.conf.db(5)."""

from __future__ import annotations

from migprep import root
from migprep.facts.configuration import Configuration
from migprep.facts.selection import Selection
from migprep.model import Undetermined
from migprep.root import Root
from migprep.typed import Any

PATHS = ("/etc/openvswitch/conf.db", "/var/lib/openvswitch/conf.db")
#: Bytes of a database that are read; it is written anew when it has grown tenfold.
SIZE = 32 << 20
#: Columns that hold references, by table.
REFERENCES = {"Bridge": "ports", "Port": "interfaces", "Interface": ""}

Rows = dict[str, dict[str, Any]]


# OVSDB JSON 259 293028f41383b211a90307777b035fe2ca744ad0
# {"Port":{"a72b…":null},"Bridge":{"9438…":{"ports":["uuid","a72b…"]}},"_date":1795523094017,"_is_diff":true}
def parse(content: str, path: str) -> tuple[Configuration, ...]:
    """Every bridge with what it stands on. Raises Undetermined for a record that is no JSON."""
    import json

    tables: dict[str, Rows] = {table: {} for table in REFERENCES}
    for number, line in enumerate(content.split("\n"), 1):
        if not line.startswith("{") or '"Interface"' not in line and '"Port"' not in line and '"Bridge"' not in line:
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise Undetermined(f"{path}:{number}: this record cannot be read ({error})") from None
        for table, rows in tables.items():
            changed = record.get(table) if isinstance(record, dict) and "tables" not in record else None
            for key, row in changed.items() if isinstance(changed, dict) else ():
                _change(rows, key, row, REFERENCES[table], number, bool(record.get("_is_diff")))
    return tuple(
        Configuration(
            "openvswitch", path, bridge["line"], str(bridge.get("name", "")), Selection(), "manual", uses=uses
        )
        for bridge in tables["Bridge"].values()
        for uses in [_uses(bridge, tables["Port"], tables["Interface"])]
        if uses
    )


def _change(rows: Rows, key: str, row: object, references: str, number: int, is_diff: bool) -> None:
    """Bring one row up to date: null removes it, and a set of a diff holds what comes or goes."""
    if not isinstance(row, dict):
        rows.pop(key, None)
        return
    known = rows.setdefault(key, {"line": number, "of": frozenset()})
    known.update((column, value) for column, value in row.items() if isinstance(value, str))
    if references in row:
        told = _references(row[references])
        known["of"] = known["of"] ^ told if is_diff else told
        known["line"] = number


def _references(value: object) -> frozenset[str]:
    """["uuid", "a72b…"] or ["set", [["uuid", "a72b…"], …]]."""
    if not isinstance(value, list) or len(value) != 2:
        return frozenset()
    kind, each = value
    if kind == "uuid":
        return frozenset({str(each)})
    return frozenset().union(*map(_references, each)) if kind == "set" and isinstance(each, list) else frozenset()


def _uses(bridge: dict[str, Any], ports: Rows, interfaces: Rows) -> tuple[str, ...]:
    """Names of the devices of other makers: not those that Open vSwitch makes itself (internal, patch, vxlan …)."""
    below = [one for port in bridge["of"] if port in ports for one in ports[port]["of"] if one in interfaces]
    return tuple(sorted(str(interfaces[one].get("name", "")) for one in below if not _is_made(interfaces[one])))


def _is_made(interface: dict[str, Any]) -> bool:
    return interface.get("type", "") not in ("", "system")


def read(tree: Root) -> tuple[Configuration, ...]:
    """The bridges that Open vSwitch makes when it starts."""
    path = next((one for one in PATHS if root.exists(tree, one)), "")
    content = root.read(tree, path, SIZE) if path else None
    return parse(content.decode("utf-8", "replace"), path) if content else ()
