#!/bin/sh
# PID 1 of the node's namespaces: private mounts and network, then the reaper.
# usage: node.sh RUN_DIR BRIDGE NODE_ADDRESS/PREFIX REAPER [KUBELET_IMAGE]
set -eu
run=$1 bridge=$2 address=$3 reaper=$4 image=${5:-}

mount -t proc proc /proc
hostname node1

# The kubelet writes these four global values unless they are as it wants them: let it read what it wants.
for pair in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1; do
  file=$run/etc/sysctl.$(echo "${pair%%=*}" | tr / .)
  echo "${pair#*=}" > "$file"
  mount --bind "$file" "/proc/sys/${pair%%=*}"
done

mount -t tmpfs -o mode=755,size=64m run /run
mkdir /run/proc
mount -t proc proc /run/proc                            # a proc without mounts over it: user namespaces need one
mount -t tmpfs -o mode=755,size=64m varlib /var/lib     # hard-coded: /var/lib/kubelet/device-plugins, /var/lib/cni
mount -t tmpfs -o mode=755,size=64m varlog /var/log     # hard-coded: /var/log/containers
mount -t tmpfs -o mode=700,size=1g etcd "$run/etcd"
if [ -n "$image" ]; then mount -o loop,noatime "$image" "$run/kubelet" && mkdir -p "$run/kubelet/volumeplugins"; fi
mount --make-rshared /

ip link set lo up
ip link add "$bridge" type bridge forward_delay 0
ip link set "$bridge" address 02:00:5e:10:00:01         # else it follows the lowest port and changes as pods come and go
ip addr add "$address" dev "$bridge"
ip link set "$bridge" up
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables
touch "$run/pid/net-ready"
exec "$reaper"
