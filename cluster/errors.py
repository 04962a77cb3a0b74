"""The one error of this package."""


class ClusterError(Exception):
    """The machines can not do what was asked; the message says what to change. Shown to users without a traceback."""
