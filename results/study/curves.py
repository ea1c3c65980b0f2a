"""Learning curves of a study's methods: the loss, and whatever the probe of a pretraining measured, by images seen."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from flsl.runtime.files import write_atomic
from results.study.cells import Pretraining

WIDTH, HEIGHT = 4.2, 2.8  # inches of one plot
LEGEND = 0.4  # inches below them
COLUMNS = 3


def draw_curves(runs: Mapping[str, Sequence[Pretraining]], path: Path) -> list[str]:
    """Draw one plot for each thing that was logged, one line for each run; returns what was drawn, nothing if no log is.

    Losses of different methods are no common measure: only their course tells.
    """
    series: dict[str, list[tuple[str, list[int], list[float]]]] = {}
    for method, run in ((method, run) for method, of_method in runs.items() for run in of_method):
        for name, points in _logged(run).items():
            series.setdefault(name, []).append((method, [*points], [*points.values()]))
    if not series:
        return []
    from matplotlib.figure import Figure

    rows = -(-len(series) // COLUMNS)
    columns = min(COLUMNS, len(series))
    figure = Figure(figsize=(WIDTH * columns, HEIGHT * rows + LEGEND), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    colors = {method: f"C{number % 10}" for number, method in enumerate(runs)}
    lines = {}
    for axis, (title, curves) in zip(axes.flat, series.items()):
        for method, images, values in curves:
            (lines[method],) = axis.plot(images, values, color=colors[method], marker="." if len(images) < 20 else None)
        axis.set_title(title.replace("_", " "), fontsize=10)
        axis.set_xlabel("images seen", fontsize=8)
        axis.tick_params(labelsize=8)
    for axis in list(axes.flat)[len(series) :]:
        axis.remove()
    figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=4 * columns, fontsize=8)
    write_atomic(path, lambda temporary: figure.savefig(temporary, dpi=110, format="png"))
    return list(series)


def _logged(run: Pretraining) -> dict[str, dict[int, float]]:
    """Return what a run logged, by name: images seen -> number."""
    found: dict[str, dict[int, float]] = {}
    for line in run.log():
        numbers = line.get("probe") or {"loss": line.get("loss")}
        for name, value in numbers.items():
            if isinstance(value, (int, float)):
                found.setdefault(name, {})[(line["step"] + 1) * run.batch_size] = value
    return found
