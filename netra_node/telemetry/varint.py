"""Integers in seven bits a byte, as protobuf and Thrift's compact protocol write them. Belongs here: that, and fast."""

from array import array
from struct import Struct
from typing import Final

UINT64: Final = (1 << 64) - 1
#: Set in every byte but the last.
_MORE: Final = 0x80
_LOW: Final = 0x7F

_eight = Struct("<HHHH").pack
_nine = Struct("<HHHHB").pack
_ten = Struct("<HHHHBB").pack


def varint(number: int) -> bytes:
    """Encode 0 ≤ `number` < 2^64."""
    if number < _SMALL:
        return _SMALL_VARINTS[number]
    if number < _MORE * _MORE:
        return bytes((number & _LOW | _MORE, number >> 7))
    return _in_a_loop(number) if number < _LARGE else _at_once(number)


def zigzag(number: int) -> bytes:
    """Encode -2^63 ≤ `number` < 2^64, from 2^63 on as the negative number of the same bits: small ones of either sign are short."""
    if 0 <= number < _HALF:
        return _SMALL_VARINTS[number << 1]
    bits = number & UINT64
    bits = bits << 1 & UINT64 ^ UINT64 if bits >> 63 else bits << 1
    return _at_once(bits) if bits >= _LARGE else varint(bits)


def _in_a_loop(number: int) -> bytes:
    encoded = bytearray()
    while number >= _MORE:
        encoded.append(number & _LOW | _MORE)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _at_once(number: int) -> bytes:
    """Encode an id or a time, `_LARGE` and more, by pairs of bytes: half of the loop's time."""
    pairs = _PAIRS
    a, b, c = pairs[number & 0x3FFF], pairs[number >> 14 & 0x3FFF], pairs[number >> 28 & 0x3FFF]
    d, rest = pairs[number >> 42 & 0x3FFF], number >> 56
    if not rest:
        return _eight(a, b, c, d & _LAST)
    return _nine(a, b, c, d, rest) if rest < _MORE else _ten(a, b, c, d, rest & _LOW | _MORE, 1)


#: The sizes of nearly all spans and of many bodies are below; 40 KB.
_SMALL: Final = 1024
_HALF: Final = _SMALL >> 1
_SMALL_VARINTS: Final = [_in_a_loop(number) for number in range(_SMALL)]
#: The smallest number of eight bytes.
_LARGE: Final = 1 << 49
#: 14 bits as two bytes that both have a next one, little-endian; and the mask that takes the next one away. 32 KB.
_PAIRS: Final = array(
    "H", (pair & _LOW | _MORE | (pair >> 7 | _MORE) << 8 for pair in range(1 << 14))
)
_LAST: Final = 0x7FFF
