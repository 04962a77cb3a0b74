"""Where work runs: starting and reaching Ray, what machines there are, and what fits on them."""
