"""The aggregated API over real TLS: only the API server may ask; logs, their ends and their refusals; explanations."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import unused_port
from e2e.cluster import pki

from batchpools.api import names
from batchpools.core.ledger import Explanation
from batchpools.core.views import PoolNodeStatus, TaskStatus
from batchpools.hub.certificates import issue, new_authority
from batchpools.hub.port import NodeIdentity, SessionInfo
from batchpools.kube.cache import Cache
from batchpools.kube.resources import CONFIG_MAPS
from batchpools.link.messages import FileChunk
from batchpools.ops.server import OpsServer
from batchpools.telemetry.clock import SystemClock
from batchpools.testing import builders
from batchpools.testing.fake_kube import FakeKube

NAME = "batchpools-ops.batchpools-system.svc"
BASE = f"/apis/{names.OPS_GROUP}/{names.VERSION}"


class Files:
    """A hub with one node and one file."""

    def __init__(self) -> None:
        self.content = b""
        self.error = ""

    def session(self, pod_uid: str) -> SessionInfo | None:
        return SessionInfo(NodeIdentity("default", "demo", "demo-0000", "demo-0000-1", pod_uid), None, 0)

    async def read_file(self, pod_uid: str, path: str, offset: int, limit: int) -> FileChunk:
        start = max(0, len(self.content) + offset) if offset < 0 else offset
        piece = self.content[start : start + limit]
        return FileChunk(1, start, len(self.content), piece, self.error, self.error)


class Told:
    """A ledger that knows one explanation."""

    def explain(self, namespace: str, task: str) -> Explanation | None:
        return Explanation("Active", "", "NoNodes", "No node is ready.", 2, 5, (("", "No node is ready."),))


class Stage:
    """A running server and a client that is the API server."""

    def __init__(self, folder: Path) -> None:
        self.cache = Cache()
        self.files = Files()
        self.leading = True
        self.front = pki._authority("front-proxy-ca")
        self.port = unused_port()
        self._folder = folder
        authority = new_authority(SystemClock().now())
        self._ca = authority.certificate
        self._issued = issue(authority, [NAME], SystemClock().now())
        kube = FakeKube()
        published = {
            "requestheader-client-ca-file": self.front.certificate_pem().decode(),
            "requestheader-allowed-names": json.dumps(["front-proxy-client"]),
        }
        kube.seed(
            {
                "apiVersion": "v1",
                "kind": CONFIG_MAPS.kind,
                "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
                "data": published,
            }
        )
        ledger: Any = Told()
        hub: Any = self.files
        self.server = OpsServer(self.cache, ledger, hub, kube, lambda: self.leading)

    async def start(self) -> None:
        await self.server.start(self._issued, self.port, "127.0.0.1")

    def client(self, common_name: str = "front-proxy-client") -> aiohttp.ClientSession:
        context = ssl.create_default_context(cadata=self._ca)
        if common_name:
            pair = pki._leaf(self.front, common_name, usages=("client",))
            path = self._folder / f"{common_name}.pem"
            path.write_bytes(pair.certificate_pem() + pair.key_pem())
            context.load_cert_chain(path)
        resolver = aiohttp.TCPConnector(ssl=context, resolver=_Local())
        return aiohttp.ClientSession(f"https://{NAME}:{self.port}", connector=resolver)

    def put_task(self, state: str = "Completed", node: str = "demo-0000") -> None:
        status = TaskStatus(state=state, pool_node_name=node)
        self.cache.tasks.put(builders.task("words.raven", job_name="words", id="raven", status=status))
        self.cache.nodes.put(
            builders.node("demo-0000", status=PoolNodeStatus(pod_uid="pod-uid", pod_name="demo-0000-1"))
        )


class _Local(aiohttp.abc.AbstractResolver):
    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[Any]:
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": 2, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        return


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    made = Stage(tmp_path)
    await made.start()
    yield made
    await made.server.stop()


def logs(query: str = "") -> str:
    return f"{BASE}/namespaces/default/tasks/words.raven/logs{query}"


@pytest.mark.parametrize("who", ["", "somebody-else"])
async def test_only_the_api_server_may_ask(stage: Stage, who: str) -> None:
    async with stage.client(who) as client:
        answer = await client.get(BASE)
        assert answer.status == 401
        assert (await answer.json())["kind"] == "Status"


async def test_it_says_what_it_serves(stage: Stage) -> None:
    async with stage.client() as client:
        listed = await (await client.get(BASE)).json()
        assert [one["name"] for one in listed["resources"]] == ["tasks/logs", "tasks/explain"]
        assert (await client.get("/apis")).status == 200
        assert (await client.get("/etc/passwd")).status == 404


async def test_a_log_is_read_whole_or_from_its_end(stage: Stage) -> None:
    stage.put_task()
    stage.files.content = b"one\ntwo\nthree\n"
    async with stage.client() as client:
        assert await (await client.get(logs())).read() == b"one\ntwo\nthree\n"
        assert await (await client.get(logs("?tail=2"))).read() == b"two\nthree\n"
        assert (await client.get(logs("?stream=secrets"))).status == 400


async def test_a_followed_log_arrives_as_it_is_written_and_ends_with_the_task(stage: Stage) -> None:
    stage.put_task("Running")
    stage.files.content = b"first\n"
    async with stage.client() as client, client.get(logs("?follow=true")) as answer:
        assert await answer.content.readline() == b"first\n"
        stage.files.content += b"second\n"
        assert await answer.content.readline() == b"second\n"
        stage.files.content += b"last\n"
        stage.put_task("Completed")
        assert await asyncio.wait_for(answer.content.read(), 10) == b"last\n"


@pytest.mark.parametrize(
    ("prepare", "status", "sentence"),
    [
        ("none", 404, "is not in namespace"),
        ("waiting", 409, "has not run yet"),
        ("node gone", 410, "is gone"),
        ("file gone", 410, "no longer has the files"),
    ],
)
async def test_what_cannot_be_read_is_said_in_a_sentence(
    stage: Stage, prepare: str, status: int, sentence: str
) -> None:
    if prepare != "none":
        stage.put_task("Active" if prepare == "waiting" else "Completed", "" if prepare == "waiting" else "demo-0000")
    if prepare == "node gone":
        stage.cache.nodes.remove("default", "demo-0000")
    if prepare == "file gone":
        stage.files.error = "NotFound"
    async with stage.client() as client:
        answer = await client.get(logs())
        assert (answer.status, sentence in (await answer.json())["message"]) == (status, True)


async def test_an_explanation_says_who_tells_it(stage: Stage) -> None:
    stage.put_task("Active", "")
    path = f"{BASE}/namespaces/default/tasks/words.raven/explain"
    async with stage.client() as client:
        told = await (await client.get(path)).json()
        assert (told["source"], told["position"], told["reason"]) == ("leader", 2, "NoNodes")
        stage.leading = False
        recorded = await (await client.get(path)).json()
        assert (recorded["source"], recorded["reason"]) == ("standby", "JobNotFound")
