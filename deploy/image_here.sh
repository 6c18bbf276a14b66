#!/usr/bin/env bash
# Build the image from deploy/Dockerfile as it is, run it, and look whether it does what
# docs/deployment.md says: deploy/image_here.sh (make image-check).
#
# For a machine that reaches no registry of images, but Debian's packages and PyPI. What stands in
# for the base is made of Debian's packages: the same Debian, the same version of Python with its
# headers and without its bytecode, by the name that FROM has. Containers are on loopback, or have
# no network at all. Nothing is left of them, of the images and of the store that they are in.
#
# Ends with 0, or with 1 where a check failed or something is missing. Needs root.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/sbin:/sbin" LC_ALL=C.UTF-8

missing=()
[[ $(id -u) -eq 0 ]] || missing+=(root)
for name in buildah podman runc debootstrap curl; do
  command -v "$name" >/dev/null || missing+=("$name")
done
for name in twine pip uv; do
  [[ -x .venv-clients/$name/bin/$name ]] || missing+=("$name (make clients)")
done
[[ -x .venv/bin/hatchling ]] || missing+=("hatchling (make install)")
base=$(sed -n 's/^FROM \([^ ]*\).*/\1/p' deploy/Dockerfile | sort -u)
case $base in
  # The Debian that the official image is made of, whose own Python is of that version.
  python:3.13-slim) debian=trixie version=3.13 ;;
  *) missing+=("what stands in for: $base") ;;
