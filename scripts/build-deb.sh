#!/usr/bin/env bash
# Build the Debian package from the files that git knows, as they stand here, into dist/, and have lintian look at it.
#
# usage: scripts/build-deb.sh [DIRECTORY]      (default: dist)
set -euo pipefail

cd "$(dirname "$0")/.."
dist=${1:-dist}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

mkdir "$work/ovsha"
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
    [ ! -e "$file" ] || printf '%s\0' "$file"
done | tar -c --null -T - | tar -x -C "$work/ovsha"
# Built by the tools and the Python of Debian, whatever else comes first on the PATH.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
if ! (cd "$work/ovsha" && dpkg-buildpackage --build=binary --no-sign) >"$work/log" 2>&1; then
    cat "$work/log" >&2
    exit 1
fi
lintian --allow-root --fail-on error --tag-display-limit 0 "$work"/*.changes
mkdir -p "$dist"
rm -f "$dist"/ovsha_*.deb
mv "$work"/ovsha_*.deb "$dist"
ls "$dist"/ovsha_*.deb
