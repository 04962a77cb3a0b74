"""Win, tie or lose against other answers (2412.11231, figures 6 and 7, on AlpacaFarm's instructions; its prompt)."""

from __future__ import annotations

from pipelines.evaluate.items.item import Grade
from pipelines.evaluate.judged import questions
from pipelines.evaluate.judged.judge_client import JudgeCase, JudgeClient, Judgement
from pipelines.study.spec.benchmarks import Judge

items = questions.items
SWAPPED_VERDICT = {"win": "lose", "tie": "tie", "lose": "win"}


async def judge(judge_client: JudgeClient, case: JudgeCase, judge_config: Judge) -> Judgement:
    """The answer stands first, as in the paper; with `swap` it stands second, too, and both verdicts count.

    What can not be read is a tie, as in the paper's code, and counted as `unparsed`.
    """
    (question, *_), mine, other = case.questions, case.answers[-1], case.other[-1]
    said = [await judge_client.ask_verdict("judge_compare", user_query=question, assistant1=mine, assistant2=other)]
    if judge_config.swap:
        said.append(
            await judge_client.ask_verdict("judge_compare", user_query=question, assistant1=other, assistant2=mine)
        )
    verdicts = [reply.value or "tie" for reply in said]
    final = verdicts[0] if len(said) == 1 else combine_orders(verdicts[0], SWAPPED_VERDICT[verdicts[1]])
    lost = sum(reply.value is None for reply in said)
    measures = {name: (float(final == name), 1.0) for name in ("win", "tie", "lose")}
    measures["unparsed"] = (lost / len(said), float(len(said)))
    return Judgement(
        Grade(final == "win", measures, tuple(reply.value or "" for reply in said)), tuple(judge_client.raw), other
    )


def combine_orders(first: str, second: str) -> str:
    """Cherry_LLM's scheme (2308.12032): a win is two wins or a win and a tie, a tie two ties or a win and a loss."""
    balance = sum((verdict == "win") - (verdict == "lose") for verdict in (first, second))
    return "win" if balance > 0 else "lose" if balance < 0 else "tie"
