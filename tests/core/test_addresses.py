from netra_node.core.addresses import ClientAddr, OriginalDst, authority


def test_an_address_is_host_and_port_as_sockets_take_them() -> None:
    assert tuple(OriginalDst("10.0.0.7", 8080)) == ("10.0.0.7", 8080)


def test_an_address_can_be_made_from_what_a_socket_tells() -> None:
    peer: tuple[str, int, int, int] = ("fd00::7", 51000, 0, 0)

    assert ClientAddr(*peer[:2]) == ClientAddr(host="fd00::7", port=51000)


def test_only_an_ipv6_address_is_written_in_brackets() -> None:
    assert authority("10.0.0.7", 8080) == "10.0.0.7:8080"
    assert authority("shop.example", 80) == "shop.example:80"
    assert authority("fd00::7", 443) == "[fd00::7]:443"
