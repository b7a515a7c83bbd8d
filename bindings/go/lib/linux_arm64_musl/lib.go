// Package lib holds the static library for Linux on arm64 with musl: libcouchdrop.a. It has no Go code; a folder
// without any would be dropped by `go mod vendor`.
package lib
