#!/bin/sh
# Builds a CPU-only Ollama server from its Go module, to test and measure against:
#
#	.ci/ollama.sh DIR       leaves the program at DIR/ollama; does nothing if it is there
#
# It needs Go and a C++ compiler. The headers of the Debian packages
# nlohmann-json3-dev and libstb-dev are installed where they are missing and the
# user may. The result is for loopback alone: it misses later security fixes, so
# never ship it.
set -eu

version=v0.17.4
malgo=github.com/gen2brain/malgo@v0.11.24 # brings miniaudio.h, which the module leaves out

dir=${1:?usage: ollama.sh DIR}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
if [ -x "$dir/ollama" ]; then
	exit 0
fi

headers="/usr/include/nlohmann/json.hpp /usr/include/stb/stb_image.h"
have_headers() { for h in $headers; do [ -f "$h" ] || return 1; done; }
if ! have_headers && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	apt-get -qq update >&2
	DEBIAN_FRONTEND=noninteractive apt-get -qq -y install nlohmann-json3-dev libstb-dev >&2
fi
if ! have_headers; then
	echo "one of $headers is missing: apt-get install nlohmann-json3-dev libstb-dev" >&2
	exit 1
fi

# Built beside its place and renamed, so that an interrupted build leaves nothing
# that looks whole.
work=$(mktemp -d "$dir/build.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cd / # away from any module of the caller
mkdir -p "$work/include/miniaudio"
ln -s /usr/include/stb "$work/include/stb"
source=$(go mod download -json "$malgo" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
cp "$source/miniaudio.h" "$work/include/miniaudio/miniaudio.h"

flags="-O3 -g0 -I$work/include"
case $(uname -m) in
x86_64) flags="$flags -march=x86-64-v3" ;; # the module's plain build uses no AVX2
esac
CGO_ENABLED=1 CGO_CFLAGS=$flags CGO_CXXFLAGS=$flags GOFLAGS= GOBIN=$work \
	nice -n 10 go install "github.com/ollama/ollama@$version"
mv "$work/ollama" "$dir/ollama"
"$dir/ollama" --version 2>/dev/null | tail -1 >&2
