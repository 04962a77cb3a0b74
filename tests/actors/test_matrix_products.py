"""A row of a matrix product has the same bits whatever rows and threads share it, where MKL can do that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from actors import matrix_products
from actors.matrix_products import MODE, STRICT, strict_mode

PRODUCTS = """
import json, torch
torch.manual_seed(0)
different = []
for threads in (1, 2):
    torch.set_num_threads(threads)
    for inputs, outputs in ((640, 2048), (2048, 640), (1024, 512)):
        weight, x = torch.randn(outputs, inputs), torch.randn(300, inputs)
        whole = torch.nn.functional.linear(x, weight)
        for rows in (1, 2, 7, 15, 16, 40, 112, 256):
            if not torch.equal(torch.nn.functional.linear(x[:rows], weight), whole[:rows]):
                different.append([threads, inputs, outputs, rows])
print(json.dumps(different))
"""


@pytest.mark.skipif(not strict_mode(), reason="MKL has no strict mode for this CPU")
def test_the_bits_of_a_row_depend_neither_on_the_number_of_rows_nor_on_that_of_threads() -> None:
    environment = {name: value for name, value in os.environ.items() if name != MODE} | dict(strict_mode())
    done = subprocess.run([sys.executable, "-c", PRODUCTS], capture_output=True, text=True, check=True, env=environment)
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize(
    ("cpu", "expected"),
    [
        ("vendor_id\t: GenuineIntel\nflags\t\t: fpu avx avx2 bmi2\n", STRICT),
        ("vendor_id\t: GenuineIntel\nflags\t\t: fpu avx bmi2\n", {}),
        ("vendor_id\t: AuthenticAMD\nflags\t\t: fpu avx avx2 bmi2\n", {}),
        (None, {}),
    ],
)
def test_only_cpus_that_have_the_mode_use_it(
    cpu: str | None, expected: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if cpu is not None:
        (tmp_path / "cpuinfo").write_text(cpu)
    monkeypatch.setattr(matrix_products, "CPU_INFO", tmp_path / "cpuinfo")
    assert strict_mode() == expected
