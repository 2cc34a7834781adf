"""An input as a script: what happens to one connection, in order. Every byte string is one.

Belongs here: the format. A command begins with the byte 0xFE and a letter; what follows up to the next 0xFE are its bytes:

    <  the client sends them            >  the server sends them
    (  the client sends them singly     )  the server sends them singly
    C  the client's FIN                 S  the server's FIN
    w  50 ms pass                       l  one second passes        r  the shell's timer fires early

Any other letter is the client's. What stands before the first command chooses the limits: `s` small ones.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from netra_node.core.limits import Limits
from tests.core.watched import MARK, Watched

_COMMAND = b"\xfe"
_SMALL = Limits(head=100, fields=4, interim=2, unanswered=2, turn=40, chunk_line=24)
_DEFAULT = Limits()


def play(script: bytes) -> Watched:
    """Do what the script says, then judge the whole; raises AssertionError where something does not hold."""
    limits, *commands = script.split(_COMMAND)
    watched = Watched(_SMALL if limits.startswith(b"s") else _DEFAULT)
    if MARK.lower() in script.lower():
        return watched
    for command in commands:
        _VERBS.get(command[:1], Watched.client)(watched, command[1:])
    watched.finish()
    return watched


def _singly(verb: Callable[[Watched, bytes], object]) -> Callable[[Watched, bytes], object]:
    def each(watched: Watched, data: bytes) -> None:
        for place in range(len(data)):
            verb(watched, data[place : place + 1])

    return each


_VERBS: dict[bytes, Callable[[Watched, bytes], object]] = {
    b"<": Watched.client,
    b">": Watched.server,
    b"(": _singly(Watched.client),
    b")": _singly(Watched.server),
    b"C": lambda watched, _: watched.client_fin(),
    b"S": lambda watched, _: watched.server_fin(),
    b"w": lambda watched, _: watched.wait(50),
    b"l": lambda watched, _: watched.wait(1000),
    b"r": lambda watched, _: watched.release(),
}


if __name__ == "__main__":
    for name in sys.argv[1:]:
        seen = play(Path(name).read_bytes())
        print(name, *seen.events, sep="\n  ")
