#!/usr/bin/env bash
# Builds the peers of the benchmarks (llama-server, llama-bench, llama-batched-bench) from the same source, with the
# same flags, as the embedded executor. They are not installed. Usage: bench/peers/build.sh [BUILD_DIR [JOBS]]
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:-$root/build/peers}
jobs=${2:-}

generator=()
if command -v ninja >/dev/null; then generator=(-G Ninja); fi
python=()
if command -v python3 >/dev/null; then python=(-DPython_EXECUTABLE="$(command -v python3)"); fi

mkdir -p "$(dirname "$build")"
echo "building the peers into $build/bin (the first time: about 10 minutes on 2 cores)"
cmake -S "$root" -B "$build" "${generator[@]}" "${python[@]}" -DPOISE_BUILD_PEERS=ON -DPOISE_LLAMA=ON \
  ${PEERS_CMAKE_ARGS:-} >"$build.configure.log" 2>&1 || { cat "$build.configure.log"; exit 1; }
cmake --build "$build" --target peers --parallel ${jobs:+"$jobs"}
ls -l "$build"/bin/llama-server "$build"/bin/llama-bench "$build"/bin/llama-batched-bench
