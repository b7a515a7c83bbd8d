//go:build cgo && !go1.20

package couchdrop

import "context"

// withCause returns err: before Go 1.20 a context has no cause.
func withCause(_ context.Context, err error) error { return err }
