# shellcheck shell=bash
# What scripts/engine, scripts/podman and scripts/test-engines share: packages, private bridges, and
# taking a private engine apart again. Sourced, never run.
#
# All that an engine needs besides its data lives in one short folder, /tmp/dw-<kind>.XXXXXX (unix
# sockets may have 108 characters). The file "owner" in it names the process for which it exists
# (pid and start time) or the folder that it belongs to; a folder whose owner is gone is swept.

PATH=$PATH:/usr/sbin:/sbin
sandbox_lock=/tmp/dw-sandbox.lock

die() {
  echo "${0##*/}: $*" >&2
  exit 1
}

need_root() {
  [ "$(id -u)" = 0 ] || die "a private engine needs root; as another user start an engine yourself and set $1"
  grep -q ' cgroup2\? ' /proc/mounts || die "no cgroups are mounted here, so no engine can run containers (mount them, or set $1 to an engine elsewhere)"
}

# locked CMD...: one at a time over all runs on this machine.
locked() {
  (
    flock 9
    "$@" 9>&-
  ) 9>"$sandbox_lock"
}

# install COMMAND=PACKAGE...: by apt what is not there, without starting any service.
install() {
  local pair missing=()
  for pair in "$@"; do
    command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || die "needs ${missing[*]}, and there is no apt-get to install them with"
  locked install_packages "${missing[@]}"
}

install_packages() {
  local policy=/usr/sbin/policy-rc.d made="" rc=0
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    made=yes
  fi
  echo "installing $*" >&2
  export DEBIAN_FRONTEND=noninteractive
  {
    apt-get -o DPkg::Lock::Timeout=300 update &&
      apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@"
  } >&2 || rc=$?
  [ -z "$made" ] || rm -f "$policy"
  return "$rc"
}

# born PID: when a process started; with its pid it is unmistakable.
born() { awk '{sub(/.*\) /, ""); print $20}' "/proc/$1/stat" 2>/dev/null; }

own_by_process() { echo "$$ $(born $$)" >"$1/owner"; }

# orphaned FOLDER: its owner, a process, is gone.
orphaned() {
  local pid start
  [ -f "$1/owner" ] || return 0
  read -r pid start <"$1/owner" || return 0
  case $pid in
  /*) # belongs to a folder, which cleans it up itself while it is there
    [ ! -d "$pid" ]
    return
    ;;
  esac
  [ "$(born "$pid")" != "$start" ]
}

# sweep KIND: clean up after runs that were killed with no chance to do it.
sweep() {
  local dir
  for dir in /tmp/dw-"$1".*; do
    [ -d "$dir" ] && orphaned "$dir" || continue
    # A folder that was made a moment ago may have no owner yet.
    [ -f "$dir/owner" ] || [ -n "$(find "$dir" -maxdepth 0 -mmin +1)" ] || continue
    echo "cleaning up after a run that was killed ($dir)" >&2
    demolish "$dir"
  done
}

# make_bridge NAME FOLDER: with a private subnet that nobody here uses; writes name and subnet to FOLDER.
make_bridge() {
  local third
  for third in $(shuf -i 0-255 -n 64); do
    if ip -4 route show | grep -qF "10.213.$third." || ip -4 addr show | grep -qF " 10.213.$third." ||
      grep -qsF "10.213.$third." /tmp/dw-*/subnet; then
      continue
    fi
    # With an address of its own, as Docker gives its bridge one: else it takes that of a container's end, changes it when that
    # container stops, and for a second or two no answer of the others finds its way.
    # shellcheck disable=SC2046 # four words
    ip link add "$1" address "$(printf '02:d0:%02x:%02x:%02x:%02x' $(shuf -i 0-255 -n 4))" type bridge || return
    echo "$1" >"$2/bridge"
    echo "10.213.$third.0/24" >"$2/subnet"
    ip addr add "10.213.$third.1/24" dev "$1" && ip link set "$1" up
    return
  done
  die "found no free private subnet in 10.213.0.0/16"
}

# gone PID SECONDS: wait until a process has ended.
gone() {
  local i
  for ((i = 0; i < $2 * 10; i++)); do
    [ -d "/proc/$1" ] || return 0
    # A child of ours that has ended stays as a zombie until we wait for it.
    [ "$(awk '{sub(/.*\) /, ""); print $1}' "/proc/$1/stat" 2>/dev/null)" != Z ] || return 0
    sleep 0.1
  done
  return 1
}

