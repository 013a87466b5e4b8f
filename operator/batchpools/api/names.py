"""Every name that more than one room must spell alike: group, labels, finalizers, users, paths, ports.

It decides spelling and nothing else.
"""

GROUP = "batchpools.dev"
VERSION = "v1beta1"
API_VERSION = f"{GROUP}/{VERSION}"
OPS_GROUP = "ops.batchpools.dev"

# Labels. POOL and NODE are on pods and PoolNodes, JOB and TASK_ID on the Tasks of a Job.
LABEL_POOL = f"{GROUP}/pool"
LABEL_NODE = f"{GROUP}/node"
LABEL_JOB = f"{GROUP}/job"
LABEL_JOB_SCHEDULE = f"{GROUP}/job-schedule"  # on what was made for a schedule: its name
LABEL_JOB_MANAGER = (
    f"{GROUP}/job-manager"  # "true" on the Task of a job's manager, for people: decisions ask `core.jobs.manager`
)
LABEL_AUTO_POOL_OF = f"{GROUP}/auto-pool-of"  # on a pool that was made for a job or a schedule: its uid
LABEL_TASK_ID = f"{GROUP}/task-id"
LABEL_BUSY = f"{GROUP}/busy"  # on node pods: "true" while tasks run there (safety rule S9.4)
LABEL_IMAGE_CHECK = f"{GROUP}/image-check"  # on the pod that finds out what a tag is: its pool
LABEL_INTERNAL = f"{GROUP}/internal"
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY = "batchpools"

# Annotations on node pods.
ANNOTATION_CA = f"{GROUP}/hub-ca"
ANNOTATION_OPS_ADDRESS = f"{GROUP}/ops-address"  # on the Lease: where the leader serves the aggregated API
ANNOTATION_EPOCH = f"{GROUP}/epoch"  # on the barrier's objects: whose mark it is
ANNOTATION_NEW_CA = f"{GROUP}/new-ca"  # on the Secret of our CA: somebody wants another one
ANNOTATION_UNREACHABLE_TIMEOUT = f"{GROUP}/node-unreachable-timeout"  # T of this pod, should its PoolNode be gone
ANNOTATION_SAFE_TO_EVICT = "cluster-autoscaler.kubernetes.io/safe-to-evict"
ANNOTATION_START_TASK = f"{GROUP}/start-task-hash"  # of the start task that this pod was made with; `none`
ANNOTATION_PACKAGES = f"{GROUP}/application-packages"  # that this pod was made with (`core.packages.marks`)
ANNOTATION_TEMPLATE_HASH = f"{GROUP}/template-hash"
ANNOTATION_IMAGE_DIGEST = f"{GROUP}/image-digest"  # what the image was known to be when this pod was made
ANNOTATION_IMAGE_CHECK = f"{GROUP}/check"  # on the pod that finds out what a tag is: which check it was made for
ANNOTATION_RENEW = f"{GROUP}/renew"  # on a PoolNode: what its next pod is to be (`core.pools.upgrade.wanted_pod`)

# Annotation on the jobs of a schedule: the time that each was made for, as RFC 3339.
ANNOTATION_SCHEDULED_FOR = f"{GROUP}/scheduled-for"

# Annotation on PoolNodes: "true" on a node that leaves its pool once its tasks have ended; the pool may take it back.
ANNOTATION_LEAVING = f"{GROUP}/leaving"

# Finalizers. The pod's holds the object until the kubelet has written that its containers are dead (safety rule S4.1).
FINALIZER_POOL = f"{GROUP}/drain"
FINALIZER_NODE = f"{GROUP}/drain"
FINALIZER_JOB = f"{GROUP}/end-runs"
FINALIZER_POD = f"{GROUP}/confirm-dead"

# The node's own credential and users.
TOKEN_AUDIENCE = "batchpools"  # noqa: S105 (a name, not a password)
AGENT_UID = 64500
DEFAULT_TASK_UID = 1000
AGENT_CONTAINER = "agent"
TASK_CONTAINER = "task"
INSTALL_CONTAINER = "install-runner"
START_TASK_CONTAINER = "start-task"
IMAGE_CHECK = "image-check"  # the pod that finds out what a tag is (`<pool>-image-check`), and its container
OUR_CONTAINERS = (AGENT_CONTAINER, INSTALL_CONTAINER, START_TASK_CONTAINER)  # no template may use these names

