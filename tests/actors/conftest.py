"""A random tiny Llama with a byte-level BPE of its own, vLLM on it, and endpoints that are served by the stub."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from actors.engine import EngineSpec
from actors.serving.pool import Pool
from actors.serving.spec import PoolSpec, ReplicaResources

ROOT = Path(__file__).parents[2]

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEXTS = ["Name three words that start with the letter a.", "The quick brown fox jumps over the lazy dog.", "1 2 3 4 5"]


@pytest.fixture(scope="session")
def tokenizer():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|pad|>", "<|bos|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(TEXTS, trainer)
    bos = ("<|bos|>", raw.token_to_id("<|bos|>"))
    raw.post_processor = processors.TemplateProcessing(single="<|bos|> $A", pair="<|bos|> $A $B", special_tokens=[bos])
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token="<|bos|>",
        eos_token="<|im_end|>",
        pad_token="<|pad|>",
        additional_special_tokens=["<|im_start|>"],
        chat_template=CHAT_TEMPLATE,
    )


@pytest.fixture(scope="session")
def model_folder(tokenizer, tmp_path_factory) -> Path:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=256,
        initializer_range=0.2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    folder = tmp_path_factory.mktemp("tiny-llama")
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def adapter_folders(model_folder, tokenizer, tmp_path_factory) -> list[Path]:
    """Two different LoRA adapters of the tiny model."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    folders = []
    for seed in range(2):
        torch.manual_seed(seed)
        base = AutoModelForCausalLM.from_pretrained(model_folder)
        tuned = get_peft_model(base, LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False))
        folders.append(tmp_path_factory.mktemp("adapter"))
        tuned.save_pretrained(folders[-1])
        tokenizer.save_pretrained(folders[-1])
    return folders


@pytest.fixture(scope="session")
def vllm_pool(model_folder, ray_local) -> Iterator[Pool]:
    """The one vLLM engine of all tests: starting it is slow."""
    spec = EngineSpec("vllm", str(model_folder), max_length=256, options=(("lora", True),))
    pool = Pool(PoolSpec(spec, "vllm", ReplicaResources(cpus=1)))
    try:
        pool.wait_until_ready(1000)
        yield pool
    finally:
        pool.close()
    deadline = time.monotonic() + 30
    while left := [process for process in psutil.process_iter() if process.name().startswith("VLLM")]:
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


@contextmanager
def serving(*arguments: str) -> Iterator[str]:
    """The URL of a stub endpoint in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.support.stub_endpoint", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            word, port = process.stdout.readline().split()
            assert word == "listening"
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def stub() -> Iterator[Callable[..., str]]:
    """Starts stub endpoints with the command line's arguments; each lives until the module's end."""
    started: dict[tuple[str, ...], str] = {}
    with ExitStack() as stack:

        def start(*arguments: str) -> str:
            if arguments not in started:
                started[arguments] = stack.enter_context(serving(*arguments))
            return started[arguments]

        yield start
