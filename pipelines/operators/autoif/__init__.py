"""AutoIF: instructions whose fulfilment a function can check, and the functions that check it (2406.13542)."""
