"""An environment, read variable by variable. Belongs here: what counts as set, aliases, unknown names, collecting complaints.

Does not belong here: which variables there are (`variables`), what they mean together (`model`).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeVar

from netra_node.settings.variables import Variable

T = TypeVar("T")

#: A name that begins so is meant for us, so one we do not know deserves a word.
_OURS = ("NETRA_", "JAEGER_", "OTEL_EXPORTER_OTLP_", "OTEL_BSP_", "OTEL_TRACES_")
#: Signals that others export.
_THEIRS = ("OTEL_EXPORTER_OTLP_METRICS_", "OTEL_EXPORTER_OTLP_LOGS_")
#: What Kubernetes sets for each Service of the namespace, by name; the port variables by value.
_SERVICE_LINK = re.compile(
    r".+_SERVICE_HOST|.+_SERVICE_PORT(?:_.+)?|.+_PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_PROTO|_PORT|_ADDR)?"
)
_SERVICE_LINK_VALUE = re.compile(r"(?:tcp|udp|sctp)://.*", re.DOTALL)
_USER_INFO = re.compile("//[^/]*@")
#: Stands in for a secret.
HIDDEN = "(hidden)"
#: A complaint shows no more of a value than this.
_SHOWN = 120


@dataclass(frozen=True, slots=True)
class Problem:
    """One setting that cannot be used, as a person reads it: `NETRA_PORT='x' is not ...; it takes ...`."""

    variable: str
    text: str

    def __str__(self) -> str:
        """Return the sentence."""
        return f"{self.variable}{self.text}"


def is_service_link(name: str, value: str) -> bool:
    """Tell whether Kubernetes set this because a Service has such a name, and not the operator."""
    by_value = "_PORT" in name and _SERVICE_LINK_VALUE.fullmatch(value) is not None
    return by_value or _SERVICE_LINK.fullmatch(name) is not None


class Environment:
    """What is set, without blanks around values and without service links; empty is unset. Complaints pile up in it."""

    def __init__(self, mapping: Mapping[str, str]) -> None:
        """Copy `mapping`."""
        self._values = {
            name: value.strip()
            for name, value in mapping.items()
            if value.strip() and not is_service_link(name, value.strip())
        }
        #: Kubernetes sets it in every container, with or without service links.
        self.in_cluster = bool(mapping.get("KUBERNETES_SERVICE_HOST", "").strip())
        self.problems: list[Problem] = []
        self.warnings: list[str] = []

    def is_set(self, variable: Variable[Any]) -> bool:
        """Tell whether the variable or its alias has a value."""
        return bool(self._set_names(variable))

    def value(self, variable: Variable[T]) -> T:
        """Return the value or the default, also where the value is a problem. The variable has a default."""
        found = self.optional(variable)
        return variable.format.read(variable.default) if found is None else found

    def optional(self, variable: Variable[T]) -> T | None:
        """Return the value, or None where there is none or it is a problem. A default is not looked at."""
        names = self._set_names(variable)
        found = [value for name in names if (value := self._read(name, variable)) is not None]
        if len(found) > 1 and found[0] != found[1]:
            self.complain(" and ".join(names), " are set and differ; they are one setting")
        return found[0] if found else None

    def text(self, name: str) -> str:
        """Return what any variable holds, ours or not; empty: nothing."""
        return self._values.get(name, "")

    def source(self, variable: Variable[Any]) -> str | None:
        """Return the name that decides, the variable's own or its alias; None: it is not set."""
        return next(iter(self._set_names(variable)), None)

    def shown(self, variable: Variable[Any]) -> str:
        """Return the text that is in force as it may be shown: no secret, of a URL neither password nor query."""
        name = self.source(variable)
        if name is None:
            return variable.default
        return HIDDEN if variable.secret else _showable(self._values[name])

    def complain(self, variable: str, text: str) -> None:
        """Note a problem, once however often the variable is read; `text` follows its name."""
        problem = Problem(variable, text)
        if problem not in self.problems:
            self.problems.append(problem)

    def warn_of_unknown(self, known: Iterable[Variable[Any]]) -> None:
        """Warn of names that are meant for us and are none of the `known`, with the nearest that is. Values stay unseen."""
        names = {name for variable in known for name in (variable.name, variable.alias) if name}
        for name in sorted(self._values.keys() - names):
            if name.startswith(_OURS) and not name.startswith(_THEIRS):
                near = get_close_matches(name, sorted(names), n=1, cutoff=0.8)
                hint = f"; did you mean {near[0]}?" if near else ""
                self.warnings.append(f"{name} is not a setting of this version{hint}")

    def _set_names(self, variable: Variable[Any]) -> list[str]:
        names = (variable.name, variable.alias)
        return [name for name in names if name is not None and name in self._values]

    def _read(self, name: str, variable: Variable[T]) -> T | None:
        text = self._values[name]
        try:
            return variable.format.read(text)
        except ValueError as error:
            shown = "" if variable.secret else f"={_showable(text)!r}"
            self.complain(name, f"{shown}: {error}; it takes {variable.format.takes}")
            return None


def _showable(text: str) -> str:
    """Return a value for a complaint: of a URL neither user, password nor query, and of anything not too much."""
    if "://" in text:
        text = _USER_INFO.sub("//***@", text.partition("?")[0])
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
