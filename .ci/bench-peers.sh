#!/bin/sh
# Installs Ollama and llama-server into a cache folder, starts both on loopback
# with the same file and threads, and has `retort bench` measure against them:
#
#	.ci/bench-peers.sh CACHE [FLAG ...]     flags are those of `retort bench`
#
# MODELS (default: both starter models) and THREADS (default: all cores) may be
# set. Each result is printed and kept whole as CACHE/MODEL.json.
set -eu

cache=${1:?usage: bench-peers.sh CACHE [FLAG ...]}
shift
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
retort=$root/bin/retort
home=$("$retort" config get home)
threads=${THREADS:-$(nproc)}
python=$cache/llamaserver/bin/python

"$root/.ci/ollama.sh" "$cache/ollama" >&2
if ! [ -e "$cache/llamaserver/ready" ]; then
	python3 -m venv "$cache/llamaserver" >&2
	"$python" -m pip install -q --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
		-r "$root/scripts/bench-requirements.txt" >&2
	touch "$cache/llamaserver/ready"
fi
version=$("$python" -c 'from importlib.metadata import version; print(version("xllamacpp"))')

children=
stop() {
	for pid in $children; do kill "$pid" 2>/dev/null || :; done
	for pid in $children; do wait "$pid" 2>/dev/null || :; done
	children=
}
trap stop EXIT
trap 'exit 130' INT TERM

free_port() { "$python" -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# await URL LOG PID: until the server answers.
await() {
	tries=0
	until "$python" -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=2)' "$1" 2>/dev/null; do
		tries=$((tries + 1))
		if ! kill -0 "$3" 2>/dev/null || [ $tries -gt 120 ]; then
			echo "no answer from $1" >&2
			tail -20 "$2" >&2
			exit 1
		fi
		sleep 0.5
	done
}

for id in ${MODELS:-gemma-3-270m smollm2-135m-instruct}; do
	port=$(free_port)
	HOME=$cache/ollama OLLAMA_HOST=127.0.0.1:$port OLLAMA_MODELS=$cache/ollama/models OLLAMA_NUM_PARALLEL=8 \
		OLLAMA_CONTEXT_LENGTH=2048 OLLAMA_KEEP_ALIVE=-1 OLLAMA_NOPRUNE=1 \
		"$cache/ollama/ollama" serve >"$cache/ollama.log" 2>&1 &
	children="$children $!"
	ollama=http://127.0.0.1:$port
	await "$ollama/api/version" "$cache/ollama.log" $!

	port=$(free_port)
	"$python" "$root/scripts/llamaserver.py" "$home/models/$id/model.gguf" "$port" --threads "$threads" --parallel 8 \
		>"$cache/llamaserver.log" 2>&1 &
	children="$children $!"
	peer=http://127.0.0.1:$port
	await "$peer/health" "$cache/llamaserver.log" $!

	RETORT_THREADS=$threads "$retort" bench --model "$id" --ollama "$ollama" --peer "$peer" \
		--ollama-name "$(go version -m "$cache/ollama/ollama" | awk '$1 == "mod" { print $3 }')" \
		--peer-name "llama-server of xllamacpp $version" --save "$cache/$id.json" "$@"
	stop
done
