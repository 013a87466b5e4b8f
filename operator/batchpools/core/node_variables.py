"""Decides the variables that everything on a node sees (Azure Batch, runtime environment variables). Pure."""

from batchpools.api import names


def node_variables(namespace: str, pool: str, node: str, *, dedicated: bool) -> dict[str, str]:
    """AZ_BATCH_* of a node: tasks, start tasks and people's shells have them."""
    root = names.NODE_ROOT_DIR
    return {
        "AZ_BATCH_ACCOUNT_NAME": namespace,
        "AZ_BATCH_POOL_ID": pool,
        "AZ_BATCH_NODE_ID": node,
        "AZ_BATCH_NODE_IS_DEDICATED": str(dedicated).lower(),
        "AZ_BATCH_NODE_ROOT_DIR": root,
        "AZ_BATCH_NODE_SHARED_DIR": f"{root}/shared",
        "AZ_BATCH_NODE_STARTUP_DIR": f"{root}/startup",
        "AZ_BATCH_NODE_STARTUP_WORKING_DIR": f"{root}/startup/wd",
        "AZ_BATCH_NODE_MOUNTS_DIR": names.MOUNTS_DIR,
    }
