#!/usr/bin/env bash
# Checks the headers and library as C and C++ users meet them: run.sh
#
# Compiles the headers in every standard of each installed compiler. Then runs programs that use the staged
# library (STAGE, by default target/stage) against the fake server, linked dynamically and statically, and under
# valgrind. The fake server must already run: scripts/with-fake-server tests/c/run.sh
#
# VALGRIND names the valgrind tools to run the programs under (memcheck). If it names more than one, the
# programs that are linked statically or built by clang run under memcheck too.
#
# Prints one line per step, and a count at the end. A missing compiler, standard or tool is skipped with a
# note; with CI set a missing tool counts as failed.
set -euo pipefail
cd "$(dirname "$0")/../.."

: "${COUCHDROP_BASE_URL:?is not set: run scripts/with-fake-server tests/c/run.sh}"
STAGE=${STAGE:-$PWD/target/stage}
export PKG_CONFIG_PATH=$STAGE/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}

# The flags of a user's own makefile.
cflags=$(pkg-config --cflags couchdrop)
dynamic="$(pkg-config --libs couchdrop) -Wl,-rpath,$STAGE/lib"
static=$(pkg-config --static --libs couchdrop)
static=${static/-lcouchdrop/-l:libcouchdrop.a}
strict='-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wundef -Werror'
build="-O1 -g1 $strict -pthread $cflags"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/passed" "$work/failed"
export work

# run_step STEP: prints a line for the step, and its output if it failed
run_step() {
    local name=${1%%$'\t'*} command=${1#*$'\t'} log
    log=$work/running-${name//[^a-z0-9+]/-}
    if timeout 120 bash -c "$command" > "$log" 2>&1 < /dev/null; then
        mv "$log" "$work/passed/"
        echo "passed   $name"
    else
        printf 'FAILED   %s\n%s\n' "$name" "$(sed 's/^/         /' "$log")"
        mv "$log" "$work/failed/"
    fi
}
export -f run_step

steps=()
# step NAME COMMAND: a shell command, which run_steps runs with the others
step() { steps+=("$1"$'\t'"$2"); }
# run_steps COUNT: runs this many steps in parallel
run_steps() {
    printf '%s\0' "${steps[@]}" | xargs -0 -n 1 -P "$1" bash -c 'run_step "$1"' run_steps
    steps=()
}

skip() { echo "skipped  $1"; }
# has TOOL
has() { type -P "$1" > /dev/null; }
for tool in gcc g++ clang clang++ valgrind; do
    has "$tool" && continue
    if [ -n "${CI:-}" ]; then
        step "$tool" "echo $tool is not installed; false"
    else
        skip "$tool: it is not installed"
    fi
done

# standard COMPILER NAME...: the first of the names that the compiler knows
standard() {
    local compiler=$1 language=c name
    shift
    case $compiler in *++) language=c++ ;; esac
    for name in "$@"; do
        if "$compiler" -std="$name" -x $language -fsyntax-only /dev/null 2> /dev/null; then
            echo "$name"
            return
        fi
    done
    return 1
}

### The headers, alone and included twice

# check_header HEADER COMPILER STANDARD...: alternative names of one standard; with the options in $flags
flags=
check_header() {
    local header=$1 compiler=$2 name language=c
    shift 2
    case $compiler in *++) language=c++ ;; esac
    has "$compiler" || return 0
    if name=$(standard "$compiler" "$@"); then
        step "$header as $1 with $compiler${flags:+ $flags}" \
            "printf '#include <$header>\n#include <$header>\n' |
             $compiler -std=$name $flags $strict $cflags -x $language -fsyntax-only -"
    else
        skip "$header as $1 with $compiler${flags:+ $flags}, which does not know that standard"
    fi
}

# check_nodiscard COMPILER LANGUAGE STANDARD
check_nodiscard() {
    has "$1" || return 0
    step "an ignored code is an error for $1 -Werror as $3" \
        "printf '#include <couchdrop.h>\nint main(void) { cd_connect(0, 0, 0, 0); }\n' |
         { ! $1 -std=$3 $strict $cflags -x $2 -c -o /dev/null - 2>&1; } | grep 'error: ignoring return value'"
}

for compiler in gcc clang; do
    check_header couchdrop.h $compiler c99
    check_header couchdrop.h $compiler c11
    check_header couchdrop.h $compiler c17
    check_header couchdrop.h $compiler c23 c2x
    check_nodiscard $compiler c c99
