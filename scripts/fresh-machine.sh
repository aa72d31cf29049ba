#!/usr/bin/env bash
# Runs the README's commands on a fresh machine: a bare Debian made with debootstrap, Node.js and npm, and a clone of
# the last commit. The last line is `N passed, N failed, N skipped`.
#   sudo scripts/fresh-machine.sh --debian 12 --node 20 --run start      npm ci, npm start, one answer, SIGTERM
#   sudo scripts/fresh-machine.sh --debian 13 --node 24 --run test       npm ci, the stand-in model, npm test
#   --filter WORDS   for npm test, such as test/unit
# Needs root, Linux on x64, npm, git, and 10 GB of free space in /var/tmp (or FRESH_MACHINE_WORK). Bare roots and npm's
# downloads are cached in ~/.cache/ai-chat-fresh-machine (or FRESH_MACHINE_CACHE). With CI=true a skip is a failure.
set -euo pipefail
: "${HOME:=/root}"
# shellcheck source=scripts/lib/own-machine.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/own-machine.sh"
# shellcheck source=scripts/lib/bare-root.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/bare-root.sh"

# Prints the commands of the first code block after a heading of the README, without their comments.
readme_commands() {
  awk -v heading="## $1" '
    $0 == heading { seen = 1; next }
    seen && /^```sh$/ { block = 1; next }
    block && /^```/ { exit }
    block { sub(/[ \t]+#.*/, ""); print }' "$root$CLONE/README.md"
}

# Node 20 requires a flag for WebSocket; later versions accept it.
probe() { inside 150 "exec node --experimental-websocket --no-warnings /root/probe.mjs $(printf '%q ' "$@")"; }

# Polls until the service is ready. Fails if its process has ended or the time limit has passed.
wait_until_ready() {
  local port=$1 pid=$2 limit=$3 end=$((SECONDS + $3))
  until reason="$(probe ready "$port" 2>&1)"; do
    if ! kill -0 "$pid" 2>/dev/null; then reason="the service has ended"; return 1; fi
    if [ "$SECONDS" -ge "$end" ]; then reason="not within $limit s: $reason"; return 1; fi
    sleep 1
  done
}

# Sends SIGTERM and checks that the process ends within 60 s and with code 0.
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

# Runs the README's start commands unchanged. The start downloads its model, the stand-in.
run_start() {
  local commands command port pid log="$WORK/service.log" reason=""
  mapfile -t commands < <(readme_commands Start)
  if [ "${#commands[@]}" -ne 2 ]; then die "the README's section Start has ${#commands[@]} commands, not 2"; fi
  run_setup "${commands[0]}"

  command="${commands[1]}"
  step "$command"
  port="$(probe port 8000)"
  local service_env=(LOCAL_MODEL=smollm2-135m-instruct)
  if [ "$port" != 8000 ]; then
    print_line "port 8000 is in use, so the service uses $port"
    service_env+=("PORT=$port")
  fi
  # Not run with `inside`, because SIGTERM must reach npm itself.
  chroot "$root" env -i "${inside_env[@]}" "${service_env[@]}" bash -c "cd $CLONE && exec $command" \
    >"$log" 2>&1 </dev/null &
  pid=$!
  if wait_until_ready "$port" "$pid" 600; then
    pass "/readyz after $command"
    check "the page" probe page "$port"
    check "a stored text is returned unchanged" probe echo "$port" "$LATIN"
    check "a stored text is returned unchanged" probe echo "$port" "$GREETING"
    check "streamed answer" probe chat "$port" "$GREETING"
    if end_cleanly "$pid"; then pass "SIGTERM: $reason"; else fail "SIGTERM: $reason"; fi
  else
    fail "/readyz after $command: $reason"
  fi
  if [ "$failed" -gt 0 ]; then
    print_line "-- output of the service:"
    tail -n 40 "$log" | scrub
  fi
}

# Runs all tests, with the stand-in model as in CI.
run_test() {
  local filter=$1 commands command log="$WORK/suite.log" code=0 counts
  mapfile -t commands < <(readme_commands Start)
  run_setup "${commands[0]}"
  # Only the tests of the suite are counted.
  passed=0

  step "model"
  inside 600 "npm run --silent model -- smollm2-135m-instruct" 2>&1 | scrub || die "the model could not be downloaded"

  command="$(readme_commands Tests | head -n 1)"
  if [ -n "$filter" ]; then command="$command -- $filter"; fi
  step "$command"
  inside 2100 "$command" 2>&1 | scrub | tee "$log" || code=$?
  # npm may print more lines after the counts.
  counts="$(grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$log" | tail -n 1 || true)"
  if [ -z "$counts" ]; then die "$command ended with code $code and printed no counts"; fi
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
  print_line "Debian $debian, Node.js ${NODE_VERSIONS[$node]}, npm $NPM_VERSION: $mode"
  prepare_root "$debian" "$node"
  case "$mode" in
    start) run_start ;;
    test) run_test "$filter" ;;
  esac
  step "end"
}

main "$@"
