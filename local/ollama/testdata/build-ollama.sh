#!/bin/sh
# Builds a CPU-only Ollama server from its Go module, to test the adapter against:
#
#	build-ollama.sh DIR       leaves the program at DIR/ollama
#
# It needs Go, a C++ compiler and the headers of the Debian packages
# nlohmann-json3-dev and libstb-dev (run apt-get update first). The result is for
# tests on loopback alone: it misses later security fixes, so never ship it.
set -eu

version=v0.17.4
malgo=github.com/gen2brain/malgo@v0.11.24 # brings miniaudio.h, which the module leaves out

dir=${1:?usage: build-ollama.sh DIR}
mkdir -p "$dir/include/miniaudio"
dir=$(cd "$dir" && pwd)
if [ -x "$dir/ollama" ]; then
	echo "$dir/ollama is there already"
	exit 0
fi

for header in /usr/include/nlohmann/json.hpp /usr/include/stb/stb_image.h; do
	if [ ! -f "$header" ]; then
		echo "$header is missing: apt-get install nlohmann-json3-dev libstb-dev" >&2
		exit 1
	fi
done
ln -sfn /usr/include/stb "$dir/include/stb"
source=$(cd / && go mod download -json "$malgo" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
cp -f "$source/miniaudio.h" "$dir/include/miniaudio/miniaudio.h"

flags="-O3 -g0 -I$dir/include"
case $(uname -m) in
x86_64) flags="$flags -march=x86-64-v3" ;; # the module's plain build uses no AVX2
esac
cd /
CGO_ENABLED=1 CGO_CFLAGS=$flags CGO_CXXFLAGS=$flags GOFLAGS= GOBIN=$dir \
	nice -n 19 go install "github.com/ollama/ollama@$version"
"$dir/ollama" --version
