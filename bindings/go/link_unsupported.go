//go:build cgo && !couchdrop_dynamic && !(linux && (amd64 || arm64))

package couchdrop

// #error "couchdrop: there is no static library for this platform in this module. Install libcouchdrop (`make install`) and build with -tags couchdrop_dynamic"
import "C"
