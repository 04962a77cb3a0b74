"""What has to outlive a loss of power."""

from __future__ import annotations

import os
from pathlib import Path


def flush_tree(folder: Path) -> None:
    """Have the disk hold all files and folders below a folder, and itself."""
    for path in (*folder.rglob("*"), folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
