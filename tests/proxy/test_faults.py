import pytest

from netra_node.proxy.faults import describe, report, tell


class PlantedError(Exception):
    """Whatever may fail."""


def raise_planted(message: str = "Cookie: secret") -> None:
    raise PlantedError(message)


def caught(message: str = "Cookie: secret") -> PlantedError:
    with pytest.raises(PlantedError) as failure:
        raise_planted(message)
    return failure.value


def test_an_error_is_described_by_its_type_and_its_place() -> None:
    described = describe(caught())

    assert described.startswith("PlantedError at ")
    assert described.endswith(" raise_planted")
    assert "test_faults.py:" in described


def test_what_an_error_says_is_not_told() -> None:
    assert "secret" not in describe(caught())


def test_an_error_never_raised_has_a_description_too() -> None:
    assert describe(PlantedError("secret")) == "PlantedError at "


def test_each_place_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    for message in ("one", "two"):
        report("reading", caught(message))

    assert len(caplog.records) == 1


def test_another_place_is_told_of_too(caplog: pytest.LogCaptureFixture) -> None:
    report("reading", caught())
    report("reading", PlantedError())

    assert len(caplog.records) == 2


def test_telling_passes_the_arguments_on() -> None:
    seen: list[object] = []

    tell(lambda *what: seen.extend(what), 1, 2)

    assert seen == [1, 2]


def test_a_listener_that_raises_is_told_of_and_goes_no_further(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tell(raise_planted)

    assert "an observer failed: PlantedError" in caplog.text