esac
if ((${#missing[@]})); then
  echo "NOT CHECKED: the image. Missing: $(printf '%s, ' "${missing[@]}" | sed 's/, $//')." >&2
  exit 1
fi

folder=$(mktemp -d)
mkdir "$folder/tmp"
export TMPDIR="$folder/tmp"
store=(--root "$folder/root" --runroot "$folder/run" --storage-driver overlay)

podman() { # With what it needs where neither systemd nor a journal is, and without its warnings.
  command podman --log-level fatal "${store[@]}" --tmpdir "$folder/libpod" \
    --runtime runc --cgroup-manager cgroupfs --events-backend file "$@"
}

remove() { # All of it, whatever was made so far.
  podman rm --all --force --time 0 >/dev/null 2>&1 || true
  { grep -o " $folder/[^ ]*" /proc/mounts || true; } | sort -r | xargs --no-run-if-empty umount --lazy
  rm -rf --one-file-system "$folder"
}
trap remove EXIT
trap 'exit 1' INT TERM
fail() { echo "FAILED: $1" >&2; exit 1; }

quietly() { # What a command says is worth reading where it fails only.
  "$@" >"$folder/log" 2>&1 || { tail -n 60 "$folder/log" >&2; fail "$1 failed; see above"; }
}

megabytes() { echo "$(($(podman image inspect "$1" --format '{{.Size}}') / 1000000)) MB"; }

SECONDS=0
quietly debootstrap --variant=minbase --include="python$version,python$version-venv,ca-certificates" \
  "$debian" "$folder/base"
quietly chroot "$folder/base" sh -euc "cd /tmp; apt-get update; apt-get download libpython$version-dev
  dpkg-deb --extract libpython$version-dev_*.deb /; apt-get clean
  ln -s /usr/bin/python$version /usr/local/bin/python
  find /usr/lib/python3* -name __pycache__ -prune -exec rm -rf {} +
  rm -rf /tmp/* /var/lib/apt/lists/* /usr/share/doc/* /usr/share/man/* /usr/share/locale/*"
tar -C "$folder/base" -c . | quietly podman import - "$base"
echo "What stands in for $base: $(megabytes "$base"), made in $SECONDS s."

SECONDS=0
# OCI's own format has no health checks. The roots of trust are this machine's.
quietly buildah "${store[@]}" bud --format docker --isolation chroot --network host --pull-never \
  --volume /etc/ssl/certs:/etc/ssl/certs:ro --file deploy/Dockerfile --tag pypicloud:2 .
echo "The image: $(megabytes pypicloud:2), built in $SECONDS s."

memory=$((512 << 20))
held=(--read-only --read-only-tmpfs=false --tmpfs /tmp:mode=1777 --cap-drop all
  --security-opt no-new-privileges --memory "$memory" --pids-limit 200
  --ulimit nofile=10000:10000 --ulimit nproc=10000:10000)
# shellcheck disable=SC2016 # The container's shell is to expand them.
look='echo "user $(id -u):$(id -g)"; grep -E "^(CapEff|CapBnd|NoNewPrivs)" /proc/1/status
echo "memory $(cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes)"
for place in / /etc /opt/pypicloud /usr /var/tmp /run /data /tmp; do
  if ( : > $place/.tried ) 2>/dev/null; then echo "writes $place"; rm $place/.tried; fi; done
python -c "import json; made = json.load(open(\"/opt/pypicloud/sbom.cdx.json\"))
print(made[\"bomFormat\"], \"fastapi\" in [one[\"name\"] for one in made[\"components\"]])"'
seen="user 10001:10001
CapBnd:	0000000000000000
CapEff:	0000000000000000
NoNewPrivs:	1
memory $memory
writes /data
writes /tmp
CycloneDX True"

begin() { # NAME OPTIONS...: run it until it is healthy, by its own HEALTHCHECK; look at it inside.
  local begun=$EPOCHREALTIME
  quietly podman run --detach --name "$1" "${held[@]}" "${@:2}" pypicloud:2
  until podman healthcheck run "$1" >/dev/null 2>&1; do
    ((${EPOCHREALTIME%.*} - ${begun%.*} < 60)) || fail "$1 is not healthy: $(podman logs "$1" 2>&1)"
    sleep 0.2
  done
  echo "$1: healthy after $((${EPOCHREALTIME%.*} - ${begun%.*})) s"
  podman exec "$1" sh -c "$look" >"$folder/seen" 2>&1 || true
  diff <(sort <<<"$seen") <(sort "$folder/seen") >&2 || fail "$1: not as promised; see above"
  echo "$1: $(paste -sd ';' "$folder/seen" | tr '\t' ' ')"
}

end() { # NAME: SIGTERM, within the grace that deploy/compose/small.yml gives; then its log.
  local begun=$SECONDS
  quietly podman stop --time 35 "$1"
  [[ $(podman inspect "$1" --format '{{.State.ExitCode}}') == 0 ]] || fail "$1: not ended with 0"
  echo "$1: SIGTERM ended it with 0 after $((SECONDS - begun)) s"
  podman logs "$1" >"$folder/log" 2>&1
  if grep -q -e Traceback -e "$PYPICLOUD_ADMIN_PASSWORD" "$folder/log"; then fail "$1: $(<"$folder/log")"; fi
}

client() { # NAME ARGUMENTS...: a client without settings of this machine's.
  quietly env -i PATH="$PATH" HOME="$folder" TWINE_USERNAME=admin \
    TWINE_PASSWORD="$PYPICLOUD_ADMIN_PASSWORD" ".venv-clients/$1/bin/$1" "${@:2}"
}

PYPICLOUD_ADMIN_PASSWORD=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
PYPICLOUD_PORT=$(.venv/bin/python -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
export PYPICLOUD_ADMIN_PASSWORD PYPICLOUD_PORT
served=(--network host --volume data:/data --env PYPICLOUD_HOST=127.0.0.1
  --env PYPICLOUD_PORT --env PYPICLOUD_ADMIN_PASSWORD)
index="http://admin:$PYPICLOUD_ADMIN_PASSWORD@127.0.0.1:$PYPICLOUD_PORT/simple/"
quietly .venv/bin/hatchling build --target wheel --directory "$folder/dist"

begin alone --network none # Nothing is set.
end alone

begin first "${served[@]}"
answer=$(curl --silent --noproxy '*' --write-out '%{http_code}' "${index%/simple/}/health/ready")
[[ $answer == *'"ok"'*200 ]] || fail "/health/ready: $answer"
client twine upload --disable-progress-bar --repository-url "http://127.0.0.1:$PYPICLOUD_PORT/legacy/" "$folder"/dist/*.whl
client pip --isolated install --no-deps --no-cache-dir --index-url "$index" --target "$folder/first" pypicloud
[[ -e $folder/first/app/main.py ]] || fail "pip installed nothing"
echo "first: /health/ready is 200; twine uploads, pip installs"
end first

begin second "${served[@]}"
client uv pip install --no-config --no-cache --no-deps --python .venv/bin/python --default-index "$index" \
  --target "$folder/second" pypicloud
cmp "$folder"/{first,second}/app/main.py || fail "uv installed something else"
echo "second: on the same volume, uv installs what the first one took"
end second
echo "The image does what the manual says."
