"""GET /pods of this node's kubelet. Belongs here: the request, the token, TLS, and what a refusal means, in words.

Does not belong here: what the list says (`pod_list`), when to ask (`kubelet_source`).
"""

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from netra_node import __version__
from netra_node.core.addresses import authority
from netra_node.discovery.source import SourceError
from netra_node.http_client import Client, Target, TransportError

if TYPE_CHECKING:
    import ssl

#: 93 pods have 365 KB; Kubernetes allows a node a few hundred, of at most 1.5 MB each.
MAX_BYTES: Final = 64 << 20
#: A busy kubelet takes 0.1 s.
_TIMEOUT: Final = 5.0
_PATH: Final = "/pods"
_OK: Final = 200
_REFUSALS: Final = {
    401: "does not accept our token (401); it also says so while it cannot ask the API server",
    403: "does not show its pods to us (403): our service account needs `get` on nodes/pods, for older kubelets on nodes/proxy",
    404: "has no /pods (404): is this a kubelet?",
}


class KubeletError(SourceError):
    """No list of pods; the message names the kubelet and tells a person why."""


@dataclass(frozen=True, slots=True)
class KubeletAccess:
    """Where the kubelet is and how it is asked."""

    host: str = "127.0.0.1"
    port: int = 10250
    secure: bool = True
    #: Certificates that its own must be signed by; without any, one that has to be verified is refused.
    authorities: Path | None = None
    #: Whether a kubelet that is not this node's may go unverified.
    insecure: bool = False
    #: A file, written anew by whoever rotates the token.
    token: Path | None = None

    @property
    def url(self) -> str:
        """How a person writes it."""
        return f"http{'s' * self.secure}://{authority(self.host, self.port)}"

    @property
    def is_local(self) -> bool:
        """Whether nothing that is sent there leaves the node."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def verifies(self) -> bool:
        """Whether its certificate counts. A kubelet signs its own by default; the node's own need not prove who it is."""
        return self.authorities is not None or not (self.insecure or self.is_local)


class Kubelet:
    """One kubelet."""

    def __init__(self, access: KubeletAccess) -> None:
        """Connect to nothing yet. Raises KubeletError where the certificates cannot be used."""
        self._access = access
        try:
            tls = _context(access) if access.secure else None
        except OSError as error:
            self._refuse(f"is not verified: {access.authorities} cannot be used: {error}", error)
        target = Target(access.host, access.port, _PATH, tls)
        fields = (("User-Agent", f"netra-node/{__version__}"), ("Accept", "application/json"))
        self._client = Client(target, fields, _TIMEOUT, MAX_BYTES)

    async def pods(self) -> bytes:
        """Return its list of pods as it is sent. Raises KubeletError."""
        try:
            answer = await self._client.get(self._authorization())
        except TransportError as error:
            self._refuse(f"cannot be asked: {error}", error)
        if answer.status != _OK:
            self._refuse(_REFUSALS.get(answer.status, f"answers {answer.status}"))
        return answer.body

    @property
    def url(self) -> str:
        """How a person writes it."""
        return self._access.url

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def _authorization(self) -> tuple[tuple[str, str], ...]:
        """Read the token anew each time: it is valid for an hour, and replaced in time (20 µs)."""
        access = self._access
        # In the clear it would be everybody's, and the read-only port asks for none.
        if access.token is None or not access.secure:
            return ()
        try:
            token = access.token.read_text().strip()
        except (OSError, UnicodeError) as error:
            self._refuse(f"takes a token, and {access.token} cannot be read: {error}", error)
        if not token or not token.isascii() or not token.isprintable():
            self._refuse(f"takes a token, and {access.token} holds none")
        return (("Authorization", f"Bearer {token}"),)

    def _refuse(self, why: str, cause: Exception | None = None) -> NoReturn:
        message = f"kubelet {self._access.url} {why}"
        raise KubeletError(message) from cause


def _context(access: KubeletAccess) -> "ssl.SSLContext":
    import ssl  # noqa: PLC0415 - 2 MB that plain HTTP does without

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not access.verifies:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif access.authorities is not None:
        context.load_verify_locations(access.authorities)
    return context
