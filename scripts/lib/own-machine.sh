# Counts, folders and namespaces for scripts that need a separate machine. Sourced, not run.
MIN_FREE_GB=10
PROJECT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
CACHE="${FRESH_MACHINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ai-chat-fresh-machine}"
WORK_PARENT="${FRESH_MACHINE_WORK:-/var/tmp}"
# The folder of this run, set for both the outer and the inner process.
WORK="${FRESH_MACHINE_FOLDER:-}"

passed=0
failed=0
skipped=0

print_line() { printf '%s\n' "$*"; }

pass() { passed=$((passed + 1)) && print_line "ok      $*"; }

fail() { failed=$((failed + 1)) && print_line "FAILED  $*"; }

# Counts a command as passed if it succeeds and as failed otherwise, with its output.
check() {
  local what=$1 output
  shift
  if output="$("$@" 2>&1)"; then pass "$what${output:+: $output}"; else fail "$what: $output"; fi
}

tally() { print_line "$passed passed, $failed failed, $skipped skipped"; }

die() {
  fail "$*"
  exit 1
}

# Ends the run as skipped if this machine lacks a requirement. In CI this is a failure, as it would go unnoticed.
skip() {
  if [ "${CI:-}" = true ]; then die "$* (in CI a skip is a failure)"; fi
  skipped=1
  print_line "skipped: $*"
  exit 0
}

# Prints the counts at every exit. An exit with an error that was not counted is a failure.
close_run() {
  local code=$?
  if [ "$code" -ne 0 ] && [ "$failed" -eq 0 ]; then fail "ended with code $code"; fi
  tally
  if [ "$failed" -ne 0 ]; then exit 1; fi
}

step() { printf '\n== %s (%s s so far)\n' "$*" "$SECONDS"; }

# Prints the hosts of registries, mirrors and proxies, one per line. They are private to the user of this script.
private_hosts() {
  {
    npm config get registry
    python3 -m pip config get global.index-url
    printf '%s\n' "${PIP_INDEX_URL:-}" "${PIP_EXTRA_INDEX_URL:-}" "${HTTP_PROXY:-}" "${HTTPS_PROXY:-}"
    printf '%s\n' "${http_proxy:-}" "${https_proxy:-}" "$(debian_mirror bookworm)"
  } 2>/dev/null | sed -nE 's#^[a-z+]+://([^/@]*@)?([^/:]+).*#\2#p' | sort -u
}

# Removes host names other than loopback from the output. Works line by line, so that a long run can be watched.
scrub() {
  HOSTS="${PRIVATE_HOSTS:-}" perl -pe '
    BEGIN { $| = 1; $hosts = join "|", map { quotemeta } split " ", $ENV{HOSTS}; }
    s{(https?|wss?)://(?!127\.0\.0\.1|localhost|\[::1\])[^/\s"\x27`]+}{$1://<host>}g;
    s{\b(?:$hosts)\b}{<host>}g if length $hosts;'
}

# Runs a command and prints its output only if it fails. First argument: time limit in seconds.
quietly() {
  local limit=$1
  shift
  if timeout --kill-after=20 "$limit" "$@" >"$WORK/step.log" 2>&1 </dev/null; then return 0; fi
  tail -n 30 "$WORK/step.log" | scrub
  return 1
}

# ---- Folders ----------------------------------------------------------------------------------------------------

# Removes a folder tree, but none that contains a mount: a bind-mounted /dev belongs to the host.
remove_tree() {
  local path
  if ! path="$(realpath -e -- "$1" 2>/dev/null)"; then return 0; fi
  if awk -v p="$path" '$5 == p || index($5, p "/") == 1 { found = 1 } END { exit !found }' /proc/self/mountinfo; then
    print_line "$1 was not removed because a file system is mounted in it"
    return 1
  fi
  rm -rf --one-file-system -- "$path"
}

# Removes the folders of killed runs. Each run locks its folder as long as one of its processes is running.
remove_leftovers() {
  local folder
  for folder in "$WORK_PARENT"/ai-chat-fresh-machine.*; do
    if [ -O "$folder" ] && [ -f "$folder/lock" ] && flock --nonblock "$folder/lock" true; then
      print_line "removing the folder of an earlier run"
      remove_tree "$folder" || true
    fi
  done
}

remove_work() {
  local try
  # Processes that were just killed may still write files or hold mounts.
  for try in 1 2 3; do
    if remove_tree "$WORK" 2>/dev/null; then return 0; fi
    sleep "$try"
  done
  print_line "$WORK could not be removed"
}

free_gb() { df --output=avail --block-size=1G "$1" | tail -n 1 | tr -d ' '; }

# ---- Namespaces -------------------------------------------------------------------------------------------------

# Runs this script again in its own mount and process namespaces. All mounts exist only there. When this process ends,
# even by SIGKILL, its child processes end and the mounts are removed.
in_own_namespaces() {
  export FRESH_MACHINE_FOLDER="$WORK"
  setpriv --pdeathsig KILL unshare --mount --propagation private --pid --fork --kill-child --mount-proc \
    "$BASH" "$0" "$@" </dev/null &
  local child=$!
  # shellcheck disable=SC2064  # $child must be expanded now
  trap "kill -KILL $child 2>/dev/null; exit 143" INT TERM HUP
  local code=0
  wait "$child" || code=$?
  trap - INT TERM HUP
  return "$code"
}

require_machine() {
  if [ "$(uname -sm)" != "Linux x86_64" ]; then skip "needs Linux on x64"; fi
  if [ "$(id -u)" -ne 0 ]; then skip "needs root"; fi
  local reason
  if ! reason="$(unshare --mount --propagation private --pid --fork --kill-child true 2>&1)"; then
    skip "needs permission to create namespaces: $reason"
  fi
  local name
  for name in npm git perl setpriv flock; do
    if ! command -v "$name" >/dev/null; then die "$name is missing on this machine"; fi
  done
  local free
  free="$(free_gb "$WORK_PARENT")"
  if [ "$free" -lt "$MIN_FREE_GB" ]; then
    die "$WORK_PARENT has $free GB of free space; $MIN_FREE_GB GB are needed: set FRESH_MACHINE_WORK"
  fi
}

# Installs Debian packages on this machine if a command is missing.
ensure_command() {
  local command=$1
  shift
  if command -v "$command" >/dev/null; then return 0; fi
  print_line "installing $*"
  if ! command -v apt-get >/dev/null; then die "$command is missing and cannot be installed without apt-get"; fi
  quietly 300 apt-get update -qq || die "apt-get update"
  quietly 600 env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" ||
    die "apt-get install $*"
}

# The outer process: creates the folder, starts the inner process, and always removes the folder.
supervise() {
  trap close_run EXIT
  require_machine
  remove_leftovers
  mkdir -p "$CACHE"
  WORK="$(mktemp -d "$WORK_PARENT/ai-chat-fresh-machine.XXXXXX")"
  trap 'remove_work; close_run' EXIT
  local lock
  exec {lock}>"$WORK/lock"
  flock "$lock"
  local code=0
  # The inner process prints the counts.
  trap 'remove_work' EXIT
  in_own_namespaces "$@" || code=$?
  exit "$code"
}
