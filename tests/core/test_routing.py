"""A route's syntax is netramesh's, to the byte; where a request keeps it, too."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.core.headers import HeaderView
from netra_node.core.routing import (
    MAX_ITEMS,
    MAX_VALUE,
    MalformedError,
    RouteNames,
    RouteSource,
    Target,
    check,
    choose,
)


class View(HeaderView):
    """Fields of a head, names in lower case."""

    def __init__(self, *fields: tuple[bytes, bytes]) -> None:
        self.fields = fields
        self.repeats = True

    def get(self, name: bytes) -> bytes | None:
        return next((value for known, value in self.fields if known == name), None)

    def get_all(self, name: bytes) -> list[bytes]:
        return [value for known, value in self.fields if known == name]


@pytest.mark.parametrize(
    ("value", "host", "target"),
    [
        (b"a=b", b"a", ("b", 80)),
        (b"a=b:8080", b"a", ("b", 8080)),
        (b"a=b,c=d", b"c", ("d", 80)),
        (b"a=b,a=d", b"a", ("b", 80)),
        (b"a=10.0.0.7", b"a", ("10.0.0.7", 80)),
        (b"a=10.0.0.7:81", b"a", ("10.0.0.7", 81)),
        (b"a=[fd00::7]", b"a", ("fd00::7", 80)),
        (b"a=[fd00::7]:81", b"a", ("fd00::7", 81)),
        (b"a:81=b", b"a:81", ("b", 80)),
        (b"a=b.c.svc.cluster.local.", b"a", ("b.c.svc.cluster.local.", 80)),
        (b"a=B", b"a", ("b", 80)),
        (b"a=b_c-2", b"a", ("b_c-2", 80)),
        (b"a=b=c", b"a", ("b", 80)),
        (b"a=a,a=b", b"a", ("b", 80)),
        (b"a=b,junk", b"a", ("b", 80)),
        (b"=b", b"", ("b", 80)),
    ],
)
def test_the_first_item_whose_left_side_is_the_host_says_where_to(
    value: bytes, host: bytes, target: tuple[str, int]
) -> None:
    assert choose(value, host) == Target(*target)


@pytest.mark.parametrize(
    ("value", "host"),
    [
        (b"a=b", b"A"),
        (b"a=b", b"a:80"),
        (b"a:80=b", b"a"),
        (b"a=b, c=d", b"c"),
        (b" a=b", b"a"),
        (b"a=a", b"a"),
        (b"ab=c", b"a"),
        (b"a=b", b""),
    ],
)
def test_any_other_host_goes_where_it_wanted_to(value: bytes, host: bytes) -> None:
    assert choose(value, host) is None


@pytest.mark.parametrize("value", [b"junk", b"junk,a=b", b"c=d,junk,a=b", b",a=b", b"a;b"])
def test_an_item_without_an_equals_sign_makes_it_malformed_though_a_later_one_matches(
    value: bytes,
) -> None:
    with pytest.raises(MalformedError):
        choose(value, b"a")


def test_one_that_is_too_long_is_malformed() -> None:
    assert choose(b"a=b," + b"c" * (MAX_VALUE - 4), b"a") == Target("b", 80)
    with pytest.raises(MalformedError):
        choose(b"a=b," + b"c" * (MAX_VALUE - 3), b"a")
    with pytest.raises(MalformedError):
        check(b"a=" + b"b" * MAX_VALUE)


def test_one_of_too_many_items_is_malformed() -> None:
    value = b"a=b" + b",c=d" * (MAX_ITEMS - 1)
    check(value)
    assert choose(value, b"a") == Target("b", 80)
    for read in (check, lambda value: choose(value, b"a")):
        with pytest.raises(MalformedError):
            read(value + b",e=f")


@pytest.mark.parametrize(
    "right",
    [b"", b":80", b"b:", b"b:0", b"b:65536", b"b:http", b"b:8:1", b"fd00::7", b"[fd00::7", b"[b]:80", b"[fe80::1%eth0]", b"[fd00::7]80", b"b c", b"b/x", b"u@b", b"-b", b"b..c", b"b\xe9", b"." , b"b" * 64, b".".join([b"b" * 60] * 5)],
)  # fmt: skip
def test_a_right_side_that_is_no_host_cannot_be_dialled(right: bytes) -> None:
    assert choose(b"a=" + right, b"a") == Target("", 0)


def test_check_wants_every_item_to_have_an_equals_sign() -> None:
    check(b"a=b,c=d:81,e=")
    for value in (b"junk", b"a=b,junk", b"a=b,"):
        with pytest.raises(MalformedError):
            check(value)


@given(value=st.binary(max_size=60) | st.text("ab=,:[]1.", max_size=20).map(str.encode), host=st.binary(max_size=9) | st.text("ab:1", max_size=3).map(str.encode))  # fmt: skip
def test_whatever_comes_it_is_a_target_or_none_or_malformed(value: bytes, host: bytes) -> None:
    try:
        target = choose(value, host)
    except MalformedError:
        with pytest.raises(MalformedError):
            check(value)
        return
    if target is not None:
        assert host + b"=" in value
        assert target == ("", 0) or (0 < target.port < 65536 and target.host.isascii())


# ---- where a request keeps it


@pytest.mark.parametrize(
    ("header", "value"),
    [
        (b"R=a=b", b"a=b"),
        (b"x=1; R=a=b,c=d:81; y=2", b"a=b,c=d:81"),
        (b'R="a=b"', b"a=b"),
        (b"R=; R=a=b", b""),
        (b"r=a=b", b""),
        (b"R", b""),
        (b"xR=a=b", b""),
        (b'R=a"b; R=a=b', b"a=b"),
        (b"R=a\\b", b""),
        (b"", b""),
    ],
)
def test_a_cookie_is_the_first_valid_one_of_its_name(header: bytes, value: bytes) -> None:
    source = RouteSource(RouteNames(cookie=b"R"))

    assert source.of(View((b"cookie", header))) == value


BOTH = View((b"cookie", b"R=c=1"), (b"x-route", b"h=1"))


@pytest.mark.parametrize(
    ("cookie_name", "view", "value"),
    [
        (b"R", BOTH, b"c=1"),
        (None, BOTH, b"h=1"),
        (b"Q", BOTH, b"h=1"),
        (b"R", View((b"cookie", b"R="), (b"x-route", b"h=1")), b"h=1"),
        (b"R", View((b"cookie", b"x=1"), (b"cookie", b"R=c=1")), b"c=1"),
        (b"R", View((b"x-route", b"")), b""),
        (b"R", View(), b""),
    ],
    ids=["cookie first", "disabled", "another", "empty", "second Cookie", "empty header", "none"],
)
def test_the_cookie_comes_before_the_header(
    cookie_name: bytes | None, view: View, value: bytes
) -> None:
    assert RouteSource(RouteNames(cookie=cookie_name)).of(view) == value


def test_it_reads_cookies_only_where_they_count() -> None:
    assert RouteSource(RouteNames()).fields == (b"x-route",)
    assert RouteSource(RouteNames(b"Way", b"R")).fields == (b"way", b"cookie")
