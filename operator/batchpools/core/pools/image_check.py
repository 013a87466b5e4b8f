"""Decides when a pool's image is looked at, and what is to be said of it: is the tag still what it was? Pure.

A step of the pool's plan. What is persisted is the last look (`status.imageCheck`); everything between two looks follows from it
and from the probe (`image_probe`) that is there or is not, so any leader goes on where another one stopped. A probe is read first,
its result persisted, and only then is it deleted: one that goes before that is made again. What cannot be found out is said, and
rolls nobody. Source: the overview's automatic update of a pool's operating system; decisions in docs/decisions.md.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from batchpools.api import names
from batchpools.api.durations import parse_duration
from batchpools.core.identity import Key
from batchpools.core.plan import Delete, Effect
from batchpools.core.pools import pod_facts
from batchpools.core.pools.image_digest import digest_of, is_checked
from batchpools.core.pools.image_probe import is_for_this_check, is_of, make_probe
from batchpools.core.pools.situation import PoolSituation
from batchpools.core.pools.template import read_template
from batchpools.core.views import ImageCheck, PodView, PoolView
from batchpools.core.waiting import time_left

LOOK_AGAIN = 1.0
REFUSED_AGAIN = 15.0
FAILED_AGAIN = 900.0  # seconds after which a look that came to nothing is repeated, if the interval is longer
_SILENT = "The pod that was to pull the image ended without telling what it is."
_NO_DIGEST = "The kubelet tells no digest of the image: "


@dataclass(frozen=True, slots=True)
class Look:
    """What to do about the image now; said: what status is to say of it; again: seconds until the next look at the pool."""

    effects: tuple[Effect, ...] = ()
    said: ImageCheck | None = None
    again: float | None = None


def look_at_image(situation: PoolSituation, now: datetime) -> Look:
    """One step. Nothing is looked at for a pool without nodes: nobody would be renewed, and a machine might be bought for it."""
    pool, probe = situation.pool, situation.probe
    last, template = pool.status.image_check, read_template(pool.spec)
    if not is_checked(pool.spec):
        return Look(away(pool, probe))
    left = _seconds_left(pool, template.image, now)
    has_nodes = any(node.status.pod_uid for node in situation.staying)
    if left > 0 or not has_nodes or situation.template_refusal:
        return Look(away(pool, probe), last, left if left > 0 and has_nodes else None)
    if probe is None or not is_of(probe, pool):
        again = REFUSED_AGAIN if situation.probe_refusal else LOOK_AGAIN
        return Look((make_probe(pool),), _troubled(last, template.image, situation.probe_refusal), again)
    if not is_for_this_check(probe, pool):
        return Look(away(pool, probe), last, LOOK_AGAIN)
    return Look((), _read(probe, last, template.image, now))


def away(pool: PoolView, probe: PodView | None) -> tuple[Effect, ...]:
    """The probe goes, if there is one. Nothing that anybody waits for runs there, so it is given no time."""
    if probe is None or not is_of(probe, pool):
        return ()
    return (Delete(Key("Pod", probe.metadata.namespace, probe.metadata.name), probe.metadata.uid, grace_seconds=0),)


def _seconds_left(pool: PoolView, image: str, now: datetime) -> float:
    """Until the next look is due."""
    last = pool.status.image_check
    if last is None or last.time is None or last.image != image:
        return 0.0
    interval = parse_duration(pool.spec.upgrade_policy.image_check_interval)
    wait = min(interval, FAILED_AGAIN) if last.message else interval
    return time_left(last.time, timedelta(seconds=wait), now).total_seconds()


def _read(probe: PodView, last: ImageCheck | None, image: str, now: datetime) -> ImageCheck | None:
    """What the kubelet says of the image: its digest, why it has none, or nothing yet."""
    found = pod_facts.image_id(probe, names.IMAGE_CHECK)
    digest = digest_of(found)
    if digest:
        return ImageCheck(time=now, image=image, digest=digest)
    trouble = pod_facts.trouble(probe)
    words = trouble.message if trouble is not None else pod_facts.unschedulable(probe)
    if not found and not pod_facts.has_ended(probe):
        return _troubled(last, image, words)
    told = last.message if last is not None and last.image == image else ""
    why = f"{_NO_DIGEST}{found}" if found else words or told or probe.status.message or _SILENT
    return ImageCheck(time=now, image=image, digest=_known(last, image), message=why)


def _troubled(last: ImageCheck | None, image: str, words: str) -> ImageCheck | None:
    """Trouble that may pass is said once, in its first words; the look is not over."""
    is_known = last is not None and last.image == image
    if not words or (is_known and last is not None and last.message):
        return last
    time = last.time if last is not None and is_known else None
    return ImageCheck(time=time, image=image, digest=_known(last, image), message=words)


def _known(last: ImageCheck | None, image: str) -> str:
    return last.digest if last is not None and last.image == image else ""