done
for compiler in g++ clang++; do
    check_header couchdrop.h $compiler c++11
    check_header couchdrop.h $compiler c++14
    for header in couchdrop.h couchdrop.hpp; do
        for flags in '' -fno-exceptions '-fno-exceptions -fno-rtti'; do
            check_header $header $compiler c++17
            check_header $header $compiler c++20 c++2a
            check_header $header $compiler c++23 c++2b
        done
        flags=
    done
    check_nodiscard $compiler c++ c++11
    check_nodiscard $compiler c++ c++17
done

for compiler in g++ clang++; do
    has "$compiler" || continue
    step "couchdrop.hpp as c++14 with $compiler says in one error what it needs" \
        "errors=\$(printf '#include <couchdrop.hpp>\n' | $compiler -std=c++14 $strict $cflags -x c++ -fsyntax-only - 2>&1 | grep 'error:')
         echo \"\$errors\"; [ \$(wc -l <<< \"\$errors\") = 1 ] && grep -q 'needs C++17' <<< \"\$errors\""
done

# check_rejected COMPILER CASE ERROR: the compiler rejects a case of tests/cpp/rejected.cpp with this error
check_rejected() {
    step "case $2 of cpp/rejected is an error for $1" \
        "! errors=\$($1 -std=c++17 $strict $cflags -DREJECTED=$2 -fsyntax-only tests/cpp/rejected.cpp 2>&1) &&
         echo \"\$errors\" && grep -qE 'rejected.cpp:.* error: .*$3' <<< \"\$errors\""
}
for compiler in g++ clang++; do
    has "$compiler" || continue
    step "case 0 of cpp/rejected compiles with $compiler" \
        "$compiler -std=c++17 $strict $cflags -DREJECTED=0 -fsyntax-only tests/cpp/rejected.cpp"
    check_rejected $compiler 1 'non-const lvalue reference'
    check_rejected $compiler 2 'taking (the )?address'
    check_rejected $compiler 3 'deleted'
    check_rejected $compiler 4 'deleted'
done

### The programs: built here, run further down

runs=()
# program NAME BINARY COMMAND [ARGUMENTS]: the command builds the binary
program() {
    step "build $1" "$3"
    runs+=("$1"$'\t'"$2${4:+ $4}")
}

