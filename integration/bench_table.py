"""Turn the runs into figures with their goals, and these into text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from bench_moves import CASES, FLOOR_OF, Case
from bench_runs import Run
from bench_steady import Steady

OUTAGE = "last acknowledgement to the next"


@dataclass(frozen=True)
class Goal:
    """What is wanted of the median, or with `worst` of the worst run: at most `limit`, or `factor` times the floor."""

    limit: float | None = None
    factor: float | None = None
    worst: bool = False


@dataclass(frozen=True)
class Figure:
    """One line of the table.  Times are in seconds; `unit` is the one to show.  `failed`: runs of ovsha that failed."""

    title: str
    label: str
    unit: str
    floor: tuple[float, ...]
    ovsha: tuple[float, ...]
    failed: int = 0
    goal: Goal | None = None

    @property
    def bound(self) -> float | None:
        """What the goal comes to; None when there is none, or no floor to count it from."""
        if self.goal is None:
            return None
        if self.goal.factor is None:
            return self.goal.limit
        return self.goal.factor * median(self.floor) if self.floor else None

    @property
    def met(self) -> bool | None:
        """Whether the goal was met, None when there is none or no floor to tell by.  With a failed run it was not."""
        if self.goal is None:
            return None
        if self.failed or not self.ovsha:
            return False
        measured = max(self.ovsha) if self.goal.worst else median(self.ovsha)
        return None if self.bound is None else measured <= self.bound


# Goals are for so many rows at most; with more a figure is shown without one.
FEW = 1000
_SILENT_DEATH = {"cut": 0.6, "cut-fast": 0.35, "stages": 1.0}


def figures(runs: Sequence[Run], steady: Sequence[Steady]) -> list[Figure]:
    """Return the figures of everything that was run, in the order of the cases."""
    found: list[Figure] = []
    for case in CASES:
        for rows in sorted({run.rows for run in runs if run.case == case.name and run.by == "ovsha"}):
            found += _of_a_case(case, rows, runs)
    for each in steady:
        found += _of_steady(each)
    return found


def title(case: Case, rows: int) -> str:
    """Return what stands above the figures of a case."""
    return f"{case.title}, {rows:,} rows"


def pick(runs: Iterable[Run], case: str, rows: int, by: str) -> list[Run]:
    """Return the runs of one case, the failed ones among them."""
    return [run for run in runs if (run.case, run.rows, run.by) == (case, rows, by)]


def _of_a_case(case: Case, rows: int, runs: Sequence[Run]) -> Iterator[Figure]:
    ours = pick(runs, case.name, rows, "ovsha")
    theirs = pick(runs, FLOOR_OF.get(case.name, case.name), rows, "floor")
    failed = sum(bool(run.failure) for run in ours)

    def figure(
        label: str, unit: str, value: Callable[[Run], float | None], goal: Goal | None = None, floor: bool = True
    ) -> Figure:
        of_floor = _values(theirs, value) if floor else ()
        return Figure(title(case, rows), label, unit, of_floor, _values(ours, value), failed, goal)

    few = rows <= FEW
    accepted_goal = Goal(0.05) if case.planned else Goal(0.03) if case.name == "kill" else None
    since = "last acknowledgement" if case.planned else "fault"
    yield figure(f"{since} to connection accepted", "ms", lambda run: run.accepted, accepted_goal)
    if case.name in _SILENT_DEATH:
        outage_goal = Goal(_SILENT_DEATH[case.name]) if few else None
    elif case.planned:
        outage_goal = Goal(factor=2.0)
    else:
        outage_goal = Goal(factor=1.5) if few else None
    yield figure(OUTAGE, "ms", lambda run: run.outage, outage_goal)
    missing_goal = Goal(0, worst=True) if case.planned else None
    yield figure("acknowledged writes missing", "rows", lambda run: run.missing, missing_goal)
    yield from _of_vteps(case, rows, ours, failed)


def _of_vteps(case: Case, rows: int, ours: Sequence[Run], failed: int) -> Iterator[Figure]:
    """The floor does nothing for the VTEP daemons, so it has no figures here."""
    for node in sorted({vtep.node for run in ours for vtep in run.vteps}):
        seen = [vtep for run in ours for vtep in run.vteps if vtep.node == node]
        back = tuple(vtep.back for vtep in seen if vtep.back is not None)
        how = Counter(vtep.how or "not at all" for vtep in seen)
        words = ", ".join(f"{word} {count}" for word, count in how.most_common())
        label = f"serving to VTEP daemon of {node} back ({words})"
        yield Figure(title(case, rows), label, "ms", (), back, failed + len(seen) - len(back), Goal(0.3, worst=True))


def _of_steady(each: Steady) -> Iterator[Figure]:
    name = f"steady state, {each.rows:,} rows" + (f", {each.acked:.0f} writes/s" if each.acked else "")
    failed = int(bool(each.failure))
    if failed:
        yield Figure(name, "could not be measured", "", (), (), failed)
        return
    for cost in each.costs:
        agent = f"agent of {cost.node}, {cost.role}"
        yield Figure(name, f"{agent}: processor", "% of a core", (), cost.processor, 0, Goal(1.0))
        yield Figure(name, f"{agent}: its children (clagctl)", "% of a core", (), (cost.children,))
        yield Figure(name, f"{agent}: resident memory", "MB", (), cost.memory, 0, Goal(60.0))
    yield Figure(name, "ovsha sync-status", "ms", (), each.asked, 0, Goal(0.3))


def _values(runs: Iterable[Run], value: Callable[[Run], float | None]) -> tuple[float, ...]:
    found = (value(run) for run in runs if not run.failure)
    return tuple(each for each in found if each is not None)


# -- text --------------------------------------------------------------------------------------------------------------

WIDTHS = (58, 20, 24, 5, 18)


def table(found: Sequence[Figure]) -> str:
    """Return the table; each value is a median with the least and the most in brackets.

    A goal is for the median, and one with "each" for every run.
    """
    lines = [_line("", "floor", "ovsha", "ratio", "goal", "")]
    last = ""
    for figure in found:
        if figure.title != last:
            lines += ["", figure.title]
            last = figure.title
        lines.append(_of_a_figure(figure))
    return "\n".join(lines)


def _of_a_figure(figure: Figure) -> str:
    ours = _spread(figure.ovsha, figure.unit) if figure.ovsha else "-"
    if figure.failed:
        ours += f", {figure.failed} failed"
    has_ratio = figure.floor and figure.ovsha and median(figure.floor) > 0
    ratio = f"{median(figure.ovsha) / median(figure.floor):.1f}" if has_ratio else "-"
    met = {True: "met", False: "NOT MET", None: ""}[figure.met]
    floor = _spread(figure.floor, figure.unit) if figure.floor else "-"
    return _line(f"  {figure.label}", floor, ours, ratio, _goal(figure), met)


def _goal(figure: Figure) -> str:
    if figure.goal is None:
        return "-"
    if figure.bound is None:
        return f"<= {figure.goal.factor:g} x ?"
    words = [f"<= {_number(figure.bound, figure.unit)}", *figure.unit.split()[:1]]
    words += ["each"] if figure.goal.worst else []
    words += [f"({figure.goal.factor:g}x)"] if figure.goal.factor is not None else []
    return " ".join(words)


def _spread(values: Sequence[float], unit: str) -> str:
    shown = _number(median(values), unit)
    if len(values) > 1:
        shown += f" ({_number(min(values), unit)}-{_number(max(values), unit)})"
    return f"{shown} {unit.split()[0]}"


def _number(value: float, unit: str) -> str:
    if unit == "ms":
        return f"{1000 * value:.1f}" if abs(value) < 0.1 else f"{1000 * value:.0f}"
    if unit == "rows":
        return f"{value:g}"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _line(*cells: str) -> str:
    *padded, last = cells
    return ("  ".join(cell.ljust(width) for cell, width in zip(padded, WIDTHS, strict=True)) + "  " + last).rstrip()


def phases(runs: Sequence[Run]) -> str:
    """Return where the time goes, in each case by ovsha and by the floor."""
    lines = ["Where the time goes: medians, ms after the fault; in a planned move, after the last acknowledgement on"]
    lines += ["the old side.  Of ovsha, when a step began, by its log, which has whole milliseconds; of the floor,"]
    lines += ["when it had been answered.  accepted, connected (TLS), dumped and first ack are the controller's."]
    for case in CASES:
        for rows in sorted({run.rows for run in runs if run.case == case.name}):
            for by in ("floor", "ovsha"):
                done = [run for run in pick(runs, case.name, rows, by) if not run.failure]
                if done:
                    lines += ["", f"{title(case, rows)}, {by}", *_wrapped(_medians(done))]
    return "\n".join(lines)


def _medians(runs: Sequence[Run]) -> list[str]:
    names = dict.fromkeys(name for run in runs for name in run.phases)  # of equal ones, the earlier step stays first
    middle = {name: median(run.phases[name] for run in runs if name in run.phases) for name in names}
    return [f"{name} {1000 * t:.1f}" for name, t in sorted(middle.items(), key=lambda item: item[1])]


def _wrapped(words: Sequence[str], width: int = 116) -> Iterator[str]:
    line = ""
    for word in words:
        if line and len(line) + len(word) + 3 > width:
            yield f"  {line},"
            line = word
        else:
            line = f"{line}, {word}" if line else word
    yield f"  {line}"
