"""Prints settings: as a table, as JSON, as the page docs/configuration.md. Pure: values in, lines out.

Belongs here: layout. Does not belong here: which variables there are (`settings.variables`), reading them (`settings.environment`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from netra_node.cli.style import Style
from netra_node.settings.environment import Environment
from netra_node.settings.variables import SERVICE_NAME, VARIABLES, Origin, Variable

_HEADINGS: Final = ("VARIABLE", "VALUE", "FROM")
_VALUE_WIDTH: Final = 60
#: Who knows netramesh knows these, too.
_SAME: Final = frozenset({Origin.NETRAMESH, Origin.JAEGER})
#: The one variable that has a flag.
FLAG: Final = "--service-name"


@dataclass(frozen=True, slots=True)
class Effective:
    """One variable, the text that is in force as it may be shown, and where that came from."""

    variable: Variable[Any]
    value: str
    source: str


def effective(environ: Mapping[str, str], service_name: str | None) -> list[Effective]:
    """Return every variable in the order of the table; `service_name` is the flag's."""
    flags = {} if service_name is None else {SERVICE_NAME.name: service_name}
    env = Environment({**environ, **flags})
    return [
        Effective(variable, env.shown(variable), _source(variable, env, flags))
        for variable in VARIABLES
    ]


def _source(variable: Variable[Any], env: Environment, flags: Mapping[str, str]) -> str:
    name = env.source(variable)
    if variable.name in flags:
        return f"flag {FLAG}"
    if name is None:
        return "default" if variable.default else "not set"
    return "environment" if name == variable.name else f"alias {name}"


def render_settings(settings: Sequence[Effective], style: Style) -> list[str]:
    """Return a heading and a line for each variable; what was set stands out."""
    rows = [(one.variable.name, _clip(one.value) or "-", one.source) for one in settings]
    widths = [max(len(row[i]) for row in (_HEADINGS, *rows)) for i in range(len(_HEADINGS))]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in (_HEADINGS, *rows)]
    painted = (
        line if one.source in ("default", "not set") else style.bold(line)
        for one, line in zip(settings, lines[1:], strict=True)
    )
    return [style.dim(lines[0]), *painted]


def _clip(text: str) -> str:
    return text if len(text) <= _VALUE_WIDTH else text[: _VALUE_WIDTH - 1] + "…"


def document(
    settings: Sequence[Effective], problems: Sequence[str], warnings: Sequence[str]
) -> dict[str, Any]:
    """Return what `--json` prints."""
    return {
        "settings": [
            {
                "name": one.variable.name,
                "value": one.value,
                "source": one.source,
                "default": one.variable.default,
                "takes": one.variable.format.takes,
                "meaning": one.variable.meaning,
                "difference": one.variable.difference,
            }
            for one in settings
        ],
        "problems": list(problems),
        "warnings": list(warnings),
    }


_PAGE: Final = """\
# Configuration

<!-- Generated from netra_node/settings/variables.py: netra-node config --markdown > docs/configuration.md -->

Every setting of the daemon is an environment variable. A value that cannot be used ends the start with exit code 2, and all of
them are named at once; an unknown name with one of our prefixes is a warning that names the nearest known one. Empty is unset.

`netra-node config` shows what is in force and where it came from: the default, the environment, an alias or a flag. Values of
secrets are never shown, and of URLs neither password nor query.

The last two columns are for who knows a variable already. Whatever its name is known from: blanks around values and items of lists are taken, and
true and false may be written as Go has them (1, t, TRUE), in any case, where the variables of netramesh's own knew only `true`.

| variable | takes | default | meaning | known from | otherwise than in netramesh |
| --- | --- | --- | --- | --- | --- |"""


def markdown() -> str:
    """Return the page docs/configuration.md."""
    return "\n".join([_PAGE, *map(_row, VARIABLES), ""])


def _row(variable: Variable[Any]) -> str:
    alias = f" (alias `{variable.alias}`)" if variable.alias else ""
    flag = f" (flag `{FLAG}`)" if variable is SERVICE_NAME else ""
    default = f"`{_cell(variable.default)}`" if variable.default else ""
    meaning = _cell(variable.meaning) + (" Secret." if variable.secret else "")
    takes = _cell(variable.format.takes)
    name = f"`{variable.name}`{alias}{flag}"
    difference = _cell(variable.difference) or ("nothing" if variable.origin in _SAME else "")
    return f"| {name} | {takes} | {default} | {meaning} | {variable.origin.value} | {difference} |"


def _cell(text: str) -> str:
    """Return text that ends neither the cell nor is taken for HTML."""
    return text.replace("|", "\\|").replace("<", "&lt;")
