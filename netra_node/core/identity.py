"""Who a workload is, in the words telemetry uses. Values only; `discovery` works them out."""

from dataclasses import dataclass

from netra_node.core.addresses import PodUid


@dataclass(frozen=True, slots=True)
class PodIdentity:
    """One pod as its spans and metrics name it.

    `attributes` are the OpenTelemetry resource attributes besides `service.name`, in the order they are exported.
    """

    uid: PodUid
    namespace: str
    name: str
    service: str
    attributes: tuple[tuple[str, str], ...] = ()
