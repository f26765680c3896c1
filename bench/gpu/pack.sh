#!/usr/bin/env bash
# Packs the files needed by a machine that has a GPU, CUDA, bash and python3, but not the libraries of
# this project: build/gpu/carry/programs.tar.gz holds the programs of the preset gpu, the third-party
# libraries next to them, where the programs look first (RPATH $ORIGIN), and the commit.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

build=build/gpu
carry=$build/carry
most=$((50 << 20)) # bytes

rm -rf "$carry"
mkdir -p "$carry/programs/bin"
for program in bin/l2o bin/l2o_bench bin/l2o_peer_worker tests/l2o_cuda_test; do
  strip -o "$carry/programs/bin/${program##*/}" "$build/$program"
done
# Every machine has the C and C++ libraries.
everywhere='^(libc|libm|libdl|libpthread|librt|libstdc\+\+|libgcc_s)\.so'
ldd "$carry"/programs/bin/* | awk '$2 == "=>" {print $1, $3}' | sort -u | grep -Ev "$everywhere" |
  while read -r name path; do
    cp -L "$path" "$carry/programs/bin/$name"
  done
# Reject programs that would not start on an older machine.
most_glibc=2.34
for file in "$carry"/programs/bin/*; do
  needed=$(objdump -T "$file" | grep -o 'GLIBC_[0-9.]*' | cut -d_ -f2 | sort -V | tail -n 1)
  [ "$(printf '%s\n' "$needed" "$most_glibc" | sort -V | tail -n 1)" = "$most_glibc" ] ||
    { echo "${file##*/} needs glibc $needed; expected at most $most_glibc" >&2; exit 1; }
done
git describe --always --dirty --abbrev=9 >"$carry/programs/commit"
tar -C "$carry/programs" -czf "$carry/programs.tar.gz" .
rm -rf "$carry/programs"

bytes=$(stat -c %s "$carry/programs.tar.gz")
echo "$carry: $((bytes >> 20)) MiB" >&2
[ "$bytes" -lt "$most" ] || { echo "expected less than $((most >> 20)) MiB" >&2; exit 1; }
