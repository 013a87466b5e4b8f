"""The one applier: carries out plans, in order, and nothing else writes. It writes only while we lead.

It may be stopped between any two effects: each is harmless when carried out again, and the plan is made anew then.
"""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, assert_never

import msgspec
from msgspec.structs import replace

from batchpools.api import names
from batchpools.core.identity import Key
from batchpools.core.ledger import RunLedger
from batchpools.core.plan import (
    AddFinalizer,
    Annotate,
    CordonNodes,
    Create,
    Delete,
    DrainNode,
    Effect,
    EndJob,
    Event,
    Mark,
    Plan,
    ReleaseNode,
    RemoveFinalizer,
    ReplaceSpec,
    RestartNode,
    ResumeNode,
    ToLedger,
    WriteStatus,
)
from batchpools.core.views import Meta
from batchpools.kube.bucket import Bucket
from batchpools.kube.deferred import DeferredWrites
from batchpools.kube.errors import (
    AlreadyExistsError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    KubeError,
    NotFoundError,
    TestFailedError,
)
from batchpools.kube.port import KubeApi
from batchpools.kube.resources import BY_KIND, EVENTS, api_version
from batchpools.telemetry.clock import Clock
from batchpools.telemetry.logs import about

_log = logging.getLogger(__name__)
_FINALIZER_TRIES = 5
EVENT_AGAIN = 600.0


class NotLeadingError(Exception):
    """Nothing is written by a replica that does not lead."""


class Outcome(StrEnum):
    """How a create or a delete went when it did not simply succeed."""

    NAME_CONFLICT = "NameConflict"
    TERMINATING = "Terminating"
    CHANGED = "Changed"
    REFUSED = "Refused"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A create or delete that was not carried out, and the API server's sentence."""

    key: Key
    outcome: Outcome
    sentence: str

    @property
    def only_needs_time(self) -> bool:
        """Whether the next look will find it otherwise: nobody needs to be told."""
        return self.outcome in {Outcome.TERMINATING, Outcome.CHANGED}


class _Object(msgspec.Struct):
    metadata: Meta


