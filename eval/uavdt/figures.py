"""Pictures of a UAVDT run: the official precision-recall curve, and AP by group."""

from pathlib import Path

from eval.uavdt.official import Curve
from flsl.runtime.files import write_atomic


def draw_official(path: Path, curve: Curve, rows: list[dict[str, object]]) -> Path:
    """Write precision over recall of all sequences together, and the AP of each group of the official tables.

    Args:
        path: PNG file.
        curve: of `official.pool`.
        rows: of `official_tables`; single sequences and groups without a box are left out.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = [row for row in rows if row["table"] != "sequence" and row["AP"] is not None]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, max(3.6, 0.3 * len(shown) + 1)))
    left.plot([0.0, *curve.recall], [*curve.precision[:1], *curve.precision])
    left.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    left.set_title(f"all vehicles, IoU 0.7: AP {curve.average_precision:.2f}")
    names = [f"{row['table']}: {row['group']}".replace("_", " ") for row in shown]
    bars = right.barh(names, [row["AP"] for row in shown])
    right.bar_label(bars, [f"{row['AP']:.1f}" for row in shown], padding=2)
    right.set(xlabel="AP in percent", xlim=(0, 112), title="by group")
    right.invert_yaxis()
    figure.tight_layout()
    write_atomic(path, lambda temporary: figure.savefig(temporary, dpi=100, format="png"))
    pyplot.close(figure)
    return path
