"""Heads and chunked bodies about whose framing two readers could differ, each by the name of its trouble."""


def _post(*lines: bytes, version: bytes = b"1.1") -> bytes:
    return b"POST / HTTP/%b\r\nHost: a\r\n" % version + b"".join(lines) + b"\r\n"


#: Request heads that make a connection opaque as `ambiguous`.
REQUESTS: dict[str, bytes] = {
    "length with chunked": _post(b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"),
    "chunked with length": _post(b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n"),
    "two different lengths": _post(b"Content-Length: 5\r\n", b"Content-Length: 6\r\n"),
    "two equal lengths": _post(b"Content-Length: 5\r\n", b"content-length: 5\r\n"),
    "length list": _post(b"Content-Length: 5, 5\r\n"),
    "length with a plus": _post(b"Content-Length: +5\r\n"),
    "length with a minus": _post(b"Content-Length: -5\r\n"),
    "length in hexadecimal": _post(b"Content-Length: 0x5\r\n"),
    "length with an underscore": _post(b"Content-Length: 5_0\r\n"),
    "length with a point": _post(b"Content-Length: 5.0\r\n"),
    "length in two words": _post(b"Content-Length: 5 0\r\n"),
    "length in arabic digits": _post("Content-Length: \N{ARABIC-INDIC DIGIT FIVE}\r\n".encode()),
    "empty length": _post(b"Content-Length:\r\n"),
    "blank length": _post(b"Content-Length:  \t\r\n"),
    "length beyond 64 bits": _post(b"Content-Length: 18446744073709551621\r\n"),
    "empty coding": _post(b"Transfer-Encoding:\r\n"),
    "comma before chunked": _post(b"Transfer-Encoding: ,chunked\r\n"),
    "comma after chunked": _post(b"Transfer-Encoding: chunked,\r\n"),
    "vertical tab before chunked": _post(b"Transfer-Encoding: \x0bchunked\r\n"),
    "form feed before chunked": _post(b"Transfer-Encoding: \x0cchunked\r\n"),
    "no-break space before chunked": _post(b"Transfer-Encoding: \xa0chunked\r\n"),
    "chunked twice in a list": _post(b"Transfer-Encoding: chunked, chunked\r\n"),
    "chunked twice in two fields": _post(b"Transfer-Encoding: chunked\r\n" * 2),
    "chunked not last": _post(b"Transfer-Encoding: chunked, gzip\r\n"),
    "gzip alone": _post(b"Transfer-Encoding: gzip\r\n"),
    "identity": _post(b"Transfer-Encoding: identity\r\n"),
    "identity beside chunked": _post(
        b"Transfer-Encoding: identity\r\n", b"Transfer-Encoding: chunked\r\n"
    ),
    "tab after chunked": _post(b"Transfer-Encoding: chunked\t\r\n"),
    "quoted chunked": _post(b'Transfer-Encoding: "chunked"\r\n'),
    "chunked with a parameter": _post(b"Transfer-Encoding: chunked;q=1\r\n"),
    "nearly chunked": _post(b"Transfer-Encoding: xchunked\r\n"),
    "chunked on 1.0": _post(b"Transfer-Encoding: chunked\r\n", version=b"1.0"),
    "folded field": _post(b"Transfer-Encoding:\r\n chunked\r\n"),
    "folded by a tab": _post(b"X: a\r\n\tb\r\n"),
    "first field begins with a blank": b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    "bare LF after a field": _post(b"X: a\n", b"Content-Length: 5\r\n"),
    "bare LF after the first line": b"GET / HTTP/1.1\nHost: a\r\n\r\n",
    "bare LF everywhere": b"GET / HTTP/1.1\nHost: a\n\n",
    "bare CR in a value": _post(b"X: a\rContent-Length: 5\r\n"),
    "bare CR after the first line": b"GET / HTTP/1.1\rHost: a\r\n\r\n",
    "two CR before LF": _post(b"X: a\r\r\n"),
    "NUL in a value": _post(b"X: a\x00b\r\n"),
    "NUL in a name": _post(b"X\x00: a\r\n"),
    "control character in a value": _post(b"X: a\x01\r\n"),
    "DEL in a value": _post(b"X: a\x7f\r\n"),
    "blank before the colon": _post(b"Content-Length : 5\r\n"),
    "tab before the colon": _post(b"Transfer-Encoding\t: chunked\r\n"),
    "blank in a name": _post(b"Content Length: 5\r\n"),
    "empty name": _post(b": 5\r\n"),
    "name beyond ASCII": _post(b"Content-Length\xff: 5\r\n"),
    "name in parentheses": _post(b"(Content-Length): 5\r\n"),
    "no colon": _post(b"Content-Length\r\n"),
    "two hosts": _post(b"Host: b\r\n"),
    "two equal hosts": _post(b"HOST: a\r\n"),
}

#: Request heads that look odd and still have one meaning.
UNAMBIGUOUS: dict[str, bytes] = {
    "no field at all": b"GET / HTTP/1.1\r\n\r\n",
    "blanks around the length": _post(b"Content-Length: \t 5\t \r\n"),
    "no blank after the colon": _post(b"content-length:5\r\n"),
    "leading zeros": _post(b"Content-Length: 005\r\n"),
    "chunked in capitals": _post(b"Transfer-Encoding: CHUNKED\r\n"),
    "blank after chunked": _post(b"Transfer-Encoding: chunked \r\n"),
    "empty value": _post(b"X:\r\n"),
    "tab in a value": _post(b"X: a\tb\r\n"),
    "value beyond ASCII": _post(b"X: \xe4\xff\r\n"),
    "length on 1.0": _post(b"Content-Length: 5\r\n", version=b"1.0"),
    "the same field twice": _post(b"X: 1\r\n", b"X: 2\r\n"),
    "a name that ends like another": _post(b"X-Content-Length: 7\r\n"),
    "a value that looks like a field": _post(b"X: Content-Length: 7\r\n"),
}


def _answer(*lines: bytes, status: bytes = b"HTTP/1.1 200 OK\r\n") -> bytes:
    return status + b"".join(lines) + b"\r\n"


#: Response heads whose body has no certain end, though their grammar is sound.
UNCERTAIN_RESPONSES: dict[str, bytes] = {
    "length with chunked": _answer(b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"),
    "two different lengths": _answer(b"Content-Length: 5\r\n", b"Content-Length: 6\r\n"),
    "two equal lengths": _answer(b"Content-Length: 5\r\n" * 2),
    "length with a plus": _answer(b"Content-Length: +5\r\n"),
    "empty length": _answer(b"Content-Length:\r\n"),
    "gzip alone": _answer(b"Transfer-Encoding: gzip\r\n"),
    "chunked twice": _answer(b"Transfer-Encoding: chunked, chunked\r\n"),
    "chunked on 1.0": _answer(b"Transfer-Encoding: chunked\r\n", status=b"HTTP/1.0 200 OK\r\n"),
}

#: Response heads that are no HTTP/1.
MALFORMED_RESPONSES: dict[str, bytes] = {
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "bare LF after a field": _answer(b"Content-Length: 0\n", b"X: a\r\n"),
    "bare CR": _answer(b"X: a\rb\r\n"),
    "folded field": _answer(b"X: a\r\n b\r\n"),
    "blank before the colon": _answer(b"Content-Length : 0\r\n"),
    "NUL": _answer(b"X: \x00\r\n"),
    "no colon": _answer(b"Content-Length\r\n"),
    "status of two digits": _answer(status=b"HTTP/1.1 20 OK\r\n"),
    "status of four digits": _answer(status=b"HTTP/1.1 2000 OK\r\n"),
    "status zero": _answer(status=b"HTTP/1.1 000 OK\r\n"),
    "no status": _answer(status=b"HTTP/1.1 OK\r\n"),
    "HTTP/2": _answer(status=b"HTTP/2 200 OK\r\n"),
    "HTTP/1.2": _answer(status=b"HTTP/1.2 200 OK\r\n"),
    "another protocol": _answer(status=b"ICY 200 OK\r\n"),
    "a request": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
}

#: Chunked bodies that cannot be followed.
BROKEN_CHUNKS: dict[str, bytes] = {
    "size with a plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "size with a minus": b"-5\r\nhello\r\n0\r\n\r\n",
    "size with 0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "size with an underscore": b"0_5\r\nhello\r\n0\r\n\r\n",
    "size after a blank": b" 5\r\nhello\r\n0\r\n\r\n",
    "blank after the size": b"5 \r\nhello\r\n0\r\n\r\n",
    "size beyond 60 bits": b"1000000000000000\r\nhello\r\n0\r\n\r\n",
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "no hexadecimal size": b"g\r\nhello\r\n0\r\n\r\n",
    "size ended by LF": b"5\nhello\r\n0\r\n\r\n",
    "extension ended by LF": b"5;a\nhello\r\n0\r\n\r\n",
    "LF in an extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "CR in an extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "NUL in an extension": b"5;\x00\r\nhello\r\n0\r\n\r\n",
    "extension without a semicolon": b"5 a\r\nhello\r\n0\r\n\r\n",
    "no CRLF after the data": b"5\r\nhello0\r\n\r\n",
    "LF after the data": b"5\r\nhello\n0\r\n\r\n",
    "CR after the data": b"5\r\nhello\r0\r\n\r\n",
    "data longer than its size": b"4\r\nhello\r\n0\r\n\r\n",
    "trailer without a colon": b"0\r\nX\r\n\r\n",
    "trailer without a name": b"0\r\n: a\r\n\r\n",
    "folded trailer": b"0\r\nX: a\r\n b\r\n\r\n",
    "trailer ended by LF": b"0\r\nX: a\n\r\n",
    "NUL in a trailer": b"0\r\nX: \x00\r\n\r\n",
    "end marked by LF": b"0\r\n\n",
    "last size ended by LF": b"0\n\r\n",
}

#: Chunked bodies that look odd and still have one meaning.
SOUND_CHUNKS: dict[str, bytes] = {
    "empty": b"0\r\n\r\n",
    "one chunk": b"5\r\nhello\r\n0\r\n\r\n",
    "size in capitals": b"A\r\n0123456789\r\n0\r\n\r\n",
    "leading zeros": b"005\r\nhello\r\n000\r\n\r\n",
    "extension": b"5;name=value\r\nhello\r\n0\r\n\r\n",
    "blanks before an extension": b"5 \t;a\r\nhello\r\n0;b\r\n\r\n",
    "quoted extension": b'5;a="b; c"\r\nhello\r\n0\r\n\r\n',
    "trailers": b"5\r\nhello\r\n0\r\nX: a\r\nY:\r\n\r\n",
    "data like framing": b"7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n",
    "sizes of one, two and three digits": (
        b"1\r\na\r\n1f\r\n%b\r\n100\r\n%b\r\n0\r\n\r\n" % (b"b" * 31, b"c" * 256)
    ),
    "many tiny chunks": b"1\r\nx\r\n" * 40 + b"0\r\n\r\n",
}
