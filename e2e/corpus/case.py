"""What a case is, and the words cases are written in.

Belongs here: steps, endings, the verdict, a case, requests and answers that many cases have. Does not belong here: cases.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from e2e.corpus import marks
from e2e.corpus.marks import traced


class Ending(Enum):
    """How a side ends."""

    #: It says no more, and listens on.
    FIN = "FIN"
    #: It is gone.
    RST = "RST"


FIN, RST = Ending.FIN, Ending.RST


@dataclass(frozen=True)
class Step:
    """What a side does at once, as soon as everything the other side has said before is there."""

    client: bool
    #: Bytes are marked where they will be changed (`marks`); a number is seconds of silence.
    says: tuple[bytes | Ending | float, ...]


def c(*says: bytes | Ending | float) -> Step:
    """The client does this."""
    return Step(client=True, says=says)


def s(*says: bytes | Ending | float) -> Step:
    """The server does this."""
    return Step(client=False, says=says)


@dataclass(frozen=True)
class Case:
    """A conversation and what the daemon makes of it; the same wherever it is cut into pieces."""

    name: str
    #: Of RFC 9110 or 9112, or of `http.md`; or the family of attacks.
    rule: str
    steps: tuple[Step, ...]
    #: How the exchanges end that are seen in it.
    outcomes: Mapping[str, int]
    #: Why it is passed on as bytes from some point on; empty: it is read to its end.
    opaque: str = ""
    #: It is played between pods whose annotation names other ports for HTTP.
    other_port: bool = False
    #: Requests that come too slowly to get headers.
    slow: int = 0

    @property
    def traced(self) -> int:
        """How many requests get headers."""
        return marks.count(self.marked(client=True))

    def marked(self, *, client: bool) -> bytes:
        """Everything one side says."""
        mine = (step.says for step in self.steps if step.client is client)
        return b"".join(said for says in mine for said in says if isinstance(said, bytes))

    def behind_another(self) -> "Case":
        """The same on a connection that has had a request and its answer."""
        outcomes = {**self.outcomes, "ok": self.outcomes.get("ok", 0) + 1}
        opaque = "unsolicited" if self.opaque == "server_first" else self.opaque
        return replace(self, steps=(c(GET), s(OK), *self.steps), outcomes=outcomes, opaque=opaque)

    def verdict(self) -> str:
        """The verdict in words."""
        seen = sum(self.outcomes.values())
        words = [f"traced ({self.traced})"] if self.traced else []
        if seen > self.traced:
            words.append(f"read, no header ({seen - self.traced})")
        words += [f"{n} {outcome}" for outcome, n in self.outcomes.items() if outcome != "ok"]
        words += [f"opaque `{self.opaque}`"] if self.opaque else []
        return ", ".join(words) or "nothing to read"


def read(name: str, rule: str, *steps: Step, **outcomes: int) -> Case:
    """A conversation that is understood to its end; every traced request is answered where nothing else is said."""
    case = Case(name, rule, steps, outcomes)
    return case if outcomes else Case(name, rule, steps, {"ok": case.traced})


def becomes(reason: str, name: str, rule: str, *steps: Step, **outcomes: int) -> Case:
    """A conversation that is passed on as bytes from some point on."""
    return Case(name, rule, steps, outcomes, reason)


BINARY = random.Random(7).randbytes(3000).replace(b"\r\n\r\n", b"----")
#: A request that nobody reads as one, and one that gets headers.
UNREAD = b"GET / HTTP/1.1\r\nHost: y\r\n\r\n"
GET = traced(UNREAD)
HEAD = traced(b"HEAD /h HTTP/1.1\r\nHost: y\r\n\r\n")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def request(*lines: bytes, first: bytes = b"POST / HTTP/1.1") -> bytes:
    """A request head with `Host` and these field lines, which bring their own line ends."""
    return first + b"\r\nHost: y\r\n" + b"".join(lines) + b"\r\n"


def answer(*lines: bytes, first: bytes = b"HTTP/1.1 200 OK") -> bytes:
    """A response head with these field lines, which bring their own line ends."""
    return first + b"\r\n" + b"".join(lines) + b"\r\n"


def ambiguous(name: str, rule: str, head: bytes, reason: str = "ambiguous") -> Case:
    """A request two readers could understand differently: it and all that follows pass untouched."""
    return becomes(reason, name, rule, c(head), s(OK), c(UNREAD), s(OK))


def doubtful(name: str, rule: str, response: bytes, reason: str = "ambiguous_response") -> Case:
    """An answer two readers could understand differently."""
    return becomes(reason, name, rule, c(GET), s(response), c(UNREAD), s(OK), opaque=1)
