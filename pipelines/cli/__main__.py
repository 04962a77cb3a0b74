"""Runs the command line as `python -m pipelines.cli`."""

from pipelines.cli.app import main

main()
