"""Configuration files and command lines of every component of the local cluster. Facts only: nothing is started here."""

import json
import textwrap
from pathlib import Path
from typing import Any

from e2e.cluster.layout import Layout

COREDNS_RBAC = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: coredns}
rules:
- {apiGroups: [""], resources: [services, pods, namespaces, endpoints], verbs: [list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: coredns}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: coredns}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: coredns}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: apiserver-kubelet}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:kubelet-api-admin"}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: kube-apiserver-kubelet-client}]
"""

FOLDERS = (
    "kube",
    "etcd",
    "log",
    "pid",
    "etc",
    "cni/net.d",
    "cni/data",
    "kubelet/volumeplugins",
    "containerd",
    "podlogs",
)


def write_configuration(at: Layout) -> None:
    """Write every configuration file below the run folder."""
    for folder in FOLDERS:
        (at.run / folder).mkdir(parents=True, exist_ok=True)
    for folder in ("kube", "etcd"):
        (at.run / folder).chmod(0o700)
    etc = at.run / "etc"
    (etc / "resolv.conf").write_text("")  # empty: outside names fail at once instead of after a timeout
    (etc / "containerd.toml").write_text(_containerd(at))
    (etc / "kubelet.yaml").write_text(json.dumps(_kubelet(at)))
    (etc / "kube-proxy.yaml").write_text(json.dumps(_kube_proxy(at)))
    (etc / "Corefile").write_text(_corefile(at))
    (at.run / "cni/net.d/10-bridge.conflist").write_text(json.dumps(_cni(at)))


def command_lines(at: Layout, programs: Path) -> dict[str, list[str]]:
    """The argument list of each component."""
    run = at.run
    return {
        "etcd": _etcd(at, programs),
        "apiserver": _apiserver(at, programs),
        "containerd": [f"{programs}/containerd", "-c", f"{run}/etc/containerd.toml"],
        "kcm": _controller_manager(at, programs),
        "scheduler": [f"{programs}/kube-scheduler", *_with_kubeconfig(at, "scheduler", "scheduler")],
        "kubelet": [
            f"{programs}/kubelet", f"--config={run}/etc/kubelet.yaml", f"--kubeconfig={run}/kube/kubelet.conf",
            "--hostname-override=node1", f"--node-ip={at.address}", f"--root-dir={run}/kubelet", f"--cert-dir={run}/kube/pki",
        ],
        "kube-proxy": [f"{programs}/kube-proxy", f"--config={run}/etc/kube-proxy.yaml"],
        "coredns": [f"{programs}/coredns", "-conf", f"{run}/etc/Corefile"],
    }  # fmt: skip


def _etcd(at: Layout, programs: Path) -> list[str]:
    client, peer, pki = "https://127.0.0.1:2379", "http://127.0.0.1:2380", f"{at.run}/kube/pki"
    return [
        f"{programs}/etcd", "--name=n0", f"--data-dir={at.run}/etcd/data", "--unsafe-no-fsync", "--log-level=warn",
        f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=n0={peer}",
        f"--cert-file={pki}/etcd.crt", f"--key-file={pki}/etcd.key", "--client-cert-auth", f"--trusted-ca-file={pki}/etcd-ca.crt",
    ]  # fmt: skip


def _apiserver(at: Layout, programs: Path) -> list[str]:
    pki = f"{at.run}/kube/pki"
    return [
        f"{programs}/kube-apiserver", f"--bind-address={at.address}", "--secure-port=6443",
        f"--advertise-address={at.address}", f"--service-cluster-ip-range={at.services}",
        f"--tls-cert-file={pki}/apiserver.crt", f"--tls-private-key-file={pki}/apiserver.key", f"--client-ca-file={pki}/ca.crt",
        "--anonymous-auth=false", "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
        "--etcd-servers=https://127.0.0.1:2379", f"--etcd-cafile={pki}/etcd-ca.crt",
        f"--etcd-certfile={pki}/apiserver-etcd-client.crt", f"--etcd-keyfile={pki}/apiserver-etcd-client.key",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki}/sa.pub", f"--service-account-signing-key-file={pki}/sa.key",
        f"--kubelet-certificate-authority={pki}/ca.crt", f"--kubelet-client-certificate={pki}/apiserver-kubelet-client.crt",
        f"--kubelet-client-key={pki}/apiserver-kubelet-client.key", "--kubelet-preferred-address-types=InternalIP",
        f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt", "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={pki}/front-proxy-client.crt", f"--proxy-client-key-file={pki}/front-proxy-client.key",
        "--profiling=false", "--v=1",
    ]  # fmt: skip


def _controller_manager(at: Layout, programs: Path) -> list[str]:
    pki = f"{at.run}/kube/pki"
    return [
        f"{programs}/kube-controller-manager", *_with_kubeconfig(at, "controller-manager", "kcm"),
        f"--root-ca-file={pki}/ca.crt", f"--service-account-private-key-file={pki}/sa.key",
        "--use-service-account-credentials=true", f"--client-ca-file={pki}/ca.crt",
        f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt",
        f"--cluster-signing-cert-file={pki}/ca.crt", f"--cluster-signing-key-file={pki}/ca.key",
        "--kube-api-qps=300", "--kube-api-burst=600",  # its defaults take seconds to make the service accounts
        f"--flex-volume-plugin-dir={at.run}/kubelet/volumeplugins",
    ]  # fmt: skip


def _with_kubeconfig(at: Layout, user: str, certificate: str) -> list[str]:
    path, pki = f"{at.run}/kube/{user}.conf", f"{at.run}/kube/pki"
    return [
        f"--kubeconfig={path}", f"--authentication-kubeconfig={path}", f"--authorization-kubeconfig={path}",
        f"--tls-cert-file={pki}/{certificate}.crt", f"--tls-private-key-file={pki}/{certificate}.key",
        "--bind-address=127.0.0.1", "--leader-elect=false", "--profiling=false", "--v=1",
    ]  # fmt: skip


def _containerd(at: Layout) -> str:
    plugins = ", ".join(
        f'"{name}"'
        for name in (
            *(f"io.containerd.snapshotter.v1.{one}" for one in ("btrfs", "zfs", "aufs", "devmapper")),
            "io.containerd.internal.v1.opt",
        )
    )
    return textwrap.dedent(f"""\
        version = 2
        root = "{at.images}"
        state = "{at.run}/containerd/state"
        oom_score = 0
        disabled_plugins = [{plugins}]
        [grpc]
          address = "{at.socket}"
        [plugins."io.containerd.grpc.v1.cri"]
          sandbox_image = "localhost/pause:1"
          disable_apparmor = true
          restrict_oom_score_adj = true
          netns_mounts_under_state_dir = true
          stream_server_address = "127.0.0.1"
          stream_server_port = "0"
          [plugins."io.containerd.grpc.v1.cri".cni]
            bin_dir = "/usr/lib/cni"
            conf_dir = "{at.run}/cni/net.d"
          [plugins."io.containerd.grpc.v1.cri".containerd]
            snapshotter = "overlayfs"
            default_runtime_name = "runc"
            [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
              runtime_type = "io.containerd.runc.v2"
              [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
                SystemdCgroup = false
                Root = "{at.run}/containerd/runc"
        """)


def _kubelet(at: Layout) -> dict[str, Any]:
    pki = f"{at.run}/kube/pki"
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": at.address,
        "port": 10250,
        "readOnlyPort": 0,
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": 10248,
        "tlsCertFile": f"{pki}/kubelet.crt",
        "tlsPrivateKeyFile": f"{pki}/kubelet.key",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{pki}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{at.socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": at.cgroup,
        "cgroupsPerQOS": True,
        "enforceNodeAllocatable": ["pods"],
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDomain": "cluster.local",
        "clusterDNS": [at.address],
        "resolvConf": f"{at.run}/etc/resolv.conf",
        "maxPods": 250,
        "imageGCHighThresholdPercent": 100,  # images cannot be pulled again
        "imageMinimumGCAge": "24h",
        "evictionHard": {
            "memory.available": "300Mi",
            "nodefs.available": "200Mi",
            "imagefs.available": "1Gi",
            "nodefs.inodesFree": "0%",
        },
        "systemReserved": {"memory": "4Gi"},
        "nodeStatusUpdateFrequency": "5s",
        "serializeImagePulls": False,
        "podLogsDir": f"{at.run}/podlogs",
        "volumePluginDir": f"{at.run}/kubelet/volumeplugins",
    }


def _kube_proxy(at: Layout) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "bindAddress": at.address,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "clusterCIDR": f"{at.net}.0.0/16",
        "hostnameOverride": "node1",
        "nodePortAddresses": ["primary"],
        "clientConnection": {"kubeconfig": f"{at.run}/kube/kube-proxy.conf"},
        # Leave the machine's connection tracking settings alone.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "iptables": {"minSyncPeriod": "0s", "syncPeriod": "30s"},
    }


def _corefile(at: Layout) -> str:
    kubernetes = f"kubernetes cluster.local {{\n  kubeconfig {at.run}/kube/coredns.conf\n  pods insecure\n  ttl 5\n }}"
    return f".:53 {{\n bind {at.address}\n errors\n ready 127.0.0.1:8181\n {kubernetes}\n cache 5\n}}\n"


def _cni(at: Layout) -> dict[str, Any]:
    pods = {
        "subnet": f"{at.net}.0.0/16",
        "rangeStart": f"{at.net}.1.1",
        "rangeEnd": f"{at.net}.250.254",
        "gateway": at.address,
    }
    ipam = {"type": "host-local", "dataDir": f"{at.run}/cni/data", "routes": [{"dst": "0.0.0.0/0"}], "ranges": [[pods]]}
    bridge = {
        "type": "bridge",
        "bridge": at.bridge,
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        "ipam": ipam,
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "1.0.0", "name": "batchpools", "plugins": [bridge, ports]}
