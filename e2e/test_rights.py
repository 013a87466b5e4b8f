"""Rights and certificates: the quickstart as somebody who may edit one namespace; an operator of one namespace; a new CA."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.cluster.images import ROOT
from e2e.operator_install import Installation, logs_of
from e2e.stories import KubectlError, Namespace, job, pool, sh, until

QUICKSTART = ROOT / "examples/quickstart.yaml"


def as_account(space: Namespace, folder: Path, account: str, *binding: str) -> Namespace:
    """The same namespace as a ServiceAccount sees it that has nothing but one RoleBinding."""
    space.kubectl("create", "serviceaccount", account)
    space.kubectl("create", "rolebinding", account, *binding, f"--serviceaccount={space.name}:{account}")
    config = json.loads(space.kubectl("config", "view", "--raw", "-o", "json"))
    token = space.kubectl("create", "token", account, "--duration=1h").strip()
    config["users"] = [{"name": account, "user": {"token": token}}]
    for one in config["contexts"]:
        one["context"] |= {"user": account, "namespace": space.name}
    path = folder / f"{account}.conf"
    path.write_text(json.dumps(config))
    return Namespace(space.name, path, space.kubectl_program)


def quickstart(namespace: str) -> list[dict[str, Any]]:
    """Everything in the example but the namespace itself, which somebody else has made."""
    documents = [one for one in yaml.safe_load_all(QUICKSTART.read_text()) if one["kind"] != "Namespace"]
    return [{**one, "metadata": {**one["metadata"], "namespace": namespace}} for one in documents]


def may(space: Namespace, *question: str) -> bool:
    """kubectl auth can-i."""
    return space.kubectl("auth", "can-i", *question, check=False).strip() == "yes"


def runs_the_quickstart(user: Namespace) -> None:
    """Apply it, wait for it, and look at what came of it."""
    user.apply(*quickstart(user.name))
    assert user.batch("wait", "words", "--timeout", "90s").returncode == 0
    assert user.status("bjob", "words")["result"] == "Success"
    tasks = {one["metadata"]["name"]: one["status"] for one in user.every("btask")}
    assert {one["result"] for one in tasks.values()} == {"Success"}
    assert tasks["words.stubborn"]["retryCount"] == 2


def test_who_may_edit_one_namespace_runs_the_quickstart_and_no_more(space: Namespace, tmp_path: Path) -> None:
    user = as_account(space, tmp_path, "editor", "--clusterrole=edit")
    runs_the_quickstart(user)
    assert user.output("words/raven").split()[0] == "3"
    assert user.output("words/where").startswith("ran on demo-000")
    user.apply(job("late", [sh("one", "true")], "nowhere"))
    until(lambda: user.get("btask", "late.one"), "the job's task is there")
    assert "nowhere" in user.batch("explain", "late/one").stdout
    assert "demo" in user.batch("get").stdout
    with pytest.raises(KubectlError, match="forbidden"):
        user.kubectl("get", "bpool", "-A")
    with pytest.raises(KubectlError, match="forbidden"):
        user.kubectl("patch", "btask", "words.raven", "--subresource=status", "--type=merge", "-p", '{"status":{}}')
    assert not may(user, "create", "poolnodes.batchpools.dev")
    reader = as_account(space, tmp_path, "reader", "--clusterrole=view")
    assert reader.output("words/raven") == user.output("words/raven")
    assert not may(reader, "create", "jobs.batchpools.dev")
    user.kubectl("scale", "bpool", "demo", "--replicas=1")


@contextmanager
def installed_for(space: Namespace, operator: Installation) -> Iterator[Installation]:
    """An operator in that namespace, for it alone; the one of the whole cluster is away."""
    own = Installation(operator.cluster, namespace=space.name)
    with operator.away():
        own.install(watchNamespaces="{" + space.name + "}", crds__install="false", replicas="1")
        try:
            yield own
        finally:
            space.kubectl("delete", "bjob,bpool", "--all", "--wait=true", "--timeout=120s")
            own.uninstall()


def test_an_operator_of_one_namespace_needs_no_right_beyond_it(
    space: Namespace, operator: Installation, tmp_path: Path
) -> None:
    """Namespaced mode: no ClusterRole, no aggregated API; nodes are known by the keys that the cluster publishes (S9.2)."""
    with installed_for(space, operator) as own:
        account = f"--as=system:serviceaccount:{space.name}:batchpools"
        elsewhere = Namespace("default", space.kubeconfig, space.kubectl_program)
        listed = elsewhere.kubectl("auth", "can-i", "--list", account)
        rows = {line.split()[0] for line in listed.splitlines()[1:] if line.strip() and not line.startswith(" ")}
        assert not [row for row in rows if "batchpools" in row or row in {"pods", "secrets", "events"}], listed
        for question in (("list", "pools.batchpools.dev", "-A"), ("create", "tokenreviews.authentication.k8s.io")):
            assert not may(elsewhere, *question, account)
        assert may(space, "create", "pods", account)
        try:
            user = as_account(space, tmp_path, "worker", "--role=batchpools-edit")
            space.kubectl(
                "create", "rolebinding", "worker-edits", "--clusterrole=edit", f"--serviceaccount={space.name}:worker"
            )
            runs_the_quickstart(user)
        except AssertionError:
            print(logs_of(own))
            raise
        barrier = space.kubectl("get", "bpool,bnode,bjob,btask", "-l", "batchpools.dev/internal=barrier", "-o", "name")
        assert len(barrier.split()) == 4
    assert not space.kubectl("get", "bpool,bnode,bjob,btask", "-o", "name").split(), "the hook took the barrier away"


def ca_keys(operator: Installation) -> set[str]:
    """What the Secret of the CA holds now."""
    return set(json.loads(operator.kubectl("get", "secret", "batchpools-ca", "-o", "json"))["data"])


def test_a_new_ca_takes_over_while_tasks_run_and_logs_are_read(space: Namespace, operator: Installation) -> None:
    """S9.1, S9.3: no task notices, the API server always trusts us, and a node that connects anew does so under the new CA."""
    space.apply(pool(slots=4))
    space.ready_pool("demo", 1)
    space.apply(job("long", [sh("one", "while [ ! -e stop ]; do echo line; sleep 1; done")]))
    space.wait_for("btask", "long.one", lambda status: status.get("state") == "Running")
    until(lambda: space.output("long/one") != "", "it has written something")
    before = operator.kubectl("get", "secret", "batchpools-ca", "-o", "jsonpath={.data.ca\\.crt}")
    operator.kubectl("annotate", "secret", "batchpools-ca", "batchpools.dev/new-ca=please")
    alone = {"ca.crt", "ca.key"}
    seen: list[set[str]] = []

    def over() -> bool:
        if ca_keys(operator) not in seen[-1:]:
            seen.append(ca_keys(operator))
        assert "line" in space.output("long/one")
        return len(seen) > 2 and seen[-1] == alone

    until(over, "the former CA is dropped")
    assert [one for one in seen if one != alone] == [alone | {"next.crt", "next.key"}, alone | {"former.crt"}]
    assert operator.kubectl("get", "secret", "batchpools-ca", "-o", "jsonpath={.data.ca\\.crt}") != before
    assert space.status("btask", "long.one")["state"] == "Running"
    operator.kill_leader()  # every session of the next replica is made under the new CA
    space.apply(job("after", [sh("one", "echo done")]))
    assert space.finished("bjob", "after")["result"] == "Success"
    until(lambda: "done" in space.output("after/one"), "logs come through the new leader")
    status = space.status("btask", "long.one")
    assert (status["state"], status.get("requeueCount", 0)) == ("Running", 0)
