#!/usr/bin/env bash
# Tests the headers and the library in C and C++ hosts: run.sh [NAME...]
#
# Compiles the headers in every standard. Then it builds the programs of this folder and of tests/cpp, and runs them
# with the staged library (STAGE, by default target/stage). programs.txt has the other ways to run them. The fake server
# must already run: scripts/with-fake-server tests/c/run.sh. With names, only steps whose name contains one of them run.
#
# TORTURE_TIMES multiplies the repetitions. TORTURE_OUTPUT is a folder for the output of each step. VALGRIND names
# valgrind's tools (memcheck).
set -euo pipefail
cd "$(dirname "$0")/../.."

: "${COUCHDROP_BASE_URL:?is not set: run scripts/with-fake-server tests/c/run.sh}"
for tool in gcc g++ clang clang++ valgrind; do
    type -P "$tool" > /dev/null || { echo "$tool is not installed"; exit 77; }
done
STAGE=${STAGE:-$PWD/target/stage}
export COUCHDROP_LIBRARY=$STAGE/lib/libcouchdrop.so.1
export PKG_CONFIG_PATH=$STAGE/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}

# The flags of a user's own makefile.
cflags=$(pkg-config --cflags couchdrop)
shared="$(pkg-config --libs couchdrop) -Wl,-rpath,$STAGE/lib"
archive=$(pkg-config --static --libs couchdrop)
archive=${archive/-lcouchdrop/-l:libcouchdrop.a}
strict='-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wundef -Werror'
build="-O1 -g1 $strict -pthread $cflags"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work" # for a program that becomes another user
mkdir "$work/passed" "$work/failed"
export work

