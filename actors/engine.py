"""The interface of all engines: requests, answers and errors for generation, scoring and classification."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, Self

from actors.digest import digest
from cluster.errors import EvolgridError

FinishReason = Literal["stop", "length"]
Bos = Literal["auto", "always", "never"]
StudentTemplate = Literal["", "closed", "open"]
OptionValue = str | int | float | bool | list[Any] | dict[str, Any]
TOP_LOGPROBS = 5  # AlpacaEval's number of alternatives to a verdict, which is also the limit of some servers
PLUGIN_ERROR = "plugin_error"  # the reason of a request or a row that fails by a mistake in a plug-in's code
Feature = Literal[
    "prompt_logprobs", "prompt_ranks", "reply_logprobs", "top_logprobs", "schema", "adapter", "classify", "sleep"
]


class Message:
    """A record that is sent often: it is pickled as its values, in half the time that dataclasses with slots take."""

    __slots__ = ()

    def __reduce__(self) -> tuple[type[Self], tuple[Any, ...]]:
        return type(self), tuple([getattr(self, name) for name in self.__slots__])


@dataclass(frozen=True, slots=True)
class Sampling(Message):
    """How tokens are sampled. `temperature` 0 is greedy decoding; `max_tokens` counts generated tokens."""

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 512


@dataclass(frozen=True, slots=True)
class GenerateRequest(Message):
    """One conversation to continue. `messages` are (role, content) pairs; content is never read as control tokens.

    `logprobs` requests the log-probabilities of the reply's tokens, and `top_logprobs` those of this number of the most
    likely first tokens of the reply (at most 20, which is the limit of several engines and servers). `schema` (JSON
    Schema, as JSON text) constrains the reply. `adapter` is the folder (or its fsspec URL) of a student whose LoRA
    adapter is applied to the model, and whose tokenizer and chat template are used: see `actors.model_folder.adapter`.

    An engine raises RequestError("unsupported") for a feature that its `features` do not contain, and LoadError for an
    adapter that it cannot load, whatever other requests it answers.
    """

    id: str
    messages: tuple[tuple[str, str], ...]
    sampling: Sampling
    seed: int = 0
    logprobs: bool = False
    schema: str | None = None
    adapter: str | None = None
    top_logprobs: int = 0

    def digest(self) -> str:
        """Return the identifier under which the answer to this request is stored."""
        return digest("generate", self)


@dataclass(frozen=True, slots=True)
class Generation(Message):
    """The reply to one request, with token counts of prompt and reply (the end token is counted in neither).

    `logprobs`, if requested, are the natural logs of the `tokens_out` tokens' probabilities under the unmodified model:
    temperature 1 and the whole vocabulary, whatever the sampling.

    `thoughts` are what a thinking model writes before its reply. They are not part of `text`, and `logprobs` begin with
    the first token of the reply after them. So do `alternatives`, if requested: the texts and log-probabilities of the
    most likely first tokens, whether sampled or not, the most likely one first. `tokens_out` counts all generated
    tokens. A reply that ends within the thoughts has an empty text, no `alternatives` and the finish reason "length".
    """

    id: str
    text: str
    finish_reason: FinishReason
    tokens_in: int
    tokens_out: int
    logprobs: tuple[float, ...] | None = None
    thoughts: str = ""
    alternatives: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class LogprobRequest(Message):
    """Text to be scored as the concatenation `context + text`; and `alone`, unless it is empty, as a separate text.

    Without `chat`, all three are raw text. With `chat`, `context` is a user turn, `text` and `alone` are assistant
    turns in the model's chat template, and only these contents are scored. `before` are the (role, content) pairs of
    the conversation before `context`, which is read and not scored; `alone` is encoded without it. `bos` says whether a
    text begins with the BOS token: "auto" (the tokenizer or the template decides), "always" or "never".
    `truncate` scores the start of a text that is longer than the model accepts, instead of rejecting the request.
    `adapter` is that of a GenerateRequest. `alone_before` is raw text before `alone` that is read and not scored; only
    without `chat`. `counted` are texts whose tokens are counted. `ranks` asks for the ranks of the tokens, too.
    """

    id: str
    context: str
    text: str
    alone: str = ""
    chat: bool = False
    bos: Bos = "auto"
    before: tuple[tuple[str, str], ...] = ()
    truncate: bool = False
    adapter: str | None = None
    alone_before: str = ""
    counted: tuple[str, ...] = ()
    ranks: bool = False

    @property
    def raw_before(self) -> str:
        """The conversation before `context` as raw text: the contents, each with a newline after it."""
        return "".join(f"{content}\n" for _, content in self.before)

    def digest(self) -> str:
        """Return the identifier under which the answer to this request is stored."""
        return digest("logprobs", self)


@dataclass(frozen=True, slots=True)
class TokenLogprobs(Message):
    """Natural-log probabilities of the tokens of `context + text`, special tokens included, and of those of `alone`.

    `boundary` is the number of tokens of `context` tokenised alone (the BOS included, 0 for an empty context).
    (2412.11231, reference code `eval_loss.py`.) The first token of a text has no prediction, so its entry is None. So
    are the entries of chat template tokens. The tokens of a conversation before `context` come first and are counted in
    `boundary`; their entries are None, too. `lengths` are the numbers of tokens of `context`, `text` and `alone`,
    without BOS and template, and `counts` those of the texts to be counted. `ranks`, if requested, has an entry for
    every one of `logprobs`: 1 plus the number of tokens that the model finds more likely than the token.
    """

    id: str
    boundary: int
    logprobs: tuple[float | None, ...]
    alone: tuple[float | None, ...] = ()
    lengths: tuple[int, int, int] = (0, 0, 0)
    counts: tuple[int, ...] = ()
    ranks: tuple[int | None, ...] = ()

    def without(self, before: TokenLogprobs) -> TokenLogprobs:
        """Return the same without the log-probabilities of the context of `before`, with which this text begins."""
        context, text, alone = self.lengths
        logprobs = (*[None] * before.boundary, *self.logprobs[before.boundary :])
        ranks = (*[None] * before.boundary, *self.ranks[before.boundary :]) if self.ranks else ()
        return replace(self, logprobs=logprobs, ranks=ranks, lengths=(context - before.lengths[0], text, alone))


@dataclass(frozen=True, slots=True)
class ClassifyRequest(Message):
    """The input of a sequence classifier: raw text, a pair of texts (premise and hypothesis), or a conversation.

    `pair` is the second text. `messages` are (role, content) pairs, rendered with the model's chat template without a
    generation prompt. Content is never read as control tokens.

    Raises:
        ValueError: Both messages and text are given.
    """

    id: str
    text: str = ""
    pair: str | None = None
    messages: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if self.messages and (self.text or self.pair is not None):
            raise ValueError("a ClassifyRequest takes either messages or text, not both")

    def digest(self) -> str:
        """Return the identifier under which the answer to this request is stored."""
        return digest("classify", self)


@dataclass(frozen=True, slots=True)
class Classification(Message):
    """A classifier's logits, without softmax or sigmoid, and the names of its labels, both in the order of its config.

    `reward` is the logit that is the model's scalar reward: its only logit, or the one at the option `reward_index`;
    None for a model with several labels without that option. `tokens_in` is the number of input tokens.
    """

    id: str
    logits: tuple[float, ...]
    labels: tuple[str, ...]
    reward: float | None = None
    tokens_in: int = 0


Request = GenerateRequest | LogprobRequest | ClassifyRequest
Answer = Generation | TokenLogprobs | Classification | Exception


class EngineCode(Protocol):
    """The code of an engine that is not evolgrid's own. Picklable."""

    def load(self) -> None:
        """Add the engine's record to the table of engines, if this process does not have it yet."""
        ...

    def describe(self, error: BaseException) -> str | None:
        """Return an error that this code has raised in one line with its file and line; None for other errors."""
        ...


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """An engine and the model that it loads. `dtype` is float32, bfloat16 or auto.

    `chat_template` (Jinja text) replaces the template in the model's folder, and `template_args` are passed to it.
    `student_template` asks for the template of the model's students: a plain one if the model has none, and with
    "closed", thoughts that the generation prompt opens are closed.
    `model` is a local folder, a hub name, or the fsspec URL of a checkpoint, which a replica copies to its own node.

    `needs` are the features that the study's steps use: the engine of a server asks for them when it is loaded.
    `code` is that of an engine of a plug-in, which is loaded before the engine.
    """

    engine: str
    model: str
    revision: str | None = None
    dtype: str = "auto"
    max_length: int = 2048
    options: tuple[tuple[str, OptionValue], ...] = ()
    chat_template: str | None = None
    template_args: tuple[tuple[str, str | int | float | bool], ...] = ()
    student_template: StudentTemplate = ""
    needs: tuple[Feature, ...] = ()
    code: EngineCode | None = None


