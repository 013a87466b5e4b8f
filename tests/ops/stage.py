"""A running OpsServer over real TLS, behind a front-proxy CA of its own, and clients that are or are not the API server."""

import json
import ssl
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.test_utils import unused_port
from e2e.cluster import pki

from batchpools.api import names
from batchpools.core.ledger import Explanation, NodeRuns
from batchpools.core.views import PoolNodeStatus, TaskConstraints, TaskStatus
from batchpools.hub.certificates import Authority, issue, issue_client, new_authority
from batchpools.hub.shown import Shown
from batchpools.kube.cache import Cache
from batchpools.kube.resources import CONFIG_MAPS
from batchpools.link.messages import FileChunk
from batchpools.ops.server import OpsServer
from batchpools.ops.to_leader import Standing
from batchpools.telemetry.clock import SystemClock
from batchpools.testing import builders
from batchpools.testing.fake_kube import FakeKube

NAME = "batchpools-ops.batchpools-system.svc"
BASE = f"/apis/{names.OPS_GROUP}/{names.VERSION}"
TASK = f"{BASE}/namespaces/default/tasks/words.raven"
PROXY = "front-proxy-client"


class Files:
    """A hub whose nodes have one file each, by pod uid; `silent` nodes do not answer."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.error = ""
        self.silent: set[str] = set()
        self.asked: list[str] = []

    async def read_file(self, pod_uid: str, path: str, offset: int, limit: int) -> FileChunk:
        self.asked.append(path)
        if pod_uid in self.silent:
            raise ConnectionError("the node has no session with this replica")
        content = self.content.get(pod_uid)
        if self.error or content is None:
            return FileChunk(1, offset, 0, b"", self.error or "NotFound", "told by the runner")
        start = max(0, len(content) + offset) if offset < 0 else offset
        return FileChunk(1, start, len(content), content[start : start + limit], "", "")


class Told:
    """A ledger that knows one explanation, or none."""

    def __init__(self) -> None:
        self.told: Explanation | None = Explanation("Active", "", "NoNodes", "No node.", 2, 5, (("", "No node."),))
        self.runs: dict[str, NodeRuns] = {}

    def explain(self, namespace: str, task: str) -> Explanation | None:
        return self.told

    def node_runs(self, pod_uid: str) -> NodeRuns:
        return self.runs.get(pod_uid, NodeRuns())


class Stage:
    """A cache with a task, a hub with its file, a server, and clients. `authority`: the CA that replicas share."""

    def __init__(self, folder: Path, authority: Authority | None = None) -> None:
        self.cache = Cache()
        self.files = Files()
        self.ledger = Told()
        self.kube = FakeKube()
        self.leading = True
        self.leader = ""  # where this replica believes the leader to be
        self.port = unused_port()
        self._front = pki._authority("front-proxy-ca")
        self._folder = folder
        self.authority = authority or new_authority(SystemClock().now())
        ledger: Any = self.ledger
        hub: Any = self.files
        self.server = OpsServer(
            self.cache, ledger, hub, self.kube, Standing(NAME, lambda: self.leading, lambda: self.leader)
        )

    def publish(self, *allowed: str) -> None:
        """What the cluster publishes for extension API servers."""
        data = {
            "requestheader-client-ca-file": self._front.certificate_pem().decode(),
            "requestheader-allowed-names": json.dumps(allowed),
        }
        metadata = {"name": "extension-apiserver-authentication", "namespace": "kube-system"}
        self.kube.seed({"apiVersion": "v1", "kind": CONFIG_MAPS.kind, "metadata": metadata, "data": data})

    async def start(self) -> None:
        await self.server.start(self.shown(), self.port, "127.0.0.1")

    def shown(self, authority: Authority | None = None, bundle: str = "") -> Shown:
        """What this replica shows: certificates of an authority, and what it trusts."""
        now, made = SystemClock().now(), authority or self.authority
        client = issue_client(made, names.REPLICA_CLIENT_NAME, now)
        return Shown(bundle or made.certificate, issue(made, [NAME], now), client)

    def client(self, common_name: str = PROXY, *, authority: Any = None, trusts: str = "") -> aiohttp.ClientSession:
        """One who shows a certificate of that name, or none; made by the front-proxy CA unless told otherwise."""
        context = ssl.create_default_context(cadata=trusts or self.authority.certificate)
        if common_name:
            pair = pki._leaf(authority or self._front, common_name, usages=("client",))
            path = self._folder / f"{common_name}.pem"
            path.write_bytes(pair.certificate_pem() + pair.key_pem())
            context.load_cert_chain(path)
        connector = aiohttp.TCPConnector(ssl=context, resolver=_Local())
        return aiohttp.ClientSession(f"https://{NAME}:{self.port}", connector=connector)

    def put_task(
        self,
        state: str = "Completed",
        node: str = "demo-0000",
        constraints: TaskConstraints | None = None,
        **status: Any,
    ) -> None:
        told, limits = TaskStatus(state=state, pool_node_name=node, **status), constraints or TaskConstraints()
        task = builders.task("words.raven", job_name="words", id="raven", constraints=limits, status=told)
        self.cache.tasks.put(task)

    def put_node(
        self, name: str = "demo-0000", pod_uid: str = "pod-uid", content: bytes | None = None, **more: Any
    ) -> None:
        status = PoolNodeStatus(**{"pod_uid": pod_uid, "pod_name": f"{name}-1", "state": "Idle", **more})
        self.cache.nodes.put(builders.node(name, status=status))
        if content is not None:
            self.files.content[pod_uid] = content


class _Local(aiohttp.abc.AbstractResolver):
    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[Any]:
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": 2, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        return
