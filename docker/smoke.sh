#!/usr/bin/env bash
# Builds the image, runs the nodes of compose.yaml, and disturbs them while a client calls all the time (smoke/main.ts).
#
# Needs nothing but this repository after `npm ci` and the packages of .ci/setup. Where no engine runs and this is root,
# it starts one of its own; where no image of Node can be pulled, it makes one. It prints one line with the outcome and
# takes away what it made. Exit code 77: there is no engine and none can be started, so nothing was tested.
#
#   docker/smoke.sh [--keep]     --keep leaves the image for the next run
#   NODE_IMAGE=…                 builds on this image
set -euo pipefail
cd "$(dirname "$0")/.."

started_at=$(date +%s)
step='arguments'
keep=false
image=parley-mesh:smoke
project="parley-smoke-$$"
work=$(mktemp -d)
engine_pid=''

say() { printf '%s\n' "$*" >&2; }
skip() {
  echo "smoke: skipped, $*"
  trap - EXIT
  rm -rf "$work"
  exit 77
}

clean_up() {
  local code=$?
  trap - EXIT INT TERM
  # What fails after the outcome was printed has told already; what fails before has not.
  if [ "$code" -ne 0 ] && [ ! -e "$work/told" ]; then
    tail -n 30 "$work/log" >&2 2>/dev/null || true
    echo "smoke: FAILED at $step"
  fi
  if [ -n "${compose-}" ]; then
    docker rm --force --volumes "$project-hello" "$project-welcome" >/dev/null 2>&1 || true
    PARLEY_SECRET_PATH="$work/mesh.secret" $compose -p "$project" -f docker/compose.yaml down --volumes --timeout 1 >/dev/null 2>&1 || true
    if [ "$keep" = false ]; then docker image rm "$image" "$image-build" >/dev/null 2>&1 || true; fi
  fi
  if [ -n "$engine_pid" ]; then
    kill "$engine_pid" 2>/dev/null || true
    for _ in $(seq 100); do
      kill -0 "$engine_pid" 2>/dev/null || break
      sleep 0.1
    done
    # The engine leaves one mount behind.
    umount "$work/exec/netns/default" 2>/dev/null || true
  fi
  rm -rf "$work" || true
  exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

case "${1-}" in
  --keep) keep=true ;;
  '') ;;
  *) say "usage: docker/smoke.sh [--keep]"; exit 2 ;;
esac

step='tools'
command -v docker >/dev/null || skip 'there is no docker'
if docker compose version >/dev/null 2>&1; then
  compose='docker compose'
elif command -v docker-compose >/dev/null; then
  compose='docker-compose'
else
  skip 'there is neither docker compose nor docker-compose'
fi
node=$PWD/node_modules/.bin/node
[ -x "$node" ] || skip 'the project is not installed: npm ci'

# An engine of its own has its own socket and folders, no bridge of its own, and leaves the machine's firewall and
# forwarding as they are: containers of one network reach each other without.
step='engine'
if ! docker info >/dev/null 2>&1; then
  [ "$(id -u)" = 0 ] || skip 'no engine is running, and only root can start one'
  command -v dockerd >/dev/null || skip 'no engine is running, and there is no dockerd'
  cache=${SMOKE_CACHE:-/var/cache/parley-smoke}
  mkdir -p "$cache"
  export DOCKER_HOST="unix://$work/docker.sock"
  dockerd --host "$DOCKER_HOST" --data-root "$cache" --exec-root "$work/exec" --pidfile "$work/docker.pid" \
    --bridge none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false >"$work/log" 2>&1 &
  engine_pid=$!
  for _ in $(seq 100); do
    if docker info >/dev/null 2>&1 || ! kill -0 "$engine_pid" 2>/dev/null; then break; fi
    sleep 0.2
  done
  docker info >/dev/null 2>&1 || skip "no engine can be started here: $(tail -n 1 "$work/log")"
fi

# Debian, the project's own Node, the machine's npm and the certificates that it trusts.
make_base_image() {
  local root="$work/root" npm
  [ "$(id -u)" = 0 ] || skip "$NODE_IMAGE cannot be pulled, and only root can make an image instead"
  command -v debootstrap >/dev/null || skip "$NODE_IMAGE cannot be pulled, and there is no debootstrap"
  debootstrap --variant=minbase --include=ca-certificates bookworm "$root"
  rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale,info}
  cp "$(realpath "$node")" "$root/usr/local/bin/node"
  npm=$(npm root --global)/npm
  mkdir -p "$root/usr/local/lib/node_modules"
  cp -r "$npm" "$root/usr/local/lib/node_modules/npm"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
  cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
  tar -C "$root" -c . | docker import --change 'ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt' - "$1"
  rm -rf "$root"
}

step='base image'
if [ -z "${NODE_IMAGE-}" ]; then
  NODE_IMAGE=$(sed -n 's/^ARG NODE_IMAGE=//p' docker/Dockerfile)
  own="parley-smoke-base:node-$("$node" --version)"
  if docker image inspect "$own" >/dev/null 2>&1; then
    NODE_IMAGE=$own
  elif ! docker image inspect "$NODE_IMAGE" >/dev/null 2>&1 && ! timeout 120 docker pull --quiet "$NODE_IMAGE" >"$work/log" 2>&1; then
    say "$NODE_IMAGE cannot be pulled; making $own"
    make_base_image "$own" >"$work/log" 2>&1
    NODE_IMAGE=$own
  fi
fi
say "base image: $(($(date +%s) - started_at)) s"

# The network of this machine, since an engine of our own gives builds no other.
step='image'
arguments=(--network host --file docker/Dockerfile --build-arg "NODE_IMAGE=$NODE_IMAGE")
arguments+=(--build-arg "REVISION=$(git rev-parse HEAD 2>/dev/null || echo unknown)")
for name in HTTP_PROXY HTTPS_PROXY NO_PROXY NPM_CONFIG_REGISTRY; do
  if [ -n "${!name-}" ]; then arguments+=(--build-arg "$name"); fi
done
# The first stage gets a name too, so that it can be removed again.
docker build "${arguments[@]}" --target build --tag "$image-build" . >"$work/log" 2>&1
docker build "${arguments[@]}" --tag "$image" . >"$work/log" 2>&1
say "image: $(($(date +%s) - started_at)) s, $(docker image inspect --format '{{.Size}}' "$image" | awk '{ printf "%.0f MB", $1 / 1e6 }')"

# As README.md says it: a file that only the user of the container can read.
step='secret'
(umask 077 && docker run --rm --network none "$image" secret >"$work/mesh.secret")
docker run --rm --network none --user 0 --volume "$work/mesh.secret:/mesh.secret" --entrypoint chown "$image" 10001:10001 /mesh.secret

step='nodes'
touch "$work/told"
SMOKE_COMPOSE=$compose SMOKE_PROJECT=$project SMOKE_IMAGE=$image SMOKE_SECRET=$work/mesh.secret SMOKE_STARTED_AT=$started_at \
  "$node" docker/smoke/main.ts
