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
    [ "$path" != not ] || { echo "$name is not found; expected it where the dynamic linker searches" >&2; exit 1; }
    cp -L "$path" "$carry/programs/bin/$name"
  done
# Reject files that need a newer version of these than the oldest machine has: Ubuntu 22.04, with glibc 2.35 and the
# libraries of GCC 12.
for file in "$carry"/programs/bin/*; do
  for most_version in GLIBC_2.35 GLIBCXX_3.4.30 CXXABI_1.3.13 GCC_12.0.0; do
    needed=$({ echo "$most_version"
               objdump -p "$file" | awk -v name="${most_version%_*}_" 'index($4, name) == 1 {print $4}'; } |
             sort -V | tail -n 1)
    [ "$needed" = "$most_version" ] ||
      { echo "${file##*/} needs $needed; expected at most $most_version" >&2; exit 1; }
  done
done
git describe --always --dirty --abbrev=9 >"$carry/programs/commit"
tar -C "$carry/programs" -czf "$carry/programs.tar.gz" .
rm -rf "$carry/programs"

bytes=$(stat -c %s "$carry/programs.tar.gz")
echo "$carry: $((bytes >> 20)) MiB" >&2
[ "$bytes" -lt "$most" ] ||
  { rm "$carry/programs.tar.gz"; echo "expected less than $((most >> 20)) MiB" >&2; exit 1; }