# Volumes that we mount; templates may not use names with this prefix.
VOLUME_PREFIX = "batchpools-"
VOLUME_ROOT = f"{VOLUME_PREFIX}root"
VOLUME_BIN = f"{VOLUME_PREFIX}bin"
VOLUME_AGENT = f"{VOLUME_PREFIX}agent"
VOLUME_TOKEN = f"{VOLUME_PREFIX}token"
VOLUME_CA = f"{VOLUME_PREFIX}ca"
VOLUME_PACKAGES = f"{VOLUME_PREFIX}packages"
VOLUME_CERTIFICATE = f"{VOLUME_PREFIX}certificate-"  # and these four end in a number
VOLUME_SECRET = f"{VOLUME_PREFIX}secret-"
VOLUME_CONFIG_MAP = f"{VOLUME_PREFIX}config-map-"
VOLUME_PACKAGE = f"{VOLUME_PREFIX}package-"

ZONE_KEY = "topology.kubernetes.io/zone"

# Paths inside node pods.
NODE_ROOT_DIR = "/mnt/batch"
MOUNTS_DIR = f"{NODE_ROOT_DIR}/fsmounts"  # the one place there where templates mount volumes
MOUNT_PATTERN = f"^{MOUNTS_DIR}/[A-Za-z0-9_-][A-Za-z0-9._-]*$"
PACKAGES_DIR = f"{NODE_ROOT_DIR}/applications"  # tasks read there what the agent alone writes
OUR_DIR = "/batchpools"
RUNNER_DIR = f"{OUR_DIR}/bin"
RUNNER_PATH = f"{RUNNER_DIR}/runner"
RUNNER_IN_IMAGE = "/usr/local/bin/batchpools-runner"
AGENT_STATE_DIR = f"{OUR_DIR}/agent"
TOKEN_DIR = f"{OUR_DIR}/token"
CA_DIR = f"{OUR_DIR}/ca"
CERTIFICATES_DIR = f"{OUR_DIR}/certificates"
REFERENCES_DIR = f"{OUR_DIR}/references"
AGENT_PACKAGES_DIR = f"{OUR_DIR}/applications"
PACKAGE_SOURCES_DIR = f"{OUR_DIR}/application-sources"  # ConfigMaps that hold archives, by name
# Abstract Unix sockets: the containers of a pod share the network namespace, and no task can take the name from a living PID 1.
RUNNER_SOCKET = "@batchpools-runner"
START_TASK_SOCKET = "@batchpools-start-task"


def runner_socket(container: str, of_task: str = RUNNER_SOCKET) -> str:
    """Where the runner of a container listens; of_task: where that of the task container does."""
    return of_task if container == TASK_CONTAINER else f"{of_task}-{container}"


# The link.
HUB_SERVICE = "batchpools-hub"
HUB_SERVER_NAME = "hub.batchpools.internal"
OPS_SERVICE = "batchpools-ops"
REPLICA_CLIENT_NAME = "batchpools-replica"  # of the certificate that a standby shows to the leader
HUB_PORT = 8443
HUB_PATH = "/v1/node"
OPS_PORT = 8444
METRICS_PORT = 8080
LEASE_NAME = "batchpools-operator"

# The dead-man timer: seconds for which a node that no leader vouches for keeps its tasks.
DEFAULT_UNREACHABLE_TIMEOUT = 300.0
UNREACHABLE_MARGIN = 10.0  # seconds that the leader waits beyond it

# A reboot in place: what the kubelet does when the task container's first process leaves with the code (safety rule S6.4).
RESTART_ALL = "RestartAllContainers"
RESTART_EXIT_CODE = 77

# What no user may set.
RESERVED_ENV_PREFIXES = ("AZ_BATCH_", "BATCHPOOLS_")

# Wall-clock expiry as Azure shows it (0xC000013A).
WALL_CLOCK_EXIT_CODE = 3221225786
