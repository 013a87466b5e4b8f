"""The store: by name, by uid, by its indices; told in the order of the stream."""

from msgspec.structs import replace

from batchpools.core.views import PoolNodeView
from batchpools.kube.cache import Cache
from batchpools.testing.builders import NAMESPACE, job, meta, node, pod, pool, task


def names_in(found: object) -> list[str]:
    return sorted(view.metadata.name for view in found)  # type: ignore[attr-defined]


def test_objects_are_found_by_name_and_by_uid() -> None:
    cache = Cache()
    cache.pods.put(pod("demo-0001-1"))
    assert cache.pods.get(NAMESPACE, "demo-0001-1") is not None
    assert cache.pods.by_uid("uid-pod-demo-0001-1") is not None
    cache.pods.remove(NAMESPACE, "demo-0001-1")
    assert cache.pods.by_uid("uid-pod-demo-0001-1") is None
    assert len(cache.pods) == 0


def test_each_kind_has_its_index() -> None:
    cache = Cache()
    cache.tasks.put(task("primes.a"))
    cache.tasks.put(task("other.b", job_name="other"))
    cache.nodes.put(node("demo-0001"))
    cache.jobs.put(job("primes"))
    cache.pods.put(pod("demo-0001-1"))
    assert names_in(cache.tasks.indexed("by_job", (NAMESPACE, "primes"))) == ["primes.a"]
    assert names_in(cache.nodes.indexed("by_pool", (NAMESPACE, "demo"))) == ["demo-0001"]
    assert names_in(cache.jobs.indexed("by_pool", (NAMESPACE, "demo"))) == ["primes"]
    assert names_in(cache.pods.indexed("by_pool", (NAMESPACE, "demo"))) == ["demo-0001-1"]
    assert names_in(cache.pods.indexed("by_pool", (NAMESPACE, "none"))) == []


def test_an_object_that_changes_its_key_moves_in_the_index() -> None:
    cache = Cache()
    cache.jobs.put(job("primes"))
    cache.jobs.put(job("primes", pool_name="other"))
    assert names_in(cache.jobs.indexed("by_pool", (NAMESPACE, "demo"))) == []
    assert names_in(cache.jobs.indexed("by_pool", (NAMESPACE, "other"))) == ["primes"]


def test_observers_see_the_store_as_it_is_after_the_change() -> None:
    cache = Cache()
    seen: list[tuple[bool, bool, int]] = []

    def observer(old: PoolNodeView | None, new: PoolNodeView | None) -> None:
        seen.append((old is not None, new is not None, len(cache.nodes)))

    cache.nodes.subscribe(observer)
    cache.nodes.put(node("demo-0001"))
    cache.nodes.put(node("demo-0001", metadata=meta("demo-0001", uid="second")))
    cache.nodes.remove(NAMESPACE, "demo-0001")
    cache.nodes.remove(NAMESPACE, "demo-0001")
    assert seen == [(False, True, 1), (True, False, 0), (False, True, 1), (True, False, 0)]


def test_the_same_version_once_more_is_no_news() -> None:
    cache = Cache()
    seen: list[object] = []
    cache.nodes.subscribe(lambda _, new: seen.append(new))
    view = node("demo-0001", metadata=meta("demo-0001", resource_version="7"))
    cache.nodes.put(view)
    cache.nodes.put(view)
    cache.nodes.put(replace(view, metadata=meta("demo-0001", resource_version="8")))
    assert len(seen) == 2


def test_a_pool_whose_status_changes_keeps_the_very_spec_that_it_had() -> None:
    cache = Cache()
    first = pool()
    cache.pools.put(first)
    said = pool(metadata=replace(first.metadata, resource_version="2"), status=replace(first.status, current_nodes=3))
    cache.pools.put(said)
    held = cache.pools.get(NAMESPACE, "demo")
    assert held == said
    assert held is not None
    assert held.spec is first.spec, "what was worked out of it holds on"
    changed = pool(metadata=replace(first.metadata, resource_version="3"), image="another")
    cache.pools.put(changed)
    assert cache.pools.get(NAMESPACE, "demo") == changed
