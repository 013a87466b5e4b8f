"""`make demo`: a cluster, the operator, and the quickstart, as a new user would type it; says what it does and how long it took."""

import json
import os
import subprocess
import sys
import time

from e2e.cluster import choose
from e2e.cluster.images import ROOT
from e2e.cluster.prerequisites import MissingError
from e2e.operator_install import Installation
from e2e.stories import Namespace

QUICKSTART = ROOT / "examples" / "quickstart.yaml"


def main() -> int:
    """Run it; 1 with a sentence when something is missing."""
    began = time.monotonic()
    try:
        cluster = choose.choose()
        print(f"== 1. a cluster ({cluster.kind}), the images, and the operator by Helm", flush=True)
        installation = Installation(cluster, fast=False)
        installation.install()
        space = Namespace("quickstart", installation.kubeconfig, installation.kubectl_program)
        _fresh_namespace(space)
        print(f"\n== 2. kubectl apply -f {QUICKSTART.relative_to(ROOT)}", flush=True)
        print(space.kubectl("apply", "-f", str(QUICKSTART)).strip())
        print("\n== 3. kubectl batch wait words -n quickstart", flush=True)
        _batch(space, "wait", "words", "--timeout", "5m")
        _show(space)
    except (MissingError, RuntimeError, ValueError, TimeoutError, AssertionError) as error:
        print(f"\nThe demo could not go on: {error}", file=sys.stderr)
        return 1
    _next_steps(cluster, time.monotonic() - began)
    return 0


def _fresh_namespace(space: Namespace) -> None:
    """A job that has run is not run again by apply: what an earlier demo left goes first."""
    if space.kubectl("get", "namespace", "quickstart", "--ignore-not-found").strip():
        print("removing what the last demo left", flush=True)
        space.kubectl("delete", "bjob,bpool", "--all", "--wait=true", "--timeout=120s")
        space.kubectl("delete", "namespace", "quickstart", "--wait=true", "--timeout=120s")


def _show(space: Namespace) -> None:
    print("\n== 4. what ran, where, and what it said", flush=True)
    for task in space.every("btask"):
        name, status = task["metadata"]["name"], task["status"]
        retries = f", retried {status['retryCount']} times" if status.get("retryCount") else ""
        print(f"\n{name}: {status['result']}, exit code {status['exitCode']}, on {status['poolNodeName']}{retries}")
        print("   " + space.output(name).strip().replace("\n", "\n   "))
    nodes = [(node["metadata"]["name"], node["status"]["startTaskInfo"]["result"]) for node in space.nodes("demo")]
    print(f"\nstart tasks: {json.dumps(dict(nodes))}")


def _batch(space: Namespace, *arguments: str) -> None:
    command = [sys.executable, "-m", "batchpools.cli", *arguments, "-n", space.name]
    environment = {**os.environ, "KUBECONFIG": str(space.kubeconfig)}
    if subprocess.run(command, check=False, env=environment).returncode != 0:
        raise RuntimeError("the quickstart's job did not succeed")


def _next_steps(cluster: choose.Cluster, seconds: float) -> None:
    print(
        f"\n== Done in {seconds:.0f} s. A cluster, an operator with two replicas, two warm nodes and a finished job are there."
    )
    if cluster.kind == "local":
        print("Use them from a shell:    eval $(.venv/bin/python -m e2e.cluster env); export PATH=$PWD/.venv/bin:$PATH")
    print("Look:                     kubectl batch get -n quickstart; kubectl get bnode -n quickstart")
    print("Read:                     kubectl batch logs words/raven -n quickstart")
    print("Scale:                    kubectl scale bpool demo --replicas=3 -n quickstart")
    print("Lose a node:              kubectl delete pod demo-0000-1 -n quickstart; kubectl get bnode -n quickstart -w")
    print("Take all of it down:      make down")


if __name__ == "__main__":
    sys.exit(main())
