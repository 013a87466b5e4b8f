"""How a changed template, or an image whose tag has moved, reaches the nodes of a pool. Source: REST reference, UpgradePolicy."""

from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, Field

from batchpools.api.common import Duration, Model, Text, rule, rules
from batchpools.api.states import UpgradeMode


class UpgradePolicy(Model):
    """When nodes get a new pod because the pool has changed. A changed start task alone reaches nodes as they restart."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.imageCheckInterval) || (duration(self.imageCheckInterval) >= duration('1m')"
                " && duration(self.imageCheckInterval) <= duration('8760h'))",
                "imageCheckInterval must lie between 1m and 8760h",
            )
        )
    )
    mode: UpgradeMode = Field(
        default=UpgradeMode.AUTOMATIC,
        description="Automatic renews nodes a few at a time, their tasks end by nodeDeallocationOption; Manual leaves nodes as "
        "they are until they restart.",
    )
    max_unavailable: int = Field(
        default=1, ge=1, le=10000, description="How many nodes of the pool may be out of use for it at a time."
    )
    image_check_interval: Duration | None = Field(
        default=None,
        description="How often it is looked whether the image's tag has moved: nodes with another image are then renewed as by a "
        "changed template. New pods always pull the image. Without it nobody looks.",
    )


class ImageCheck(Model):
    """The last look at what the pool's image is."""

    time: datetime | None = Field(default=None, description="When the last one came to an end.")
    image: Text = Field(default="", description="Which image.")
    digest: Annotated[str, Field(max_length=256)] = Field(default="", description="The last digest that was found.")
    message: Annotated[str, Field(max_length=4096)] = Field(
        default="", description="Why it could not be found out, in Kubernetes' own words."
    )
