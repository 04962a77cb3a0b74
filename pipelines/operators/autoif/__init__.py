"""AutoIF (2406.13542): instructions that functions can verify, and the verification functions."""
