#!/bin/sh
# Fills release.env from the binaries of a release: release.sh VERSION DIST [ENV]
# DIST holds cargo-sigstore-ARCH-OS for every target; a target without a binary gets no digest and is refused by run.sh.
set -euf
[ $# -ge 2 ] || { echo "usage: release.sh VERSION DIST [ENV]" >&2; exit 2; }
version=$1 dist=$2 env=${3:-${0%/*}/release.env}
case $version in *[!0-9A-Za-z.+-]* | [!0-9]* | '') echo "$version is no version" >&2; exit 2 ;; esac
part=$(mktemp "$env.XXXXXX")
found=0
while IFS= read -r line; do
  case $line in
    VERSION=*) line=VERSION=$version ;;
    SHA256_*=*)
      name=${line%%=*}
      os=${name##*_}
      arch=${name#SHA256_}
      file=$dist/cargo-sigstore-${arch%_*}-$os
      digest=
      if [ -f "$file" ]; then
        digest=$(sha256sum <"$file" | cut -c1-64)
        found=$((found + 1))
      fi
      line=$name=$digest
      ;;
  esac
  printf '%s\n' "$line"
done <"$env" >"$part"
[ "$found" -gt 0 ] || { rm -f "$part"; echo "$dist holds no cargo-sigstore-ARCH-OS" >&2; exit 2; }
chmod 644 "$part"
mv -f "$part" "$env"
echo "$env: version $version, $found binaries"
