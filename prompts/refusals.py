"""Detects refusals by their opening words, in several languages.

Cherry_LLM (2308.12032) filters data by such phrases.
"""

import re

_OPENINGS = tuple(
    """\
as a language model, i
as an ai language model, i
as an ai, i
as an ai assistant, i
i am not able to
i am unable to
i apologize, but i
i can not
i can't
i cannot
i decline to
i do not have the ability to
i don't have the ability to
i have to decline
i must decline
i will not
i won't
i'm afraid i can
i'm not able to
i'm sorry, but i
i am sorry, but i
i'm unable to
it is not possible for me to
my apologies, but i
sorry, but i
sorry, i can
unfortunately, i am
unfortunately, i can
unfortunately, i'm
we are unable to
we cannot
""".splitlines()
)
_SORRY = (
    r"(?:i(?: a|')m (?:so |very |really |truly )?(?:sorry|afraid)|sorry|(?:my|i) apolog(?:i[sz]e|ies)|unfortunately)"
)
_AS_AI = r"as an? (?:responsible )?(?:ai|artificial intelligence|(?:large )?language model)\b[^,.\n]{0,40},"
_CANNOT = (
    r"(?:can ?not|can't|(?:am|'m) (?:not able|unable) to|(?:am|'m) not (?:comfortable|going to)|won't|will not"
    r"|must (?:respectfully )?decline|have to decline|decline|do not feel comfortable|don't feel comfortable)"
)
_HELP = (
    r"(?:be able to )?(?:help|assist|comply|fulfil?l?|rewrit|re-writ|provid|engag|participat|complet|creat|generat"
    r"|produc|discuss|continu|do (?:that|this|so)|support|evolv|modif|process|answer|respond|accommodat|offer|proceed"
    r"|facilitat|promot|perform|with\b|to\b|your\b|this\b|that\b|writing|rewriting|helping)"
)
_ENGLISH_REFUSALS = re.compile(
    rf"(?:{_SORRY},?[^.!?\n]{{0,40}}?|{_AS_AI} ?)\bi ?{_CANNOT} {_HELP}"
    rf"|i ?{_CANNOT} (?:to )?(?:help|assist|comply|fulfil?l?|rewrite|engage|participate)\w* (?:you )?"
    r"(?:with|in|by|this|that|your|the|such)"
    rf"|{_AS_AI} i(?: do not|don't| am not|'m not)"
    r"|(?:i must|i have to|i'll have to|i respectfully) decline"
    r"|(?:this|your|the) (?:request|prompt|instruction) (?:violates|goes against|is (?:inappropriate|harmful))",
)
_OTHER_REFUSALS = re.compile(
    # Chinese, simplified and traditional
    r"(?:很|非常|十分|真的|真)?(?:抱歉|对不起|對不起|不好意思|遗憾|遺憾)[^\n]{0,24}?"
    r"(?:无法|無法|不能|不可以|没有办法|沒有辦法|没法|不便|不会|不會)"
    r"|我(?:无法|無法|不能|没有办法|没法)(?:帮|幫|协助|協助|提供|满足|滿足|完成|改写|改寫|重写|重寫|回答|生成|为您|為您|参与|参與|创建|創建|执行)"
    r"|作(?:为|為)(?:一个|一個|一名|一款)?(?:AI|人工智能|人工智慧|语言模型|語言模型|大型?模型)"
    # Japanese, Korean
    r"|(?:大変)?(?:申し訳|恐れ入り|ごめんなさい|すみません|残念ながら)[^\n]{0,60}?(?:できません|できかね|いたしかね|お手伝いでき)"
    r"|(?:죄송|미안|유감)[^\n]{0,60}?(?:없습니다|없어요|어렵습니다)"
    # German
    r"|(?:es tut mir (?:sehr )?leid|tut mir leid|entschuldigung|entschuldigen sie|leider|ich bedaure)[^.!?\n]{0,30}?"
    r"\b(?:ich kann|kann ich|ich darf|darf ich|ich bin nicht in der lage)\b"
    r"|ich kann (?:ihnen|dir|euch)?[^.!?\n]{0,40}?nicht (?:dabei )?"
    r"(?:helfen|behilflich|weiterhelfen|umschreiben|bearbeiten)"
    r"|als (?:eine? )?(?:ki\b|künstliche intelligenz|(?:großes )?sprachmodell)"
    # French
    r"|(?:je suis (?:vraiment )?désolée?|désolée?|je m'excuse|je regrette|malheureusement)[^.!?\n]{0,20}?"
    r"\bje ne (?:peux|suis|pourrai)"
    r"|je ne (?:peux|pourrai) pas (?:vous |t')?(?:aider|répondre|réécrire|fournir|accéder|satisfaire)"
    r"|en tant qu(?:e |')(?:ia\b|intelligence artificielle|assistant|modèle de langage)"
    # Spanish, Portuguese, Italian
    r"|(?:lo siento|lamento|lamentablemente|disculp[ae]|perd[oó]n|me temo|desafortunadamente)[^.!?\n]{0,30}?"
    r"\bno (?:puedo|me es posible|soy capaz)"
    r"|no puedo (?:ayudar|asistir|cumplir|proporcionar|reescribir|responder)"
    r"|como (?:una? )?(?:ia\b|intelig[eê]ncia artificial|modelo de (?:lenguaje|linguagem))"
    r"|(?:desculpe|sinto muito|lamento|infelizmente)[^.!?\n]{0,30}?\bnão (?:posso|consigo|me é possível)"
    r"|não posso (?:ajudar|atender|fornecer|reescrever|responder)"
    r"|(?:mi dispiace|mi scuso|purtroppo|spiacente)[^.!?\n]{0,30}?\bnon (?:posso|sono in grado)"
    r"|non posso (?:aiutar|fornir|riscriver|soddisfar)"
    r"|come (?:un )?(?:modello linguistico|ia\b|intelligenza artificiale)"
    # Russian
    r"|(?:извините|простите|к сожалению|прошу прощения|сожалею)[^.!?\n]{0,30}?\bя не (?:могу|в состоянии)"
    r"|я не могу (?:помочь|выполнить|переписать|предоставить)"
    r"|как (?:языковая модель|ии\b|искусственный интеллект)",
    re.I,
)


def is_refusal(answer: str) -> bool:
    """Return whether an answer starts like a refusal. False positives and false negatives are possible."""
    opening = _opening(answer).lstrip("\"'*_#>- ")
    return opening.startswith(_OPENINGS) or _OTHER_REFUSALS.match(opening) is not None


def refuses_rewrite(instruction: str) -> bool:
    """Return whether a text in place of a rewritten instruction is a refusal to rewrite.

    Unlike an answer, an instruction may begin with "I cannot" ("I cannot sleep. What helps?") or with a quoted refusal,
    so an opening counts only together with what a model refuses to do.
    """
    opening = _opening(instruction).lstrip("*_#>- ")
    return any(refusal.match(opening) for refusal in (_ENGLISH_REFUSALS, _OTHER_REFUSALS))


def _opening(text: str) -> str:
    return " ".join(text[:300].lower().replace("\u2019", "'").split())
