"""The bill of a plan in the terminal: memory of models, tokens, GPU-hours, disk, wall time and money."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from cluster.launch.description import Market
from cluster.resources.inventory import GIB, Inventory
from pipelines.planning.cost import Bill, Offer, lower_bound, make_bill, money, wall
from pipelines.planning.memory import misfits, needs
from pipelines.planning.plan import Plan
from pipelines.study.spec.study import Study

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
    for told in _unknown(study, plan):
        console.print(f"[yellow]Unknown[/yellow]: {told}", highlight=False, soft_wrap=True)
    bill = make_bill(study, folder, plan)
    disk = "unknown" if bill.disk_bytes is None else f"{bill.disk_bytes / 2**20:,.1f} MiB"
    console.print(
        f"Bill: {bill.tokens_in:,.0f} tokens read, {bill.tokens_out:,.0f} written, {_gpu_hours(bill)}, {disk} of disk",
        highlight=False,
        soft_wrap=True,
    )
    console.print(_sizes(study, plan, bill, cluster, offer))
    console.print(f"Estimated from {plan.basis}.", highlight=False, soft_wrap=True)


def _unknown(study: Study, plan: Plan) -> list[str]:
    """Of which models the time is not known, and what to do about it."""
    names = dict.fromkeys(plan.works[step.key].model for step in plan.pending if step.key in plan.unknown)
    told: list[str] = []
    for name, model in ((name, study.models[name]) for name in names):
        why, remedy = f"the endpoint of '{model.source}' is not known to us", ""
        if model.engine != "http":
            why = f"no config.json of '{model.source}' could be fetched, so its size is not known"
            remedy = "log in to the hub (HF_TOKEN), give a downloaded folder as its 'source', or "
        told.append(f"how long {name} takes: {why}; {remedy}measure it with --profile")
    return told


def _gpu_hours(bill: Bill) -> str:
    if bill.gpu_hours is None:
        return "unknown GPU-hours"
    kinds = [f"{gpus:,.2f} on {name}" for name, (_, gpus) in (bill.hours or {}).items() if name and gpus]
    return f"{bill.gpu_hours:,.2f} GPU-hours" + (f" ({', '.join(kinds)})" if kinds else "")


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


def _sizes(study: Study, plan: Plan, bill: Bill, cluster: Inventory, offer: Offer | None) -> Table:
    table = Table("on", title="Wall time", title_justify="left")
    prices = [f"{offer.prices.currency}, {market}" for market in MARKETS.values()] if offer else []
    for name in ("planned", "not below", *prices):
        table.add_column(name, justify="right")
    for times in TIMES if cluster.gpus else TIMES[:1]:
        larger = Inventory(cluster.nodes * times)
        seconds = wall(plan, study, larger)
        found = [money(bill, seconds, offer, market) for market in MARKETS] if offer else []
        amounts = ("unknown" if amount is None else f"{amount:,.2f}" for amount in found)
        planned = "unknown" if seconds is None else duration(seconds)
        where = f"{larger.cpus} CPUs, {larger.gpus} GPUs"
        table.add_row(where, planned, duration(lower_bound(plan, study, larger)), *amounts)
    if offer:
        told = "the shares of machines that work, of the cheapest kind that holds the model, and the head"
        table.caption = f"{offer.cloud}, prices of {offer.prices.date}: {told}; not their start or waiting."
    return table


def duration(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
