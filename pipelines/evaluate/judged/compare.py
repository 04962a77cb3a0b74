"""Win, tie or lose against reference answers, with the prompt of 2412.11231 (figures 6 and 7, on AlpacaFarm)."""

from __future__ import annotations

from pipelines.evaluate.items.item import Grade
from pipelines.evaluate.judged import questions
from pipelines.evaluate.judged.judge_client import JudgeCase, JudgeClient, Judgement
from pipelines.study.spec.evaluation.benchmarks import Judge

items = questions.items
SWAPPED_VERDICT = {"win": "lose", "tie": "tie", "lose": "win"}


async def judge(judge_client: JudgeClient, case: JudgeCase, judge_config: Judge) -> Judgement:
    """Judge the answer against the reference answer. The answer is shown first, as in the paper.

    With `swap`, it is also shown second, and both verdicts are combined. As in the paper's code, a reply that cannot be
    parsed is a tie; it is counted as `unparsed`.
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
    """Combine the verdicts of both orders as Cherry_LLM does (2308.12032).

    Two wins, or a win and a tie, are a win. Two ties, or a win and a loss, are a tie. All other pairs are a loss.
    """
    balance = sum((verdict == "win") - (verdict == "lose") for verdict in (first, second))
    return "win" if balance > 0 else "lose" if balance < 0 else "tie"
