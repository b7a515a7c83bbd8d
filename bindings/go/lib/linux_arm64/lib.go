// Package lib holds the static library for Linux on arm64 with glibc: libcouchdrop.a, which `make lib` puts here. This
// file is needed because `go mod vendor` drops folders without Go code.
package lib
