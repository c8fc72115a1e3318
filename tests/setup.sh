#!/usr/bin/env bash
# Installs what the tests need on Debian 12 (or a relative of it) beside Rust. Does nothing when all is there.
#
#   bash tests/setup.sh [PACKAGE…]     the packages named are installed as well
#
# With SIDECAR_TEST_NO_LLM_SERVER=1 it leaves out the LLM server, a download of 130 MB, with SIDECAR_TEST_NO_BRIDGES=1 the
# frameworks of voice agents, those of the bridges and Twilio's, one of 155 MB, with SIDECAR_TEST_NO_LIVEKIT=1 LiveKit's server, which
# takes five minutes to build, and with SIDECAR_TEST_NO_BROWSER=1 Chromium, a download of 90 MB; their tests say so.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=("$@")
PATH=$PATH:/usr/sbin:/sbin
# want PROGRAM PACKAGE: the package brings the program.
want() {
  command -v "$1" >/dev/null 2>&1 || packages+=("$2")
}

install_packages() {
  if ! command -v apt-get >/dev/null 2>&1; then
    echo "tests/setup.sh: please install by hand what brings these Debian packages: ${packages[*]}" >&2
    exit 1
  fi
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
      echo "tests/setup.sh: run once as root: apt-get install --no-install-recommends ${packages[*]}" >&2
      exit 1
    fi
    as_root=(sudo)
  fi
  echo "tests/setup.sh: installing ${packages[*]}"
  as_root+=(env DEBIAN_FRONTEND=noninteractive)
  "${as_root[@]}" apt-get update -q
  "${as_root[@]}" apt-get install -y -q --no-install-recommends "${packages[@]}"
}

# install_python FOLDER WANTED WHAT: a virtual environment in the target folder with what the file WANTED names.
install_python() {
  local home=${CARGO_TARGET_DIR:-target}/$1 wanted=$2
  if cmp -s "$wanted" "$home/installed"; then
    return
  fi
  echo "tests/setup.sh: installing $3 into $home"
  rm -rf "$home"
  python3 -m venv "$home"
  "$home/bin/pip" install -q --disable-pip-version-check --no-deps --require-hashes -r "$wanted"
  cp "$wanted" "$home/installed"
}

# The types and libraries of those who take our alerts, from npm and Python packages, to read what they are sent.
install_vendors() {
  local home=${CARGO_TARGET_DIR:-target}/vendors from=tests/it/formats
  local wanted=("$from/package.json" "$from/package-lock.json" "$from/python.txt")
  if cat "${wanted[@]}" | cmp -s - "$home/installed"; then
    return
  fi
  echo "tests/setup.sh: installing the vendors' types and libraries into $home"
  rm -rf "$home"
  mkdir -p "$home"
  cp "${wanted[@]}" "$home"
  npm --prefix "$home" ci --ignore-scripts --no-audit --no-fund --silent
  python3 -m venv "$home/python"
  "$home/python/bin/pip" install -q --disable-pip-version-check --no-deps --require-hashes -r "$from/python.txt"
  cat "${wanted[@]}" >"$home/installed"
}

# The server of LiveKit's rooms, built by Go from Go's module proxy.
livekit_version=v1.13.5 livekit_go=1.26
install_livekit() {
  local target=${CARGO_TARGET_DIR:-target} go=go
  local home=$target/livekit
  if [ "$(cat "$home/installed" 2>/dev/null)" = "$livekit_version" ]; then
    return
  fi
  local has
  has=$(go env GOVERSION 2>/dev/null || true)
  if [ "$(printf '%s\n' "$livekit_go" "${has#go}" | sort -V | head -1)" != "$livekit_go" ]; then
    install_python go tests/it/livekit/go.txt 'Go'
    go=$target/go/bin/go
  fi
  echo "tests/setup.sh: building LiveKit's server into $home"
  rm -rf "$home"
  mkdir -p "$home"
  GOBIN=$(cd "$home" && pwd) GOTOOLCHAIN=local GOFLAGS=-trimpath \
    "$go" install "github.com/livekit/livekit-server/cmd/server@$livekit_version"
  echo "$livekit_version" >"$home/installed"
}

want cc build-essential # links, and compiles SQLite and ring
want sipp sip-tester    # the SIP peer that answers our REFER
want kamailio kamailio  # the proxy between us and the phones
compgen -G '/usr/lib/*/kamailio/modules/tls.so' >/dev/null || packages+=(kamailio-tls-modules) # and its TLS
want dnsmasq dnsmasq-base # the name server that knows where SIP peers are
want baresip baresip-core # the caller's phone, and the human's
want linphonec linphone-cli # the phones of an attended transfer
want promtool prometheus # judges our metrics, alerts and dashboard
want node nodejs # runs what reads our messages to Slack and Teams
want npm npm
want python3 python3
want openssl openssl # the certificate of a LiveKit server
python3 -c 'import ensurepip' 2>/dev/null || packages+=(python3-venv)
if [ "${SIDECAR_TEST_NO_BROWSER:-}" = 1 ]; then
  echo "tests/setup.sh: no Chromium, as SIDECAR_TEST_NO_BROWSER=1 says; the tests of pages in a browser will not test"
else
  want chromium chromium # the review pages as people see them
  want chromedriver chromium-driver
  # A page without letters cannot be looked at.
  compgen -G '/usr/share/fonts/truetype/*/*.ttf' >/dev/null || packages+=(fonts-dejavu-core)
fi
llm_server=yes bridges=yes livekit=yes
[ "${SIDECAR_TEST_NO_LLM_SERVER:-}" = 1 ] && llm_server=
[ "${SIDECAR_TEST_NO_BRIDGES:-}" = 1 ] && bridges=
[ "${SIDECAR_TEST_NO_LIVEKIT:-}" = 1 ] && livekit=

if [ ${#packages[@]} -gt 0 ]; then
  install_packages
fi
install_vendors
install_python schemathesis tests/it/review/schemathesis.txt "what tries the review pages' JSON API"
# A real LLM server and a small model, from Python packages that bring both ready to run.
if [ -n "$llm_server" ]; then
  install_python llm-server tests/it/llm/server.txt 'an LLM server'
else
  echo "tests/setup.sh: no LLM server, as SIDECAR_TEST_NO_LLM_SERVER=1 says; its test will not test"
fi
if [ -n "$bridges" ]; then
  install_python bridges tests/bridges/requirements.txt 'the frameworks of the bridges'
else
  echo "tests/setup.sh: no bridges, as SIDECAR_TEST_NO_BRIDGES=1 says; their tests will not test"
fi
if [ -n "$livekit" ]; then
  install_livekit
else
  echo "tests/setup.sh: no LiveKit server, as SIDECAR_TEST_NO_LIVEKIT=1 says; its tests will not test"
fi
