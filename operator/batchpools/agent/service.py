"""Entry of the agent: reads its configuration, runs the node, ends gracefully on SIGTERM."""

import asyncio
import os
import signal
from collections.abc import Sequence

import msgspec
import uvloop

from batchpools.agent.node import Node
from batchpools.agent.places import Places
from batchpools.core.node_config import NODE_CONFIG_ENV, NodeConfig
from batchpools.telemetry import logs
from batchpools.telemetry.clock import SystemClock

_STOP_RESERVE = 10.0  # seconds beside the drain timeout for results to be acknowledged


def main(_: Sequence[str] = ()) -> int:
    """Run the agent of the node that the environment describes."""
    logs.configure("INFO")
    config = msgspec.json.decode(os.environ[NODE_CONFIG_ENV], type=NodeConfig)
    uvloop.run(run_agent(config))
    return 0


async def run_agent(config: NodeConfig, places: Places | None = None) -> None:
    """Serve until SIGTERM, then until every result is acknowledged or the time is over. places: other than a pod's."""
    node = Node(config, SystemClock(), places or Places())
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    serving = asyncio.create_task(node.run(), name="node")
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        stopping.cancel()
        serving.result()
    await node.finish(config.drain_timeout + _STOP_RESERVE)
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
