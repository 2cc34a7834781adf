"""Opens the sockets of the admin listeners. Belongs here: address families and the error a person reads, nothing of HTTP."""

import errno
import os
import socket
from collections.abc import Callable

MakeSocket = Callable[[socket.AddressFamily, socket.SocketKind], socket.socket]

#: Probes and scrapes come one at a time; a queue beyond this means nobody is accepting.
_BACKLOG = 64


class ListenError(Exception):
    """An admin address cannot be had; the message names it and says why."""


def open_listener(
    address: str | None, port: int, make_socket: MakeSocket = socket.socket
) -> socket.socket:
    """Listen on `address`, None meaning every address of both families; port 0 lets the kernel choose. Raises ListenError."""
    try:
        if address is None:
            return _all_addresses(port, make_socket)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return _listen(make_socket, family, address, port)
    except OSError as error:
        raise ListenError(_explain(address, port, error)) from error


def _all_addresses(port: int, make_socket: MakeSocket) -> socket.socket:
    try:
        return _listen(make_socket, socket.AF_INET6, "::", port)
    except OSError as error:
        # A kernel without IPv6 refuses the family; one with IPv6 switched off at run time may refuse the address.
        if error.errno not in {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}:
            raise
        # Meant: kubelet and Prometheus come from outside.
        return _listen(make_socket, socket.AF_INET, "0.0.0.0", port)  # noqa: S104


def _listen(
    make_socket: MakeSocket, family: socket.AddressFamily, address: str, port: int
) -> socket.socket:
    listener = make_socket(family, socket.SOCK_STREAM)
    try:
        # Without it a restart would fail for a minute: connections closed by the old process are in TIME_WAIT.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address != "::"))
        listener.bind((address, port))
        listener.listen(_BACKLOG)
        listener.setblocking(False)  # noqa: FBT003 - the standard library's signature
    except BaseException:
        listener.close()
        raise
    return listener


def _explain(address: str | None, port: int, error: OSError) -> str:
    where = f"port {port}" if address is None else f"{address} port {port}"
    # getaddrinfo's errors, for an address that is none, have numbers of their own, below zero.
    why = os.strerror(error.errno) if error.errno and error.errno > 0 else "not an address"
    return f"cannot listen on {where}: {why.lower()}"
