"""The part of docs/migrating-from-netramesh.md that the code knows better: `python -m e2e.support.migration_page` writes it anew."""

from typing import Final

from e2e.support.doc_page import DOCS, renewed
from netra_node.settings.variables import VARIABLES, Variable
from tests.settings.netramesh import NETRAMESH

PAGE: Final = DOCS / "migrating-from-netramesh.md"


def by_name(name: str) -> Variable[object]:
    """The variable that has the name, as its own or as its alias."""
    return next(variable for variable in VARIABLES if name in {variable.name, variable.alias})


def _row(name: str) -> str:
    variable = by_name(name)
    called = f"`{name}`" if variable.name == name else f"`{name}` (or `{variable.name}`)"
    defaults = [f"`{text}`" if text else "" for text in (NETRAMESH[name][0], variable.default)]
    return f"| {called} | {' | '.join(defaults)} | {variable.difference or 'nothing'} |"


def parts() -> dict[str, str]:
    """Every generated part by its name."""
    head = [
        "| variable | netramesh's default | default here | otherwise than in netramesh |",
        "| --- | --- | --- | --- |",
    ]
    return {"variables": "\n".join([*head, *map(_row, NETRAMESH), ""])}


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(), parts()))
