#!/bin/sh
# Installs datasketch into a cache folder and has `retort bench dataset` measure the
# example store there, beside Badger, SQLite and datasketch:
#
#	.ci/bench-dataset.sh CACHE [FLAG ...]     flags are those of `retort bench dataset`
#
# Where datasketch cannot be installed its row is skipped. PYTHON (default: python3)
# may be set.
set -eu

cache=${1:?usage: bench-dataset.sh CACHE [FLAG ...]}
shift
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
python=$cache/datasketch/bin/python

install() {
	"${PYTHON:-python3}" -m venv "$cache/datasketch" >&2 &&
		"$python" -m pip install -q --disable-pip-version-check --only-binary :all: --require-hashes \
			-r "$root/scripts/bench-dataset-requirements.txt" >&2 &&
		touch "$cache/datasketch/ready"
}

if [ -e "$cache/datasketch/ready" ] || install; then
	set -- --datasketch "$python" "$@"
else
	echo "datasketch cannot be installed" >&2
fi
exec "$root/bin/retort" bench dataset --dir "$cache" "$@"
