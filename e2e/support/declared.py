"""What the daemon may add to a request, and nothing else: the declared headers, as a block before the empty line."""

import re

#: In exactly this order and spelling, directly before the empty line. X-Source is of outbound requests only.
_BLOCK = re.compile(
    rb"traceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]\r\n"
    rb"uber-trace-id: [0-9a-f]{1,32}:[0-9a-f]{1,16}:[0-9a-f]{1,16}:[0-9a-f]{1,2}\r\n"
    rb"(?:X-Request-Id: [0-9a-f-]{36}\r\n)?"
    rb"(?:X-Source: [a-z0-9-]+\r\n)?"
    rb"(?=\r\n)"
)


def without(data: bytes) -> bytes:
    """The bytes that are the sender's."""
    return _BLOCK.sub(b"", data)


def count(data: bytes) -> int:
    """How many requests headers were declared in."""
    return len(_BLOCK.findall(data))
