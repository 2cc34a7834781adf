"""The specification of `netra_node.settings.formats`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.core.ports import PortSet
from netra_node.settings import formats
from netra_node.settings.formats import Endpoint

READERS: list[Callable[[str], Any]] = [
    formats.boolean,
    formats.integer(0, 65535),
    formats.ratio,
    formats.choice("a", "b"),
    formats.items(formats.choice("a", "b")),
    formats.port_set,
    formats.ip,
    formats.text,
    formats.path_rules,
    formats.tag_map,
    formats.header_name,
    formats.header_value,
    formats.label_key,
    formats.label,
    formats.pairs,
    formats.exporter_headers,
    formats.endpoint,
    formats.base_endpoint,
    formats.file_url,
    formats.number,
    formats.duration,
    formats.interval,
    formats.sampling_manager,
]


@pytest.mark.parametrize("read", READERS)
@given(text=st.text(max_size=80))
def test_any_text_is_a_value_or_a_value_error(read: Callable[[str], Any], text: str) -> None:
    try:
        value = read(text)
    except ValueError as error:
        assert str(error)  # noqa: PT017 - either ending is right
    else:
        assert value is not None


@pytest.mark.parametrize("text", ["true", "True", "TRUE", "t", "1"])
def test_booleans_are_true_as_go_reads_them(text: str) -> None:
    assert formats.boolean(text) is True


@pytest.mark.parametrize("text", ["false", "False", "F", "0"])
def test_booleans_are_false_as_go_reads_them(text: str) -> None:
    assert formats.boolean(text) is False


@pytest.mark.parametrize("text", ["yes", "on", "2", "truee"])
def test_other_words_are_no_booleans(text: str) -> None:
    with pytest.raises(ValueError, match="neither true nor false"):
        formats.boolean(text)


def test_an_integer_may_be_at_either_bound() -> None:
    read = formats.integer(-5, 5)

    assert (read("-5"), read("+5")) == (-5, 5)


@pytest.mark.parametrize("text", ["-6", "6", "999999999999999999"])
def test_an_integer_beyond_its_bounds_is_out_of_range(text: str) -> None:
    with pytest.raises(ValueError, match="out of range"):
        formats.integer(-5, 5)(text)


@pytest.mark.parametrize("text", ["1.0", "0x10", "1_0", "٣", "", "1" * 5000])
def test_other_notations_are_no_integers(text: str) -> None:
    with pytest.raises(ValueError, match="not a decimal integer"):
        formats.integer(0, 10)(text)


def test_a_ratio_may_be_nothing_or_all() -> None:
    assert (formats.ratio("0"), formats.ratio("1")) == (0.0, 1.0)


@pytest.mark.parametrize("text", ["-0.1", "1.1", "nan", "inf", "1e9"])
def test_a_ratio_beyond_its_bounds_is_out_of_range(text: str) -> None:
    with pytest.raises(ValueError, match="out of range"):
        formats.ratio(text)


def test_a_ratio_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not a number"):
        formats.ratio("half")


def test_a_choice_is_read_in_any_case() -> None:
    assert formats.choice("always_on")("ALWAYS_ON") == "always_on"


def test_something_else_is_no_choice() -> None:
    with pytest.raises(ValueError, match="not one of them"):
        formats.choice("gzip")("zstd")


def test_items_lose_the_blanks_around_them() -> None:
    assert formats.items(formats.text)(" a , b ") == ("a", "b")


def test_items_that_are_there_twice_are_kept_once() -> None:
    assert formats.items(formats.text)("b,a,b") == ("b", "a")


def test_port_lists_accept_blanks_and_ranges() -> None:
    assert formats.port_set("80, 8000-8010") == PortSet(((80, 80), (8000, 8010)))


def test_all_ports_may_be_an_asterisk() -> None:
    assert formats.port_set_or_all("*") == PortSet(((0, 65535),))


@pytest.mark.parametrize(
    ("text", "address"), [("127.0.0.1", "127.0.0.1"), ("0:0:0:0:0:0:0:1", "::1")]
)
def test_an_address_gets_its_usual_spelling(text: str, address: str) -> None:
    assert formats.ip(text) == address


@pytest.mark.parametrize("text", ["localhost", "1.2.3", "1.2.3.4/8"])
def test_a_name_or_a_network_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="not an IP address"):
        formats.ip(text)


@pytest.mark.parametrize("text", ["a\nb", "\x00", "x" * 5000])
def test_text_holds_no_controls_and_an_end(text: str) -> None:
    with pytest.raises(ValueError, match="control characters"):
        formats.text(text)


@pytest.mark.parametrize(
    ("text", "exact", "prefixes"),
    [
        ("/health", {"/health"}, ()),
        (" /health , /a b,, /health,", {"/health", "/a b"}, ()),
        ("/static/*,/a", {"/a"}, ("/static/",)),
        ("/a*b,/**", {"/a*b"}, ("/*",)),
        ("*", {"*"}, ()),
    ],
)
def test_a_star_at_the_end_of_a_path_makes_it_a_beginning(text, exact, prefixes) -> None:
    assert formats.path_rules(text) == formats.PathRules(frozenset(exact), prefixes)


def test_a_header_name_keeps_its_case() -> None:
    assert formats.header_name("X-My-Id") == "X-My-Id"


@given(st.characters(exclude_characters="!#$%&'*+-.^_`|~0123456789", exclude_categories=("L",)))
def test_a_header_name_refuses_every_other_character(character: str) -> None:
    with pytest.raises(ValueError, match="not a header name"):
        formats.header_name(f"X{character}Y")


@pytest.mark.parametrize(
    "name", ["Host", "content-length", "Transfer-Encoding", "TraceParent", "b3", "X-B3-TraceId"]
)
def test_a_header_that_http_or_tracing_needs_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="steers the message"):
        formats.header_name(name)


@pytest.mark.parametrize("value", ["a\r\nb", "a\nb", "a\x00", "é\u2028", "\x7f"])
def test_a_header_value_cannot_smuggle_a_line(value: str) -> None:
    with pytest.raises(ValueError, match="cannot be a header value"):
        formats.header_value(value)


def test_a_label_is_a_key_and_a_value() -> None:
    assert formats.label("example.com/mesh=on") == ("example.com/mesh", "on")


def test_a_label_may_have_an_empty_value() -> None:
    assert formats.label("mesh=") == ("mesh", "")


@pytest.mark.parametrize("text", ["mesh", "mesh=a b", "mesh=-a", "mesh=" + "a" * 64])
def test_what_no_pod_can_carry_is_no_label(text: str) -> None:
    with pytest.raises(ValueError, match="not key=value"):
        formats.label(text)


@pytest.mark.parametrize("key", ["", "/x", "a/b/c", "-a", "a" * 64, "Ex/a", "a" * 254 + "/b"])
def test_what_no_pod_can_carry_is_no_label_key(key: str) -> None:
    with pytest.raises(ValueError, match="not a label key"):
        formats.label_key(key)


def test_pairs_are_percent_decoded() -> None:
    assert formats.pairs("team=a%20b, env = prod") == (("team", "a b"), ("env", "prod"))


def test_of_equal_keys_the_last_holds() -> None:
    assert formats.pairs("a=1,a=2") == (("a", "2"),)


def test_an_empty_pair_is_nothing() -> None:
    assert formats.pairs("a=1,,") == (("a", "1"),)


@pytest.mark.parametrize("text", ["token", "=token", "a=1,token"])
def test_a_complaint_about_pairs_does_not_repeat_them(text: str) -> None:
    with pytest.raises(ValueError, match=r"item \d is not key=value") as caught:
        formats.pairs(text)

    assert "token" not in str(caught.value)


def test_exporter_headers_have_lower_case_names() -> None:
    assert formats.exporter_headers("Authorization=Bearer%20abc") == (
        ("authorization", "Bearer abc"),
    )


@pytest.mark.parametrize("text", ["a=x%0d%0ay", "a%20b=secret", "é=secret"])
def test_a_header_that_cannot_be_sent_is_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        formats.exporter_headers(text)

    assert "secret" not in str(caught.value)


def test_the_exporter_sets_its_framing_itself() -> None:
    with pytest.raises(ValueError, match="header 1 is one the exporter sets itself"):
        formats.exporter_headers("content-length=3")


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("http://c:4318/v1/traces", Endpoint(False, "c", 4318, "/v1/traces")),
        ("https://c", Endpoint(True, "c", 443, "/")),
        ("http://c/a?b=c", Endpoint(False, "c", 80, "/a?b=c")),
        ("http://[::1]:4318/", Endpoint(False, "::1", 4318, "/")),
    ],
)
def test_an_endpoint_is_used_as_it_is(url: str, wanted: Endpoint) -> None:
    assert formats.endpoint(url) == wanted


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://c:4318", "/v1/traces"),
        ("http://c:4318/", "/v1/traces"),
        ("http://c:4318/otlp/", "/otlp/v1/traces"),
        ("http://c:4318/otlp?tenant=a", "/otlp/v1/traces?tenant=a"),
    ],
)
def test_the_path_of_traces_is_appended_to_a_base(url: str, target: str) -> None:
    assert formats.base_endpoint(url).target == target


@pytest.mark.parametrize(
    "url",
    [
        "c:4318",
        "grpc://c:4317",
        "http://",
        "http://:80",
        "http://c:x",
        "http://c:99999",
        "http://[c",
    ],
)
def test_what_is_no_http_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        formats.endpoint(url)


def test_a_url_cannot_break_the_request_line() -> None:
    with pytest.raises(ValueError, match="characters that a URL cannot hold"):
        formats.endpoint("http://c/a b")


def test_a_password_in_a_url_is_refused_without_repeating_it() -> None:
    with pytest.raises(ValueError, match="user or password") as caught:
        formats.endpoint("http://me:hunter2@c/")

    assert "hunter2" not in str(caught.value)


def test_an_endpoint_is_shown_without_its_query() -> None:
    assert str(formats.endpoint("https://[::1]/a?token=b")) == "https://[::1]:443/a"


@pytest.mark.parametrize(
    ("url", "path"), [("file:///etc/pods.yaml", "/etc/pods.yaml"), ("file:///a%20b", "/a b")]
)
def test_a_file_url_names_a_path(url: str, path: str) -> None:
    assert formats.file_url(url) == Path(path)


@pytest.mark.parametrize("url", ["/etc/pods.yaml", "file://etc/pods", "file:///", "file:///%00"])
def test_what_is_no_file_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not file:///PATH"):
        formats.file_url(url)


@pytest.mark.parametrize("word", ["kubelet", "Kubelet"])
def test_pods_come_from_the_kubelet_or_a_file(word: str) -> None:
    assert formats.pod_source(word) == formats.KUBELET
    assert formats.pod_source("file:///pods") == Path("/pods")


def test_an_origin_is_a_server_and_nothing_on_it() -> None:
    assert formats.origin("https://[::1]:10250") == formats.Endpoint(
        tls=True, host="::1", port=10250, target="/"
    )


@pytest.mark.parametrize(
    "url", ["https://node/pods", "https://node/?x", "node:10250", "ftp://node"]
)
def test_what_is_no_origin_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"names more than a server|not an http"):
        formats.origin(url)


@pytest.mark.parametrize("path", ["proc", "", "/a\nb", "~/x"])
def test_a_path_is_absolute(path: str) -> None:
    assert formats.absolute_path("/host/proc") == Path("/host/proc")
    with pytest.raises(ValueError, match="not an absolute path"):
        formats.absolute_path(path)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("statsd:8125", ("statsd", 8125)),
        ("statsd.monitoring.svc:8125", ("statsd.monitoring.svc", 8125)),
        ("10.0.0.1:8125", ("10.0.0.1", 8125)),
        ("[::1]:8125", ("::1", 8125)),
        ("[fe80::1%eth0]:1", ("fe80::1%eth0", 1)),
        (":8125", ("localhost", 8125)),
    ],
)
def test_a_host_and_a_port(value: str, wanted: tuple[str, int]) -> None:
    assert formats.host_port(value) == wanted


@pytest.mark.parametrize(
    "value",
    ["", "statsd", "8125", "::1:8125", "[::1", "[::1]", "[statsd]:8125", "a b:1", "udp://a:1"],
)
def test_what_is_no_host_and_port_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="not host:port"):
        formats.host_port(value)


@pytest.mark.parametrize("port", ["0", "65536", "statsd", ""])
def test_the_port_of_a_host_is_a_number(port: str) -> None:
    with pytest.raises(ValueError, match=r"decimal|range"):
        formats.host_port(f"statsd:{port}")


@pytest.mark.parametrize(
    ("value", "prefix"),
    [
        ("shop", "shop."),
        ("shop.web.", "shop.web."),
        ("a..", "a.."),
        (".", "."),
        ("{namespace}.{service}", "{namespace}.{service}."),
    ],
)
def test_of_the_dots_behind_a_metric_prefix_one_is_what_separates_it(
    value: str, prefix: str
) -> None:
    assert formats.metric_prefix(value) == prefix


@pytest.mark.parametrize("value", ["a:b", "a|b", "a\nb", "\u00e4" * 257, "{workload}", "a{"])
def test_a_metric_prefix_cannot_end_a_name_or_fill_a_datagram(value: str) -> None:
    with pytest.raises(ValueError, match=r"end a name|control|too long|field|braces"):
        formats.metric_prefix(value)


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("x-a:a", (("x-a", "a"),)),
        ("x-a:a,X-B:http.b", (("x-a", "a"), ("X-B", "http.b"))),
        (" x-a : a , x-b:b", (("x-a", "a"), ("x-b", "b"))),
        ("x-a:a:b", (("x-a", "a:b"),)),
        ("x-a:first,x-a:last", (("x-a", "last"),)),
        ("x-a:a,x-b:a", (("x-a", "a"), ("x-b", "a"))),
    ],
)
def test_a_tag_map_has_names_and_tags(text: str, pairs: tuple) -> None:
    assert formats.tag_map(text) == formats.TagMap(pairs)


@pytest.mark.parametrize(
    ("item", "why"),
    [
        ("x-b", "is not name:tag"),
        ("", "is not name:tag"),
        ("x-b:", "is not name:tag"),
        (":b", "names nothing that a request can have"),
        ("x b:b", "names nothing that a request can have"),
        ("x-b:" + "t" * 257, "makes a tag that is too long"),
    ],
)
def test_an_item_of_a_tag_map_that_means_nothing_is_skipped(item: str, why: str) -> None:
    found = formats.tag_map(f"x-a:a,{item},x-c:c")

    assert found.pairs == (("x-a", "a"), ("x-c", "c"))
    (skipped,) = found.skipped
    assert repr(item[:80]) in skipped
    assert why in skipped


def test_a_tag_map_has_at_most_32_names() -> None:
    found = formats.tag_map(",".join(f"x-{number}:t{number}" for number in range(34)))

    assert len(found.pairs) == 32
    assert found.skipped == ("'x-32:t32' is one more than 32", "'x-33:t33' is one more than 32")


@given(st.text(max_size=60).filter(str.isprintable))
def test_any_printable_text_is_a_tag_map(text: str) -> None:
    found = formats.tag_map(text)

    assert len(found.pairs) + len(found.skipped) <= text.count(",") + 1


@pytest.mark.parametrize(("text", "value"), [("0.5", 0.5), ("-1", -1), ("1e-3", 0.001)])
def test_a_number_may_be_any_finite_one(text: str, value: float) -> None:
    assert formats.number(text) == value


@pytest.mark.parametrize("text", ["x", "", "inf", "NaN", "1e999"])
def test_what_is_no_finite_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a (finite )?number"):
        formats.number(text)


@pytest.mark.parametrize(("text", "value"), [("7", 7), ("0", 5), ("10", 10), ("11", 10)])
def test_a_number_may_be_cut_and_zero_stand_for_another(text: str, value: int) -> None:
    assert formats.up_to(10, zero=5)(text) == value


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("1m", 60),
        ("1m30s", 90),
        ("1.5h", 5400),
        (".5s", 0.5),
        ("+2s", 2),
        ("100ms", 0.1),
        ("5us", 5e-6),
        ("5µs", 5e-6),
        ("5μs", 5e-6),
        ("7ns", 7e-9),
    ],
)
def test_a_duration_is_read_as_go_reads_it(text: str, seconds: float) -> None:
    assert formats.duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "1", "s", "1 s", "1d", "-1s", "1m,2s", ".s", "9" * 12 + "s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        formats.duration(text)


@pytest.mark.parametrize(("text", "seconds"), [("0s", 60), ("1ns", 0.1), ("2m", 120)])
def test_an_interval_is_never_nothing(text: str, seconds: float) -> None:
    assert formats.interval(text) == seconds


def test_who_tells_of_sampling_is_a_url_or_a_host_and_port() -> None:
    assert str(formats.sampling_manager("https://j/x")) == "https://j:443/x"
    assert str(formats.sampling_manager("j:5778")) == "http://j:5778/sampling"
