"""The error class of this package."""


class ClusterError(Exception):
    """The cluster cannot do what was requested. The message says what to change. Shown to users without a traceback."""
