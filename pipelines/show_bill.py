"""The bill of a plan in the terminal: memory of models, tokens, GPU-hours, disk, wall time and money."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from cluster.inventory import GIB, Inventory
from cluster.launch.description import Market
from pipelines.bill import Offer, lower_bound, make_bill, money, timed, together
from pipelines.footprints import misfits, needs
from pipelines.plan import Plan
from pipelines.study.spec import Study

TIMES = (1, 2, 4)  # the planned cluster, and larger ones
MARKETS: dict[Market, str] = {"spot": "spot", "on_demand": "on demand"}


def show_bill(
    console: Console, study: Study, folder: Path, plan: Plan, cluster: Inventory, offer: Offer | None
) -> None:
    """Print what the unfinished steps will take."""
    if footprints := _footprints(study, folder):
        console.print(footprints)
    for told in misfits(study, folder, cluster):
        console.print(f"[red]Does not fit[/red]: {told}", highlight=False, soft_wrap=True)
    if not plan.pending:
        return
    bill = make_bill(study, folder, plan)
    console.print(
        f"Bill: {bill.tokens_in:,.0f} tokens read, {bill.tokens_out:,.0f} written, {bill.gpu_hours:,.2f} GPU-hours, "
        f"{bill.disk_bytes / 2**20:,.1f} MiB of disk",
        highlight=False,
        soft_wrap=True,
    )
    console.print(_sizes(study, folder, plan, cluster, offer))
    console.print(f"Estimated from {plan.basis}.", highlight=False, soft_wrap=True)


def _footprints(study: Study, folder: Path) -> Table | None:
    found = needs(study, folder)
    table = Table("model", title="Memory (GiB for each GPU, or in all without)", title_justify="left")
    for name in ("GPUs", "weights", "cache", "optimizer", "activations", "total"):
        table.add_column(name, justify="right")
    for need in found:
        size = need.footprint
        amounts = (size.weights, size.cache, size.optimizer, size.activations, size.total)
        table.add_row(f"{need.name} {need.role}", f"{need.gpus:g}", *(f"{amount / GIB:,.2f}" for amount in amounts))
    return table if found else None


def _sizes(study: Study, folder: Path, plan: Plan, cluster: Inventory, offer: Offer | None) -> Table:
    table, bill = Table("on", title="Wall time", title_justify="left"), make_bill(study, folder, plan)
    prices = [f"{offer.prices.currency}, {market}" for market in MARKETS.values()] if offer else []
    for name in ("planned", "not below", *prices):
        table.add_column(name, justify="right")
    for times in TIMES if cluster.gpus else TIMES[:1]:
        larger = Inventory(cluster.nodes * times)
        wall = together(timed(plan), study, larger) + plan.overhead
        found = [money(bill, study, folder, wall, offer, market) for market in MARKETS] if offer else []
        amounts = ("–" if amount is None else f"{amount:,.2f}" for amount in found)
        where = f"{larger.cpus} CPUs, {larger.gpus} GPUs"
        table.add_row(where, duration(wall), duration(lower_bound(plan, study, larger)), *amounts)
    if offer:
        told = "machines while they work, on the cheapest kind that holds the model, and the head"
        table.caption = f"{offer.cloud}, prices of {offer.prices.date}: {told}; not their start or waiting."
    return table


def duration(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
