"""Servers whose certificate comes from a private authority, over real TLS."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from actors.engine import EngineSpec, GenerateRequest, Sampling
from actors.engines.http_engine import HttpEngine, probe_model
from tests.actors.engines.servers.odd_server import TEXT, odd_server

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def certificate(folder: Path, name: str, *authority: str) -> Path:
    """Return the certificate of 127.0.0.1, with its key beside it, signed by an authority or by itself."""
    path = folder / f"{name}.pem"
    extension = "subjectAltName=IP:127.0.0.1" if authority else "basicConstraints=critical,CA:TRUE"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    files = ["-keyout", str(path.with_suffix(".key")), "-out", str(path)]
    subprocess.run([*command, *files, "-addext", extension, *authority], check=True, capture_output=True)
    return path


def test_a_private_authority_is_trusted_if_its_file_is_named(tmp_path: Path) -> None:
    authority = certificate(tmp_path, "authority")
    signed = certificate(tmp_path, "server", "-CA", str(authority), "-CAkey", str(authority.with_suffix(".key")))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(signed, signed.with_suffix(".key"))
    with odd_server(tls) as server:
        options = (("url", server.url), ("retries", 0))
        with pytest.raises(ConnectionError, match=r"certificate verify failed.*name the file .* in option 'ca_file'"):
            probe_model(EngineSpec("http", "m", options=options))
        engine = HttpEngine(EngineSpec("http", "m", options=(*options, ("ca_file", str(authority)))))
        request = GenerateRequest("r", (("user", "Hello"),), Sampling(), 1)
        assert asyncio.run(engine.generate(request)).text == TEXT
        engine.close()
