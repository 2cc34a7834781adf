"""Exporters of the OpenTelemetry SDK that are installed, by the names of their entry points. Belongs here: finding them.

Does not belong here: running them (`sdk_exporter`).
"""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

#: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#exporter-selection, as Python does it.
_GROUP: Final = "opentelemetry_traces_exporter"


class PluginError(Exception):
    """An exporter that cannot be used; the message says which and why."""


def installed_exporters() -> tuple[str, ...]:
    """Return their names, sorted."""
    return tuple(sorted({point.name for point in _points()}))


def make_installed(name: str) -> object:
    """Return a new exporter, which reads its own variables. Raises PluginError."""
    try:
        (point, *_) = [point for point in _points() if point.name == name]
        made: object = point.load()()
    # whatever others' code raises while it is imported or started
    except Exception as error:
        message = f"the exporter {name} cannot be used: {type(error).__name__}: {error}"
        raise PluginError(message) from error
    return made


def _points() -> "list[EntryPoint]":
    from importlib.metadata import entry_points  # noqa: PLC0415 - brings an e-mail parser, 1 MB

    return list(entry_points(group=_GROUP))
