//go:build !cgo

// Package couchdrop contains a C library and so needs cgo: install a C compiler and build with CGO_ENABLED=1. When
// cross-compiling, set CC to a compiler for the target too.
package couchdrop

// The compiler prints this name: it is the message.
var _ = couchdrop_needs_cgo__install_a_C_compiler_and_build_with_CGO_ENABLED_1
