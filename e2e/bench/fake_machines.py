"""Machines without containers: a kubelet of its own for pods of the bench, and in each pod a real agent with a played runner.

It runs as a process of its own (`python -m e2e.bench.fake_machines --help`), in the network of the cluster's node, until SIGTERM.
Agents are `agent.node.Node` with real sessions: TLS, tokens of the API server bound to their pods, pings, reports. Only what the
container runtime would do is played.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import msgspec
import uvloop

from batchpools.agent.node import Doors, Node
from batchpools.agent.places import Places
from batchpools.agent.runner_client import PROTOCOL, Note, Requests, RunnerClient
from batchpools.agent.sessions import Sessions
from batchpools.api import names
from batchpools.core.node_config import NODE_CONFIG_ENV, NodeConfig
from batchpools.kube.client import KubeClient
from batchpools.kube.credentials import load_credentials
from batchpools.kube.errors import ConflictError, KubeError, NotFoundError
from batchpools.kube.port import Resource
from batchpools.kube.resources import LEASES, PODS
from batchpools.telemetry.clock import SystemClock
from batchpools.testing.runner_model import Behaviour, Moment, RunnerModel

LABEL = "batchpools.dev/fake"
PODS_A_MACHINE = 250
_MACHINES = Resource("Node", "", "v1", "nodes", namespaced=False)
_HEARTBEAT = 10.0  # seconds; the node controller gives up after 50
_AGENT_STOP = 5.0
_FIRST_PAUSE, _LAST_PAUSE = 0.5, 10.0  # seconds until a write that failed is made again

AnswerT = TypeVar("AnswerT")
Json = dict[str, Any]


class _World:
    """What the model tells of its runs interests nobody here; what it tells its agent does."""

    def tell(self, agent: Any, note: Note) -> None:
        agent.deliver(note)

    def replaced(self, agent: Any) -> None: ...

    def started(self, execution_id: str) -> None: ...

    def ended(self, execution_id: str, cause: str) -> None: ...

    def acknowledged(self, execution_id: str) -> None: ...

    def left(self, exit_code: int) -> None: ...


class PlayedRunner(RunnerClient):
    """The agent's end of a model of the runner, in real time; what is due by itself happens with the next message."""

    def __init__(self, boot_id: str, clock: SystemClock) -> None:
        self._clock = clock
        self._model = RunnerModel(boot_id, _World(), lambda _: Behaviour(0.0))
        self._on_note: Callable[[Note], None] = lambda _: None
        self._over = asyncio.Event()
        self._requests = Requests()
        (self.hello,) = self._model.hello(self, PROTOCOL, self._now())

    def listen(self, on_note: Callable[[Note], None]) -> asyncio.Task[None]:
        """The task ends when the connection does."""
        self._on_note = on_note
        return asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        await self._over.wait()

    def tell(self, op: str, **fields: Any) -> None:
        """A message to the model."""
        self._model.handle(self, {"op": op, **fields}, self._now())

    def deliver(self, note: Note) -> None:
        """One from it."""
        if not self._requests.answer(note):
            self._on_note(note)

    async def close(self) -> None:
        """The agent leaves."""
        self._over.set()

    def _now(self) -> Moment:
        return Moment(self._clock.boottime(), self._clock.now().timestamp())


class KnownHubs(Sessions):
    """Sessions to replicas whose addresses are known: there is no DNS of the cluster here."""

    hubs: ClassVar[list[str]] = []

    async def _addresses(self) -> list[str]:
        return self.hubs


