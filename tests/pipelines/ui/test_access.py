"""Who may read the page, and what it never does."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from pipelines.ui.access import NO_TOKEN
from tests.pipelines.ui.conftest import PORT, TOKEN, PageClient

HOST = f"http://127.0.0.1:{PORT}"


@pytest.fixture
def stranger(page: PageClient) -> TestClient:
    return TestClient(page.client.app, base_url=HOST)


@pytest.mark.parametrize("path", ["/", "/api/studies", "/static/js/main.js", "/report/scripted", "/api/changes", "/x"])
def test_without_the_token_nothing_is_served(stranger: TestClient, path: str) -> None:
    answer = stranger.get(path)
    assert (answer.status_code, answer.text) == (403, NO_TOKEN)


def test_a_wrong_token_is_refused(stranger: TestClient) -> None:
    assert stranger.get("/?token=other").status_code == 403
    assert stranger.get("/?token=%C3%A9").status_code == 403
    stranger.cookies.set(f"evolgrid-{PORT}", "other")
    assert stranger.get("/").status_code == 403


def test_the_token_in_the_address_sets_a_cookie_that_later_requests_carry(stranger: TestClient) -> None:
    answer = stranger.get(f"/?token={TOKEN}")
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert stranger.get("/api/studies").status_code == 200


@pytest.mark.parametrize("host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", f"127.0.0.1:{PORT + 1}", ""])
def test_another_host_name_is_refused(page: PageClient, host: str) -> None:
    assert page.client.get("/api/studies", headers={"host": host}).status_code == 403
    assert page.client.get("/api/studies", headers={"host": f"localhost:{PORT}"}).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_there_is_no_way_to_write(page: PageClient, method: str) -> None:
    assert page.client.request(method, "/api/studies").status_code == 405


def test_scripts_and_styles_come_from_the_page_only(page: PageClient) -> None:
    policy = page.client.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
    text = page.client.get("/").text
    assert "http" not in text and "<style" not in text and " style=" not in text and "javascript:" not in text


def test_the_report_is_confined(page: PageClient) -> None:
    answer = page.client.get("/report/scripted")
    assert answer.status_code == 200 and "<html" in answer.text
    policy = answer.headers["content-security-policy"]
    assert "sandbox allow-scripts" in policy and "same-origin" not in policy


@pytest.mark.parametrize(
    "path",
    [
        "/api/studies/../../x/overview",
        "/api/studies/%2e%2e/overview",
        "/api/studies/..%2fscripted/overview",
        "/report/%2e%2e%2f%2e%2e",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2f..%2fapp.py",
        "/api/studies/scripted/nothing",
    ],
)
def test_addresses_do_not_leave_the_store(page: PageClient, path: str) -> None:
    assert page.client.get(path).status_code == 404


@pytest.mark.parametrize("key", ["../../seeds", "", "x" * 2000, "\x00"])
def test_keys_name_steps_of_the_study_only(page: PageClient, key: str) -> None:
    status, message = page.error("step", key=key)
    assert status in (400, 404) and message
    status, message = page.error("row", step=key, id="1")
    assert status in (400, 404) and message
