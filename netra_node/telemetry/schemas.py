"""Which schema the spans of an exporter follow. Belongs here: the names of schemas, what each exporter's users expect.

Does not belong here: what a schema says (`spans`, `netramesh`).
"""

from dataclasses import dataclass
from typing import Final

from netra_node.core.tags import DEBUG_ID_TAG
from netra_node.telemetry import netramesh, spans
from netra_node.telemetry.netramesh import NetrameshSchema
from netra_node.telemetry.paths import PathNames, Template
from netra_node.telemetry.spans import OtelSchema, Schema

OTEL: Final = "otel"
NETRAMESH: Final = "netramesh"
#: Keys that spans have by themselves, whatever their schema.
KEYS: Final = spans.KEYS | netramesh.KEYS | {DEBUG_ID_TAG}
#: Every name of a schema, for messages.
NAMES: Final = (OTEL, NETRAMESH)
#: Of exporters by their names in OTEL_TRACES_EXPORTER; all others have `otel`.
_DEFAULTS: Final = {"jaeger": NETRAMESH}


@dataclass(frozen=True, slots=True)
class SpanOptions:
    """How spans look; None: as it is usual with the exporter or the schema."""

    schema: str | None = None
    path_templates: tuple[Template, ...] = ()
    path_collapse: bool | None = None


def schema_for(exporter: str, options: SpanOptions) -> Schema:
    """Return the schema for spans that go by `exporter`, a name of OTEL_TRACES_EXPORTER."""
    name = options.schema or _DEFAULTS.get(exporter, OTEL)
    collapse = options.path_collapse
    if name == NETRAMESH:
        return NetrameshSchema(PathNames(options.path_templates, collapse=collapse is True))
    return OtelSchema(PathNames(options.path_templates, collapse=collapse is not False))
