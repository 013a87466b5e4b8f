"""How a changed template, or an image whose tag has moved, reaches the nodes of a pool. Source: REST reference, UpgradePolicy."""

from pydantic import Field

from batchpools.api.common import Model
from batchpools.api.states import UpgradeMode


class UpgradePolicy(Model):
    """When nodes get a new pod because the pool has changed. A changed start task alone reaches nodes as they restart."""

    mode: UpgradeMode = Field(
        default=UpgradeMode.AUTOMATIC,
        description="Automatic renews nodes a few at a time, their tasks end by nodeDeallocationOption; Manual leaves nodes as "
        "they are until they restart.",
    )
    max_unavailable: int = Field(
        default=1, ge=1, le=10000, description="How many nodes of the pool may be out of use for it at a time."
    )
