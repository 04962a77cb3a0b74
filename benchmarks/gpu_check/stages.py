"""The table of stages, in the order in which they run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage. `run` ("module:function") takes a Recorder; `about` says what the stage shows.

    It is skipped without the `packages`, and with `needs_gpu` on a machine without a GPU. It fails after
    `limit` seconds on a GPU machine, and after ten times as long on a CPU.
    """

    run: str
    about: str
    packages: tuple[str, ...] = ("torch", "transformers")
    needs_gpu: bool = False
    limit: int = 60


_HERE = "benchmarks.gpu_check"
STAGES: dict[str, Stage] = {
    "devices": Stage(f"{_HERE}.devices:run", "the driver's GPUs are those of torch, of Ray and of our table"),
    "scores": Stage(f"{_HERE}.scores:run", "16-bit scores are near float32's, and those of the model's own logits"),
    "order": Stage(f"{_HERE}.engines:order", "replies do not depend on the order of requests"),
    "sleep": Stage(f"{_HERE}.engines:sleep", "an offloaded model frees the GPU, and replies as before once it is back"),
    "memory": Stage(f"{_HERE}.engines:out_of_memory", "a batch that is too large becomes smaller ones"),
    "rewards": Stage(f"{_HERE}.engines:rewards", "rewards are numbers, and those of the model alone"),
    "training": Stage(f"{_HERE}.trainings:run", "seven kinds of training; DDP, FSDP and one process agree", ("peft",)),
    "packing": Stage(f"{_HERE}.packing:run", "packed rows have the losses of single rows, under each attention kernel"),
    "ray": Stage(f"{_HERE}.on_ray:run", "a pool and a worker group on Ray use the GPU as planned", ("ray",), limit=120),
    "vllm": Stage(
        f"{_HERE}.vllm_checks:run", "vLLM starts without nvcc and does what engines do", ("vllm",), limit=150
    ),
    "half-gpus": Stage(
        f"{_HERE}.vllm_checks:halves", "two vLLM engines share a GPU", ("vllm", "ray"), needs_gpu=True, limit=180
    ),
    "decode-speed": Stage(
        f"{_HERE}.throughput:decode", "tokens per second against vLLM's own benchmark", ("vllm",), limit=180
    ),
    "scoring-speed": Stage(f"{_HERE}.throughput:scoring", "rows per second against the published code", limit=90),
    "training-speed": Stage(f"{_HERE}.throughput:training", "share of the GPU's peak (MFU), and memory as planned"),
}