class Applier:
    """Writes for the leader. `epoch()` is None while this replica does not lead."""

    def __init__(self, api: KubeApi, clock: Clock, epoch: Callable[[], int | None], ledger: RunLedger) -> None:
        self._api = api
        self._clock = clock
        self._epoch = epoch
        self._ledger = ledger
        self._bucket = Bucket(clock)
        self._deferred = DeferredWrites(self._write_deferred, self._bucket)

    async def apply(self, key: Key, uid: str, plan: Plan[Any], *, current: Any = None) -> tuple[Refusal, ...]:
        """Effects in order, then the status once (unless it equals `current`), then events. What was refused is returned."""
        refusals = []
        for effect in plan.effects:
            refused = await self._carry_out(effect)
            if refused is not None:
                refusals.append(refused)
        if plan.status is not None:
            await self._apply_status(WriteStatus(key, uid, plan.status, plan.urgent), current)
        for event in plan.events:
            await self.publish(event)
        return tuple(refusals)

    async def write_status(self, effect: WriteStatus) -> bool:
        """Write the whole status of one life of an object, now and in place of what waits; False when that life is over.

        A status that is not urgent is only promised (and True): it goes out behind the bucket, unless a newer one comes first.
        """
        epoch = self._leading()
        if not effect.urgent:
            self._deferred.put(_stamped(effect, epoch))
            return True
        await self._deferred.supersede(effect.key)
        return await self._patch_status(effect)

    async def _apply_status(self, effect: WriteStatus, current: Any) -> None:
        if current is not None and _same(effect.status, current):
            await self._deferred.supersede(effect.key)  # what waits would undo what is there
        else:
            await self.write_status(effect)

    async def _write_deferred(self, effect: WriteStatus) -> None:
        """What was planned under an earlier epoch says nothing any more."""
        if effect.status.epoch == self._epoch():
            await self._patch_status(effect)

    async def _patch_status(self, effect: WriteStatus) -> bool:
        key, status = effect.key, _stamped(effect, self._leading()).status
        operations = [
            {"op": "test", "path": "/metadata/uid", "value": effect.uid},
            {"op": "add", "path": "/status", "value": msgspec.to_builtins(status)},
        ]
        try:
            await self._api.patch(BY_KIND[key.kind], key.namespace, key.name, operations, subresource="status")
        except (NotFoundError, TestFailedError):
            return False
        return True

    async def _carry_out(self, effect: Effect) -> Refusal | None:
        self._leading()
        match effect:
            case Create():
                return await self._create(effect)
            case Delete():
                return await self._delete(effect)
            case AddFinalizer():
                await self._change_finalizers(effect.key, effect.uid, add=effect.finalizer)
            case RemoveFinalizer():
                await self._change_finalizers(effect.key, effect.uid, remove=effect.finalizer)
            case Annotate():
                return await self._annotate(effect)
            case Mark():
                await self._mark(effect)
            case ReplaceSpec():
                await self._replace_spec(effect)
            case WriteStatus():
                await self.write_status(effect)
            case _:
                self._tell_ledger(effect)
        return None

    def _tell_ledger(self, effect: ToLedger) -> None:
        match effect:
            case DrainNode():
                self._ledger.drain_node(effect.pod_uid, effect.reason, effect.option)
            case ResumeNode():
                self._ledger.resume_node(effect.pod_uid)
            case CordonNodes():
                self._ledger.cordon(effect.namespace, effect.pool, effect.pod_uids)
            case RestartNode():
                self._ledger.restart_node(effect.pod_uid, effect.boot_id)
            case ReleaseNode():
                self._ledger.release_node(effect.pod_uid)
            case EndJob():
                self._ledger.end_job(effect.namespace, effect.job)
            case _:
                assert_never(effect)

    async def _create(self, effect: Create) -> Refusal | None:
        """AlreadyExists is success only if the object is ours and alive (S7.2): an earlier answer may be lost."""
        key = effect.key
        try:
            await self._api.create(BY_KIND[key.kind], key.namespace, effect.manifest)
        except AlreadyExistsError:
            return await self._judge_existing(effect)
        except (ForbiddenError, InvalidError, NotFoundError) as refused:  # not found: the namespace is gone
            return Refusal(key, Outcome.REFUSED, refused.sentence)
        return None

    async def _judge_existing(self, effect: Create) -> Refusal | None:
        key = effect.key
        try:
            raw = await self._api.get(BY_KIND[key.kind], key.namespace, key.name)
        except NotFoundError:
            return Refusal(key, Outcome.TERMINATING, f"{key.kind} {key.name} was just deleted")
        meta = msgspec.json.decode(raw, type=_Object).metadata
        if meta.deletion_timestamp is not None:
            return Refusal(key, Outcome.TERMINATING, f"the former {key.kind} {key.name} is still being deleted")
        ours = meta.labels.get(names.LABEL_AUTO_POOL_OF) == effect.owner_uid  # one that is kept alive has no owner
        if not ours and all(owner.uid != effect.owner_uid for owner in meta.owner_references):
            sentence = f"{key.kind} {key.name} exists and belongs to somebody else"
            return Refusal(key, Outcome.NAME_CONFLICT, sentence)
        return None

    async def _delete(self, effect: Delete) -> Refusal | None:
        """That life, as it was when it was decided: what has changed since is looked at again."""
        key = effect.key
        try:
            await self._api.delete(
                BY_KIND[key.kind],
                key.namespace,
                key.name,
                uid=effect.uid,
                resource_version=effect.resource_version,
                grace_seconds=effect.grace_seconds,
            )
        except NotFoundError:
            return None
        except ConflictError as conflict:
            return Refusal(key, Outcome.CHANGED, conflict.sentence)
        return None

    async def _annotate(self, effect: Annotate) -> Refusal | None:
        """What others have annotated stays: that there was nothing yet is tested."""
        key, path = effect.key, "/metadata/annotations"
        one: dict[str, Any] = {"path": path, "value": {effect.name: effect.value}}
        if not effect.first:
            one = {"path": f"{path}/{_escaped(effect.name)}", "value": effect.value}
        operations: list[dict[str, Any]] = [{"op": "test", "path": "/metadata/uid", "value": effect.uid}]
        if effect.first:
            operations.append({"op": "test", "path": path, "value": None})
        operations.append({"op": "add", **one})
        try:
            await self._api.patch(BY_KIND[key.kind], key.namespace, key.name, operations)
        except (NotFoundError, TestFailedError):
            return Refusal(key, Outcome.CHANGED, f"{key.kind} {key.name} is gone or has changed")
        return None

    async def _mark(self, effect: Mark) -> None:
        parts = {"labels": effect.labels, "annotations": effect.annotations}
        operations: list[dict[str, Any]] = [{"op": "test", "path": "/metadata/uid", "value": effect.uid}]
        operations += [
            {"op": "add", "path": f"/metadata/{part}/{_escaped(name)}", "value": value}
            for part, pairs in parts.items()
            for name, value in pairs.items()
        ]
        try:
            await self._api.patch(BY_KIND[effect.key.kind], effect.key.namespace, effect.key.name, operations)
        except (NotFoundError, TestFailedError):
            return  # that life is over

    async def _replace_spec(self, effect: ReplaceSpec) -> None:
        key = effect.key
        operations: list[dict[str, Any]] = [
            {"op": "test", "path": "/metadata/uid", "value": effect.uid},
            {"op": "replace", "path": "/spec", "value": effect.spec},
        ]
        try:
            await self._api.patch(BY_KIND[key.kind], key.namespace, key.name, operations)
        except (NotFoundError, TestFailedError):
            return  # that life is over

    async def _change_finalizers(self, key: Key, uid: str, *, add: str = "", remove: str = "") -> None:
        """Read, change, write with a test of uid and list; somebody else's change of the list in between means: once more."""
        resource = BY_KIND[key.kind]
        for _ in range(_FINALIZER_TRIES):
            try:
                raw = await self._api.get(resource, key.namespace, key.name)
                meta = msgspec.json.decode(raw, type=_Object).metadata
                if meta.uid != uid:
                    return
                wanted = [one for one in meta.finalizers if one != remove]
                if add and add not in wanted:
                    wanted.append(add)
                if wanted == list(meta.finalizers):
                    return
                held = list(meta.finalizers) or None  # a list that is not there tests equal to null
                operations: list[dict[str, Any]] = [
                    {"op": "test", "path": "/metadata/uid", "value": uid},
                    {"op": "test", "path": "/metadata/finalizers", "value": held},
                    {"op": "add", "path": "/metadata/finalizers", "value": wanted},
                ]
                await self._api.patch(resource, key.namespace, key.name, operations)
            except NotFoundError:
                return
            except TestFailedError:
                continue
            return
        raise ConflictError(f"the finalizers of {key.kind} {key.name} change all the time", 409)

    async def publish(self, event: Event) -> None:
        """An Event is a courtesy: a failure is logged and passed over. The same words are told once in ten minutes."""
        told, key = self._clock.now(), event.key
        now = told.strftime("%Y-%m-%dT%H:%M:%SZ")
        words = f"{event.uid} {event.reason} {event.message} {int(told.timestamp() // EVENT_AGAIN)}"
        manifest = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{key.name}.{hashlib.sha256(words.encode()).hexdigest()[:16]}",
                "namespace": key.namespace,
            },
            "involvedObject": {
                "apiVersion": api_version(BY_KIND[key.kind]),
                "kind": key.kind,
                "name": key.name,
                "namespace": key.namespace,
                "uid": event.uid,
            },
            "reason": event.reason,
            "message": event.message[:1024],
            "type": "Warning" if event.warning else "Normal",
            "source": {"component": names.MANAGED_BY},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            await self._api.create(EVENTS, key.namespace, manifest)
        except AlreadyExistsError:
            return
        except KubeError as error:
            about(_log, key, uid=event.uid).info("event %s was not published: %s", event.reason, error.sentence)

    def _leading(self) -> int:
        epoch = self._epoch()
        if epoch is None:
            raise NotLeadingError("this replica does not lead")
        return epoch


def _escaped(name: str) -> str:
    """A name as a part of a JSON Pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def _stamped(effect: WriteStatus, epoch: int) -> WriteStatus:
    return WriteStatus(effect.key, effect.uid, replace(effect.status, epoch=epoch), effect.urgent)


def _same(wanted: Any, current: Any) -> bool:
    """Whether a status says what is there already; who wrote it (epoch) does not count."""
    return bool(replace(wanted, epoch=0) == replace(current, epoch=0))
