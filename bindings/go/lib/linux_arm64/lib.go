// Package lib holds the static library for Linux on arm64 with glibc: libcouchdrop.a, which `make lib` puts here. It
// has no Go code; a folder without any would be dropped by `go mod vendor`.
package lib
