"""The doctor's page, letter by letter."""

from netra_node.cli.doctor_checks import Check, Verdict
from netra_node.cli.doctor_report import document, passed, render_checks
from netra_node.cli.style import PLAIN, Style

GOOD = Check("kernel", Verdict.OK, "Linux 6.18", "the kernel removes our rules")
ODD = Check(
    "open files", Verdict.WARNING, "at most 5000 open files", "connections need two", "raise it"
)
BAD = Check("rules", Verdict.FAILED, "refused", "nothing is captured without", "load the modules")
UNTRIED = Check("routes", Verdict.SKIPPED, "not tried: it takes root", "answers come back")


def test_the_whole_page() -> None:
    assert "\n".join(render_checks([GOOD, ODD, BAD, UNTRIED], PLAIN)) == (
        """\
ok       kernel      Linux 6.18
warning  open files  at most 5000 open files
                     why:  connections need two
                     mend: raise it
FAILED   rules       refused
                     why:  nothing is captured without
                     mend: load the modules
-        routes      not tried: it takes root

1 ok, 1 to look at, 1 failed, 1 not tried: pods cannot be captured like this"""
    )


def test_a_long_sentence_is_broken_and_stays_in_its_column() -> None:
    lines = render_checks([Check("kernel", Verdict.OK, "word " * 40, "why")], PLAIN)[:-2]

    assert len(lines) == 3
    assert max(map(len, lines)) <= 110
    assert all(line.startswith(" " * 17 + "word") for line in lines[1:])


def test_warnings_do_not_keep_pods_from_being_captured() -> None:
    assert passed([GOOD, ODD])
    assert render_checks([GOOD, ODD], PLAIN)[-1] == "1 ok, 1 to look at: pods can be captured here"


def test_one_failure_does() -> None:
    assert not passed([GOOD, BAD])


def test_a_failure_is_painted() -> None:
    assert render_checks([BAD], Style(colour=True))[0].startswith("\x1b[31mFAILED ")


def test_as_a_document_every_check_has_all_its_parts() -> None:
    assert document([BAD]) == {
        "passed": False,
        "checks": [
            {
                "what": "rules",
                "verdict": "failed",
                "found": "refused",
                "why": "nothing is captured without",
                "mend": "load the modules",
            }
        ],
    }
