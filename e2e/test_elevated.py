"""Stories of tasks that are root of their container, and of their neighbours, which are not."""

from e2e.stories import Namespace, condition, job, pool, sh, until


def test_an_elevated_task_is_root_and_its_neighbour_is_not_and_touches_nothing_of_it(space: Namespace) -> None:
    space.apply(pool(slots=2, allowElevated=True, startTask=_START))
    told = space.wait_for("bpool", "demo", lambda status: condition(status, "Stalled").get("status") == "True")
    assert condition(told, "Stalled")["reason"] == "ElevationForbidden"
    assert 'violates PodSecurity "restricted' in condition(told, "Stalled")["message"]
    assert space.every("pod") == [], "it is known before there is any node"

    space.kubectl("label", "namespace", space.name, "pod-security.kubernetes.io/enforce=baseline", "--overwrite")
    space.ready_pool("demo", 1)
    (node,) = space.every("pod")
    assert node["spec"]["hostUsers"] is False

    high = f"id -u; {_UID_OF_ROOT}; echo mine > secret; touch $SHARED/up; {_until('over')}"
    space.apply(job("work", [sh("high", f"{_SHARED}; {high}", elevated=True), sh("low", f"{_SHARED}; {_LOW}")]))
    assert space.finished("bjob", "work")["taskCounts"]["succeeded"] == 2
    uid, outside = space.output("work/high").split()
    assert (uid, outside != "0") == ("0", True), "and nobody on the machine"
    assert space.output("work/low").splitlines() == [
        "1000",
        "0000000000000000",
        *(["refused"] * _ATTEMPTS),
        "installed",
    ]
    until(lambda: space.nodes("demo")[0]["status"]["state"] == "Idle", "the node is as it was")
    assert space.nodes("demo")[0]["status"]["podGeneration"] == 1


_SHARED = "SHARED=$AZ_BATCH_NODE_SHARED_DIR; HIGH=$AZ_BATCH_NODE_ROOT_DIR/workitems/work/high"
_UID_OF_ROOT = "while read inside outside count; do echo $outside; done < /proc/self/uid_map"
_START = {
    "command": ["sh", "-c", "id -u | grep -qx 0 && echo installed > /usr/local/share/tool"],
    "container": "task",
    "elevated": True,
}
_TRIES = (
    "cat $HIGH/wd/secret",
    "cat $HIGH/stdout.txt",
    "rm -rf $HIGH",
    "mv $HIGH $HIGH.gone",
    "mkdir $HIGH.next",
    "mv $AZ_BATCH_NODE_ROOT_DIR/workitems $AZ_BATCH_NODE_ROOT_DIR/other",
    "rm -f $SHARED/up",
    "kill -9 1",
    "kill -STOP 1 && grep -q T /proc/1/stat",
    "cat /proc/1/environ",
    "echo x > /usr/local/share/tool",
    "echo x > /batchpools/bin/runner",
)
_ATTEMPTS = len(_TRIES)


def _until(name: str) -> str:
    return f"while ! test -e $SHARED/{name}; do sleep 0.1; done"


_LOW = "; ".join(
    [
        _until("up"),
        "id -u",
        "sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status",
        *(f"({attempt}) > /dev/null 2>&1 && echo 'could: {attempt}' || echo refused" for attempt in _TRIES),
        "cat /usr/local/share/tool",
        "touch $SHARED/over",
    ]
)
