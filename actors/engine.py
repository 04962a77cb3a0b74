"""What can be asked of an engine: replies, token log-probabilities of given text, a classifier's logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from actors.digest import digest

FinishReason = Literal["stop", "length"]
Bos = Literal["auto", "always", "never"]
Feature = Literal["prompt_logprobs", "reply_logprobs", "schema", "adapter", "classify", "sleep"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. `temperature` 0 is greedy; `max_tokens` counts generated tokens."""

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 512


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """One conversation to continue. `messages` are (role, content) pairs; content is never read as control tokens.

    `logprobs` asks for the log-probabilities of the reply's tokens, `schema` (JSON Schema, as JSON text) for a reply
    that satisfies it, `adapter` (a folder) for the model with this LoRA adapter. What an engine's `features` do not
    name it refuses with RequestError("unsupported").
    """

    id: str
    messages: tuple[tuple[str, str], ...]
    sampling: Sampling
    seed: int = 0
    logprobs: bool = False
    schema: str | None = None
    adapter: str | None = None

    def digest(self) -> str:
        """Return what stands for this request where its answer is kept."""
        return digest("generate", self)


@dataclass(frozen=True, slots=True)
class Generation:
    """The reply to one request, with token counts of prompt and reply (the end token is counted in neither).

    `logprobs`, if asked for, are natural logs of the `tokens_out` tokens' probabilities under the model itself:
    temperature 1, whole vocabulary, however they were drawn.
    """

    id: str
    text: str
    finish_reason: FinishReason
    tokens_in: int
    tokens_out: int
    logprobs: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class LogprobRequest:
    """Text to be scored as the concatenation `context + text`; and `alone`, unless it is empty, as a text of its own.

    Both are scored in one go. They are raw text; with `chat`, `context` is a user's turn and the others are the
    assistant's words in the model's chat template, and only these contents are scored. `bos` says whether a text begins
    with the BOS: "auto" as the tokenizer (or the template) has it, "always" or "never".
    """

    id: str
    context: str
    text: str
    alone: str = ""
    chat: bool = False
    bos: Bos = "auto"

    def digest(self) -> str:
        """Return what stands for this request where its answer is kept."""
        return digest("logprobs", self)


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """Natural-log probabilities of the tokens of `context + text`, special tokens included, and of those of `alone`.

    `boundary` is the number of tokens of `context` tokenised alone (the BOS included, 0 for an empty context).
    (2412.11231, reference code `eval_loss.py`.) A text's first token has no prediction and is None, and so are tokens
    of a chat template. `lengths` count the tokens of `context`, `text` and `alone`, without BOS and template.
    """

    id: str
    boundary: int
    logprobs: tuple[float | None, ...]
    alone: tuple[float | None, ...] = ()
    lengths: tuple[int, int, int] = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class ClassifyRequest:
    """What a sequence classifier is to judge: raw text, a pair of texts (premise and hypothesis), or a conversation.

    `pair` is the second text. `messages` are (role, content) pairs and go through the model's chat template, with no
    reply begun. Content is never read as control tokens. ValueError for messages beside a text.
    """

    id: str
    text: str = ""
    pair: str | None = None
    messages: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if self.messages and (self.text or self.pair is not None):
            raise ValueError("a classifier is given either messages or text")

    def digest(self) -> str:
        """Return what stands for this request where its answer is kept."""
        return digest("classify", self)


@dataclass(frozen=True, slots=True)
class Classification:
    """A classifier's logits, without softmax or sigmoid, and the names of its labels, both in the order of its config.

    `reward` is the logit that is the model's scalar reward: its only one, or the one that the model's option
    `reward_index` names; None for a model of several labels without that option. `tokens_in` counts all tokens read.
    """

    id: str
    logits: tuple[float, ...]
    labels: tuple[str, ...]
    reward: float | None = None
    tokens_in: int = 0


Request = GenerateRequest | LogprobRequest | ClassifyRequest
Answer = Generation | TokenLogprobs | Classification | Exception


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """Which engine runs which model. `dtype` is float32, bfloat16 or auto.

    `model` is a local folder, a hub name, or the fsspec URL of a checkpoint, which a replica copies to its own node.
    """

    engine: str
    model: str
    revision: str | None = None
    dtype: str = "auto"
    max_length: int = 2048
    options: tuple[tuple[str, str | int | float | bool], ...] = ()


class RequestError(Exception):
    """This request can not be answered, by any replica (an over-long prompt, say). `reason` is a short slug."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


class LoadError(Exception):
    """This model can not be loaded. `detail` is the original error in one line, without a traceback."""

    def __init__(self, model: str, detail: str) -> None:
        super().__init__(model, detail)
        self.model, self.detail = model, detail

    def __str__(self) -> str:
        return f"model {self.model} can not be loaded: {self.detail}"


class EngineLost(Exception):
    """The process behind an engine died and was not to be had again. `detail` is what is known of its end."""

    def __init__(self, model: str, detail: str) -> None:
        super().__init__(model, detail)
        self.model, self.detail = model, detail

    def __str__(self) -> str:
        return f"the engine of model {self.model} is lost: {self.detail}"


def check_features(features: frozenset[Feature], request: GenerateRequest | LogprobRequest) -> None:
    """RequestError("unsupported") if the request asks for what `features` does not name."""
    if isinstance(request, LogprobRequest):
        requested: dict[Feature, bool] = {"prompt_logprobs": True}
    else:
        requested = {
            "reply_logprobs": request.logprobs,
            "schema": request.schema is not None,
            "adapter": request.adapter is not None,
        }
    missing = [feature for feature, wanted in requested.items() if wanted and feature not in features]
    if missing:
        raise RequestError("unsupported", f"this engine has no {', '.join(missing)}")


class Client(Protocol):
    """What can be asked of a model, wherever it runs. Calls may overlap freely; the engine batches them."""

    async def generate(self, request: GenerateRequest) -> Generation:
        """Continue one conversation. Raises RequestError if the prompt does not fit."""
        ...

    async def logprobs(self, request: LogprobRequest) -> TokenLogprobs:
        """Score one text. Raises RequestError if the text does not fit."""
        ...

    async def classify(self, request: ClassifyRequest) -> Classification:
        """Judge one text, pair or conversation. Raises RequestError if it does not fit."""
        ...


class Engine(Client, Protocol):
    """One loaded model. `features` names what it can do beyond plain generation."""

    features: frozenset[Feature]

    def progress(self) -> int:
        """A number that changes while the engine works on a request: if it stands still, the engine hangs."""
        ...

    async def sleep(self) -> None:
        """Leave the device and keep the weights in host memory; only with the feature `sleep` and nothing in flight."""
        ...

    async def wake(self) -> None:
        """Come back to the device."""
        ...

    def close(self) -> None:
        """Free the model's memory."""
        ...
