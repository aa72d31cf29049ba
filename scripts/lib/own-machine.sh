# Counts, folders and namespaces of the scripts that need a machine of their own. Sourced, not run.
MIN_FREE_GB=10
PROJECT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
CACHE="${FRESH_MACHINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ai-chat-fresh-machine}"
WORK_PARENT="${FRESH_MACHINE_WORK:-/var/tmp}"
# The folder of this run, known to the outer and the inner process.
WORK="${FRESH_MACHINE_FOLDER:-}"

passed=0
failed=0
skipped=0

say() { printf '%s\n' "$*"; }

pass() { passed=$((passed + 1)) && say "ok      $*"; }

fail() { failed=$((failed + 1)) && say "FAILED  $*"; }

# Tells an assertion from the outcome of a command.
check() {
  local what=$1 output
  shift
  if output="$("$@" 2>&1)"; then pass "$what${output:+: $output}"; else fail "$what: $output"; fi
}

tally() { say "$passed passed, $failed failed, $skipped skipped"; }

die() {
  fail "$*"
  exit 1
}

# What cannot be tried here is no fault of the project; in CI it would go unnoticed, so there it is one.
skip() {
  if [ "${CI:-}" = true ]; then die "$* (in CI a skip is a failure)"; fi
  skipped=1
  say "skipped: $*"
  exit 0
}

# Every way out ends with the counts; an end that nobody counted is a failure.
close_run() {
  local code=$?
  if [ "$code" -ne 0 ] && [ "$failed" -eq 0 ]; then fail "ended with code $code"; fi
  tally
  if [ "$failed" -ne 0 ]; then exit 1; fi
}

step() { printf '\n== %s (%s s so far)\n' "$*" "$SECONDS"; }

# Hosts of registries, mirrors and proxies, one a line; they are private to whoever runs this.
private_hosts() {
  {
    npm config get registry
    python3 -m pip config get global.index-url
    printf '%s\n' "${PIP_INDEX_URL:-}" "${PIP_EXTRA_INDEX_URL:-}" "${HTTP_PROXY:-}" "${HTTPS_PROXY:-}"
    printf '%s\n' "${http_proxy:-}" "${https_proxy:-}" "$(debian_mirror bookworm)"
  } 2>/dev/null | sed -nE 's#^[a-z+]+://([^/@]*@)?([^/:]+).*#\2#p' | sort -u
}

# Takes host names out of what is shown, but for loopback. Line by line, so that a long run can be watched.
scrub() {
  HOSTS="${PRIVATE_HOSTS:-}" perl -pe '
    BEGIN { $| = 1; $hosts = join "|", map { quotemeta } split " ", $ENV{HOSTS}; }
    s{(https?|wss?)://(?!127\.0\.0\.1|localhost|\[::1\])[^/\s"\x27`]+}{$1://<host>}g;
    s{\b(?:$hosts)\b}{<host>}g if length $hosts;'
}

# A step whose output matters only when it fails. First word: its limit in seconds.
quietly() {
  local limit=$1
  shift
  if timeout --kill-after=20 "$limit" "$@" >"$WORK/step.log" 2>&1 </dev/null; then return 0; fi
  tail -n 30 "$WORK/step.log" | scrub
  return 1
}

# ---- Folders ----------------------------------------------------------------------------------------------------

# Removes a folder tree, never one with a mount in it: a bound /dev would be the host's.
remove_tree() {
  local path
  if ! path="$(realpath -e -- "$1" 2>/dev/null)"; then return 0; fi
  if awk -v p="$path" '$5 == p || index($5, p "/") == 1 { found = 1 } END { exit !found }' /proc/self/mountinfo; then
    say "$1 is left as it is: something is mounted in it"
    return 1
  fi
  rm -rf --one-file-system -- "$path"
}

# Work copies of runs that were killed. Each run holds a lock on its own as long as one of its processes lives.
remove_leftovers() {
  local folder
  for folder in "$WORK_PARENT"/ai-chat-fresh-machine.*; do
    if [ -O "$folder" ] && [ -f "$folder/lock" ] && flock --nonblock "$folder/lock" true; then
      say "removing what an earlier run left"
      remove_tree "$folder" || true
    fi
  done
}

remove_work() {
  local try
  # Processes that were just killed may still hold or write something.
  for try in 1 2 3; do
    if remove_tree "$WORK" 2>/dev/null; then return 0; fi
    sleep "$try"
  done
  say "the work copy could not be removed"
}

free_gb() { df --output=avail --block-size=1G "$1" | tail -n 1 | tr -d ' '; }

# ---- Namespaces -------------------------------------------------------------------------------------------------

# Runs this script once more in mount and process namespaces of its own. All mounts are made there, so the host never
# has them, and when this process ends, even by SIGKILL, so do all of its kin and their mounts with them.
in_own_namespaces() {
  export FRESH_MACHINE_FOLDER="$WORK"
  setpriv --pdeathsig KILL unshare --mount --propagation private --pid --fork --kill-child --mount-proc \
    "$BASH" "$0" "$@" </dev/null &
  local child=$!
  # shellcheck disable=SC2064  # the process is known now
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
    skip "namespaces of its own are refused here: $reason"
  fi
  local name
  for name in npm git perl setpriv flock; do
    if ! command -v "$name" >/dev/null; then die "$name is missing on this machine"; fi
  done
  local free
  free="$(free_gb "$WORK_PARENT")"
  if [ "$free" -lt "$MIN_FREE_GB" ]; then
    die "$WORK_PARENT has $free GB of room, and $MIN_FREE_GB GB are needed"
  fi
}

# Installs Debian packages on this machine where a command is missing.
ensure_command() {
  local command=$1
  shift
  if command -v "$command" >/dev/null; then return 0; fi
  say "installing $*"
  if ! command -v apt-get >/dev/null; then die "$command is missing, and there is no apt-get to install it"; fi
  quietly 300 apt-get update -qq || die "apt-get update"
  quietly 600 env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" ||
    die "apt-get install $*"
}

# The outer process: makes the folder, hands over, and clears up whatever happens.
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
  # The inner process has counted and said the counts.
  trap 'remove_work' EXIT
  in_own_namespaces "$@" || code=$?
  exit "$code"
}
