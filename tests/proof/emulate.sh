#!/bin/sh
# Runs a command in an aarch64 tree on an emulated Cortex-A53, in a mount namespace of its own.
# usage: emulate.sh TREE COMMAND ...    Needs root, qemu-user-static and binfmt. Never with the host's /sys: onnxruntime's
# cpuinfo takes the x86 files there for its own and dies.
set -eu
here=$(cd "$(dirname "$0")" && pwd) tree=$1
shift
exec unshare -m sh -euc 'here=$1 tree=$2; shift 2
  mount -t proc proc "$tree/proc"
  mount --bind "$here/cortex-a53.cpuinfo" "$tree/proc/cpuinfo"
  mount -t tmpfs tmpfs "$tree/sys"
  mkdir -p "$tree/sys/devices/system/cpu"
  for file in possible present online; do echo 0-3 >"$tree/sys/devices/system/cpu/$file"; done
  mount --rbind /dev "$tree/dev"
  exec chroot "$tree" env -i PATH=/usr/bin:/bin PYTHONPATH=/opt/site HOME=/tmp LANG=C.UTF-8 QEMU_CPU=cortex-a53 "$@"' \
  sh "$here" "$tree" "$@"
