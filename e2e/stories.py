"""Words that the stories are told in: apply, wait until, read. Everything goes through kubectl and the CLI, as a user would."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

Manifest = dict[str, Any]
Seen = TypeVar("Seen")

IMAGE = "python:3-slim"
REQUESTS = {"requests": {"cpu": "50m", "memory": "32Mi"}}
PATIENCE = 90.0  # seconds; two cores are shared by a whole cluster


class KubectlError(AssertionError):
    """kubectl refused; the message is what it said."""


def until(question: Callable[[], Seen | None], what: str, patience: float = PATIENCE) -> Seen:
    """Ask again until the answer is true, and return it; AssertionError naming `what` when patience is over."""
    end = time.monotonic() + patience
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"still not so after {patience:.0f} s: {what} (last answer: {answer!r})")
        time.sleep(0.1)


@dataclass
class Namespace:
    """One story's namespace, and what the story does in it."""

    name: str
    kubeconfig: Path
    kubectl_program: str
    labels: dict[str, str] = field(default_factory=dict)

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """What kubectl prints in this namespace; KubectlError with its words when it refuses."""
        command = [self.kubectl_program, f"--kubeconfig={self.kubeconfig}", f"--namespace={self.name}", *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=120)
        if check and done.returncode != 0:
            raise KubectlError(done.stderr.strip() or done.stdout.strip())
        return done.stdout

    def batch(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `kubectl batch ...` in this namespace."""
        verb, *rest = arguments
        verbs = [verb, rest.pop(0)] if verb == "autoscale" else [verb]
        command = [sys.executable, "-m", "batchpools.cli", *verbs, "--namespace", self.name, *rest]
        environment = {
            "HOME": str(Path.home()),
            "KUBECONFIG": str(self.kubeconfig),
            "PATH": f"{Path(self.kubectl_program).parent}:/usr/bin:/bin",
        }
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180, env=environment)
        if check and done.returncode != 0:
            raise AssertionError(
                f"kubectl batch {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done

    def apply(self, *manifests: Manifest) -> None:
        """kubectl apply."""
        self.kubectl("apply", "-f", "-", stdin=_stream(manifests))

    def create(self, *manifests: Manifest) -> None:
        """kubectl create: quicker than apply for many objects."""
        self.kubectl("create", "-f", "-", stdin=_stream(manifests))

    def get(self, kind: str, name: str) -> Manifest:
        """One object; empty when it is not there."""
        text = self.kubectl("get", kind, name, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text.strip() else {}

    def every(self, kind: str, *arguments: str) -> list[Manifest]:
        """All objects of a kind."""
        items: list[Manifest] = json.loads(self.kubectl("get", kind, "-o", "json", *arguments))["items"]
        return items

    def status(self, kind: str, name: str) -> Manifest:
        """An object's status; empty when there is none."""
        status: Manifest = self.get(kind, name).get("status", {})
        return status

    def wait_for(self, kind: str, name: str, holds: Callable[[Manifest], bool], patience: float = PATIENCE) -> Manifest:
        """The object's status once `holds` is true of it."""

        def look() -> Manifest | None:
            status = self.status(kind, name)
            return status if status and holds(status) else None

        try:
            return until(look, f"{kind}/{name}", patience)
        except AssertionError as silent:
            raise AssertionError(f"{silent}\n{json.dumps(self.get(kind, name), indent=1)}") from None

    def finished(self, kind: str, name: str, patience: float = PATIENCE) -> Manifest:
        """The status of a job or task that has ended."""
        return self.wait_for(kind, name, lambda status: status.get("state") == "Completed", patience)

    def ready_pool(self, name: str, nodes: int) -> None:
        """Wait until a pool has that many usable nodes."""

        def usable() -> bool:
            states = [node.get("status", {}).get("state") for node in self.nodes(name)]
            return sum(state in {"Idle", "Running"} for state in states) == nodes

        until(usable, f"{nodes} usable nodes in pool {name}")

    def nodes(self, pool: str) -> list[Manifest]:
        """The PoolNodes of a pool."""
        return self.every("poolnodes", f"--field-selector=spec.poolName={pool}")

    def processes(self, pod: str, program: str) -> "list[str]":
        """Command lines of that program in a pod's task container."""
        script = (
            "import pathlib\n"
            "for path in pathlib.Path('/proc').glob('[0-9]*/cmdline'):\n"
            "    print(path.read_bytes().replace(b'\\0', b' ').decode().strip())"
        )
        lines = self.kubectl("exec", pod, "-c", "task", "--", "python3", "-c", script).splitlines()
        return sorted(line for line in lines if line.split(" ")[0] == program)

    def output(self, task: str, *flags: str) -> str:
        """A task's output as the CLI shows it."""
        return self.batch("logs", task, *flags).stdout


def pool(name: str = "demo", nodes: int = 1, slots: int = 1, **spec: Any) -> Manifest:
    """A Pool of small nodes with the quickstart's image."""
    wanted: Manifest = {
        "image": IMAGE,
        "resources": REQUESTS,
        "targetDedicatedNodes": nodes,
        "taskSlotsPerNode": slots,
        "drainTimeout": "5s",
        **spec,
    }
    if "template" in spec:
        del wanted["image"], wanted["resources"]
    return _object("Pool", name, wanted)


def job(name: str, tasks: list[Manifest] | None = None, pool_name: str = "demo", **spec: Any) -> Manifest:
    """A Job, with inline tasks if given."""
    return _object("Job", name, {"poolName": pool_name, **({"tasks": tasks} if tasks else {}), **spec})


def task(job_name: str, task_id: str, **spec: Any) -> Manifest:
    """A hand-made Task object."""
    return _object("Task", f"{job_name}.{task_id}", {"jobName": job_name, "id": task_id, **spec})


def sh(task_id: str, script: str, **spec: Any) -> Manifest:
    """An inline task that runs a shell script."""
    return {"id": task_id, "command": ["sh", "-c", script], **spec}


def condition(status: Manifest, type_: str) -> Manifest:
    """A condition of a status; empty when it is not there."""
    return next((one for one in status.get("conditions", []) if one["type"] == type_), {})


def _object(kind: str, name: str, spec: Manifest) -> Manifest:
    return {"apiVersion": "batchpools.dev/v1beta1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def _stream(manifests: tuple[Manifest, ...]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
