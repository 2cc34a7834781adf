"""Asks a running daemon over its debug port. Belongs here: where it listens, one GET. Does not belong here: what answers mean."""

import http.client
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from netra_node.core.addresses import authority
from netra_node.settings import variables as v
from netra_node.settings.environment import Environment
from netra_node.settings.model import SettingsError

_ANSWER_SECONDS: Final = 5.0
#: Addresses that mean "every one": there we ask on loopback.
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - we do not listen


class NoDaemonError(Exception):
    """No daemon answers there; the message says where, why, and what to do."""


class Where(NamedTuple):
    """Where a daemon's debug port is, as the settings have it."""

    address: str
    port: int

    def __str__(self) -> str:
        """Return it as it stands in a URL."""
        return authority(self.address, self.port)


def where(mapping: Mapping[str, str]) -> Where:
    """Read the two variables that say where the daemon listens, and no others. Raises SettingsError."""
    env = Environment(mapping)
    address, port = env.value(v.PPROF_ADDRESS), env.value(v.PPROF_PORT)
    if port == 0:
        env.complain(v.PPROF_PORT.name, "='0' does not say where the daemon is: its log does")
    if env.problems:
        raise SettingsError(tuple(env.problems))
    return Where(_EVERYWHERE.get(address, address), port)


def get(at: Where, path: str, patience: float = _ANSWER_SECONDS) -> tuple[int, bytes]:
    """Return status and body; `patience` in seconds. Raises OSError or http.client.HTTPException."""
    connection = http.client.HTTPConnection(at.address, at.port, timeout=patience)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def ask(at: Where, path: str, patience: float = _ANSWER_SECONDS) -> Any:
    """Return the JSON document at `path`. Raises NoDaemonError."""
    try:
        status, body = get(at, path, patience)
    except TimeoutError as error:
        message = (
            f"the daemon at {at} does not answer within {patience:g} s: it hangs, or it is stopped"
        )
        raise NoDaemonError(message) from error
    except (OSError, http.client.HTTPException) as error:
        message = f"no daemon answers at {at} ({_reason(error)}); is `netra-node run` running, and is NETRA_PPROF_PORT the same?"
        raise NoDaemonError(message) from error
    try:
        if status != HTTPStatus.OK:
            raise ValueError(status)  # noqa: TRY301 - one message for all that is not ours
        return json.loads(body)
    except ValueError as error:
        message = f"what answers at {at} is not netra-node; is NETRA_PPROF_PORT the daemon's?"
        raise NoDaemonError(message) from error


def _reason(error: Exception) -> str:
    words = error.strerror if isinstance(error, OSError) else None
    return (words or str(error) or type(error).__name__).lower()
