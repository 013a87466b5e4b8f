"""Who is not an agent of ours, over real TLS: refused or cut at once, counted, and nobody else is disturbed."""

import asyncio
import contextlib
import dataclasses
import socket
import ssl
from pathlib import Path

import pytest
from picows import WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect
from tests.link.house import GOOD_TOKEN, POD, House, until

from batchpools.api import names
from batchpools.hub import door
from batchpools.hub import session as session_module
from batchpools.hub.certificates import new_authority
from batchpools.hub.strangers import AT_ONCE
from batchpools.link import messages as link
from batchpools.link.framing import decode_from_hub, encode
from batchpools.link.words import Refusal
from batchpools.telemetry.clock import SystemClock


class Stranger(WSListener):
    """A client that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[link.FromHub] = []
        self.gone = asyncio.Event()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """What the hub says."""
        if frame.msg_type == WSMsgType.BINARY:
            self.told += decode_from_hub(frame.get_payload_as_bytes())

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The end."""
        self.gone.set()


async def knock(house: House, *frames: bytes, path: str = names.HUB_PATH) -> Stranger:
    """Connect as anybody in the cluster could, and send frames."""
    tls = ssl.create_default_context(cafile=str(house.places.ca_file))
    transport, stranger = await ws_connect(
        Stranger,
        f"wss://127.0.0.1:{house.replica.port}{path}",
        ssl_context=tls,
        server_hostname=names.HUB_SERVER_NAME,
        use_aiofastnet=False,
    )
    for frame in frames:
        transport.send(WSMsgType.BINARY, frame)
    assert isinstance(stranger, Stranger)
    return stranger


def hello(version: int = link.PROTOCOL_VERSION, token: str = GOOD_TOKEN) -> bytes:
    return encode([link.Hello(version, token, "0", 0)])


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (hello(token="made-up"), Refusal.BAD_TOKEN),  # noqa: S106 (made up indeed)
        (hello(version=0), Refusal.BAD_PROTOCOL),
        (b"\xff\x00garbage", Refusal.BAD_FRAME),
        (encode([link.Unknown("a")]), Refusal.BAD_FRAME),
    ],
)
async def test_a_stranger_is_refused_with_a_code_and_cut(house: House, frame: bytes, code: Refusal) -> None:
    await house.replica.start()
    stranger = await knock(house, frame)
    await stranger.gone.wait()
    assert [message.code for message in stranger.told if isinstance(message, link.Refused)] == [code]
    assert house.replica.hub.refusals == {code: 1}
    assert house.replica.hub.sessions() == []


