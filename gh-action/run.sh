#!/bin/sh
# Finds the binary and becomes it; everything else is `cargo sigstore ci`. Trusted are this file, release.env beside it, and the
# binary whose SHA-256 stands there. The binary is hashed at every use, because a runner's tool cache outlives its jobs.
set -euf
umask 022
stop() { printf '::error title=cargo-sigstore %s::%s\n' "$1" "$2"; exit 2; }
become() { exec "$1" sigstore ci; }
sum() { if command -v sha256sum >/dev/null; then sha256sum <"$1"; else shasum -a 256 <"$1"; fi | cut -c1-64; }
fetch() {
  case $1 in https://* | http://127.0.0.1:*) ;; *) stop action-url "$1 is no https address" ;; esac
  if command -v curl >/dev/null; then
    curl --proto '=https,http' --proto-redir '=https' --tlsv1.2 -fsSL --retry 3 --max-time 300 -o "$2" "$1"
  else wget -q -O "$2" "$1"; fi || stop action-download "$1 cannot be downloaded"
}

if [ -n "${CARGO_SIGSTORE_INPUT_BINARY:-}" ]; then
  case $CARGO_SIGSTORE_INPUT_BINARY in */*) ;; *) CARGO_SIGSTORE_INPUT_BINARY=./$CARGO_SIGSTORE_INPUT_BINARY ;; esac
  [ -x "$CARGO_SIGSTORE_INPUT_BINARY" ] || stop action-binary "$CARGO_SIGSTORE_INPUT_BINARY is no executable file"
  become "$CARGO_SIGSTORE_INPUT_BINARY"
fi
case $(uname -s) in Linux) os=linux ;; Darwin) os=macos ;; *) os=unknown ;; esac
case $(uname -m) in x86_64 | amd64) arch=x86_64 ;; aarch64 | arm64) arch=aarch64 ;; *) arch=unknown ;; esac
# shellcheck source=release.env
. "$GITHUB_ACTION_PATH/release.env"
expected=
eval "expected=\${SHA256_${arch}_$os:-}"
[ "${#expected}" = 64 ] || stop action-release "release.env names no binary for $arch $os: pass the input binary"
base=${CARGO_SIGSTORE_INPUT_BASE_URL:-$BASE_URL}
store=${RUNNER_TOOL_CACHE:-$RUNNER_TEMP}/cargo-sigstore
asset=cargo-sigstore-$arch-$os
binary=$store/$VERSION-$arch-$os/cargo-sigstore
mkdir -p "${binary%/*}"
if [ -f "$binary" ] && [ "$(sum "$binary")" != "$expected" ]; then
  echo "::warning title=cargo-sigstore action-cache::$binary was changed since it was downloaded; it is replaced"
  rm -f "$binary"
fi
if ! [ -f "$binary" ]; then
  part=$(mktemp "$binary.XXXXXX")
  fetch "$base/v$VERSION/$asset" "$part"
  if [ "$(sum "$part")" != "$expected" ]; then
    rm -f "$part"
    stop action-digest "$base/v$VERSION/$asset is not the binary that release.env names: its SHA-256 is not $expected"
  fi
  chmod 755 "$part"
  mv -f "$part" "$binary"
fi
wanted=${CARGO_SIGSTORE_INPUT_VERSION:-$VERSION}
[ "$wanted" != "$VERSION" ] || become "$binary"

# Another version: its digest is not known here, but who must have signed it is. The known binary verifies that, at every use.
case $wanted in *[!0-9A-Za-z.+-]* | [!0-9]*) stop action-version "$wanted is no version" ;; esac
folder=$(mktemp -d "$store/other.XXXXXX")
other=$folder/cargo-sigstore
fetch "$base/v$wanted/$asset" "$other"
fetch "$base/v$wanted/$asset.sigstore.json" "$other.sigstore.json"
"$binary" sigstore verify "$other" --bundle "$other.sigstore.json" --trust "$RELEASE_TRUST" \
  --certificate-identity "$RELEASE_WORKFLOW@refs/tags/v$wanted" --certificate-oidc-issuer "$RELEASE_ISSUER" ||
  stop action-version "the release workflow did not sign version $wanted"
chmod 755 "$other"
become "$other"
