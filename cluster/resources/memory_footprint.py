"""Estimates of the memory that serving or training a model needs, in bytes per GPU or on a CPU node."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

from cluster.resources.accelerators import GPUS
from cluster.resources.inventory import GIB, Node
from cluster.resources.model_architecture import Architecture

USABLE_FRACTION = 0.9  # of a GPU's memory: vLLM's default; a training loses the rest to fragmentation
SERVE_WORKSPACE = int(1.5 * GIB)  # CUDA's context, activations, graphs
CPU_WORKSPACE = int(0.7 * GIB)  # an interpreter with torch and transformers
TRAINED_BYTES = 4  # per trained parameter: its float32 weight; its gradient and each of the moments have as many
CAST_BYTES = 2  # per trained parameter: the 16-bit copy of a weight that autocast keeps for the backward pass
BUCKET_BYTES = 4  # per trained parameter: DDP's copy of the gradients for the exchange
# per token, and per input and output of linear layers, by the bytes of a parameter: what Llamas were measured to hold
# (attention not stored; autocast keeps the residual stream and the norms in float32)
ACTIVATION_BYTES = {2: 3.4, 4: 5.0}
# per token, layer and hidden unit, 16 bit: the least, also of layers that are not linear (2205.05198, section 4.1)
LEAST_ACTIVATION_BYTES = 34
BUFFER_BYTES = 4  # per token and hidden unit between two layers
LOGIT_BYTES = 10  # per token and vocabulary entry: 16-bit logits, their float32 copy for the loss, and its gradient


@dataclass(frozen=True, slots=True)
class ServingConfig:
    """How a model is served, on `tensor_parallel` x `pipeline_parallel` GPUs.

    `length` is the number of tokens of the longest request, and `requests` how many of these fit in the cache.
    `bytes_per_weight` is that of quantised weights, else None: embeddings, the output layer and the cache have
    `bytes_per_parameter` in any case. `adapter_ranks` is the sum of the ranks of the LoRA adapters beside the weights,
    on all linear layers. They are not sharded.
    """

    bytes_per_parameter: int = 2
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    length: int = 1024
    requests: int = 1
    bytes_per_weight: float | None = None
    adapter_ranks: int = 0


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """How a model is trained: full fine-tuning, or LoRA with `lora_rank`.

    `moments` is the number of values that the optimizer keeps per trained parameter: 2 for AdamW, and 0 for Adafactor,
    whose sums over rows and columns of a matrix are less than a hundredth of it.

    `rows` is the number of rows in a forward pass, `length` their length in tokens. `workers` GPUs train together: with
    `sharded`, each has its shard of weights and optimizer (ZeRO-3, FSDP), without it all of them. `recomputed`: only
    the layers' inputs are stored (gradient checkpointing).
    """

    bytes_per_parameter: int = 2
    lora_rank: int | None = None
    rows: int = 1
    length: int = 2048
    workers: int = 1
    sharded: bool = False
    recomputed: bool = False
    moments: int = 2

    @property
    def shards(self) -> int:
        """The number of workers over which the weights are sharded."""
        return self.workers if self.sharded else 1


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes per GPU (without a GPU, in total). `copies` are those of weights and gradients during a training's pass."""

    weights: int
    cache: int
    optimizer: int
    activations: int
    workspace: int
    copies: int = 0

    @property
    def total(self) -> int:
        """The sum of all parts."""
        return self.weights + self.cache + self.optimizer + self.activations + self.workspace + self.copies


def serving_memory(model: Architecture, config: ServingConfig, gpu: bool = True) -> Footprint:
    """Return the memory of weights and key-value cache, sharded over GPUs as in vLLM.

    Tensor parallelism divides the heads; key-value heads are replicated if there are fewer than GPUs. Pipeline
    parallelism divides the layers.
    """
    inner = config.bytes_per_parameter if config.bytes_per_weight is None else config.bytes_per_weight
    whole = model.unquantised * config.bytes_per_parameter + (model.parameters - model.unquantised) * inner
    weights = ceil(whole / (config.tensor_parallel * config.pipeline_parallel))
    heads, layers = ceil(model.kv_heads / config.tensor_parallel), ceil(model.layers / config.pipeline_parallel)
    cache = 2 * layers * heads * model.head_dim * config.bytes_per_parameter * config.length * config.requests
    adapters = config.adapter_ranks * model.linear * config.bytes_per_parameter
    return Footprint(weights + adapters, cache, 0, 0, SERVE_WORKSPACE if gpu else CPU_WORKSPACE)


