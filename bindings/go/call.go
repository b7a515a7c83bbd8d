//go:build cgo

package couchdrop

/*
#include "couchdrop.h"
*/
import "C"

import (
	"context"
	"time"
)

// maxTimeout is the maximum timeout of the library.
const maxTimeout = time.Hour

// call is one call of a client. It holds one of the client's slots from acquireSlot to finish.
type call struct {
	client *Client
	ctx    context.Context
	// The context's Done channel. A context is the caller's code and may panic. Call its methods only on the call's own
	// goroutine, and never between acquiring a slot and deferring its release.
	done <-chan struct{}
	log  *callLog
	// The deadline of the call. ctxHasDeadline is true if it is the deadline of the context.
	deadline       time.Time
	ctxHasDeadline bool
	// Closed with the session of the call; nil for other calls.
	sessionClosed <-chan struct{}
}

// startCall acquires a slot for a call, whose deadline is after the timeout if the context has none.
func (c *Client) startCall(ctx context.Context, timeout time.Duration) (*call, error) {
	if c.slots == nil {
		return nil, invalid(CodeNullArgument, "The client was not created by NewClient")
	}
	if err := checkContext(ctx); err != nil {
		return nil, err
	}
	started := c.newCall(ctx, timeout)
	if err := started.acquireSlot(); err != nil {
		return nil, err
	}
	return started, nil
}

// checkContext returns an error if no call can start with the context.
func checkContext(ctx context.Context) error {
	if ctx == nil {
		return invalid(CodeNullArgument, "The context is nil")
	}
	if ctx.Err() != nil {
		return newContextError(ctx, "The context was done before the call started")
	}
	return nil
}

// newCall returns a call that has no slot yet.
func (c *Client) newCall(ctx context.Context, timeout time.Duration) *call {
	created := &call{client: c, ctx: ctx, done: ctx.Done()}
	if created.deadline, created.ctxHasDeadline = ctx.Deadline(); !created.ctxHasDeadline {
		created.deadline = time.Now().Add(timeout)
	}
	return created
}

// finish releases the slot, and panics if the client's logger panicked.
func (c *call) finish() {
	c.releaseSlot()
	c.log.repanic()
}

// run calls the library with the remaining time, and stops it if the context is done or the client or session is closed.
func (c *call) run(f func(cancel *C.cd_cancel, timeoutMS C.uint32_t, cErr **C.cd_error) C.cd_code) error {
	if err := c.client.environment.apply(c.client.options); err != nil {
		return err
	}
	c.log = newCallLog(c.client.log)
	defer c.log.delete()
	err := c.withCancelHandle(func(cancel *C.cd_cancel) error {
		return callC(func(cErr **C.cd_error) C.cd_code { return f(cancel, c.timeoutMS(), cErr) })
	})
	if failure, ok := err.(*Error); ok {
		c.setCause(failure)
	}
	return err
}

// setCause sets the cause of a failure, so that errors.Is works for the context's errors and ErrClosed.
func (c *call) setCause(failure *Error) {
	switch {
	case failure.Code == CodeTimeout && c.ctxHasDeadline && c.deadlinePassed():
		failure.cause = c.deadlineCause()
	case failure.Code != CodeCancelled:
	case c.ctx.Err() == nil:
		failure.cause = ErrClosed
	default:
		// A context may exceed a deadline that its Deadline method did not return: the code is then that of a timeout.
		err := newContextError(c.ctx, failure.message)
		failure.Code, failure.cause, failure.retryable = err.Code, err.cause, nil
	}
}

// deadlineCause returns the cause of a context whose deadline has passed. The context has its cause only after its timer
// has fired, which may be late, so it waits briefly.
func (c *call) deadlineCause() error {
	const timerDelay = 100 * time.Millisecond
	timer := time.NewTimer(timerDelay)
	defer timer.Stop()
	select {
	case <-c.ctx.Done():
	case <-timer.C:
	}
	return withCause(c.ctx, context.DeadlineExceeded)
}

// newTimeoutError returns the error of a call whose deadline passed before it called the library.
func (c *call) newTimeoutError(message string) error {
	err := &Error{Code: CodeTimeout, message: message}
	if c.ctxHasDeadline {
		err.cause = c.deadlineCause()
	}
	return err
}

func (c *call) deadlinePassed() bool { return !time.Now().Before(c.deadline) }

// timeoutMS returns the remaining time, from 1 ms to the maximum of the library. It is rounded up, so that the deadline
// has passed when the library times out.
func (c *call) timeoutMS() C.uint32_t {
	left := time.Until(c.deadline)
	switch {
	case left <= 0:
		left = time.Millisecond
	case left > maxTimeout:
		left = maxTimeout
	}
	ms, _ := milliseconds(left)
	return ms
}
