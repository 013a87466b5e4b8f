"""What we rely on in an API server. Run against FakeKube and the real one, so that the fake cannot lie."""

import asyncio
from contextlib import aclosing
from typing import Any, cast

import pytest
from tests.kube.conftest import Server, decode

from batchpools.api import names
from batchpools.kube.errors import (
    AlreadyExistsError,
    ConflictError,
    ForbiddenError,
    GoneError,
    InvalidError,
    KubeError,
    NotFoundError,
    TestFailedError,
)
from batchpools.kube.port import Resource, WatchEvent
from batchpools.kube.resources import (
    APPLICATION_PACKAGES,
    CONFIG_MAPS,
    JOB_SCHEDULES,
    JOBS,
    LEASES,
    NAMESPACES,
    PODS,
    POOL_NODES,
    POOLS,
    TASKS,
)

Operations = list[dict[str, Any]]

FINALIZER = "batchpools.dev/contract"
MANIFESTS: dict[str, dict[str, Any]] = {
    "Pool": {"spec": {"image": "python:3.12-slim"}},
    "PoolNode": {"spec": {"poolName": "demo"}},
    "Job": {"spec": {"poolName": "demo"}},
    "Task": {"spec": {"jobName": "primes", "command": ["true"]}},
    "JobSchedule": {"spec": {"suspend": True, "schedule": {}, "jobTemplate": {"spec": {"poolName": "demo"}}}},
    "ApplicationPackage": {"spec": {"versions": [{"version": "1", "url": "https://files.example/a.zip"}]}},
    "Pod": {"spec": {"schedulerName": "nobody", "containers": [{"name": "task", "image": "python:3.12-slim"}]}},
    "ConfigMap": {"data": {"a": "1"}},
    "Lease": {"spec": {"holderIdentity": "me", "leaseTransitions": 1}},
}


def manifest(resource: Resource, name: str, **metadata: Any) -> dict[str, Any]:
    version = f"{resource.group}/{resource.version}" if resource.group else resource.version
    return {
        "apiVersion": version,
        "kind": resource.kind,
        "metadata": {"name": name, **metadata},
        **MANIFESTS[resource.kind],
    }


async def create(server: Server, resource: Resource, name: str = "one", **metadata: Any) -> dict[str, Any]:
    made = await server.api.create(resource, server.namespace, manifest(resource, name, **metadata))
    return cast("dict[str, Any]", decode(made))


async def read(server: Server, resource: Resource, name: str = "one") -> dict[str, Any]:
    return cast("dict[str, Any]", decode(await server.api.get(resource, server.namespace, name)))


async def status_patch(server: Server, resource: Resource, uid: str, status: dict[str, Any]) -> dict[str, Any]:
    operations: Operations = [
        {"op": "test", "path": "/metadata/uid", "value": uid},
        {"op": "add", "path": "/status", "value": status},
    ]
    made = await server.api.patch(resource, server.namespace, "one", operations, subresource="status")
    return cast("dict[str, Any]", decode(made))


# ---------------------------------------------------------------- create, get


@pytest.mark.parametrize("resource", [POOLS, POOL_NODES, JOBS, TASKS, PODS, CONFIG_MAPS, LEASES], ids=lambda r: r.kind)
async def test_a_created_object_is_there_with_uid_version_and_creation_time(server: Server, resource: Resource) -> None:
    await create(server, resource)
    metadata = (await read(server, resource))["metadata"]
    assert metadata["namespace"] == server.namespace
    assert metadata["uid"]
    assert metadata["resourceVersion"]
    assert metadata["creationTimestamp"]


@pytest.mark.parametrize(
    ("resource", "state"),
    [(POOLS, "Active"), (POOL_NODES, "Creating"), (JOBS, "Active"), (TASKS, "Active"), (JOB_SCHEDULES, "Active")],
    ids=str,
)
async def test_a_fresh_object_has_its_state_without_a_write(server: Server, resource: Resource, state: str) -> None:
    made = await create(server, resource)
    assert made["status"]["state"] == state
    assert made["status"]["epoch"] == 0
    assert made["metadata"]["generation"] == 1