def training_memory(model: Architecture, config: TrainingConfig, gpu: bool = True) -> Footprint:
    """Return the memory of weights, optimizer, activations and copies for fine-tuning.

    Trained weights are float32 with a gradient and the optimizer's moments (AdamW is fused). LoRA trains adapters on
    all linear layers of a frozen base model. (Optimizer: 1910.02054, section 3.1; activations: 2205.05198, section
    4.1.)
    """
    trained = _trained_parameters(model, config)
    frozen = 0 if config.lora_rank is None else config.bytes_per_parameter * model.parameters
    return Footprint(
        weights=ceil((frozen + TRAINED_BYTES * trained) / config.shards),
        cache=0,
        optimizer=ceil(TRAINED_BYTES * (1 + config.moments) * trained / config.shards),
        activations=int(config.rows * config.length * _bytes_per_token(model, config)),
        workspace=SERVE_WORKSPACE if gpu else CPU_WORKSPACE,
        copies=_gathered_bytes(model, config) if config.sharded else _copied_bytes(model, config),
    )


def _trained_parameters(model: Architecture, config: TrainingConfig) -> int:
    return model.parameters if config.lora_rank is None else config.lora_rank * model.linear


def _bytes_per_token(model: Architecture, config: TrainingConfig) -> float:
    """Return the bytes of activations and logits of one token. Of a mixture, only the chosen experts have some."""
    size = config.bytes_per_parameter
    ends = model.unquantised
    linear = model.linear * (model.active - ends) / (model.parameters - ends)
    least = size / 2 * LEAST_ACTIVATION_BYTES * model.hidden * model.layers
    layers = max(ACTIVATION_BYTES[size] * linear, least)
    if config.recomputed:  # one layer at a time
        layers = layers / model.layers + BUFFER_BYTES * model.hidden * model.layers
    return layers + size / 2 * LOGIT_BYTES * model.vocabulary


def _copied_bytes(model: Architecture, config: TrainingConfig) -> int:
    """Return the bytes of copies of weights and gradients in a worker that has all of them.

    In full fine-tuning, a new gradient of the largest matrix is held beside the sum that it is added to.
    """
    cast = CAST_BYTES if config.bytes_per_parameter == 2 else 0
    per_parameter = cast + (BUCKET_BYTES if config.workers > 1 else 0)
    largest = model.vocabulary * model.hidden if config.lora_rank is None else 0
    return _trained_parameters(model, config) * per_parameter + largest * (4 + cast)


def _gathered_bytes(model: Architecture, config: TrainingConfig) -> int:
    """Return the bytes of what a worker gathers for a pass: some layers whole, and all that is outside of the layers.

    Of a layer, these are its weights and those of the next one, the buffer in which they arrive, its gradients, and
    their float32 copy for the exchange. Embeddings and output layer stay whole during a pass.
    """
    size, ends = config.bytes_per_parameter, model.unquantised
    layer = ceil((model.parameters - ends) / model.layers)
    if config.lora_rank is not None:  # frozen weights have no gradients
        return size * (3 * layer + ends)
    return max((4 * size + 4) * layer + 2 * size * ends, (2 * size + 4) * ends)


def gpu_bytes(node: Node) -> int | None:
    """Return the usable bytes of one of the node's GPUs; None if the type of its GPUs is unknown."""
    gpu = GPUS.get(node.accelerator or "")
    return None if gpu is None else int(gpu.memory * GIB * USABLE_FRACTION)


def fits(node: Node, need: Footprint, gpus: float) -> bool:
    """Return whether `need` fits on `gpus` GPUs of an idle node, or in its memory. Unknown memory counts as enough."""
    if not gpus:
        return not node.memory_bytes or need.total <= node.memory_bytes
    available = gpu_bytes(node)
    return node.gpus >= gpus and (available is None or need.total <= available * min(gpus, 1))


def with_tensor_parallelism(config: ServingConfig, gpus: int) -> ServingConfig:
    """Return the configuration with tensor parallelism over `gpus` GPUs."""
    return replace(config, tensor_parallel=gpus, pipeline_parallel=1)
