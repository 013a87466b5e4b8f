"""The kinds that we read or write, as the API server addresses them. Names only."""

from batchpools.api import names
from batchpools.kube.port import Resource

POOLS = Resource("Pool", names.GROUP, names.VERSION, "pools")
POOL_NODES = Resource("PoolNode", names.GROUP, names.VERSION, "poolnodes")
JOBS = Resource("Job", names.GROUP, names.VERSION, "jobs")
TASKS = Resource("Task", names.GROUP, names.VERSION, "tasks")
JOB_SCHEDULES = Resource("JobSchedule", names.GROUP, names.VERSION, "jobschedules")
APPLICATION_PACKAGES = Resource("ApplicationPackage", names.GROUP, names.VERSION, "applicationpackages")
PODS = Resource("Pod", "", "v1", "pods")
SECRETS = Resource("Secret", "", "v1", "secrets")
CONFIG_MAPS = Resource("ConfigMap", "", "v1", "configmaps")
EVENTS = Resource("Event", "", "v1", "events")
BUDGETS = Resource("PodDisruptionBudget", "policy", "v1", "poddisruptionbudgets")
NETWORK_POLICIES = Resource("NetworkPolicy", "networking.k8s.io", "v1", "networkpolicies")
NAMESPACES = Resource("Namespace", "", "v1", "namespaces", namespaced=False)
LEASES = Resource("Lease", "coordination.k8s.io", "v1", "leases")
TOKEN_REVIEWS = Resource("TokenReview", "authentication.k8s.io", "v1", "tokenreviews", namespaced=False)
SUBJECT_ACCESS_REVIEWS = Resource(
    "SubjectAccessReview", "authorization.k8s.io", "v1", "subjectaccessreviews", namespaced=False
)
API_SERVICES = Resource("APIService", "apiregistration.k8s.io", "v1", "apiservices", namespaced=False)

BY_KIND = {
    resource.kind: resource
    for resource in (
        POOLS,
        POOL_NODES,
        JOBS,
        TASKS,
        JOB_SCHEDULES,
        APPLICATION_PACKAGES,
        PODS,
        SECRETS,
        CONFIG_MAPS,
        EVENTS,
        NETWORK_POLICIES,
        BUDGETS,
        NAMESPACES,
        LEASES,
        API_SERVICES,
    )
}


def api_version(resource: Resource) -> str:
    """`group/version`, or the bare version of the core group."""
    return f"{resource.group}/{resource.version}" if resource.group else resource.version


def path_of(resource: Resource, namespace: str = "", name: str = "", subresource: str = "") -> str:
    """The URL path of a collection, an object or a subresource; an empty namespace means all of them."""
    parts = ["/apis", resource.group, resource.version] if resource.group else ["/api", resource.version]
    if resource.namespaced and namespace:
        parts += ["namespaces", namespace]
    parts.append(resource.plural)
    parts += [part for part in (name, subresource) if part]
    return "/".join(parts)
