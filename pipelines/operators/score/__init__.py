"""Operators that measure pairs: losses and perplexities, rewards, and judgements of instructions."""