@pytest.mark.parametrize("frames", [[], [hello()]])
async def test_a_frame_beyond_the_limit_ends_a_connection_before_it_is_read(
    house: House, frames: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    await house.replica.start()
    for _ in range(3):
        stranger = await knock(house, *frames, b"\x00" * (link.MAX_FRAME_BYTES + 1))
        await stranger.gone.wait()
    await until(lambda: house.replica.hub.refusals[Refusal.BAD_FRAME] == 3)
    await until(lambda: house.replica.hub.sessions() == [])
    assert len([record for record in caplog.records if record.levelname in {"WARNING", "ERROR"}]) == 1


async def test_another_path_is_not_there(house: House) -> None:
    await house.replica.start()
    with pytest.raises(WSError):
        await knock(house, path="/elsewhere")


async def test_who_says_nothing_is_cut(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "HELLO_TIME", 0.05)
    await house.replica.start()
    await (await knock(house)).gone.wait()
    assert house.replica.hub.refusals == {Refusal.BAD_FRAME: 1}


async def test_strangers_do_not_disturb_a_node(house: House) -> None:
    await house.open()
    for _ in range(30):
        with socket.create_connection(("127.0.0.1", house.replica.port)) as raw, contextlib.suppress(OSError):
            raw.sendall(b"GET / HTTP/1.1\r\n\r\n")
    cut = 0
    while cut < 3:
        with contextlib.suppress(OSError):  # too many connections of this address are open yet
            await (await knock(house, b"garbage")).gone.wait()
            cut += 1
    assert house.run("a", "exit 0")
    assert (await house.end_of("a")).exit_code == 0
    assert house.leader.left == 0


async def test_an_agent_speaks_to_no_hub_of_another_authority(house: House, caplog: pytest.LogCaptureFixture) -> None:
    await house.replica.start()
    house.places.ca_file.write_text(new_authority(SystemClock().now()).certificate)
    house.start_agent()
    await until(lambda: "certificate verify failed" in caplog.text)
    assert house.replica.hub.sessions() == []
    house.places.ca_file.write_text(house.authority.certificate)  # read again at each connect
    await until(lambda: house.replica.hub.session(POD) is not None)


async def test_an_agent_whose_token_is_not_there_yet_comes_when_it_is(house: House) -> None:
    await house.replica.start()
    token = house.places.token_file
    house.places = dataclasses.replace(house.places, token_file=token.with_name("later"))
    house.start_agent()
    await asyncio.sleep(0)
    house.places.token_file.write_text(GOOD_TOKEN)
    await until(lambda: house.replica.hub.session(POD) is not None)


async def test_an_agent_listens_nowhere(house: House) -> None:
    """S9.1: it opens connections and takes none, so nothing of the cluster's network reaches it."""
    await house.replica.start()
    await house.runner.start()
    agent = await house.start_agent_process()
    await until(lambda: house.replica.hub.session(POD) is not None)
    sockets, listening = _sockets_of(agent.pid), _listening_beside(agent.pid)
    assert sockets, "it has its session"
    assert listening, "the hub's own is in the same table"
    assert not sockets & listening


def _sockets_of(process: int) -> set[str]:
    found = set()
    for one in Path(f"/proc/{process}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            found.add(str(one.readlink()))
    return {one for one in found if one.startswith("socket:")}


def _listening_beside(process: int) -> set[str]:
    """All sockets of its network namespace that take TCP connections."""
    tables = (Path(f"/proc/{process}/net/{table}").read_text() for table in ("tcp", "tcp6"))
    rows = [line.split() for table in tables for line in table.splitlines()[1:]]
    return {f"socket:[{row[9]}]" for row in rows if row[3] == "0A"}


async def test_connections_that_say_nothing_are_few_at_a_time_and_end(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They count from the first packet on, so nobody can take all descriptors of a hub before he has said a word."""
    monkeypatch.setattr(door, "HANDSHAKE_TIME", 1.0)
    await house.replica.start()
    hub = house.replica.hub
    silent = [socket.create_connection(("127.0.0.1", house.replica.port)) for _ in range(AT_ONCE + 10)]
    try:
        await until(lambda: hub.refusals[Refusal.TOO_MANY] == 10)
        assert hub._strangers._open["127.0.0.1"] <= AT_ONCE
        other = socket.create_connection(("127.0.0.1", house.replica.port), source_address=("127.0.0.9", 0))
        silent.append(other)
        await until(lambda: hub._strangers._open["127.0.0.9"] == 1)
        await until(lambda: not hub._strangers._open)  # their time is over
        for one in silent[:AT_ONCE]:
            one.settimeout(0.0)
            with contextlib.suppress(ConnectionResetError):
                assert one.recv(1) == b""
    finally:
        for one in silent:
            one.close()
    stranger = await knock(house, b"garbage")  # there is room again
    await stranger.gone.wait()


async def test_a_stranger_that_floods_over_its_socket_is_cut_and_the_sessions_go_on(house: House) -> None:
    await house.open()
    for _ in range(2):
        await (await knock(house, *[encode([])] * 200)).gone.wait()
    assert house.replica.hub.refusals == {Refusal.FLOODING: 2}
    assert house.run("a", "exit 0")
    assert (await house.end_of("a")).exit_code == 0
    assert house.leader.left == 0


async def test_a_hub_that_sends_garbage_ends_no_task(house: House) -> None:
    """It has our certificate, and is broken: the agent cuts the session, comes again, and the run goes on."""
    await house.open()
    house.run("a", f"while [ ! -e {house.runner.root}/shared/go ]; do sleep 0.05; done")
    await house.start_of("a")
    [session] = house.replica.hub._sessions.values()
    for garbage in (b"\xff\x00garbage", b"", encode([link.Unknown("a")])):
        session._write(garbage)
        await until(lambda: house.replica.hub._sessions.get(POD) not in {None, session})  # noqa: B023 (awaited here)
        session = house.replica.hub._sessions[POD]
    house.mark("go")
    assert (await house.end_of("a")).exit_code == 0
