"""Makes MKL, torch's library for matrix products on CPUs, give each row the same bits whatever else is computed.

By default, it chooses among algorithms by the number of rows and threads: with AVX-512, a row of a product with fewer
than 16 rows has other bits than in a larger product; on several threads, for some sizes, one of fewer than 300.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

MODE = "MKL_CBWR"
STRICT = {MODE: "AUTO,STRICT"}
"""Intel's name of the mode in which bits depend on neither; it takes no longer."""
CPU_INFO = Path("/proc/cpuinfo")


def strict_mode() -> Mapping[str, str]:
    """Return the variable that turns the mode on: before MKL's first product in a process, which reads it once.

    Empty unless the CPU is Intel's and has AVX2, as MKL has the mode for these only.
    """
    try:
        cpu = CPU_INFO.read_text()
    except OSError:
        return {}
    return STRICT if "GenuineIntel" in cpu and " avx2 " in cpu else {}
