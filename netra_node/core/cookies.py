"""Cookies of a request (RFC 6265 §4.2.1), read as Go's net/http reads them. Belongs here: names and values, what is invalid.

Does not belong here: which of them anybody wants, what their names may be.
"""

import re
from collections.abc import Container, Iterable, Iterator
from itertools import islice
from typing import Final

#: No more pairs of a request are looked at: browsers keep at most 180 for a site, and 64 KiB of semicolons would take 20 ms.
MOST: Final = 200

#: cookie-octet, and the blank and comma that many send.
_VALUE = re.compile(rb"[ !#-:<-\[\]-~]*")


def cookies(headers: Iterable[bytes], wanted: Container[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and value of the `wanted` cookies in all Cookie headers of a request, as they come; values may be empty.

    Quotes around a value are taken away; a pair with an invalid value is passed over.
    """
    pairs = (pair for header in headers for pair in header.split(b";", MOST)[:MOST])
    for pair in islice(pairs, MOST):
        name, _, value = pair.strip(b" \t").partition(b"=")
        if name not in wanted:
            continue
        if len(value) > 1 and value.startswith(b'"') and value.endswith(b'"'):
            value = value[1:-1]
        if _VALUE.fullmatch(value):
            yield name, value
