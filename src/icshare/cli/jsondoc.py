"""``docs/json.md``: ``python -m icshare.cli.jsondoc`` prints it from `schema` and `labschema`."""

import types
from collections.abc import Iterator
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import typer

from icshare.cli import labschema, schema
from icshare.cli.schema import Document

DOCUMENTS: tuple[type[Document], ...] = (
    *schema.DOCUMENTS,
    labschema.DemoDocument,
    labschema.LabDocument,
    labschema.LabStatusDocument,
    labschema.LabExecDocument,
    labschema.LabDownDocument,
)
"""What commands print; all others are parts of these."""

_HEAD = """\
# What `--json` prints

Every command of icshare takes `--json`. It then prints one JSON document on standard output, and nothing else there or
on standard error (but for `-v`). When the command fails, the document is an
*error document* instead. The exit status is the same as without `--json`.

Names never change their meaning and are never taken away; new ones may be added, so pass over what you do not know.
Moments are in UTC, as in `2026-01-31T12:00:00Z`. Lists are in the order that is told, or the order of the host.

<!-- made by python -m icshare.cli.jsondoc; changes are lost -->
"""
_NAMES: dict[Any, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    datetime: "string, a moment",
    UUID: "string, a UUID",
    type(None): "null",
}


def page() -> str:
    """Return the page."""
    seen: list[type[Document]] = []
    for document in DOCUMENTS:
        _collect(document, seen)
    return _HEAD + "".join(line + "\n" for document in seen for line in _section(document))


def _collect(document: type[Document], seen: list[type[Document]]) -> None:
    """Put *document* and its parts into *seen*, each once, parts after what they are part of."""
    if document in seen:
        return
    seen.append(document)
    for hint in get_type_hints(document).values():
        for part in _parts(hint):
            _collect(part, seen)


def _parts(hint: Any) -> Iterator[type[Document]]:  # noqa: ANN401 (an annotation)
    if isinstance(hint, type) and get_origin(hint) is None and issubclass(hint, Document):
        yield hint
    for inner in get_args(hint):
        yield from _parts(inner)


def _section(document: type[Document]) -> Iterator[str]:
    yield ""
    yield f"## {_title(document)}"
    yield ""
    yield document.__doc__ or ""
    yield ""
    yield "| Name | Type | Meaning |"
    yield "|---|---|---|"
    for name, hint in get_type_hints(document, include_extras=True).items():
        assert get_origin(hint) is Annotated, f"{document.__name__}.{name} has no description"
        inner, meta = get_args(hint)
        words = _words(inner)
        yield f"| `{name}` | {words} | {meta.description}{_values(inner)} |"


def _title(document: type[Document]) -> str:
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in document.__name__)
    return words.strip().removesuffix(" document").capitalize() + (" document" if document in DOCUMENTS else "")


def _words(hint: Any) -> str:  # noqa: ANN401 (an annotation)
    if hint in _NAMES:
        return _NAMES[hint]
    origin = get_origin(hint)
    if origin in {Union, types.UnionType}:
        return " or ".join(_words(one) for one in get_args(hint))
    if origin is tuple:
        return f"list of {_words(get_args(hint)[0])}"
    if issubclass(hint, Document):
        title = _title(hint)
        return f"[{title.lower()}](#{title.lower().replace(' ', '-')})"
    assert issubclass(hint, Enum), hint
    return "string"


def _values(hint: Any) -> str:  # noqa: ANN401 (an annotation)
    kinds = [one for one in (hint, *get_args(hint)) if isinstance(one, type) and issubclass(one, Enum)]
    return "".join(f" One of {', '.join(f'`{member.value}`' for member in kind)}." for kind in kinds)


if __name__ == "__main__":
    typer.echo(page(), nl=False)
