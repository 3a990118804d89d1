"""Pieces of nft's own syntax that both tables are written with."""

import re
from collections.abc import Iterable

from icshare.model.names import InterfaceName

_REASON = re.compile(r' comment "icshare: (.*)"$', re.MULTILINE)
_CHAIN = re.compile(r"^\tchain (\w+) \{\n((?:\t\t.*\n)*)\t\}", re.MULTILINE)


def rule(text: str, why: str) -> str:
    """Return a rule with the reason for it as its comment."""
    return f'{text} comment "icshare: {why}"'


def rules_of(text: str) -> dict[str, list[str]]:
    """Return the reasons for the rules of each chain of *text*, which was made by these functions."""
    return {name: _REASON.findall(body) for name, body in _CHAIN.findall(text)}


def chain(name: str, hook: str, rules: Iterable[str]) -> str:
    """Return a chain; *hook* is "" for one that is only jumped to."""
    lines = [*([hook] if hook else []), *rules]
    return f"\tchain {name} {{\n" + "".join(f"\t\t{line}\n" for line in lines) + "\t}"


def block(head: str, body: Iterable[str]) -> str:
    """Return a set, map or other object."""
    return f"\t{head} {{\n" + "".join(f"\t\t{line};\n" for line in body) + "\t}"


def drop_chains(table: str, unused: Iterable[str]) -> list[str]:
    """Return what deletes chains that an earlier text of *table* may have had; a flush leaves them."""
    lines = []
    for one in unused:  # adding it first makes that no error where there is none
        lines += [f"add chain inet {table} {one}", f"delete chain inet {table} {one}"]
    return lines


def names(interfaces: Iterable[InterfaceName]) -> str:
    """Return interface names as one word or an anonymous set."""
    return one_of(f'"{name}"' for name in interfaces)


def one_of(items: Iterable[str]) -> str:
    """Return *items* as one word or an anonymous set, each once."""
    unique = list(dict.fromkeys(items))
    return unique[0] if len(unique) == 1 else "{ " + ", ".join(unique) + " }"