class RequestError(Exception):
    """No replica can answer this request, for example because its prompt is too long. `reason` is a short slug."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


class LoadError(EvolgridError):
    """The model cannot be loaded. `detail` is the original error in one line, without a traceback."""

    def __init__(self, model: str, detail: str) -> None:
        super().__init__(model, detail)
        self.model, self.detail = model, detail

    def __str__(self) -> str:
        return f"model {self.model} cannot be loaded: {self.detail}"


class EngineLost(EvolgridError):
    """The process or server behind an engine failed and could not be restarted. `detail` is the known cause."""

    def __init__(self, model: str, detail: str) -> None:
        super().__init__(model, detail)
        self.model, self.detail = model, detail

    def __str__(self) -> str:
        return f"the engine of model {self.model} is lost: {self.detail}"


class EndpointRefused(EngineLost):
    """A server rejects all requests until somebody acts, for example when credits are used up. Retries do not help."""

    def __str__(self) -> str:
        return f"the endpoint of model {self.model} rejects all requests: {self.detail}"


def check_features(features: frozenset[Feature], request: GenerateRequest | LogprobRequest) -> None:
    """Check that `features` contains all features that a request uses.

    Raises:
        RequestError: It does not (reason "unsupported").
    """
    if isinstance(request, LogprobRequest):
        requested: dict[Feature, bool] = {
            "prompt_logprobs": True,
            "prompt_ranks": request.ranks,
            "adapter": request.adapter is not None,
        }
    else:
        requested = {
            "reply_logprobs": request.logprobs,
            "top_logprobs": request.top_logprobs > 0,
            "schema": request.schema is not None,
            "adapter": request.adapter is not None,
        }
    missing = [feature for feature, wanted in requested.items() if wanted and feature not in features]
    if missing:
        raise RequestError("unsupported", f"this engine does not support {', '.join(missing)}")


class Client(Protocol):
    """The interface of a model, wherever it runs. Calls may run concurrently; the engine batches them."""

    async def generate(self, request: GenerateRequest) -> Generation:
        """Continue one conversation.

        Raises:
            RequestError: The prompt is too long, or the model cannot answer it.
        """
        ...

    async def logprobs(self, request: LogprobRequest) -> TokenLogprobs:
        """Score one text.

        Raises:
            RequestError: The text is too long, or the model cannot score it.
        """
        ...

    async def classify(self, request: ClassifyRequest) -> Classification:
        """Classify one text, pair or conversation.

        Raises:
            RequestError: The input is too long, or the model cannot classify it.
        """
        ...


class Engine(Client, Protocol):
    """One loaded model. `features` are its capabilities beyond plain generation."""

    features: frozenset[Feature]

    def progress(self) -> int:
        """Return a number that changes while the engine works on a request, at least once per layer or token."""
        ...

    def cpu_seconds(self) -> float:
        """Return the CPU seconds of the engine's busiest thread so far; 0 if its work is done elsewhere.

        An engine hangs if neither this nor its progress changes for a long time.
        """
        ...

    async def sleep(self) -> None:
        """Offload the weights to host memory. Requires the feature `sleep` and no requests in flight."""
        ...

    async def wake(self) -> None:
        """Move the weights back to the device."""
        ...

    def close(self) -> None:
        """Free the model's memory."""
        ...
