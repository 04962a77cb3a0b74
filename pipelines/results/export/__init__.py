"""Results for other tools: data sets in their formats with a card, students as Hugging Face folders."""

from typing import Literal

Format = Literal["alpaca", "sharegpt", "messages", "parquet"]
