"""The rules of the CRDs that speak of a change, on FakeKube and on the real API server: the part of the contract that is ours."""

from typing import Any

import pytest
from tests.kube.conftest import Server, decode
from tests.kube.test_contract import create, manifest, status_patch

from batchpools.kube.errors import InvalidError
from batchpools.kube.port import Resource
from batchpools.kube.resources import JOB_SCHEDULES, JOBS, POOL_NODES, TASKS

_INLINE: list[dict[str, Any]] = [{"id": "a", "command": ["true"]}, {"id": "b", "command": ["true"]}]
_SCHEDULE: dict[str, Any] = {"suspend": True, "schedule": {}, "jobTemplate": {"spec": {"poolName": "demo"}}}
_TRANSITIONS = [
    (POOL_NODES, {"poolName": "demo"}, {"poolName": "other"}, "a node stays in its pool"),
    (
        POOL_NODES,
        {"poolName": "demo", "isDedicated": True},
        {"poolName": "demo", "isDedicated": False},
        "cannot change",
    ),
    (
        POOL_NODES,
        {"poolName": "demo", "action": {"type": "Reboot", "requestId": "1"}},
        {"poolName": "demo", "action": {"type": "Reimage", "requestId": "1"}},
        "another action needs another requestId",
    ),
    (JOBS, {"poolName": "demo"}, {"poolName": "other"}, "poolName cannot change"),
    (
        JOBS,
        {"autoPool": {"autoPoolNamePrefix": "a", "template": {"image": "i"}}},
        {"autoPool": {"autoPoolNamePrefix": "b", "template": {"image": "i"}}},
        "autoPoolNamePrefix cannot change",
    ),
    (
        JOBS,
        {"autoPool": {"poolLifetime": "Job", "template": {"image": "i"}}},
        {"autoPool": {"poolLifetime": "JobSchedule", "template": {"image": "i"}}},
        "poolLifetime cannot change",
    ),
    (JOB_SCHEDULES, {**_SCHEDULE, "terminate": {}}, _SCHEDULE, "no way back from terminate"),
    (JOBS, {"poolName": "demo", "terminate": {}}, {"poolName": "demo"}, "no way back from terminate"),
    (JOBS, {"poolName": "demo", "jobManagerTask": _INLINE[0]}, {"poolName": "demo"}, "jobManagerTask cannot change"),
    (JOBS, {"poolName": "demo"}, {"poolName": "demo", "jobManagerTask": _INLINE[0]}, "jobManagerTask cannot change"),
    (
        JOBS,
        {"poolName": "demo", "jobManagerTask": _INLINE[0]},
        {"poolName": "demo", "jobManagerTask": {**_INLINE[0], "runExclusive": False}},
        "jobManagerTask cannot change",
    ),
    (JOBS, {"poolName": "demo", "tasks": _INLINE}, {"poolName": "demo", "tasks": _INLINE[1:]}, "added at the end"),
    (JOBS, {"poolName": "demo", "tasks": _INLINE}, {"poolName": "demo"}, "added at the end"),
    (
        JOBS,
        {"poolName": "demo", "tasks": _INLINE},
        {"poolName": "demo", "tasks": [_INLINE[0], {"id": "b", "command": ["false"]}]},
        "cannot change once it is there",
    ),
    (
        JOBS,
        {"poolName": "demo", "onAllTasksComplete": "TerminateJob"},
        {"poolName": "demo", "onAllTasksComplete": "NoAction"},
        "no way back",
    ),
    (TASKS, {"jobName": "primes", "command": ["true"]}, {"jobName": "primes", "command": ["false"]}, "cannot change"),
    (TASKS, {"jobName": "primes", "command": ["true"]}, {"jobName": "other", "command": ["true"]}, "cannot change"),
]


@pytest.mark.parametrize(("resource", "before", "after", "sentence"), _TRANSITIONS)
async def test_a_change_that_the_rules_forbid_is_refused_with_their_sentence(
    server: Server, resource: Resource, before: Any, after: Any, sentence: str
) -> None:
    body = {**manifest(resource, "one"), "spec": before}
    await server.api.create(resource, server.namespace, body)
    change = [{"op": "add", "path": "/spec", "value": after}]
    with pytest.raises(InvalidError, match=sentence):
        await server.api.patch(resource, server.namespace, "one", change)
    same = [
        {"op": "add", "path": "/spec", "value": before},
        {"op": "add", "path": "/metadata/labels", "value": {"a": "b"}},
    ]
    await server.api.patch(resource, server.namespace, "one", same)


async def test_a_job_takes_more_tasks_until_it_has_ended(server: Server) -> None:
    made = decode(
        await server.api.create(
            JOBS, server.namespace, {**manifest(JOBS, "one"), "spec": {"poolName": "demo", "tasks": _INLINE[:1]}}
        )
    )
    more = [{"op": "add", "path": "/spec/tasks/-", "value": _INLINE[1]}]
    await server.api.patch(JOBS, server.namespace, "one", more)
    await status_patch(server, JOBS, made["metadata"]["uid"], {"state": "Completed"})
    third = [{"op": "add", "path": "/spec/tasks/-", "value": {"id": "c", "command": ["true"]}}]
    with pytest.raises(InvalidError, match="added to a job that has ended"):
        await server.api.patch(JOBS, server.namespace, "one", third)


@pytest.mark.parametrize("resource", [JOBS, TASKS, JOB_SCHEDULES], ids=lambda r: r.kind)
async def test_what_has_ended_stays_ended(server: Server, resource: Resource) -> None:
    uid = (await create(server, resource))["metadata"]["uid"]
    await status_patch(server, resource, uid, {"state": "Completed"})
    with pytest.raises(InvalidError, match="stays ended"):
        await status_patch(server, resource, uid, {"state": "Active"})
    await status_patch(server, resource, uid, {"state": "Completed", "observedGeneration": 1})


async def test_a_schedule_never_counts_back_and_takes_no_other_times_once_it_has_ended(server: Server) -> None:
    uid = (await create(server, JOB_SCHEDULES))["metadata"]["uid"]
    times = [{"op": "add", "path": "/spec/schedule/recurrenceInterval", "value": "1h"}]
    await server.api.patch(JOB_SCHEDULES, server.namespace, "one", times)
    await status_patch(server, JOB_SCHEDULES, uid, {"state": "Active", "jobsCreated": 2})
    with pytest.raises(InvalidError, match="never goes back"):
        await status_patch(server, JOB_SCHEDULES, uid, {"state": "Active", "jobsCreated": 1})
    await status_patch(server, JOB_SCHEDULES, uid, {"state": "Completed", "jobsCreated": 2})
    other = [{"op": "add", "path": "/spec/schedule/recurrenceInterval", "value": "2h"}]
    with pytest.raises(InvalidError, match="takes no other times"):
        await server.api.patch(JOB_SCHEDULES, server.namespace, "one", other)
    template = [{"op": "add", "path": "/spec/jobTemplate/spec/poolName", "value": "other"}]
    await server.api.patch(JOB_SCHEDULES, server.namespace, "one", template)
