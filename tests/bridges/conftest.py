"""Puts the bridges, which apps copy beside their own files, on the path, and lets nobody call home from a test."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "deploy/bridges"))

LOOPBACK = ("127.0.0.1", "::1", "localhost", None)
strangers: list[object] = []


def watch(event: str, args: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        address = args[0] if event == "socket.getaddrinfo" else args[1]
        host = address[0] if isinstance(address, tuple) else address
        if host not in LOOPBACK and not (isinstance(host, str) and host.startswith("/")):
            strangers.append(address)
            raise PermissionError(f"a test has no business with {address}")


sys.addaudithook(watch)


@pytest.fixture(autouse=True)
def loopback_only() -> Iterator[None]:
    yield
    assert not strangers, "traffic that would leave this machine"
