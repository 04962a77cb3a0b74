"""Formats numbers, durations and times for display."""

from __future__ import annotations

import math
from datetime import UTC, datetime

MISSING = "–"
ROUNDING_ERROR = 1e-9


def number(value: float | None, digits: int = 1) -> str:
    """Format with thousands separators and `digits` decimals; None is a dash, infinity and NaN are named."""
    return MISSING if value is None else _not_finite(value) or f"{value:,.{digits}f}"


def significant_digits(value: float | None) -> str:
    """Format with three significant digits; scientific notation only if plain digits would mislead."""
    if value is None or _not_finite(value):
        return number(value)
    if value == 0 or 1e-4 <= abs(value) < 1e6:
        digits = 2 if value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))
        return f"{value:,.{digits}f}"
    return f"{value:.2e}"


def signed(value: float | None) -> str:
    """Format with one decimal and always a sign (a true minus, not a hyphen)."""
    return MISSING if value is None else _not_finite(value) or f"{value:+.1f}".replace("-", "−")


def signed_digits(value: float | None) -> str:
    """Format with three significant digits and always a sign (a true minus, not a hyphen)."""
    text = significant_digits(value)
    return text.replace("-", "−", 1) if value is None or not math.isfinite(value) or value < 0 else f"+{text}"


def table_number(value: float | None, beside: float | None = None) -> str:
    """Format with the two decimals of the papers' tables from 1 on, and with three significant digits below.

    `beside` is a number whose size decides instead, such as that of which `value` is the margin.
    """
    if value is None or not math.isfinite(value):
        return number(value)
    if abs(value) < ROUNDING_ERROR or abs(value if beside is None else beside) >= 1:
        return f"{round(value, 2) + 0.0:,.2f}"  # + 0.0: no minus before a zero
    return significant_digits(value)


def signed_table_number(value: float | None, beside: float | None = None) -> str:
    """Format as `table_number` does, always with a sign (a true minus, not a hyphen)."""
    text = table_number(value, beside).replace("-", "", 1)
    return text if value is None or not math.isfinite(value) else f"{'−' if value <= -ROUNDING_ERROR else '+'}{text}"


def p_value(value: float) -> str:
    """Format a p-value with two digits, or as `< 0.001`."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def duration(seconds: float) -> str:
    """Format seconds in the two largest units: `0.4 s`, `12 s`, `4 min 12 s`, `2 h 03 min`, `3 d 04 h`."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours < 48 else f"{hours // 24} d {hours % 24:02d} h"


def timestamp(text: str) -> str:
    """Format an ISO 8601 time in UTC, to the minute; return any other text unchanged."""
    try:
        return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return text


def parameters(count: int) -> str:
    """Format a model's number of parameters: `870K`, `3.6M`, `72B`."""
    for unit, size in (("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if count >= size:
            scaled = count / size
            return f"{scaled:.1f}{unit}" if scaled < 10 else f"{scaled:.0f}{unit}"
    return str(count)


def _not_finite(value: float) -> str:
    if math.isfinite(value):
        return ""
    return "NaN" if math.isnan(value) else "∞" if value > 0 else "−∞"