# mentioning TEXT: an engine's helpers whose arguments have it; not a client that happens to use its socket.
mentioning() {
  local f pid name
  for f in /proc/[0-9]*/comm; do
    # Read without a program for each: a machine with much to do took longer for those than a test waits for the end of its engine.
    { read -r name <"$f"; } 2>/dev/null || continue
    pid=${f#/proc/}
    pid=${pid%/comm}
    case $name in
    dockerd | docker-proxy | containerd | containerd-shim* | runc | podman | conmon | aardvark-dns | nginx)
      if started_from "$pid" "$1"; then echo "$pid"; fi
      ;;
    esac
  done
}

# started_from PID TEXT: the process lives and TEXT is in its arguments.
started_from() { grep -qsF -- "$2" "/proc/$1/cmdline"; }

# kill_cgroup NAME: all processes of an engine's containers (thawed first: what is frozen does not die).
kill_cgroup() {
  local dir pid
  find /sys/fs/cgroup -depth -type d -path "*/$1*" 2>/dev/null | while read -r dir; do
    if [ -f "$dir/freezer.state" ]; then echo THAWED >"$dir/freezer.state" 2>/dev/null || true; fi
    if [ -f "$dir/cgroup.freeze" ]; then echo 0 >"$dir/cgroup.freeze" 2>/dev/null || true; fi
    while read -r pid; do kill -KILL "$pid" 2>/dev/null || true; done <"$dir/cgroup.procs" 2>/dev/null
  done
  for _ in 1 2 3 4 5; do
    find /sys/fs/cgroup -depth -type d -path "*/$1*" -exec rmdir {} + 2>/dev/null || true
    [ -n "$(find /sys/fs/cgroup -type d -name "$1" -print -quit 2>/dev/null)" ] || return 0
    sleep 0.2
  done
}

unmount_under() {
  local real
  real=$(readlink -f "$1") || return 0
  awk -v at="$real" '$2 == at || index($2, at "/") == 1 {print $2}' /proc/self/mounts | sort -r | while read -r at; do
    umount -l "$at" 2>/dev/null || true
  done
}

# demolish FOLDER: end the engine of a folder, however little of it still lives, and remove all that it made.
# A step that fails does not keep the others from being done.
demolish() { demolish_all "$1" || echo "could not remove all of $1" >&2; }

demolish_all() {
  local dir=$1 pid id bridge data
  [ -d "$dir" ] || return 0
  data=$(cat "$dir/data-root" 2>/dev/null || echo "$dir/d")
  pid=$(cat "$dir/p" 2>/dev/null || true)
  # Podman has no daemon that owns its containers: they are taken apart one by one.
  if [ -x "$dir/cli" ]; then timeout 60 "$dir/cli" rm --all --force --time 0 >/dev/null 2>&1 || true; fi
  if [ -n "$pid" ] && started_from "$pid" "$dir"; then
    kill -TERM "$pid" 2>/dev/null || true
    gone "$pid" 40 || kill -KILL "$pid" 2>/dev/null || true
  fi
  # containerd, shims and what else was started with a path of this folder
  for pid in $(mentioning "$dir/"); do kill -KILL "$pid" 2>/dev/null || true; done
  kill_cgroup "${dir##*/}"
  for pid in $(mentioning "$dir/"); do gone "$pid" 5 || true; done
  unmount_under "$dir"
  unmount_under "$data"
  if [ -f "$data/network/files/local-kv.db" ]; then
    ip -o link show type bridge | sed -n 's/^[0-9]*: \(br-[0-9a-f]*\)[:@].*/\1/p' | while read -r bridge; do
      if grep -qaF "${bridge#br-}" "$data/network/files/local-kv.db"; then ip link del "$bridge" || true; fi
    done
  fi
  if bridge=$(cat "$dir/bridge" 2>/dev/null) && [ -e "/sys/class/net/$bridge" ]; then
    ip link del "$bridge" || true
  fi
  rm -rf --one-file-system "$dir"
  [ ! -e "$dir" ]
}

# run_beside STOP CMD...: run a command with our terminal, hand signals on to it, and call STOP when it has ended.
run_beside() {
  local stop=$1 rc=0
  shift
  setpriv --pdeathsig TERM -- "$@" <&0 &
  local child=$!
  # shellcheck disable=SC2064 # the child and the stop of now
  trap "kill -TERM $child 2>/dev/null || true" INT TERM HUP
  while kill -0 "$child" 2>/dev/null; do
    rc=0
    wait "$child" || rc=$?
  done
  trap - INT TERM HUP
  "$stop"
  return "$rc"
}
