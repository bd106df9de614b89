"""The comparison of solvers at equal certified gap: sections of the report."""

import statistics
import sys

import numpy as np
from measuring import count_products, time_product
from peers import CONTENDERS, OURS
from presenting import draw_gaps, format_ratios, make_table


def report_solvers(bench):
    """Time all contenders at the same certified gap."""
    arguments = bench.arguments
    yield "## Solvers at the same certified gap"
    yield ""
    yield "skmxne is the whole `fit`, with its checks of the data. All times contain SVD, alpha_max"
    yield "and the way back to all targets; `X` is in Fortran order, and MNE's gain scaled, before."
    yield "Ratios are peer / skmxne of one round: median [min, max] over rounds. With (1 thread)"
    yield "BLAS had one thread, where that is faster: skmxne sees to this itself."
    cells = []
    for gap in arguments.gaps:
        here = []
        for problem in bench.problems:
            product = time_product(problem)
            for alpha in arguments.alphas:
                print(f"  {problem.name}, alpha {alpha:g}, gap {gap:g}", file=sys.stderr)
                cell = bench.tuner.measure(bench.contenders, problem, alpha, gap, arguments.repeats)
                cell.n_products = count_products(problem, [alpha], cell.runs[OURS].tol)
                cell.in_products = cell.n_products * product
                here.append(cell)
        yield from tabulate_times(bench, gap, here)
        cells += here
    yield from tabulate_means(bench, cells)
    yield from tabulate_gaps(bench, cells)


def tabulate_times(bench, gap, cells):
    """Tabulate seconds and ratios for one gap."""
    yield ""
    yield f"### Gap {gap:g}"
    header = ["problem", "alpha", "active", "skmxne, s", "products", "in products, s"]
    for name in bench.peers:
        header += [f"{CONTENDERS[name].label}, s", "ratio"]
    rows = []
    for cell in cells:
        row = [cell.problem.name, f"{cell.alpha:g}", cell.runs[OURS].n_active]
        row += [format_seconds(bench, cell, OURS), f"{cell.n_products:.2f}"]
        row += [f"{cell.in_products:.3g}"]
        for name in bench.peers:
            ratios = find_ratios(bench.tuner.cap, cell, name)
            bound = "> " if ratios and is_too_slow(cell, name) else ""
            row += [format_seconds(bench, cell, name), bound + format_ratios(ratios)]
        rows.append(row)
    yield from make_table(header, rows)


def is_too_slow(cell, name):
    """Tell whether a run of this peer was stopped."""
    return name in cell.runs and cell.runs[name].too_slow


def find_ratios(cap, cell, name):
    """Compute the ratios peer / skmxne of all rounds: lower bounds, if the peer is too slow."""
    ours = cell.seconds[OURS]
    theirs = cell.seconds.get(name, [])
    if is_too_slow(cell, name):
        theirs = [cap] * len(ours)
    return [their / our for their, our in zip(theirs, ours, strict=False)]


def format_seconds(bench, cell, name):
    """Format the median time of a contender, or why there is none."""
    run = cell.runs.get(name)
    if run is None:
        return "-"
    if run.too_slow:
        return f"> {bench.tuner.cap:g}"
    if not cell.seconds[name]:
        return f"not reached ({run.gap:.0e})"
    mark = " (1 thread)" if run.one_thread else ""
    return f"{statistics.median(cell.seconds[name]):.3g}{mark}"


def tabulate_means(bench, cells):
    """Tabulate the geometric mean of the ratios, over the cells that have one."""
    yield "### Geometric mean of the ratios"
    rows = []
    for gap in bench.arguments.gaps:
        for name in bench.peers:
            row = [f"{gap:g}", CONTENDERS[name].label]
            for orientations in ((1,), (3,), (1, 3)):
                here = [c for c in cells if c.gap == gap and c.problem.n_orient in orientations]
                ratios = [find_ratios(bench.tuner.cap, cell, name) for cell in here]
                medians = [statistics.median(rounds) for rounds in ratios if rounds]
                bound = "> " if any(is_too_slow(cell, name) for cell in here) else ""
                mean = f"{bound}{statistics.geometric_mean(medians):.3g}" if medians else "-"
                n_runs = sum(name in cell.runs for cell in here)
                row.append(f"{mean} ({len(medians)} of {n_runs})" if n_runs else "-")
            rows.append(row)
    yield from make_table(["gap", "peer", "fixed", "loose", "all"], rows)
    yield "In parentheses, the settings that count: those of which both reach the gap, or one takes"
    yield f"more than {bench.tuner.cap:g} s, which makes the mean a lower bound (>)."
    yield ""


def tabulate_gaps(bench, cells):
    """Tabulate what was certified, and with what tolerance."""
    yield "### Gaps certified, and the tolerances for it"
    yield ""
    yield "The largest gap of all rounds. The tolerance is relative to `||y||^2`: the gap, or what"
    yield "certifies it; for skglm relative to the penalty, the loosest that certifies the gap."
    header = ["problem", "alpha", "gap", *(CONTENDERS[name].label for name in bench.contenders)]
    rows = []
    for cell in cells:
        row = [cell.problem.name, f"{cell.alpha:g}", f"{cell.gap:g}"]
        for name in bench.contenders:
            run = cell.runs.get(name)
            if run is None or run.too_slow:
                row.append("-" if run is None else "too slow")
            else:
                row.append(f"{run.gap:.1e} (tol {run.tol:.1e})")
        rows.append(row)
    yield from make_table(header, rows)


def report_figure(bench):
    """Draw the certified gap against time, for targets of 1e-2 to 1e-10."""
    yield "## Certified gap against time, alpha 20"
    problems = [p for p in bench.problems if p.name.startswith("recorded")] or bench.problems
    curves = {}
    for problem in problems:
        for name in bench.contenders:
            contender = CONTENDERS[name]
            if not contender.can_solve(problem):
                continue
            points = {}
            for target in 10.0 ** -np.arange(2, 11):
                print(f"  {problem.name}, {name}, gap {target:.0e}", file=sys.stderr)
                run = bench.tuner.find(contender, problem, 20.0, target)
                if run.too_slow:
                    break
                seconds = [
                    bench.tuner.run(contender, problem, 20.0, run.tol, run.one_thread).seconds
                    for _ in range(bench.arguments.repeats)
                ]
                points[run.tol] = statistics.median(seconds), run.gap
            curves[problem.name, contender.label] = list(points.values())
    path = draw_gaps(curves, bench.arguments.output)
    yield f"\nFigure: {path}"
