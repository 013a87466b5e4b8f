"""The agent looks for the hub's replicas every 5 s and keeps one session to each (safety rules S2.5, S9.1)."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from batchpools.agent.places import Places
from batchpools.agent.sessions import Session, Sessions
from batchpools.link import messages as link
from batchpools.testing.virtual_time import VirtualClock, run_virtual


class Replicas(Sessions):
    """Replicas that come and go; a session to them lasts as long as the replica."""

    def __init__(self) -> None:
        super().__init__("hub", 1, Places(Path(), Path(), Path(), "", ""), lambda: 0, lambda *_: None)
        self.there = ["10.0.0.1"]
        self.made: Counter[str] = Counter()
        self.open: dict[str, Session] = {}

    async def _addresses(self) -> list[str]:
        return list(self.there)

    async def _connect(self, address: str) -> Session:
        self.made[address] += 1
        session = Session(link.Hello(link.PROTOCOL_VERSION, "", "", 0), self._take(address), self._leave(address))
        self.open[address] = session
        return session

    def end(self, address: str) -> None:
        """The replica is gone."""
        nobody: Any = None
        self.open.pop(address).on_ws_disconnected(nobody)


def test_a_replica_that_comes_is_found_within_5_seconds_and_has_one_session() -> None:
    async def main(_: VirtualClock) -> None:
        replicas = Replicas()
        running = asyncio.create_task(replicas.run())
        await asyncio.sleep(1.0)
        assert replicas.made == {"10.0.0.1": 1}
        replicas.there.append("10.0.0.2")
        await asyncio.sleep(5.1)
        assert replicas.made == {"10.0.0.1": 1, "10.0.0.2": 1}
        await asyncio.sleep(60.0)
        assert replicas.made == {"10.0.0.1": 1, "10.0.0.2": 1}
        replicas.there.remove("10.0.0.1")
        replicas.end("10.0.0.1")
        replicas.end("10.0.0.2")
        await asyncio.sleep(20.0)
        assert replicas.made == {"10.0.0.1": 1, "10.0.0.2": 2}
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    run_virtual(main)


def test_a_connection_that_is_lost_with_its_handshake_is_made_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The library then has no listener to give."""
    (tmp_path / "token").write_text("token")
    monkeypatch.setattr("batchpools.agent.sessions.ssl.create_default_context", lambda **_: None)
    asked: list[str] = []

    async def lost(_: object, url: str, **__: object) -> tuple[None, None]:
        asked.append(url)
        return None, None

    monkeypatch.setattr("batchpools.agent.sessions.ws_connect", lost)

    async def main(_: VirtualClock) -> None:
        class Known(Sessions):
            async def _addresses(self) -> list[str]:
                return ["10.0.0.1"]

        places = Places(tmp_path / "token", tmp_path / "ca.crt", Path(), "", "")
        running = asyncio.create_task(Known("hub", 1, places, lambda: 0, lambda *_: None).run())
        await asyncio.sleep(4.0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    run_virtual(main)
    assert len(asked) > 2
    assert "lost with its handshake" in caplog.text
