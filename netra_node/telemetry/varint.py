"""Unsigned integers in seven bits a byte, as protobuf and Thrift's compact protocol write them. Belongs here: that, and fast."""

from struct import Struct
from typing import Final

UINT64: Final = (1 << 64) - 1
#: Set in every byte but the last.
_MORE: Final = 0x80
_LOW: Final = 0x7F
#: From here on there are eight bytes and more: ids and times.
_EIGHT: Final = 1 << 49

_eight = Struct("<Q").pack
_nine = Struct("<QB").pack
_ten = Struct("<QBB").pack


def varint(number: int) -> bytes:
    """Encode 0 ≤ `number` < 2^64."""
    if number < _SMALL:
        return _SMALL_VARINTS[number]
    if number < _MORE * _MORE:
        return bytes((number & _LOW | _MORE, number >> 7))
    return _in_a_loop(number) if number < _EIGHT else _at_once(number)


def _in_a_loop(number: int) -> bytes:
    encoded = bytearray()
    while number >= _MORE:
        encoded.append(number & _LOW | _MORE)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _at_once(number: int) -> bytes:
    """Spread 56 bits over eight bytes by halves: half of the loop's time for a random id."""
    spread = number & 0x0FFFFFFF | (number & 0xFFFFFFF0000000) << 4
    spread = spread & 0x3FFF00003FFF | (spread & 0x0FFFC0000FFFC000) << 2
    spread = spread & 0x7F007F007F007F | (spread & 0x3F803F803F803F80) << 1
    rest = number >> 56
    if not rest:
        return _eight(spread | 0x0080808080808080)
    spread |= 0x8080808080808080
    return _nine(spread, rest) if rest < _MORE else _ten(spread, rest & _LOW | _MORE, 1)


#: The sizes of nearly all spans and of many bodies are below; 40 KB.
_SMALL: Final = 1024
_SMALL_VARINTS: Final = [_in_a_loop(number) for number in range(_SMALL)]
