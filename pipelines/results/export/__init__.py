"""Exports for other tools: data sets in common formats with a card, and students as Hugging Face folders."""

from typing import Literal

Format = Literal["alpaca", "sharegpt", "messages", "parquet"]
