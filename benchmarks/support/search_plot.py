"""The plot of `benchmarks.adaptive_grid`: what each search costs, and how often its choices are good."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def draw(path: Path, points: Mapping[str, tuple[float, float]]) -> None:
    """Write the plot of (share of trainings, share of good choices) by name of the search. The suffix is the format."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "adaptive grid"  # the same plot has the same bytes
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(8, 4.2), layout="constrained")
    axes = drawn.subplots()
    for number, (name, (share, within)) in enumerate(points.items(), 1):
        axes.scatter(share, within, s=60, label=f"{number}  {name}", zorder=3)
        axes.annotate(str(number), (share, within), xytext=(5, 5), textcoords="offset points")
    axes.axhline(0.9, color="0.6", linestyle="--", linewidth=1)
    axes.set(xlim=(0, 1.05), ylim=(0.5, 1.0), xlabel="share of the grid's trainings")
    axes.set_ylabel("probability that the chosen teacher\nis within 5 % of the base's best")
    axes.grid(color="0.9")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    drawn.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
