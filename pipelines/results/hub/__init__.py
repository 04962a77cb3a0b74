"""Pushes a finished study to the Hugging Face hub: its data sets with the report, and its students, with cards."""
