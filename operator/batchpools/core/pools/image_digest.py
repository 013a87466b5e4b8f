"""Decides what a tag is known to be by now, and which nodes have another image. Pure.

What the kubelets say of images is compared by digest alone: runtimes and versions write different things before it. A node's pod
that was made when the tag was known to be this digest is as new as it gets, whatever it reports (an image that was loaded by hand,
a mirror that is behind): so no node is renewed twice for one digest.
"""

import re

from batchpools.core.pools.template import read_template
from batchpools.core.views import PoolNodeView, PoolSpec, PoolView

_DIGEST = re.compile(r"(?:^|@|/)(sha(?:256|384|512):[0-9a-f]{32,128})$")


def digest_of(image_id: str) -> str:
    """The digest in `docker-pullable://repo@sha256:...`, `docker://sha256:...`, `repo@sha256:...` or `sha256:...`; else empty."""
    found = _DIGEST.search(image_id)
    return found[1] if found is not None else ""


def is_checked(spec: PoolSpec) -> bool:
    """Whether the image is looked at now and then. One that is named by its digest never moves."""
    return bool(spec.upgrade_policy.image_check_interval) and not digest_of(read_template(spec).image)


def checked_digest(pool: PoolView) -> str:
    """What the pool's present image was when it was last looked at; empty when that is not known, or nobody wants to."""
    last = pool.status.image_check
    if last is None or not is_checked(pool.spec) or last.image != read_template(pool.spec).image:
        return ""
    return last.digest


def has_another_image(node: PoolNodeView, pool: PoolView) -> bool:
    """Whether the node reports another image than the tag was last found to be, and its pod is older than that."""
    wanted, has = checked_digest(pool), digest_of(node.status.image_id)
    return bool(wanted and has) and wanted not in {has, node.status.image_digest}
