"""Ports for servers that tests start in other processes."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack, suppress

# Linux gives outgoing connections ports from 32,768 up, and Ray gives its workers those from 10,002 to 19,999
LISTENERS = (20_000, 32_000)


def free_port(*offsets: int) -> int:
    """Return a port that nobody listens on, and that no outgoing connection takes before it is used.

    The ports that follow it by `offsets` are free as well.
    """
    while True:
        port = random.SystemRandom().randrange(*LISTENERS)
        with suppress(OSError), ExitStack() as servers:
            for offset in (0, *offsets):
                servers.enter_context(socket.create_server(("", port + offset)))
            return port
