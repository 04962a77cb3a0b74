"""The Ray cluster: connecting, launching, its nodes' resources, and what fits on them."""