class FakeMachines:
    """All of them, for pods of one namespace."""

    def __init__(self, client: KubeClient, namespace: str, number: int) -> None:
        self._client = client
        self._namespace = namespace
        self._names = [f"fake-{one:02d}" for one in range(number)]
        self._home = tempfile.TemporaryDirectory()
        self._clock = SystemClock()
        self._pods: dict[str, asyncio.Task[None]] = {}  # by uid
        self._doomed: dict[str, asyncio.Event] = {}
        self._at_once = asyncio.Semaphore(50)
        self._features: list[str] = []  # what pods may ask of the cluster's machines

    async def run(self) -> None:
        """Until cancelled."""
        for machine in (await self._client.list(_MACHINES)).items:
            self._features += msgspec.json.decode(machine)["status"].get("declaredFeatures", [])
        for name in self._names:
            made = msgspec.json.decode(await self._client.create(_MACHINES, "", _machine(name)))
            await self._client.create(LEASES, "kube-node-lease", _lease(name, made["metadata"]["uid"]))
            await self._say_ready(name)
        print("ready", flush=True)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._beat())
                group.create_task(self._follow())
        finally:
            for one in self._pods.values():
                one.cancel()
            await asyncio.gather(*self._pods.values(), return_exceptions=True)

    async def _say_ready(self, name: str) -> None:
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "Played",
            "lastHeartbeatTime": _now(),
            "lastTransitionTime": _now(),
        }
        room = {"cpu": "1000", "memory": "1000Gi", "pods": str(PODS_A_MACHINE), "ephemeral-storage": "1000Gi"}
        status = {"conditions": [ready], "capacity": room, "allocatable": room, "declaredFeatures": self._features}
        operations = [{"op": "add", "path": "/status", "value": status}]
        await self._client.patch(_MACHINES, "", name, operations, subresource="status")

    async def _beat(self) -> None:
        while True:
            for name in self._names:
                operations = [{"op": "replace", "path": "/spec/renewTime", "value": _now(micro=True)}]
                with contextlib.suppress(KubeError):
                    await self._client.patch(LEASES, "kube-node-lease", name, operations)
            await asyncio.sleep(_HEARTBEAT)

    async def _follow(self) -> None:
        """Every pod of ours, as it is bound, changes and is told to go, whatever the API server answers meanwhile."""
        while True:
            with contextlib.suppress(KubeError):
                await self._follow_on(await self._look())
            await asyncio.sleep(_FIRST_PAUSE)

    async def _look(self) -> str:
        """All pods as they are; what is no more is told to go as well. The resourceVersion to watch from."""
        seen, page = set(), ""
        while True:
            found = await self._client.list(PODS, self._namespace, page=page)
            for raw in found.items:
                pod = msgspec.json.decode(raw)
                seen.add(pod["metadata"]["uid"])
                self._take(pod)
            page = found.next_page
            if not page:
                break
        for uid in self._doomed.keys() - seen:
            self._doomed[uid].set()
        return found.resource_version

    async def _follow_on(self, version: str) -> None:
        async for event in self._client.watch(PODS, self._namespace, resource_version=version):
            pod = msgspec.json.decode(event.object)
            if event.type in {"ADDED", "MODIFIED"}:
                self._take(pod)
            elif event.type == "DELETED" and pod["metadata"]["uid"] in self._doomed:
                self._doomed[pod["metadata"]["uid"]].set()

    def _take(self, pod: Json) -> None:
        uid = pod["metadata"]["uid"]
        if pod["spec"].get("nodeName") not in self._names:
            return
        if uid not in self._pods:
            self._doomed[uid] = asyncio.Event()
            self._pods[uid] = asyncio.create_task(self._live(pod, self._doomed[uid]))
        if "deletionTimestamp" in pod["metadata"]:
            self._doomed[uid].set()

    async def _live(self, pod: Json, doomed: asyncio.Event) -> None:
        """One pod: its agent runs until the pod is told to go; then the kubelet's last word, and the object's end."""
        meta = pod["metadata"]
        token = await until_done(lambda: self._token(pod))
        if token is not None:
            node, serving = await self._start(pod, token)
            await self._write(pod, _status(running=True))
            await doomed.wait()
            await node.finish(_AGENT_STOP)
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
        await self._write(pod, _status(running=False))
        with contextlib.suppress(ConflictError):  # another one has the name by now
            await until_done(
                lambda: self._client.delete(PODS, meta["namespace"], meta["name"], uid=meta["uid"], grace_seconds=0),
                but=ConflictError,
            )

    async def _start(self, pod: Json, token: str) -> tuple[Node, asyncio.Task[None]]:
        meta = pod["metadata"]
        async with self._at_once:
            places = _furnished(Path(self._home.name, meta["uid"]), meta["annotations"][names.ANNOTATION_CA], token)

        async def connect(address: str) -> RunnerClient:
            if address != names.RUNNER_SOCKET:
                raise ConnectionRefusedError(address)
            return PlayedRunner(f"boot-{meta['uid']}", self._clock)

        node = Node(_config_of(pod), self._clock, places, Doors(connect_runner=connect, make_sessions=KnownHubs))
        serving = asyncio.create_task(node.run())
        serving.add_done_callback(_say_why)
        return node, serving

    async def _token(self, pod: Json) -> str:
        """As the kubelet asks for it: bound to the pod, for our audience."""
        meta = pod["metadata"]
        account = pod["spec"].get("serviceAccountName", "default")
        requests = Resource("TokenRequest", "", "v1", f"serviceaccounts/{account}/token")
        bound = {"kind": "Pod", "apiVersion": "v1", "name": meta["name"], "uid": meta["uid"]}
        wanted = {
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"audiences": [names.TOKEN_AUDIENCE], "expirationSeconds": 7200, "boundObjectRef": bound},
        }  # fmt: skip
        made = msgspec.json.decode(await self._client.create(requests, meta["namespace"], wanted))
        return str(made["status"]["token"])

    async def _write(self, pod: Json, status: Json) -> None:
        meta = pod["metadata"]
        operations = [{"op": "add", "path": f"/status/{key}", "value": value} for key, value in status.items()]
        await until_done(
            lambda: self._client.patch(PODS, meta["namespace"], meta["name"], operations, subresource="status")
        )