other_cc=gcc
has clang && other_cc=clang
for source in tests/c/*.c; do
    name=$(basename "$source" .c) binary=$work/c-$(basename "$source" .c)
    if [ "$name" = unload ]; then
        program "c/unload" "$binary" "gcc -std=c99 $build -o $binary $source -ldl" "$STAGE/lib/libcouchdrop.so.1"
    else
        program "c/$name" "$binary" "gcc -std=c99 $build -o $binary $source $dynamic"
        program "c/$name, static" "$binary-static" "$other_cc -std=c11 $build -o $binary-static $source $static"
    fi
done

# cpp_program NAME COMPILER LIBS STANDARD...: with the options in $flags
cpp_program() {
    local compiler=$2 libs=$3 name binary
    local title="cpp/$1 as $4 with $2${flags:+ $flags}" source=tests/cpp/$1.cpp
    shift 3
    has "$compiler" || return 0
    if name=$(standard "$compiler" "$@"); then
        binary=$work/cpp-$(basename "$source" .cpp)-$1-$compiler
        program "$title" "$binary" "$compiler -std=$name $flags $build -o $binary $source $libs"
    else
        skip "$title, which does not know that standard"
    fi
}
for name in arguments cancel header results; do
    cpp_program $name g++ "$dynamic" c++17
    cpp_program $name clang++ "$static" c++20 c++2a
done
# A newer standard may choose another overload.
cpp_program arguments g++ "$dynamic" c++23 c++2b
for compiler in g++ clang++; do
    cpp_program calls $compiler "$dynamic" c++17
    cpp_program calls $compiler "$dynamic" c++20 c++2a
    cpp_program calls $compiler "$dynamic" c++23 c++2b
done
flags=-fno-exceptions
cpp_program no_exceptions g++ "$dynamic" c++17
cpp_program no_exceptions g++ "$dynamic" c++23 c++2b
cpp_program no_exceptions clang++ "$static" c++20 c++2a
flags=
# Not every compiler that has the standard's name has std::expected.
if name=$(standard g++ c++23 c++2b) &&
    echo '#include <expected>
    std::expected<int, int> e;' | g++ -std="$name" -x c++ -fsyntax-only - 2> /dev/null; then
    cpp_program expected g++ "$dynamic" c++23 c++2b
else
    skip 'cpp/expected: g++ has no std::expected'
fi

# Not optimised, so that the linker has to choose one of the three copies of each inline function.
if has g++ && name_20=$(standard g++ c++20 c++2a) && name_23=$(standard g++ c++23 c++2b); then
    objects='' lto_objects=''
    compile="g++ -O0 $strict $cflags -c"
    for name in c++17 "$name_20" "$name_23"; do
        case $name in c++17) number=17 ;; "$name_20") number=20 ;; *) number=23 ;; esac
        object=$work/standard-$number.o
        # With and without link-time optimisation, which can compare definitions.
        objects+=" $object"
        step "compile cpp/mixed as $name" \
            "$compile -std=$name -flto -ffat-lto-objects -DSTANDARD=standard_$number -o $object tests/cpp/mixed/standard.cpp"
    done
    object=$work/no-exceptions.o
    objects+=" $object"
    step 'compile cpp/mixed without exceptions' \
        "$compile -std=c++17 -fno-exceptions -flto -ffat-lto-objects -o $object tests/cpp/mixed/no_exceptions.cpp"
    step 'compile cpp/mixed' "$compile -std=c++17 -flto -ffat-lto-objects -o $work/mixed.o tests/cpp/mixed/main.cpp"
    # A file with exceptions uses objects that a file without them has made.
    step 'compile cpp/mixed, exchanged' \
        "$compile -std=c++17 -DEXCHANGED -o $work/exchanged.o tests/cpp/mixed/main.cpp"
fi
run_steps 2
if [ -n "${objects:-}" ]; then
    program 'cpp/mixed: one program of three standards' "$work/mixed" \
        "g++ -fno-lto -o $work/mixed $work/mixed.o $objects $dynamic"
    step 'cpp/mixed: the linker refuses types across exceptions' \
        "! errors=\$(g++ -fno-lto -o $work/mixed-exchanged $work/exchanged.o $objects $dynamic 2>&1) &&
         grep 'undefined reference to .takes_without_exceptions' <<< \"\$errors\""
    step 'cpp/mixed: every type has one definition' \
        "g++ -flto -Wodr -Werror -o $work/mixed-lto $work/mixed.o $objects $dynamic"
    run_steps 2
fi

### The runs, which mostly wait

for run in "${runs[@]}"; do
    step "${run%%$'\t'*}" "${run#*$'\t'}"
done
# valgrind reads function names from the unstripped library, if it has the same code.
symbols=''
if strip -o "$work/stripped" target/lib/release/libcouchdrop.so 2> /dev/null && cmp -s "$work/stripped" "$STAGE/lib/libcouchdrop.so.1"; then
    mkdir "$work/symbols"
    ln -s "$PWD/target/lib/release/libcouchdrop.so" "$work/symbols/libcouchdrop.so.1"
    symbols="LD_LIBRARY_PATH=$work/symbols"
fi
# under TOOL NAME COMMAND
under() {
    local options="--suppressions=$PWD/tests/c/valgrind.supp"
    case $1 in
        # Memory of the parent that a child leaves behind is not a leak.
        memcheck) case $2 in c/fork*) options+=' --leak-check=no' ;; *) options+=' --leak-check=full --errors-for-leak-kinds=definite' ;; esac ;;
    esac
    step "$2, under $1" "$symbols CHECK_SLACK_MS=10000 valgrind --quiet --tool=$1 --error-exitcode=99 $options $3"
}
if has valgrind; then
    read -ra tools <<< "${VALGRIND:-memcheck}"
    for run in "${runs[@]}"; do
        name=${run%%$'\t'*} command=${run#*$'\t'}
        case $name in
            *static | *clang*) [ ${#tools[@]} = 1 ] || under memcheck "$name" "$command" ;;
            *) for tool in "${tools[@]}"; do under "$tool" "$name" "$command"; done ;;
        esac
    done
fi
run_steps 4

passed=$(find "$work/passed" -type f | wc -l) failed=$(find "$work/failed" -type f | wc -l)
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
