"""What a kernel once sent, by table and name."""

import tomllib
from pathlib import Path

_DATA = Path(__file__).parents[2] / "data"
_TABLES = tomllib.loads((_DATA / "rtnetlink.toml").read_text(encoding="utf-8"))
LINKS = sorted((_DATA / "links").glob("*/link.hex"))


def recorded(table: str) -> dict[str, bytes]:
    """Return the payloads of one table: addresses, routes, rules or neighbours."""
    return {name: bytes.fromhex(text) for name, text in _TABLES[table].items()}


def link(case: str) -> bytes:
    """Return the payload that shows the link of a recorded case."""
    return bytes.fromhex((_DATA / "links" / case / "link.hex").read_text(encoding="ascii"))


ADDRESSES, ROUTES, RULES, NEIGHBOURS = map(recorded, ("addresses", "routes", "rules", "neighbours"))
