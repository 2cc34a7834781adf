"""What we write and read is what dnspython reads and writes."""

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.core.dns_message import Answer, Kind, Verdict, answer, can_be_asked, question
from tests.cost import least_seconds

NAME = "b.ns.svc.cluster.local."
QUERY = question(4711, NAME, Kind.A)
LABEL = st.text("abcxyz019-_", min_size=1, max_size=63)


def reply(*records: tuple[object, ...], query: bytes = QUERY) -> dns.message.Message:
    """Return the answer with `records`, each owner, TTL, type and data."""
    message = dns.message.make_response(dns.message.from_wire(query))
    for owner, ttl, kind, *data in records:
        message.answer.append(dns.rrset.from_text(owner, ttl, "IN", kind, *data))
    return message


@given(labels=st.lists(LABEL, min_size=1, max_size=3), number=st.integers(0, 65535), kind=st.sampled_from(Kind))  # fmt: skip
def test_a_question_is_what_dnspython_reads(labels: list[str], number: int, kind: Kind) -> None:
    message = dns.message.from_wire(question(number, ".".join(labels), kind))

    assert can_be_asked(".".join(labels))
    (asked,) = message.question
    assert asked.name.to_text(omit_final_dot=True) == ".".join(labels)
    assert (message.id, asked.rdtype, asked.rdclass) == (number, kind, 1)
    assert message.flags == dns.flags.RD


@pytest.mark.parametrize("name", ["", ".", "a..b", "a" * 64, ".".join(["a" * 60] * 5), "é"])
def test_a_name_that_dns_cannot_have_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        question(1, name, Kind.A)
    assert not can_be_asked(name)


def test_addresses_are_read_with_the_least_ttl() -> None:
    message = reply((NAME, 30, "A", "10.0.0.1", "10.0.0.2"))

    found = answer(message.to_wire(), QUERY)

    assert found is not None
    assert (sorted(found.addresses), found.ttl) == (["10.0.0.1", "10.0.0.2"], 30)


def test_addresses_of_the_other_family_are_read() -> None:
    query = question(1, NAME, Kind.AAAA)
    message = reply((NAME, 5, "AAAA", "fd00::1"), (NAME, 5, "A", "10.0.0.1"), query=query)

    assert answer(message.to_wire(), query) == Answer(Verdict.FOUND, ("fd00::1",), 5)


def test_aliases_are_followed_in_whatever_order_they_come() -> None:
    records = [
        ("c.example.", 40, "A", "10.0.0.3"),
        (NAME, 60, "CNAME", "a.example."),
        ("a.example.", 20, "CNAME", "c.example."),
    ]
    for order in (records, records[::-1]):
        found = answer(reply(*order).to_wire(), QUERY)
        assert found == Answer(Verdict.FOUND, ("10.0.0.3",), 20)


def test_an_alias_of_itself_or_of_nothing_has_no_address() -> None:
    circle = reply((NAME, 60, "CNAME", "a.example."), ("a.example.", 60, "CNAME", NAME))
    nothing = reply((NAME, 60, "CNAME", "a.example."))

    assert answer(circle.to_wire(), QUERY) == Answer(Verdict.FOUND)
    assert answer(nothing.to_wire(), QUERY) == Answer(Verdict.FOUND)


def test_addresses_of_another_name_are_not_taken() -> None:
    message = reply(("evil.example.", 60, "A", "10.6.6.6"))

    assert answer(message.to_wire(), QUERY) == Answer(Verdict.FOUND)


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (dns.rcode.NXDOMAIN, Verdict.NO_SUCH_NAME),
        (dns.rcode.SERVFAIL, Verdict.FAILED),
        (dns.rcode.REFUSED, Verdict.FAILED),
        (dns.rcode.NOERROR, Verdict.FOUND),
    ],
)
def test_what_a_server_says_of_the_name(code: dns.rcode.Rcode, verdict: Verdict) -> None:
    message = reply()
    message.set_rcode(code)

    assert answer(message.to_wire(), QUERY) == Answer(verdict)


def test_a_truncated_answer_is_to_be_asked_for_again() -> None:
    message = reply((NAME, 30, "A", "10.0.0.1"))
    message.flags |= dns.flags.TC

    assert answer(message.to_wire(), QUERY) == Answer(Verdict.TRUNCATED)


def test_the_case_of_letters_may_change() -> None:
    data = reply((NAME, 30, "A", "10.0.0.1")).to_wire()
    head = data[:12] + data[12:].replace(b"cluster", b"CLUSTER")

    assert answer(head, QUERY) == Answer(Verdict.FOUND, ("10.0.0.1",), 30)


@pytest.mark.parametrize(
    "other",
    [question(4712, NAME, Kind.A), question(4711, NAME, Kind.AAAA), question(4711, "x.", Kind.A)],
    ids=["number", "kind", "name"],
)
def test_an_answer_to_another_question_is_none(other: bytes) -> None:
    assert answer(reply(query=other).to_wire(), QUERY) is None


def test_a_question_is_no_answer() -> None:
    assert answer(QUERY, QUERY) is None


def test_so_many_addresses_are_kept_and_no_more() -> None:
    message = reply((NAME, 30, "A", *(f"10.0.0.{n}" for n in range(1, 200))))
    found = answer(message.to_wire(), QUERY)

    assert found is not None
    assert len(found.addresses) == 8


def test_reading_a_huge_answer_takes_no_longer() -> None:
    message = reply((NAME, 30, "A", *(f"10.{n >> 8}.{n & 255}.1" for n in range(3000))))
    data = message.to_wire(max_size=65535)

    assert least_seconds(lambda: answer(data, QUERY)) < 0.005


@given(data=st.binary(max_size=80), at=st.integers(0, 60))
def test_whatever_comes_is_read_or_is_none(data: bytes, at: int) -> None:
    sound = reply((NAME, 9, "CNAME", "c.example."), ("c.example.", 9, "A", "10.0.0.1")).to_wire()

    answer(data, QUERY)
    answer(sound[:at] + data + sound[at + len(data) :], QUERY)
    answer(sound[: len(QUERY)] + data, QUERY)


@given(ttl=st.integers(0, 2**32 - 1), addresses=st.lists(st.ip_addresses(v=4).map(str), min_size=1, max_size=8, unique=True))  # fmt: skip
def test_any_answer_of_dnspython_is_read(ttl: int, addresses: list[str]) -> None:
    data = bytearray(reply((NAME, 0, "A", *addresses)).to_wire())
    for start in range(len(QUERY), len(data), 16):
        data[start + 6 : start + 10] = ttl.to_bytes(4, "big")

    found = answer(bytes(data), QUERY)

    assert found is not None
    assert set(found.addresses) == set(addresses)
    assert found.ttl == (ttl if ttl < 2**31 else 0)
