"""What passes between the cluster's API and those who ask it: rights, what a command said, errors. No I/O, and no Kubernetes client."""

from typing import NamedTuple


class ClusterError(Exception):
    """The cluster cannot be asked, or refuses; the message says what, and what to do."""


class ConfigurationError(ClusterError):
    """What says which cluster is meant cannot be used."""


class Said(NamedTuple):
    """What a command in a daemon's container printed; `failure` is empty where it ended with 0."""

    out: str
    err: str
    failure: str


class Right(NamedTuple):
    """Something that may be done; without a namespace it is the cluster's."""

    verb: str
    resource: str
    subresource: str
    namespace: str = ""

    def __str__(self) -> str:
        """Return it as a role names it; `kubectl auth can-i` would take pods/exec for a pod called exec."""
        return f"{self.verb} {self.resource}/{self.subresource}"
