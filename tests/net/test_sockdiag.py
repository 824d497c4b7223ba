"""Laws of the list of connections that hold without privileges; the rest is in integration/test_drivers.py."""

from __future__ import annotations

import socket

import pytest

from ovsha.net.sock_diag import destroy_tcp, established


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_established_connection_is_listed_with_both_ends(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    name = f"[{host}]" if ":" in host else host
    with socket.create_server((host, 0), family=family) as server:
        port = server.getsockname()[1]
        assert established(remote_port=port) == []
        with socket.create_connection((host, port)) as near:
            ends = (f"{name}:{near.getsockname()[1]}", f"{name}:{port}")
            assert established(remote_port=port) == [ends]
            assert established(local_port=port) == [ends[::-1]]
            server.accept()[0].close()


def test_to_destroy_every_connection_is_refused() -> None:
    with pytest.raises(ValueError, match="every connection"):
        destroy_tcp()
