"""Pins the names of a study's models and data sets on the hub to commits, in a lock file beside the study."""
