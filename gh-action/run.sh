#!/bin/sh
# Finds the binary and becomes it; everything else is `cargo sigstore ci`. Trusted are this file, release.env beside it, and the
# binary whose SHA-256 stands there. The binary is hashed at every use, because a runner's tool cache outlives its jobs.
set -euf
umask 022
part='' folder='' child=''
# A value in a workflow command, as the runner reads it: what looks like another command is none.
escaped() { printf '%s' "$1" | awk '{ gsub(/%/, "%25"); gsub(/\r/, "%0D"); printf "%s%s", (NR > 1 ? "%0A" : ""), $0 }'; }
# stop EXIT CODE WORDS: 1 looked and refused, 2 usage or configuration, 3 could not look.
stop() {
  printf '::error title=cargo-sigstore %s::%s\n' "$2" "$(escaped "$3")"
  exit "$1"
}
clean() {
  [ -z "$child" ] || kill "$child" 2>/dev/null || :
  [ -z "$part" ] || rm -f "$part"
  [ -z "$folder" ] || rm -rf "$folder"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
become() { exec "$1" sigstore ci; }
sum() { if command -v sha256sum >/dev/null; then sha256sum <"$1"; else shasum -a 256 <"$1"; fi | cut -c1-64; }
# A shell acts on a signal once the command before it has ended, but at once while it waits.
fetch() {
  case $1 in https://* | http://127.0.0.1:*) ;; *) stop 2 action-url "$1 is no https address" ;; esac
  if command -v curl >/dev/null; then
    curl --proto '=https,http' --proto-redir '=https' --tlsv1.2 -fsSL --retry 3 --max-time 300 -o "$2" "$1" &
  else wget -q -O "$2" "$1" & fi
  child=$!
  wait "$child" || {
    child=
    stop 3 action-download "$1 cannot be downloaded"
  }
  child=
}

if [ -n "${CARGO_SIGSTORE_INPUT_BINARY:-}" ]; then
  case $CARGO_SIGSTORE_INPUT_BINARY in */*) ;; *) CARGO_SIGSTORE_INPUT_BINARY=./$CARGO_SIGSTORE_INPUT_BINARY ;; esac
  [ -x "$CARGO_SIGSTORE_INPUT_BINARY" ] || stop 2 action-binary "$CARGO_SIGSTORE_INPUT_BINARY is no executable file"
  become "$CARGO_SIGSTORE_INPUT_BINARY"
fi
case $(uname -s) in Linux) os=linux ;; Darwin) os=macos ;; *) os=unknown ;; esac
case $(uname -m) in x86_64 | amd64) arch=x86_64 ;; aarch64 | arm64) arch=aarch64 ;; *) arch=unknown ;; esac
# shellcheck source=release.env
. "$GITHUB_ACTION_PATH/release.env"
expected=
eval "expected=\${SHA256_${arch}_$os:-}"
[ "${#expected}" = 64 ] || stop 2 action-release "release.env names no binary for $arch $os: pass the input binary"
base=${CARGO_SIGSTORE_INPUT_BASE_URL:-$BASE_URL}
store=${RUNNER_TOOL_CACHE:-$RUNNER_TEMP}/cargo-sigstore
asset=cargo-sigstore-$arch-$os
binary=$store/$VERSION-$arch-$os/cargo-sigstore
mkdir -p "${binary%/*}"
if [ -f "$binary" ] && [ "$(sum "$binary")" != "$expected" ]; then
  echo "::warning title=cargo-sigstore action-cache::$(escaped "$binary") was changed since it was downloaded; it is replaced"
  rm -f "$binary"
fi
if ! [ -f "$binary" ]; then
  part=$(mktemp "$binary.XXXXXX")
  fetch "$base/v$VERSION/$asset" "$part"
  [ "$(sum "$part")" = "$expected" ] ||
    stop 1 action-digest "$base/v$VERSION/$asset is not the binary that release.env names: its SHA-256 is not $expected"
  chmod 755 "$part"
  mv -f "$part" "$binary"
  part=
fi
wanted=${CARGO_SIGSTORE_INPUT_VERSION:-$VERSION}
[ "$wanted" != "$VERSION" ] || become "$binary"

# Another version: its digest is not known here, but who must have signed it is. The known binary verifies that, at every use,
# where no file of the job can say what to expect. What it verified is kept by its digest, so that nothing piles up.
case $wanted in *[!0-9A-Za-z.+-]* | [!0-9]*) stop 2 action-version "$wanted is no version" ;; esac
folder=$(mktemp -d "$store/other.XXXXXX")
other=$folder/cargo-sigstore
fetch "$base/v$wanted/$asset" "$other"
fetch "$base/v$wanted/$asset.sigstore.json" "$other.sigstore.json"
verdict=0
(cd / && exec "$binary" sigstore verify "$other" --bundle "$other.sigstore.json" --trust "$RELEASE_TRUST" \
  --certificate-identity "$RELEASE_WORKFLOW@refs/tags/v$wanted" --certificate-oidc-issuer "$RELEASE_ISSUER") &
child=$!
wait "$child" || verdict=$?
child=
[ "$verdict" != 1 ] || stop 1 action-version "the release workflow did not sign version $wanted"
[ "$verdict" = 0 ] || stop "$verdict" action-version "it cannot be told whether the release workflow signed version $wanted"
chmod 755 "$other"
kept=$store/verified-$(sum "$other")/cargo-sigstore
mkdir -p "${kept%/*}"
mv -f "$other" "$kept"
clean
folder=
become "$kept"
