//go:build cgo && go1.20

package couchdrop

import (
	"context"
	"errors"
)

// withCause returns err combined with the cause of the context, if the context has a cause other than err.
func withCause(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	if cause == nil || errors.Is(err, cause) || !errors.Is(ctx.Err(), err) {
		return err
	}
	return &contextError{err, cause}
}

// Unwrap returns both errors.
func (e *contextError) Unwrap() []error { return []error{e.err, e.cause} }