# run_step STEP: prints a line for the step, and its output if it failed
run_step() {
    local name=${1%%$'\t'*} command=${1#*$'\t'} begun=$SECONDS log
    log=${name//[^a-z0-9+_]/-}
    if timeout $((300 * ${TORTURE_TIMES:-1})) bash -c "$command" > "$work/$log" 2>&1 < /dev/null; then
        mv "$work/$log" "$work/passed/"
        printf 'passed   %s (%d s)\n' "$name" $((SECONDS - begun))
    else
        printf 'FAILED   %s\n%s\n' "$name" "$(sed 's/^/         /' "$work/$log" | head -n 100)"
        mv "$work/$log" "$work/failed/"
    fi
}
export -f run_step

wanted=("$@") steps=()
# step NAME COMMAND: a shell command, which run_steps runs with the others
step() {
    local part
    for part in "${wanted[@]:-}"; do
        if [[ $1 == *"$part"* ]]; then
            steps+=("$1"$'\t'"$2")
            break
        fi
    done
}
# run_steps COUNT: runs this many steps in parallel
run_steps() {
    [ ${#steps[@]} = 0 ] || printf '%s\0' "${steps[@]}" | xargs -0 -n 1 -P "$1" bash -c 'run_step "$1"' run_steps
    steps=()
}

### The headers, alone and included twice

# header HEADER LANGUAGE COMPILER STANDARD [FLAGS]
header() {
    step "$1 as $4 with $3${5:+ $5}" \
        "printf '#include <$1>\n#include <$1>\n' | $3 -std=$4 ${5:-} $strict $cflags -x $2 -fsyntax-only -"
}
# rejected NAME ERROR COMMAND: the command fails with this error
rejected() {
    step "$1" "! errors=\$($3 2>&1) && echo \"\$errors\" && grep -qE 'error: .*($2)' <<< \"\$errors\""
}
ignored="<(printf '#include <couchdrop.h>\nint main(void) { cd_connect(0, 0, 0, 0); }\n')"
for compiler in gcc clang; do
    for standard in c99 c11 c17 c2x; do
        header couchdrop.h c $compiler $standard
    done
    rejected "an ignored code is an error for $compiler" 'ignoring return value' \
        "$compiler -std=c99 $strict $cflags -x c -c -o /dev/null $ignored"
done
for compiler in g++ clang++; do
    compile="$compiler $strict $cflags -x c++ -fsyntax-only"
    header couchdrop.h c++ $compiler c++11
    header couchdrop.h c++ $compiler c++14
    for standard in c++17 c++2a c++2b; do
        for flags in '' -fno-exceptions '-fno-exceptions -fno-rtti'; do
            header couchdrop.h c++ $compiler $standard "$flags"
            header couchdrop.hpp c++ $compiler $standard "$flags"
        done
    done
    for standard in c++11 c++17; do
        rejected "an ignored code is an error for $compiler as $standard" 'ignoring return value' \
            "$compiler -std=$standard $strict $cflags -x c++ -c -o /dev/null $ignored"
    done
    old="$compile -std=c++14 <(echo '#include <couchdrop.hpp>')"
    rejected "couchdrop.hpp as c++14 is an error for $compiler" 'needs C\+\+17' "$old"
    step "couchdrop.hpp as c++14 has no other error for $compiler" "[ \$($old 2>&1 | grep -c error:) = 1 ]"
    step "case 0 of cpp/rejected compiles with $compiler" "$compile -std=c++17 -DREJECTED=0 tests/cpp/rejected.cpp"
    number=0
    for error in 'non-const lvalue reference' 'taking (the )?address' deleted deleted; do
        number=$((number + 1))
        rejected "case $number of cpp/rejected is an error for $compiler" "$error" \
            "$compile -std=c++17 -DREJECTED=$number tests/cpp/rejected.cpp"
    done
done

### The programs: built here, run further down

runs=()
# program NAME MODES COMMAND [ARGUMENT]: the command builds the program, and -o follows
program() {
    local binary=$work/${1//[^a-z0-9+]/-}.out
    step "build $1" "$3 -o $binary"
    runs+=("$1|$2|$binary${4:+ $4}")
}

for source in tests/c/*.c; do
    name=$(basename "$source" .c)
    modes=$(sed -n "s/^$name //p" tests/c/programs.txt)
    if [ "$name" = unload ]; then
        program "c/unload" "$modes" "gcc -std=gnu11 $build $source -ldl" "$COUCHDROP_LIBRARY"
    else
        program "c/$name" "$modes" "gcc -std=gnu11 $build $source $shared -ldl"
    fi
    [[ $modes != *archive* ]] ||
        program "c/$name with the archive" '' "clang -std=gnu11 $build $source $archive -ldl"
done
program c/exit++ '' "g++ -std=c++17 $build tests/c/exit.cpp $shared"

for name in arguments cancel results session; do
    program "cpp/$name" memcheck "g++ -std=c++17 $build tests/cpp/$name.cpp $shared"
    program "cpp/$name as c++20 with clang++ and the archive" '' "clang++ -std=c++2a $build tests/cpp/$name.cpp $archive"
done
# Another standard may choose another overload.
program 'cpp/arguments as c++23' '' "g++ -std=c++2b $build tests/cpp/arguments.cpp $shared"
for compiler in g++ clang++; do
    for standard in c++17 c++2a c++2b; do
        modes=''
        [ "$compiler $standard" != 'g++ c++2b' ] || modes=memcheck
        program "cpp/calls as $standard with $compiler" "$modes" "$compiler -std=$standard $build tests/cpp/calls.cpp $shared"
    done
done
program 'cpp/no_exceptions' memcheck "g++ -std=c++17 -fno-exceptions $build tests/cpp/no_exceptions.cpp $shared"
program 'cpp/session without exceptions' '' "g++ -std=c++17 -fno-exceptions $build tests/cpp/session.cpp $shared"
program 'cpp/no_exceptions as c++23' '' "g++ -std=c++2b -fno-exceptions $build tests/cpp/no_exceptions.cpp $shared"
program 'cpp/no_exceptions as c++20 with clang++ and the archive' '' \
    "clang++ -std=c++2a -fno-exceptions $build tests/cpp/no_exceptions.cpp $archive"

# One program of files in three standards, and of one without exceptions. It is not optimised, so that the linker has
# to choose one of the copies of each inline function; link-time optimisation compares the definitions.
mixed="g++ -O0 $strict $cflags -c -flto -ffat-lto-objects"
objects=''
for number in 17 20 23; do
    objects+=" $work/standard-$number.o"
    standard=${number/20/2a} standard=c++${standard/23/2b}
    step "build cpp/mixed as $standard" \
        "$mixed -std=$standard -DSTANDARD=standard_$number -o $work/standard-$number.o tests/cpp/mixed/standard.cpp"
done
objects+=" $work/no-exceptions.o"
step 'build cpp/mixed without exceptions' "$mixed -std=c++17 -fno-exceptions -o $work/no-exceptions.o tests/cpp/mixed/no_exceptions.cpp"
step 'build cpp/mixed, main' "$mixed -std=c++17 -o $work/mixed.o tests/cpp/mixed/main.cpp"
step 'build cpp/mixed, exchanged' "$mixed -std=c++17 -DEXCHANGED -o $work/exchanged.o tests/cpp/mixed/main.cpp"
run_steps 2
program 'cpp/mixed' memcheck "g++ -fno-lto $work/mixed.o $objects $shared"
step 'cpp/mixed: every type has one definition' "g++ -flto -Wodr -Werror -o $work/mixed-lto $work/mixed.o $objects $shared"
step 'cpp/mixed: the linker refuses types across exceptions' \
    "! errors=\$(g++ -fno-lto -o $work/mixed-exchanged $work/exchanged.o $objects $shared 2>&1) &&
     grep 'undefined reference to .takes_without_exceptions' <<< \"\$errors\""
run_steps 2

### The runs, which mostly wait

step 'examples/c/upload.c renews its token once' "$COUCHDROP_FAKE_SERVER run tests/c/upload/run.sh $work"
# valgrind reads function names from the unstripped library, if it has the same code.
symbols=''
if strip -o "$work/stripped" target/lib/release/libcouchdrop.so 2> /dev/null && cmp -s "$work/stripped" "$COUCHDROP_LIBRARY"; then
    mkdir "$work/symbols"
    ln -s "$PWD/target/lib/release/libcouchdrop.so" "$work/symbols/libcouchdrop.so.1"
    symbols="LD_LIBRARY_PATH=$work/symbols"
fi
for run in "${runs[@]}"; do
    IFS='|' read -r name modes command <<< "$run"
    step "$name" "$command"
    [[ $modes == *memcheck* ]] || continue
    for tool in ${VALGRIND:-memcheck}; do
        options="--quiet --tool=$tool --error-exitcode=99 --suppressions=$PWD/tests/c/valgrind.supp"
        [ "$tool" != memcheck ] || options+=' --leak-check=full --errors-for-leak-kinds=definite'
        step "$name, under $tool" "$symbols TORTURE_TIMES=0.02 CHECK_SLACK_MS=10000 valgrind $options $command"
    done
done
step c/invalid_arguments "'${PYTHON:-python3}' tests/c/invalid_arguments.py"
run_steps 4

[ -z "${TORTURE_OUTPUT:-}" ] || cp "$work"/passed/c-* "$TORTURE_OUTPUT/"
passed=$(find "$work/passed" -type f | wc -l) failed=$(find "$work/failed" -type f | wc -l)
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
