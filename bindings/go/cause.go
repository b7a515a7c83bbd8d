//go:build cgo && go1.20

package couchdrop

import (
	"context"
	"errors"
)

// withCause returns err, and with it the cause that the context's owner gave, where err is what ended the context and
// the cause is another.
func withCause(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	if cause == nil || errors.Is(err, cause) || !errors.Is(ctx.Err(), err) {
		return err
	}
	return &contextEnd{err, cause}
}

// Unwrap returns both.
func (e *contextEnd) Unwrap() []error { return []error{e.err, e.cause} }
