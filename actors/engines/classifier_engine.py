"""The classifier engine: sequence classifiers (reward models, NLI models) on transformers, batched by length."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from actors.engine import Classification, ClassifyRequest, EngineSpec, Feature, RequestError
from actors.engines.options import CLASSIFIER_OPTIONS, parse_options, reward_index
from actors.engines.torch_engine import TorchEngine, run_on_device
from actors.inference.chat_template import Message, encode_chat, encode_text, template_ids
from actors.inference.classifier_loading import label_names, load_classifier, text_length
from actors.inference.micro_batcher import Pace
from actors.inference.model_loading import load_tokenizer
from actors.inference.reward_heads import GatedReward
from actors.model_folder.vocabulary import check_vocabulary, embedding_rows


@dataclass(frozen=True, slots=True)
class Tokens:
    """One tokenised input. `types` are the token type ids of a pair, empty if the model does not use them.

    `prompt` is the number of tokens before a conversation's last message if the model's head needs it, else 0.
    """

    ids: list[int]
    types: list[int]
    prompt: int = 0


class ClassifierEngine(TorchEngine):
    """A checkpoint of AutoModelForSequenceClassification, or a reward model with a value head or ArmoRM's head.

    Options: `max_batch` and `max_batch_tokens` limit the rows and tokens (padding included) of a batch. `reward_index`
    is the index of the logit that is the reward of a model with several (-1: not set). The batch size is 1 for a model
    whose config has no padding token with an embedding.
    """

    features: frozenset[Feature] = frozenset({"classify", "sleep"})

    def __init__(self, spec: EngineSpec) -> None:
        options = parse_options(spec, **CLASSIFIER_OPTIONS)
        self._tokenizer, model = load_tokenizer(spec), load_classifier(spec)
        self._max_length = text_length(spec, model.config, self._tokenizer)
        self._labels = label_names(model.config)
        self._reward_index = reward_index(int(options["reward_index"]), self._labels)
        self._gated = isinstance(model, GatedReward)
        self._end: int | None = getattr(model.config, "reward_token_id", None)
        check_vocabulary(spec.model, self._tokenizer, model.config, template_ids(self._tokenizer))
        pad: int | None = model.config.get_text_config().pad_token_id
        self._pad = pad if pad is not None and 0 <= pad < embedding_rows(model.config) else None
        self._pace = Pace()
        super().__init__(model, 1 if self._pad is None else int(options["max_batch"]), int(options["max_batch_tokens"]))

    async def classify(self, request: ClassifyRequest) -> Classification:
        """Classify one text, pair or conversation.

        Raises:
            RequestError: The input is too long ("too_long"), has no tokens ("empty"), is rejected by the chat template
                ("chat_template"), or is not a conversation although the head requires one ("unsupported").
        """
        tokens = self._encode(request)
        length = len(tokens.ids)
        if length > self._max_length:
            raise RequestError("too_long", f"the text has {length} tokens, the model takes {self._max_length}")
        if not length:
            raise RequestError("empty", "the text has no tokens")
        logits = await self._batcher.submit(self._judge, tokens, bool(tokens.types), length, length, self._pace)
        reward = None if self._reward_index is None else logits[self._reward_index]
        return Classification(request.id, logits, self._labels, reward, length)

    def _encode(self, request: ClassifyRequest) -> Tokens:
        if request.messages:
            return self._encode_conversation(request.messages)
        if self._gated or self._end is not None:
            raise RequestError("unsupported", "this reward model classifies conversations only")
        if request.pair is None:
            return Tokens(encode_text(self._tokenizer, request.text), [])
        encoded = self._tokenizer(request.text, request.pair, split_special_tokens=True)
        return Tokens(list(encoded["input_ids"]), list(encoded.get("token_type_ids", [])))

    def _encode_conversation(self, messages: Sequence[Message]) -> Tokens:
        """Return the rendered conversation. InternLM's models read the reward at an additional final token."""
        ids = encode_chat(self._tokenizer, messages, add_generation_prompt=False)
        prompt_ids = encode_chat(self._tokenizer, messages[:-1], add_generation_prompt=False) if self._gated else []
        if self._gated and ids[: len(prompt_ids)] != prompt_ids:
            raise RequestError("chat_template", "the chat template changes what comes before the last message")
        return Tokens([*ids, *([] if self._end is None else [self._end])], [], len(prompt_ids))

    def _judge(self, rows: Sequence[Tokens]) -> list[tuple[float, ...]]:
        started = time.monotonic()
        logits = run_on_device(lambda: self._forward(rows))
        self._pace.record(len(rows) * max(len(row.ids) for row in rows), time.monotonic() - started)
        return logits

    @torch.inference_mode()
    def _forward(self, rows: Sequence[Tokens]) -> list[tuple[float, ...]]:
        """Return the logits of each row, computed in one forward pass with right padding."""
        lengths = [len(row.ids) for row in rows]
        arguments = {
            "input_ids": self._padded([row.ids for row in rows], self._pad or 0),  # [rows, tokens]
            "attention_mask": self._padded([[1] * length for length in lengths], 0),
        }
        if rows[0].types:
            arguments["token_type_ids"] = self._padded([row.types for row in rows], 0)
        if self._gated:
            arguments["prompt_lengths"] = torch.tensor([row.prompt for row in rows], device=self._model.device)
        logits = self._model(**arguments).logits.float().tolist()  # [rows, labels]
        self._count_step()
        return [tuple(row) for row in logits]

    def _padded(self, rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
        width = max(len(row) for row in rows)
        return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows], device=self._model.device)
