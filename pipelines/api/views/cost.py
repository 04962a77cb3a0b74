"""Prints the estimated cost of a plan: memory of the models, tokens, GPU-hours, disk space, wall time and prices."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from actors.engines.registry import engine_info
from cluster.launch.description import Market
from cluster.resources.inventory import GIB, Inventory
from pipelines.planning.cost import CostEstimate, PriceList, estimate_cost, min_wall_seconds, total_price, wall_seconds
from pipelines.planning.memory import memory_needs, oversized
from pipelines.planning.plan import Plan
from pipelines.results.report.tables.number_format import duration
from pipelines.study.spec.study import Study

CLUSTER_MULTIPLES = (1, 2, 4)  # the planned cluster, and clusters with a multiple of its nodes
MARKETS: dict[Market, str] = {"spot": "spot", "on_demand": "on demand"}


def show_cost(
    console: Console, study: Study, folder: Path, plan: Plan, cluster: Inventory, price_list: PriceList | None
) -> None:
    """Print the memory that the models need, and the estimated cost of the unfinished steps."""
    if footprints := _memory_table(study, folder):
        console.print(footprints)
    for problem in oversized(study, folder, cluster):
        console.print(f"[red]Does not fit[/red]: {problem}", highlight=False, soft_wrap=True)
    if not plan.pending:
        return
    for problem in unknown_times(study, plan):
        console.print(f"[yellow]Unknown[/yellow]: {problem}", highlight=False, soft_wrap=True)
    estimate = estimate_cost(study, folder, plan)
    disk = "unknown" if estimate.disk_bytes is None else f"{estimate.disk_bytes / 2**20:,.1f} MiB"
    console.print(
        f"Cost: {estimate.tokens_in:,.0f} input tokens, {estimate.tokens_out:,.0f} output tokens, "
        f"{_gpu_hours(estimate)}, {disk} of disk space{_endpoints(study, estimate)}",
        highlight=False,
        soft_wrap=True,
    )
    for note in over_budget(study, estimate):
        console.print(note, style="yellow", highlight=False, soft_wrap=True)
    console.print(_wall_time_table(study, plan, estimate, cluster, price_list))
    console.print(f"Estimated from {plan.basis}.", highlight=False, soft_wrap=True)


def _endpoints(study: Study, estimate: CostEstimate) -> str:
    priced = any(model.price for model in study.models.values())
    return f", {estimate.dollars:,.2f} dollars for endpoints" if priced else ""


def over_budget(study: Study, estimate: CostEstimate) -> list[str]:
    """Return a message if the estimated cost is over the study's budget."""
    tokens = estimate.tokens_in + estimate.tokens_out
    reached = study.budget.reached(estimate.dollars, tokens, estimate.gpu_hours) if study.budget else ""
    remedy = "the run would stop there, and continue if the budget is raised"
    return [f"Over the budget: {reached}; {remedy}"] if reached else []


def unknown_times(study: Study, plan: Plan) -> list[str]:
    """Return a message for each model whose time is unknown, with what to do about it."""
    names = dict.fromkeys(plan.workloads[step.key].model for step in plan.pending if step.key in plan.unknown_steps)
    messages: list[str] = []
    for name, model in ((name, study.models[name]) for name in names):
        why, remedy = f"the model behind the endpoint '{model.source}' is unknown", ""
        if engine_info(model.engine, model.gpus).memory_model != "remote":
            why = f"no config.json of '{model.source}' could be downloaded, so its size is unknown"
            remedy = "log in to the hub (HF_TOKEN), use a downloaded folder as its 'source', or "
        messages.append(f"the time of {name}: {why}; {remedy}measure it with --profile")
    return messages


def _gpu_hours(estimate: CostEstimate) -> str:
    if estimate.gpu_hours is None:
        return "unknown GPU-hours"
    kinds = [f"{gpus:,.2f} on {name}" for name, (_, gpus) in (estimate.hours or {}).items() if name and gpus]
    return f"{estimate.gpu_hours:,.2f} GPU-hours" + (f" ({', '.join(kinds)})" if kinds else "")


def _memory_table(study: Study, folder: Path) -> Table | None:
    found = memory_needs(study, folder)
    table = Table("model", title="Memory (GiB per GPU, or in total for models on CPUs)", title_justify="left")
    for name in ("GPUs", "weights", "cache", "optimizer", "activations", "copies", "total"):
        table.add_column(name, justify="right")
    for need in found:
        size = need.footprint
        amounts = (size.weights, size.cache, size.optimizer, size.activations, size.copies, size.total)
        table.add_row(f"{need.name} {need.role}", f"{need.gpus:g}", *(f"{amount / GIB:,.2f}" for amount in amounts))
    return table if found else None


def _wall_time_table(
    study: Study, plan: Plan, estimate: CostEstimate, cluster: Inventory, price_list: PriceList | None
) -> Table:
    table = Table("on", title="Wall time", title_justify="left")
    prices = [f"{price_list.prices.currency}, {market}" for market in MARKETS.values()] if price_list else []
    for name in ("planned", "not below", *prices):
        table.add_column(name, justify="right")
    for times in CLUSTER_MULTIPLES if cluster.gpus else CLUSTER_MULTIPLES[:1]:
        larger = Inventory(cluster.nodes * times)
        seconds = wall_seconds(plan, study, larger)
        found = [total_price(estimate, seconds, price_list, market) for market in MARKETS] if price_list else []
        amounts = ("unknown" if amount is None else f"{amount:,.2f}" for amount in found)
        planned = "unknown" if seconds is None else duration(seconds)
        where = f"{larger.cpus} CPUs, {larger.gpus} GPUs"
        table.add_row(where, planned, duration(min_wall_seconds(plan, study, larger)), *amounts)
    if price_list:
        price_scope = "the used share of each worker node, of the cheapest type that fits the model, and the head node"
        table.caption = (
            f"{price_list.cloud}, prices of {price_list.prices.date}: {price_scope}, without startup and idle time."
        )
    return table
