"""What the licences of sources mean for what is made of them: the licence that all share, and where they conflict.

Only what the identifiers on the hub say is known here. The texts of the licences decide; this is not legal advice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipelines.results.export.files import Origin

_OF_OUTPUTS = {
    "llama2": "does not allow its outputs to improve other language models",
    "llama3": "does not allow its outputs to improve other language models",
    "llama3.1": "asks that models trained on its outputs have names that begin with 'Llama'",
    "llama3.2": "asks that models trained on its outputs have names that begin with 'Llama'",
    "llama3.3": "asks that models trained on its outputs have names that begin with 'Llama'",
    "gemma": "extends its terms to models that are trained on its outputs",
}
_SAME_AGAIN = ("gpl", "agpl", "lgpl", "odbl", "cc-by-sa", "cc-by-nc-sa")


def shared_licence(origins: Sequence[Origin]) -> Origin | None:
    """Return a source with the licence that all of them state; None if they differ, or one states none."""
    alike = len({origin.terms for origin in origins}) == 1
    return origins[0] if alike and origins[0].licences else None


def languages(origins: Iterable[Origin]) -> list[str]:
    """Return the languages that any of the sources state, sorted."""
    return sorted({language for origin in origins for language in origin.languages})


def terms_notes(seeds: Sequence[Origin], models: Sequence[Origin]) -> list[str]:
    """Return one sentence for each thing to know before the data are used: unknown licences, limits, conflicts."""
    sources = [*seeds, *models]
    unknown = [origin.name for origin in sources if not origin.licences]
    notes = [f"Unknown licence: {_list(unknown)}. Ask the owner before you pass the data on."] if unknown else []
    notes += [
        f"The licence of the model {origin.name} ({licence}) {_OF_OUTPUTS[licence]}."
        for origin in models
        for licence in map(str.lower, origin.licences)
        if licence in _OF_OUTPUTS
    ]
    parts = [(origin.name, each.lower()) for origin in sources for each in origin.licences]
    if named := [f"{name} ({licence})" for name, licence in parts if "-nc" in licence]:
        notes.append(f"No commercial use: {_list(named)}.")
    if named := [f"{name} ({licence})" for name, licence in parts if "-nd" in licence]:
        notes.append(f"Conflict: {_list(named)} does not allow changed versions, such as these data, to be passed on.")
    again = {licence: f"{name} ({licence})" for name, licence in parts if licence.startswith(_SAME_AGAIN)}
    if len(again) > 1:
        notes.append(f"Conflict: each of {_list(again.values())} asks for its own licence for what is made of it.")
    elif again and any(licence not in again for _, licence in parts):
        notes.append(f"What is made of {_list(again.values())} must have the same licence.")
    return notes


def _list(names: Iterable[str]) -> str:
    *first, last = dict.fromkeys(names)
    return f"{', '.join(first)} and {last}" if first else last
