"""What is asked directly, whatever proxy the environment names."""

import socket

import pytest

from resources.proxies import bypasses_proxies


@pytest.fixture(autouse=True)
def proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """The names that are looked up from now on, each of which has these addresses."""
    names: list[str] = []

    def found(name: str, *_: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        names.append(name)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    return names


def test_a_name_of_this_machine_is_asked_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, "127.0.1.1", "::1")
    assert bypasses_proxies("http://my-gpu:8000/v1")


@pytest.mark.parametrize(
    "host", ["localhost.", "ip6-localhost", "localhost6", "inference.localhost", "host.docker.internal"]
)
def test_what_is_this_machine_by_name_is_not_looked_up(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    names = resolving(monkeypatch, "192.0.2.1")
    assert bypasses_proxies(f"http://{host}:8000/v1")
    assert names == []


def test_a_name_that_another_machine_has_too_goes_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, "127.0.0.1", "192.0.2.1")
    assert not bypasses_proxies("http://llm.example/v1")


def test_a_name_that_is_not_found_goes_through_the_proxy() -> None:
    assert not bypasses_proxies("http://nowhere.invalid/v1")


def test_no_name_is_looked_up_where_no_proxy_reads_what_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    names = resolving(monkeypatch, "127.0.0.1")
    assert bypasses_proxies("http://localhost:8000/v1")
    assert not bypasses_proxies("https://llm.example/v1")
    monkeypatch.delenv("HTTP_PROXY")
    assert not bypasses_proxies("http://llm.example/v1")
    assert names == []
