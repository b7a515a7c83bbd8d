#!/usr/bin/env bash
# Builds this user's project with an installed copy of the library, and runs it: run.sh [PREFIX [CMAKE_SETTING...]]
#
# By pkg-config and by CMake, in C and C++, with the shared library, with the archive and fully static. Without PREFIX,
# the copy is the one that the system's paths contain. CC, CXX and PKG_CONFIG name the compilers and pkg-config. The
# fake server must already run: scripts/with-fake-server tests/installed/run.sh
set -euo pipefail

: "${COUCHDROP_BASE_URL:?is not set: run scripts/with-fake-server tests/installed/run.sh}"
prefix=${1:-}
CC=${CC:-gcc} CXX=${CXX:-g++}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "installed: $*" >&2; exit 1; }
quietly() { "$@" > "$work/log" 2>&1 || { cat "$work/log"; fail "$*"; }; }

# Outside the tree, so that no file of it is found by accident.
cp -r "$(dirname "$0")" "$work/project"
mkdir "$work/programs"
unset LD_LIBRARY_PATH PKG_CONFIG_PATH
[ -z "$prefix" ] || export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
pkg_config() { ${PKG_CONFIG:-pkg-config} --cflags "$@" --libs couchdrop; }
version=$(pkg-config --modversion couchdrop)

for way in dynamic archive static; do
    case $way in
        dynamic) flags=$(pkg_config) ;;
        archive) flags=$(pkg_config --static | sed 's/-lcouchdrop/-l:libcouchdrop.a/') ;;
        static) flags="-static $(pkg_config --static)" ;;
    esac
    eval "flags=($flags)"
    quietly "$CC" -Wall -Wextra -Werror -o "$work/programs/pkg-config-c-$way" "$work/project/login.c" "${flags[@]}"
    quietly "$CXX" -std=c++17 -Wall -Wextra -Werror -o "$work/programs/pkg-config-cpp-$way" "$work/project/login.cpp" "${flags[@]}"
done
quietly cmake -S "$work/project" -B "$work/build" "-DCMAKE_C_COMPILER=$CC" "-DCMAKE_CXX_COMPILER=$CXX" \
    ${prefix:+"-DCMAKE_PREFIX_PATH=$prefix"} "${@:2}"
quietly cmake --build "$work/build" --parallel 2
find "$work/build" -maxdepth 1 -type f -executable -exec mv -t "$work/programs" {} +

# Each program is linked as intended, and logs in. CMake writes the path of the library into its programs; pkg-config
# leaves it to the loader.
for program in "$work/programs"/*; do
    needed=$(readelf -dlW "$program" | grep -oE 'libcouchdrop\.so\.1|INTERP' | sort -u | paste -sd ' ') || true
    case $program in *-dynamic) wanted='INTERP libcouchdrop.so.1' ;; *-archive) wanted=INTERP ;; *) wanted='' ;; esac
    [ "$needed" = "$wanted" ] || fail "${program##*/} needs: $needed"
    case $program in */pkg-config*) path=${prefix:+$prefix/lib} ;; *) path='' ;; esac
    [[ $(LD_LIBRARY_PATH=$path "$program") =~ ^"$version $version "[1-9] ]] || fail "${program##*/} did not log in"
done
echo "${prefix:-system}: $(find "$work/programs" -type f | wc -l) programs logged in"
