"""Medians, ratios, verdicts and the table, from trials made by hand."""

from dataclasses import replace

from bench.procfs import Memory
from bench.report import DIRECT, OURS, PEER, Line, Round, Verdict, as_json, lines, passed, table
from bench.trial import Sample, Trial
from bench.wrk import Load, Outcome

_LOADS = {
    "one": Load(1, 1),
    "few": Load(8, 1),
    "many": Load(32, 1),
    "close": Load(8, 1, keep_alive=False),
    "download": Load(1, 1, path="/download"),
}
_CPU_ROW = "CPU per keep-alive request, 8 connections, us"


def _trial(*, cpu: float, p50: float = 100, pss: float = 40, errors: int = 0) -> Trial:
    """Return a trial of 10 000 requests per load that took `cpu` seconds each."""
    outcome = Outcome(10_000, 10_000_000, 1.0, p50, 900, errors)
    samples = {
        name: Sample(load, outcome, cpu, machine_cpu=1.5, foreign_cpu=0.1, spans=20_000)
        for name, load in _LOADS.items()
    }
    return Trial(samples, Memory(pss, pss + 2), Memory(pss + 1, pss + 3))


def _round(ours: Trial, envoy_cpu: float = 1.0) -> Round:
    return {
        DIRECT: _trial(cpu=0, p50=50),
        OURS: ours,
        PEER: _trial(cpu=envoy_cpu, p50=250, pss=80),
    }


def _line(title: str, *rounds: Round) -> Line:
    return next(line for line in lines(rounds) if line.row.title == title)


def _with_spans(trial: Trial, load: str, spans: int) -> Trial:
    return replace(
        trial, samples={**trial.samples, load: replace(trial.samples[load], spans=spans)}
    )


def test_cpu_per_request_is_in_microseconds() -> None:
    assert _line(_CPU_ROW, _round(_trial(cpu=0.5))).figures == {OURS: 50, PEER: 100}


def test_a_figure_is_the_median_of_the_rounds() -> None:
    rounds = [_round(_trial(cpu=cpu)) for cpu in (0.4, 9.0, 0.5)]

    assert _line(_CPU_ROW, *rounds).figures[OURS] == 50


def test_added_latency_is_taken_against_direct_of_the_same_round() -> None:
    line = _line("added p50, 1 connection, us", _round(_trial(cpu=0.5, p50=130)))

    assert line.figures == {OURS: 80, PEER: 200}


def test_a_ratio_within_its_budget_is_ok() -> None:
    line = _line(_CPU_ROW, _round(_trial(cpu=0.5)))

    assert (line.ratio, line.verdict) == (0.5, Verdict.OK)


def test_a_ratio_over_its_budget_is_missed_and_fails_the_run() -> None:
    judged = lines([_round(_trial(cpu=0.7))])

    assert not passed(judged)
    assert judged[0].verdict is Verdict.MISSED


def test_a_missed_budget_of_a_later_release_does_not_fail_the_run() -> None:
    slow_downloads = _trial(cpu=0.5)
    samples = dict(slow_downloads.samples)
    samples["download"] = replace(samples["download"], cpu=5.0)
    judged = lines([_round(replace(slow_downloads, samples=samples))])

    assert Verdict.MISSED in {line.verdict for line in judged}
    assert passed(judged)


def test_a_cost_without_all_its_spans_is_no_cost() -> None:
    lost = _with_spans(_trial(cpu=0.1), "few", 19_000)

    assert _line(_CPU_ROW, _round(lost)).verdict is Verdict.SPANS


def test_spans_of_the_peer_count_as_well() -> None:
    trials = {**_round(_trial(cpu=0.1))}
    trials[PEER] = _with_spans(trials[PEER], "few", 0)

    assert not passed(lines([trials]))


def test_requests_still_open_when_wrk_ends_do_not_look_like_lost_spans() -> None:
    sample = _trial(cpu=0.1).samples["many"]

    assert replace(sample, spans=20_000 + 2 * 32).spans_complete


def test_errors_of_all_rounds_and_loads_add_up_and_fail_the_run() -> None:
    rounds = [_round(_trial(cpu=0.1, errors=1)), _round(_trial(cpu=0.1))]

    assert _line("errors", *rounds).figures[OURS] == 5
    assert not passed(lines(rounds))


def test_memory_has_an_absolute_budget() -> None:
    judged = lines([_round(_trial(cpu=0.1, pss=44.5))])
    verdicts = [line.verdict for line in judged if "PSS" in line.row.title]

    assert verdicts == [Verdict.OK, Verdict.MISSED]


def test_memory_that_only_sharing_with_the_bench_keeps_small_is_missed() -> None:
    judged = lines([_round(_trial(cpu=0.1, pss=43))])
    missed = [line.row.title for line in judged if line.verdict is Verdict.MISSED]

    assert missed == ["memory under load, files unshared, MiB"]


def test_a_run_without_ours_has_figures_and_no_verdict() -> None:
    alone = {PEER: _trial(cpu=1.0)}
    judged = lines([alone])

    assert {line.verdict for line in judged} == {Verdict.NONE}


def test_the_table_shows_figures_ratio_budget_verdict_and_spans() -> None:
    row = table(lines([_round(_trial(cpu=0.5))])).splitlines()[1]
    cells = "- 50.0 100.0 0.50x <= 0.6x ok ours 2.000, envoy 2.000"

    assert row.split() == [*_CPU_ROW.split(), *cells.split()]


def test_json_holds_the_single_rounds() -> None:
    rounds = [_round(_trial(cpu=cpu)) for cpu in (0.25, 0.5)]

    assert as_json(lines(rounds))[0]["rounds"][OURS] == [25, 50]


def test_what_others_took_is_shown_in_percent_of_a_core() -> None:
    line = _line("CPU taken by others meanwhile, % of a core", _round(_trial(cpu=0.1)))

    assert line.figures[OURS] == 10
