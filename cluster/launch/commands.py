"""The shell commands that set up and start a node. Each command is idempotent, as it may run again at any time."""

from __future__ import annotations

CODE_FOLDER = "~/evolgrid"
TOKEN_FILE = "~/.ray/auth_token"
PORT = 6379
RAISE_FILE_LIMIT = "ulimit -n 65536;"
RAY_START = "RAY_AUTH_MODE=token ~/env/bin/ray start"  # `ray start` enables authentication only on request
APT_GET = "sudo apt-get -o DPkg::Lock::Timeout=600 -qq"
NODE_EXTRAS = ("eval", "deepspeed")  # extras of every node, in addition to that of the cloud's store
# Triton compiles C code against Python.h when a GPU is first used
_HAS_PYTHON = (
    'python3 -c \'import venv, ensurepip, sysconfig; open(sysconfig.get_path("include") + "/Python.h")\' 2>/dev/null'
)
_HAS_TOOLS = " && ".join(f"command -v {tool} >/dev/null" for tool in ("make", "cc", "c++"))
_APT_PACKAGES = (
    f"{_HAS_PYTHON} && {_HAS_TOOLS} || ({APT_GET} update && {APT_GET} install -y python3-venv python3-dev make gcc g++)"
)
_EXTEND_PATH = (
    "grep -q 'HOME/env/bin' ~/.bashrc || echo 'export PATH=$HOME/env/bin:$PATH RAY_AUTH_MODE=token' >> ~/.bashrc"
)
# Ray itself would write the token to a file that all users of the machine can read
MAKE_TOKEN = "(umask 077 && mkdir -p ~/.ray && ~/env/bin/ray get-auth-token --generate >/dev/null)"
HEAD_START = (
    "~/env/bin/ray stop",
    f"{RAISE_FILE_LIMIT} {RAY_START} --head --num-cpus=0 --num-gpus=0 --port={PORT} --object-manager-port=8076 "
    "--dashboard-host=127.0.0.1 --metrics-export-port=8080 --disable-usage-stats "
    "--autoscaling-config=~/ray_bootstrap_config.yaml",
)


def worker_start(cloud: str) -> tuple[str, ...]:
    """Return the commands by which a worker joins the cluster and starts to watch for the cloud's preemption notice."""
    return (
        "~/env/bin/ray stop",
        f"{RAISE_FILE_LIMIT} {RAY_START} --address=$RAY_HEAD_IP:{PORT} --object-manager-port=8076 "
        "--metrics-export-port=8080",
        "pgrep -f '[c]luster.notice' >/dev/null || RAY_AUTH_MODE=token nohup ~/env/bin/python -m cluster.notice "
        f"{cloud} >~/notice.log 2>&1 </dev/null &",
    )


def setup(*extras: str) -> tuple[str, ...]:
    """Return the commands that install evolgrid with extras on every node, and vLLM on nodes with a GPU."""
    install = f"make -C {CODE_FOLDER} install VENV=$HOME/env EXTRAS"
    return (
        _APT_PACKAGES,
        f"{install}={','.join((*extras, *NODE_EXTRAS))}",
        f"if nvidia-smi -L >/dev/null 2>&1; then {install}=vllm; fi",
        _EXTEND_PATH,
    )


def head_setup(*libraries: str) -> tuple[str, ...]:
    """Return the commands for the head only: install the cloud's libraries and create the cluster's token."""
    return f"~/env/bin/pip install -q {' '.join(libraries)}", MAKE_TOKEN
