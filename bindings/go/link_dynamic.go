//go:build cgo && couchdrop_dynamic

package couchdrop

// #cgo pkg-config: couchdrop
import "C"