@pytest.mark.parametrize("resource", [JOBS, TASKS, JOB_SCHEDULES], ids=lambda r: r.kind)
async def test_a_fresh_job_task_or_schedule_says_that_it_is_not_finished(server: Server, resource: Resource) -> None:
    (condition,) = (await create(server, resource))["status"]["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == ("Finished", "False", "Waiting")


async def test_a_status_that_comes_with_a_create_is_not_taken(server: Server) -> None:
    told = {**manifest(TASKS, "one"), "status": {"state": "Completed", "epoch": 9}}
    made = decode(await server.api.create(TASKS, server.namespace, told))
    assert made["status"]["state"] == "Active"
    assert made["status"]["epoch"] == 0


async def test_the_second_create_of_a_name_says_already_exists(server: Server) -> None:
    await create(server, TASKS)
    with pytest.raises(AlreadyExistsError, match="already exists"):
        await create(server, TASKS)


async def test_a_rehearsal_answers_as_a_create_and_makes_nothing(server: Server) -> None:
    await server.api.rehearse(PODS, server.namespace, manifest(PODS, "one"))
    with pytest.raises(NotFoundError):
        await read(server, PODS)
    await create(server, PODS)
    with pytest.raises(AlreadyExistsError):
        await server.api.rehearse(PODS, server.namespace, manifest(PODS, "one"))


async def test_a_bad_name_is_invalid(server: Server) -> None:
    with pytest.raises(InvalidError, match="is invalid"):
        await create(server, TASKS, "No_Name")


async def test_an_object_without_kind_is_refused(server: Server) -> None:
    with pytest.raises(InvalidError, match="must be of type Task"):
        await server.api.create(TASKS, server.namespace, {"metadata": {"name": "one"}, "spec": {"jobName": "primes"}})


async def test_an_object_of_another_namespace_is_refused(server: Server) -> None:
    with pytest.raises(InvalidError, match="does not match the namespace"):
        await create(server, TASKS, namespace="elsewhere")


async def test_what_is_not_there_is_not_found(server: Server) -> None:
    with pytest.raises(NotFoundError):
        await read(server, TASKS, "nothing")
    with pytest.raises(NotFoundError):
        await server.api.patch(TASKS, server.namespace, "nothing", [{"op": "add", "path": "/spec", "value": {}}])
    with pytest.raises(NotFoundError):
        await server.api.delete(TASKS, server.namespace, "nothing", uid="x")


async def test_a_generated_name_begins_as_told(server: Server) -> None:
    told = {"metadata": {"generateName": "made-"}, "data": {}}
    first = decode(await server.api.create(CONFIG_MAPS, server.namespace, told))
    second = decode(await server.api.create(CONFIG_MAPS, server.namespace, told))
    assert first["metadata"]["name"].startswith("made-")
    assert first["metadata"]["name"] != second["metadata"]["name"]


# ---------------------------------------------------------------- patch


async def test_a_status_patch_changes_the_status_alone(server: Server) -> None:
    made = await create(server, TASKS)
    operations: Operations = [
        {"op": "test", "path": "/metadata/uid", "value": made["metadata"]["uid"]},
        {"op": "add", "path": "/status", "value": {"state": "Running", "epoch": 3}},
        {"op": "add", "path": "/spec/requiredSlots", "value": 7},
    ]
    await server.api.patch(TASKS, server.namespace, "one", operations, subresource="status")
    now = await read(server, TASKS)
    assert (now["status"]["state"], now["status"]["epoch"]) == ("Running", 3)
    assert now["spec"].get("requiredSlots", 1) == 1
    assert now["metadata"]["generation"] == 1
    assert now["metadata"]["resourceVersion"] != made["metadata"]["resourceVersion"]


async def test_a_written_status_replaces_the_former_one_and_defaults_fill_it(server: Server) -> None:
    uid = (await create(server, TASKS))["metadata"]["uid"]
    await status_patch(server, TASKS, uid, {"state": "Running", "epoch": 1, "poolNodeName": "demo-0001"})
    now = await status_patch(server, TASKS, uid, {"epoch": 1})
    assert (now["status"]["state"], now["status"]["poolNodeName"], now["status"]["conditions"]) == ("Active", "", [])


async def test_a_patch_of_the_object_leaves_its_status_alone_and_raises_its_generation(server: Server) -> None:
    await create(server, POOLS)
    operations: Operations = [
        {"op": "add", "path": "/spec/targetDedicatedNodes", "value": 2},
        {"op": "add", "path": "/status", "value": {"state": "Deleting"}},
    ]
    await server.api.patch(POOLS, server.namespace, "one", operations)
    now = await read(server, POOLS)
    assert now["spec"]["targetDedicatedNodes"] == 2
    assert now["status"]["state"] == "Active"
    assert now["metadata"]["generation"] == 2


async def test_a_label_does_not_raise_the_generation(server: Server) -> None:
    await create(server, POOLS)
    await server.api.patch(
        POOLS, server.namespace, "one", [{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}]
    )
    assert (await read(server, POOLS))["metadata"]["generation"] == 1


async def test_a_patch_that_changes_nothing_keeps_the_version(server: Server) -> None:
    await create(server, POOLS, labels={"a": "b"})
    same = [{"op": "add", "path": "/metadata/labels/a", "value": "b"}]
    first = decode(await server.api.patch(POOLS, server.namespace, "one", same))  # may still change managedFields
    second = decode(await server.api.patch(POOLS, server.namespace, "one", same))
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


@pytest.mark.parametrize("subresource", ["", "status"])
async def test_a_patch_for_another_life_of_the_object_fails_its_test(server: Server, subresource: str) -> None:
    await create(server, TASKS)
    operations: Operations = [
        {"op": "test", "path": "/metadata/uid", "value": "another"},
        {"op": "add", "path": "/status", "value": {"state": "Completed"}},
    ]
    with pytest.raises(TestFailedError):
        await server.api.patch(TASKS, server.namespace, "one", operations, subresource=subresource)
    assert (await read(server, TASKS))["status"]["state"] == "Active"


@pytest.mark.parametrize("resource", [PODS, CONFIG_MAPS], ids=lambda r: r.kind)
async def test_a_failed_test_is_told_from_a_refused_object(server: Server, resource: Resource) -> None:
    uid = (await create(server, resource))["metadata"]["uid"]
    bad_value: Operations = [
        {"op": "test", "path": "/metadata/uid", "value": uid},
        {"op": "add", "path": "/metadata/uid", "value": "mine"},
    ]
    with pytest.raises(InvalidError, match="immutable"):
        await server.api.patch(resource, server.namespace, "one", bad_value)
    with pytest.raises(TestFailedError):
        await server.api.patch(
            resource, server.namespace, "one", [{"op": "test", "path": "/metadata/uid", "value": "no"}]
        )


async def test_a_list_that_is_not_there_tests_equal_to_null(server: Server) -> None:
    await create(server, PODS)
    operations: Operations = [
        {"op": "test", "path": "/metadata/finalizers", "value": None},
        {"op": "add", "path": "/metadata/finalizers", "value": [FINALIZER]},
    ]
    await server.api.patch(PODS, server.namespace, "one", operations)
    with pytest.raises(TestFailedError):
        await server.api.patch(PODS, server.namespace, "one", operations)
    operations[0]["value"] = [FINALIZER]
    operations[1]["value"] = []
    now = decode(await server.api.patch(PODS, server.namespace, "one", operations))
    assert not now["metadata"].get("finalizers")


async def test_a_patch_with_an_older_version_is_a_conflict(server: Server) -> None:
    await create(server, CONFIG_MAPS)
    operations: Operations = [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": "1"},
        {"op": "add", "path": "/data/b", "value": "2"},
    ]
    with pytest.raises(ConflictError):
        await server.api.patch(CONFIG_MAPS, server.namespace, "one", operations)


@pytest.mark.parametrize(
    "resource", [POOLS, POOL_NODES, JOBS, TASKS, JOB_SCHEDULES, APPLICATION_PACKAGES], ids=lambda r: r.kind
)
async def test_a_status_with_an_older_epoch_is_refused_by_the_api_server(server: Server, resource: Resource) -> None:
    """Safety rule S5.1: a deposed leader cannot write."""
    made = await create(server, resource)
    uid = made["metadata"]["uid"]
    told = {"state": made["status"]["state"]} if "state" in made["status"] else {}
    await status_patch(server, resource, uid, {**told, "epoch": 4})
    with pytest.raises(InvalidError, match="epoch is older"):
        await status_patch(server, resource, uid, {**told, "epoch": 3})
    with pytest.raises(InvalidError, match="epoch is older"):
        await status_patch(server, resource, uid, told)
    await status_patch(server, resource, uid, {**told, "epoch": 5})


# ---------------------------------------------------------------- replace


@pytest.mark.parametrize("resource", [LEASES, CONFIG_MAPS], ids=lambda r: r.kind)
async def test_a_put_with_an_older_version_is_a_conflict(server: Server, resource: Resource) -> None:
    first = await create(server, resource)
    changed = {**first, "metadata": {**first["metadata"], "labels": {"a": "b"}}}
    await server.api.replace(resource, server.namespace, "one", changed)
    with pytest.raises(ConflictError):
        await server.api.replace(resource, server.namespace, "one", first)


async def test_of_two_puts_with_one_version_one_wins(server: Server) -> None:
    first = await create(server, LEASES)
    answers = await asyncio.gather(
        *(
            server.api.replace(LEASES, server.namespace, "one", {**first, "spec": {"holderIdentity": holder}})
            for holder in ("a", "b")
        ),
        return_exceptions=True,
    )
    assert sorted(isinstance(answer, ConflictError) for answer in answers) == [False, True]


@pytest.mark.parametrize("resource", [LEASES, POOLS], ids=lambda r: r.kind)
async def test_a_put_without_version_is_refused(server: Server, resource: Resource) -> None:
    await create(server, resource)
    with pytest.raises(InvalidError, match="resourceVersion"):
        await server.api.replace(resource, server.namespace, "one", manifest(resource, "one"))


async def test_a_put_of_a_lease_that_is_gone_makes_it_again(server: Server) -> None:
    await server.api.replace(LEASES, server.namespace, "one", manifest(LEASES, "one", resourceVersion="5"))
    assert (await read(server, LEASES))["spec"]["leaseTransitions"] == 1


async def test_a_put_with_the_uid_of_a_lease_that_is_gone_is_a_conflict_and_makes_nothing(server: Server) -> None:
    first = await create(server, LEASES)
    await server.api.delete(LEASES, server.namespace, "one", uid=first["metadata"]["uid"])
    with pytest.raises(ConflictError):
        await server.api.replace(LEASES, server.namespace, "one", first)
    with pytest.raises(NotFoundError):
        await server.api.get(LEASES, server.namespace, "one")


async def test_a_put_of_anything_else_that_is_gone_is_not_found(server: Server) -> None:
    with pytest.raises(NotFoundError):
        await server.api.replace(CONFIG_MAPS, server.namespace, "one", manifest(CONFIG_MAPS, "one"))


# ---------------------------------------------------------------- delete


async def test_a_delete_of_another_life_is_a_conflict(server: Server) -> None:
    made = await create(server, TASKS)
    uid = made["metadata"]["uid"]
    with pytest.raises(ConflictError):
        await server.api.delete(TASKS, server.namespace, "one", uid="another")
    with pytest.raises(ConflictError):
        await server.api.delete(TASKS, server.namespace, "one", uid=uid, resource_version="1")
    await server.api.delete(TASKS, server.namespace, "one", uid=uid)
    with pytest.raises(NotFoundError):
        await read(server, TASKS)


@pytest.mark.parametrize("resource", [TASKS, PODS], ids=lambda r: r.kind)
async def test_a_finalizer_holds_a_deleted_object_until_it_is_taken_off(server: Server, resource: Resource) -> None:
    uid = (await create(server, resource, finalizers=[FINALIZER]))["metadata"]["uid"]
    await server.api.delete(resource, server.namespace, "one", uid=uid)
    await server.api.delete(resource, server.namespace, "one", uid=uid)
    held = (await read(server, resource))["metadata"]
    assert held["deletionTimestamp"]
    assert held["deletionGracePeriodSeconds"] == 0
    assert held["generation"] == 2
    with pytest.raises(AlreadyExistsError):
        await create(server, resource)
    await server.api.patch(
        resource, server.namespace, "one", [{"op": "add", "path": "/metadata/finalizers", "value": []}]
    )
    with pytest.raises(NotFoundError):
        await read(server, resource)


async def test_a_deleted_object_takes_no_new_finalizer(server: Server) -> None:
    uid = (await create(server, TASKS, finalizers=[FINALIZER]))["metadata"]["uid"]
    await server.api.delete(TASKS, server.namespace, "one", uid=uid)
    more = [{"op": "add", "path": "/metadata/finalizers", "value": [FINALIZER, f"{FINALIZER}-2"]}]
    with pytest.raises(InvalidError, match="no new finalizers"):
        await server.api.patch(TASKS, server.namespace, "one", more)
    await server.api.patch(TASKS, server.namespace, "one", [{"op": "remove", "path": "/metadata/finalizers"}])


async def test_a_name_that_is_free_again_gets_another_uid(server: Server) -> None:
    first = await create(server, TASKS)
    await server.api.delete(TASKS, server.namespace, "one", uid=first["metadata"]["uid"])
    assert (await create(server, TASKS))["metadata"]["uid"] != first["metadata"]["uid"]


async def test_nothing_is_created_in_a_namespace_that_is_going_away(server: Server) -> None:
    close = getattr(server.api, "close_namespace", None)
    if close is not None:
        close(server.namespace)
    else:
        await create(server, CONFIG_MAPS, "holds", finalizers=[FINALIZER])
        raw = decode(await server.api.get(NAMESPACES, "", server.namespace))
        await server.api.delete(NAMESPACES, "", server.namespace, uid=raw["metadata"]["uid"])
    with pytest.raises(ForbiddenError, match="is being terminated"):
        await create(server, TASKS)
    assert decode(await server.api.get(NAMESPACES, "", server.namespace))["metadata"]["deletionTimestamp"]
    if close is None:
        await server.api.patch(
            CONFIG_MAPS, server.namespace, "holds", [{"op": "add", "path": "/metadata/finalizers", "value": []}]
        )


# ---------------------------------------------------------------- list


async def names_of(server: Server, resource: Resource, **selectors: str) -> list[str]:
    page = await server.api.list(resource, server.namespace, **selectors)
    return [decode(item)["metadata"]["name"] for item in page.items]


async def test_a_list_is_by_name_and_chosen_by_labels(server: Server) -> None:
    await create(server, TASKS, "b", labels={"color": "red"})
    await create(server, TASKS, "a", labels={"color": "blue"})
    await create(server, TASKS, "c")
    assert await names_of(server, TASKS) == ["a", "b", "c"]
    assert await names_of(server, TASKS, label_selector="color=red") == ["b"]
    assert await names_of(server, TASKS, label_selector="color") == ["a", "b"]
    assert await names_of(server, TASKS, label_selector="!color") == ["c"]
    assert await names_of(server, TASKS, label_selector="color,color!=red") == ["a"]


async def test_tasks_are_chosen_by_job_and_state(server: Server) -> None:
    uid = (await create(server, TASKS))["metadata"]["uid"]
    await create(server, TASKS, "two")
    await status_patch(server, TASKS, uid, {"state": "Running", "epoch": 1})
    assert await names_of(server, TASKS, field_selector="spec.jobName=primes") == ["one", "two"]
    assert await names_of(server, TASKS, field_selector="spec.jobName=primes,status.state=Running") == ["one"]
    assert await names_of(server, TASKS, field_selector="status.state!=Running") == ["two"]
    assert await names_of(server, TASKS, field_selector="metadata.name=two") == ["two"]


async def test_a_field_that_cannot_be_selected_is_refused(server: Server) -> None:
    with pytest.raises(InvalidError, match="field label not supported"):
        await names_of(server, TASKS, field_selector="spec.requiredSlots=1")


async def test_a_long_list_comes_in_pages_of_one_moment(server: Server) -> None:
    for start in range(0, 510, 30):
        await asyncio.gather(*(create(server, CONFIG_MAPS, f"n{n:03d}") for n in range(start, start + 30)))
    first = await server.api.list(CONFIG_MAPS, server.namespace, label_selector="!none")
    assert len(first.items) == 500
    gone = decode(first.items[0])["metadata"]
    await server.api.delete(CONFIG_MAPS, server.namespace, gone["name"], uid=gone["uid"])
    await create(server, CONFIG_MAPS, "z-later")
    second = await server.api.list(CONFIG_MAPS, server.namespace, label_selector="!none", page=first.next_page)
    told = {decode(item)["metadata"]["name"] for item in second.items}
    assert {f"n{n:03d}" for n in range(500, 510)} <= told | {decode(item)["metadata"]["name"] for item in first.items}
    assert "z-later" not in told
    assert second.next_page == ""
    assert second.resource_version == first.resource_version


# ---------------------------------------------------------------- watch


async def take(server: Server, resource: Resource, version: str, count: int, selector: str = "") -> list[WatchEvent]:
    events = []
    watch = server.api.watch(resource, server.namespace, resource_version=version, label_selector=selector)
    async with aclosing(cast("Any", watch)) as stream, asyncio.timeout(30):
        async for event in stream:
            if event.type != "BOOKMARK":
                events.append(event)
            if len(events) == count:
                return events
    raise AssertionError("the watch ended early")


async def test_a_watch_tells_everything_since_a_version_in_order(server: Server) -> None:
    version = (await server.api.list(TASKS, server.namespace)).resource_version
    made = await create(server, TASKS)
    await status_patch(server, TASKS, made["metadata"]["uid"], {"state": "Running", "epoch": 1})
    await server.api.delete(TASKS, server.namespace, "one", uid=made["metadata"]["uid"])
    events = await take(server, TASKS, version, 3)
    assert [event.type for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    versions = [int(decode(event.object)["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(versions)
    assert decode(events[2].object)["status"]["state"] == "Running"
    later = await take(server, TASKS, str(versions[0]), 2)
    assert [event.type for event in later] == ["MODIFIED", "DELETED"]


async def test_a_watch_tells_what_happens_while_it_waits(server: Server) -> None:
    version = (await server.api.list(TASKS, server.namespace)).resource_version
    watching = asyncio.create_task(take(server, TASKS, version, 1))
    await asyncio.sleep(0)
    await create(server, TASKS)
    (event,) = await watching
    assert (event.type, decode(event.object)["metadata"]["name"]) == ("ADDED", "one")


async def test_what_ceases_to_match_the_selector_is_deleted_for_the_watch(server: Server) -> None:
    version = (await server.api.list(PODS, server.namespace)).resource_version
    await create(server, PODS, "other")
    await create(server, PODS, labels={names.LABEL_POOL: "demo"})
    path = f"/metadata/labels/{names.LABEL_POOL.replace('/', '~1')}"
    await server.api.patch(PODS, server.namespace, "one", [{"op": "replace", "path": path, "value": "other"}])
    events = await take(server, PODS, version, 2, f"{names.LABEL_POOL}=demo")
    assert [event.type for event in events] == ["ADDED", "DELETED"]
    assert {decode(event.object)["metadata"]["name"] for event in events} == {"one"}


async def test_the_last_finalizer_off_a_deleted_object_is_told_as_its_deletion(server: Server) -> None:
    made = await create(server, TASKS, finalizers=[FINALIZER])
    await server.api.delete(TASKS, server.namespace, "one", uid=made["metadata"]["uid"])
    await server.api.patch(TASKS, server.namespace, "one", [{"op": "remove", "path": "/metadata/finalizers"}])
    events = await take(server, TASKS, made["metadata"]["resourceVersion"], 2)
    assert [event.type for event in events] == ["MODIFIED", "DELETED"]


async def test_a_page_token_that_makes_no_sense_is_an_error_of_ours(server: Server) -> None:
    with pytest.raises((GoneError, InvalidError)) as caught:
        await server.api.list(TASKS, server.namespace, page="nonsense")
    assert isinstance(caught.value, KubeError)
