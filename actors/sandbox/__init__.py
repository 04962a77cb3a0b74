"""Runs Python code written by models: each job in its own process and namespaces, with only plain values returned."""
