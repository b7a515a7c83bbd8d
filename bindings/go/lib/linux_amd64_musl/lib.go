// Package lib holds the static library for Linux on amd64 with musl: libcouchdrop.a. This file is needed
// because `go mod vendor` drops folders without Go code.
package lib
