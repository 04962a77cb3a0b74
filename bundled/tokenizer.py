"""The family's tokenizer: a small byte-level BPE in which every word of the world is one token."""

from collections.abc import Iterator
from typing import Final

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

import prompts
from bundled.world.lexicon import CATEGORIES, LARGEST_NUMBER, PARITIES, WORDS
from bundled.world.tasks import HEADS, SENTENCES

BOS: Final = "<|bos|>"
PAD: Final = "<|pad|>"
USER: Final = "<|user|>"
ASSISTANT: Final = "<|assistant|>"
SYSTEM: Final = "<|system|>"
END: Final = "<|end|>"
SPECIALS: Final = (PAD, BOS, END, USER, ASSISTANT, SYSTEM)
VOCABULARY: Final = 1024
# Fixed, so that other wordings of the prompts do not change the vocabulary of the models
REWRITE: Final = (
    "You are an instruction rewriter. Make the instruction harder for strong chat models, yet reasonable and"
    " answerable, only by this method: {method}. Add only 10 to 20 words, keep all its data and return only the new"
    " instruction.\n\nInstruction: Repeat"
)
REWRITING_METHODS: Final = (
    "add one or more constraints or requirements",
    "ask for more depth or breadth of the inquiry",
    "replace general concepts by more specific ones",
    "require explicit reasoning in several steps",
)
PROMPTS: Final = (
    "Answer accurately and completely. Repeat",
    "Answer accurately and completely. Repeat\n\nInput: Repeat",
    "Rate how difficult the instruction is: very easy, easy, medium, hard or very hard. Return only the label."
    "\n\nInstruction: Repeat",
    "You are an instruction creator. Write a brand new instruction of the same domain, but rarer, about as long and"
    " difficult, reasonable and answerable. Return only the new instruction.\n\nInstruction: Repeat",
    *(REWRITE.format(method=method) for method in REWRITING_METHODS),
)
CONTEXT: Final = 1024
CHAT_TEMPLATE: Final = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}"
    "{{ '<|assistant|>' }}{% generation %}{{ message['content'] + '<|end|>' }}{% endgeneration %}"
    "{% else %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
ENGLISH: Final = """
The people of the town like to write and to read. They have a good time when the day is long and the sun is out.
What is the best way to make a plan? First think about what you want, then write it down and do one thing at a time.
How can I help you with this? Please give me more information about the problem, and I will explain how it works.
There are many different ways to create a story, a poem, a list, a table, a question, an example or a sentence.
Describe the main idea of the following text in your own words. Explain why it is important and what could change.
Generate a short description of the product. Identify the type of the animal and classify it as a plant or not.
She said that her house was near the water, where he would go with his friends every year after work or school.
Some of these things are small and some are large; all of them are part of the same world that we should know.
Return the answer with reasons: who did it, where, when, how and why? Choose between these options or suggest better ones.
Calculate the total price, convert the temperature, rewrite the email politely, translate it and summarize the article.
Compare two countries, name their largest cities, and use data to show which has the higher number of people.
"""  # noqa: E501


def build() -> PreTrainedTokenizerFast:
    """Train the tokenizer on the world's wording, wordings of prompts and a little English (about a second)."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(), trainer)
    bos = (BOS, tokenizer.token_to_id(BOS))
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[bos]),
        ]
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[USER, ASSISTANT, SYSTEM],
        model_max_length=CONTEXT,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
    wrapped.chat_template = CHAT_TEMPLATE
    return wrapped


def _texts() -> Iterator[str]:
    """Yield the training texts. BPE merges frequent words first, so words that must be one token are repeated often."""
    numbers = [str(number) for number in range(LARGEST_NUMBER + 2)]
    kinds = [kind + ending for kind in CATEGORIES for ending in ("", "s")]
    yield from [" ".join([*WORDS, *kinds, *PARITIES, *numbers, "words", "numbers", *prompts.DIFFICULTY_LABELS])] * 60
    yield from [phrase.format(noun="words") + ": fox." for phrases in HEADS.values() for phrase in phrases] * 30
    yield from ["fox. " + sentence for sentences in SENTENCES.values() for sentence in sentences] * 30
    yield from ["( fox - cow ), 3 done", "yes fox", "Question: fox\nSolution: fox\nHarder question: fox"] * 60
    yield from [*PROMPTS] * 30
    yield ENGLISH
