"""Packed rows under each of torch's attention kernels: losses and gradients are those of the rows alone."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from actors.training.batches import collate
from actors.training.learner import response_losses
from actors.training.packed_attention import attention_for
from benchmarks.gpu_check.report import Recorder
from benchmarks.gpu_check.support import device

KERNELS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "memory-efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cuDNN": SDPBackend.CUDNN_ATTENTION,
    "plain": SDPBackend.MATH,
}
LIMITS = {torch.float32: 1e-4, torch.bfloat16: 0.02}  # of the relative difference
ROWS = [
    {"input_ids": [*range(start, start + length)], "labels": [*range(start, start + length)]}
    for start, length in ((5, 70), (40, 3), (9, 129))
]


def run(record: Recorder) -> None:
    """Compare losses and gradients for each kernel and dtype; a kernel that does not support a dtype is skipped."""
    for dtype in LIMITS:
        expected = _losses(dtype, None)
        for name, kernel in KERNELS.items():
            label = f"{name}, {str(dtype).partition('.')[2]}"
            try:
                found = _losses(dtype, kernel)
            except RuntimeError as error:
                record.skip(label, str(error).partition(". ")[0])
                continue
            loss, gradient = (abs(a - b) / abs(b) for a, b in zip(found, expected, strict=True))
            record.check(label, max(loss, gradient) < LIMITS[dtype], loss=loss, gradient=gradient, limit=LIMITS[dtype])


def _losses(dtype: torch.dtype, kernel: SDPBackend | None) -> tuple[float, float]:
    """Return the sum of losses and the norm of the gradients: of packed rows, or (None) of the rows one by one."""
    model = _model(kernel is not None).to(device(), dtype)
    if kernel is None:
        loss = sum(response_losses(model, collate([[row]], 0, False).to(device()), 1).sum() for row in ROWS)
    else:
        with sdpa_kernel([kernel]):
            loss = response_losses(model, collate([ROWS], 0, True).to(device()), 1).sum()
    assert isinstance(loss, torch.Tensor)
    loss.backward()
    norms = [parameter.grad.float().norm() for parameter in model.parameters() if parameter.grad is not None]
    return float(loss.detach()), float(torch.stack(norms).norm())


def _model(packing: bool) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = {"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2, "vocab_size": 256}
    config = AutoConfig.for_model("llama", num_attention_heads=4, num_key_value_heads=2, head_dim=64, **sizes)
    torch.manual_seed(0)
    attention = attention_for(config, True) if packing else "eager"
    return AutoModelForCausalLM.from_config(config, attn_implementation=attention)
