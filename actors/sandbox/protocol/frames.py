"""Reads a job's untrusted output from a pipe, frame by frame."""

from __future__ import annotations

import os
import select
import time

from actors.sandbox.protocol.wire import ValueTooLarge


class FrameReader:
    """Reads frames from one pipe."""

    def __init__(self, fd: int) -> None:
        self._fd, self._bytes = fd, bytearray()
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)

    def next(self, deadline: float, limit: int) -> bytes | None:
        """Return the next frame, or None at the end of the pipe.

        Args:
            deadline: In seconds of `time.monotonic`.
            limit: The maximum length of the frame in bytes.

        Raises:
            TimeoutError: The frame was not complete at `deadline`.
            ValueTooLarge: The frame's header announces more than `limit` bytes.
        """
        head = self._read(4, deadline)
        if head is None:
            return None
        size = int.from_bytes(head, "big")
        if size > limit:
            raise ValueTooLarge(f"the result has {size:,} bytes, {limit:,} are allowed")
        return self._read(size, deadline)

    def _read(self, size: int, deadline: float) -> bytes | None:
        while len(self._bytes) < size:
            left = deadline - time.monotonic()
            if left <= 0 or not self._poll.poll(left * 1000):
                raise TimeoutError
            part = os.read(self._fd, 1 << 16)
            if not part:
                return None
            self._bytes += part
        taken = bytes(self._bytes[:size])
        del self._bytes[:size]
        return taken
