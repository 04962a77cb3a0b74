"""The token file: created once, atomically, and readable only by this user."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cluster.connection.auth import ensure_token
from cluster.errors import ClusterError


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    return tmp_path / ".ray" / "auth_token"


def test_new_token_is_private(token: Path) -> None:
    ensure_token()
    assert token.stat().st_mode & 0o777 == 0o600
    assert len(token.read_text()) == 64


def test_existing_token_is_kept_and_closed_to_others(token: Path) -> None:
    token.parent.mkdir()
    token.write_text("mine")
    token.chmod(0o644)
    ensure_token()
    assert token.read_text() == "mine"
    assert token.stat().st_mode & 0o777 == 0o600


def test_starting_together_yields_one_token_and_no_leftovers(token: Path) -> None:
    def start(_: int) -> str:
        ensure_token()
        return token.read_text()

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(start, range(64)))) == 1
    assert list(token.parent.iterdir()) == [token]


def test_named_token_is_left_alone(token: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/elsewhere")
    ensure_token()
    assert not token.exists()


def test_unwritable_home_is_told(token: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/dev/null")
    with pytest.raises(ClusterError, match="RAY_AUTH_TOKEN_PATH"):
        ensure_token()


def test_token_is_private_whatever_the_umask(token: Path) -> None:
    before = os.umask(0)
    try:
        ensure_token()
    finally:
        os.umask(before)
    assert token.stat().st_mode & 0o777 == 0o600
    assert token.parent.stat().st_mode & 0o777 == 0o700