async def until_done(call: Callable[[], Awaitable[AnswerT]], but: type[KubeError] = NotFoundError) -> AnswerT | None:
    """As the kubelet does: ask again until the API server has it. None when the object is no more; `but` is raised."""
    pause = _FIRST_PAUSE
    while True:
        try:
            return await call()
        except NotFoundError:
            return None
        except KubeError as error:
            if isinstance(error, but):
                raise
            print(f"asked again in {pause:g} s: {error.sentence}", file=sys.stderr, flush=True)
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LAST_PAUSE)


def _say_why(serving: "asyncio.Task[None]") -> None:
    """An agent that ends by itself is a defect."""
    if not serving.cancelled() and (error := serving.exception()) is not None:
        traceback.print_exception(error)


def _furnished(folder: Path, ca: str, token: str) -> Places:
    """The files that a pod has."""
    folder.mkdir()
    (folder / "ca.crt").write_text(ca)
    (folder / "token").write_text(token)
    return Places(token_file=folder / "token", ca_file=folder / "ca.crt", journal_file=folder / "journal")


def _config_of(pod: Json) -> NodeConfig:
    agent = next(one for one in pod["spec"]["initContainers"] if one["name"] == names.AGENT_CONTAINER)
    text = next(one["value"] for one in agent["env"] if one["name"] == NODE_CONFIG_ENV)
    return msgspec.json.decode(text, type=NodeConfig)


def _status(*, running: bool) -> Json:
    state: Json = (
        {"running": {"startedAt": _now()}} if running else {"terminated": {"exitCode": 0, "finishedAt": _now()}}
    )
    container = {
        "image": "none",
        "imageID": "none",
        "restartCount": 0,
        "started": running,
        "ready": running,
        "state": state,
    }
    ready = {"type": "Ready", "status": str(running), "lastTransitionTime": _now()}
    return {
        "phase": "Running" if running else "Failed",
        "conditions": [{"type": "PodScheduled", "status": "True", "lastTransitionTime": _now()}, ready],
        "podIP": "127.0.0.1",
        "initContainerStatuses": [{**container, "name": names.AGENT_CONTAINER}],
        "containerStatuses": [{**container, "name": names.TASK_CONTAINER}],
    }


def _machine(name: str) -> Json:
    taint = {"key": LABEL, "value": "true", "effect": "NoSchedule"}
    meta = {"name": name, "labels": {LABEL: "true", "kubernetes.io/hostname": name}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": {"taints": [taint]}}


def _lease(name: str, uid: str) -> Json:
    """It goes with its machine."""
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid}
    spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": _now(micro=True)}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "ownerReferences": [owner]},
        "spec": spec,
    }


def _now(*, micro: bool = False) -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ" if micro else "%Y-%m-%dT%H:%M:%SZ")


async def _main(arguments: argparse.Namespace) -> None:
    os.environ["KUBECONFIG"] = arguments.kubeconfig
    client = KubeClient(load_credentials())
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    KnownHubs.hubs = arguments.hub
    machines = FakeMachines(client, arguments.namespace, arguments.machines)
    running: asyncio.Task[None] = asyncio.create_task(machines.run())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    running.cancel()
    await asyncio.gather(running, return_exceptions=not running.done())
    await client.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--hub", action="append", required=True, help="address of a replica")
    parser.add_argument("--machines", type=int, required=True)
    uvloop.run(_main(parser.parse_args()))
