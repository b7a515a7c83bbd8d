//go:build cgo

package couchdrop

/*
#include "couchdrop.h"
*/
import "C"

import (
	"context"
	"fmt"
	"time"
)

// maxTimeout is the maximum timeout of the library.
const maxTimeout = time.Hour

// turn is the slot of one call, from begin to end.
type turn struct {
	client *Client
	ctx    context.Context
	// The context's Done. A context is the caller's code and may panic: call it only on the goroutine of the call, and
	// never between taking a slot and releasing it.
	done <-chan struct{}
	log  *callLog
	// The deadline of the call. ctxDeadline is true if it is the deadline of the context.
	deadline    time.Time
	ctxDeadline bool
}

// begin waits for a slot, for at most the timeout if the context has no deadline.
func (c *Client) begin(ctx context.Context, timeout time.Duration) (*turn, error) {
	if c.turns == nil {
		return nil, invalid(CodeNullArgument, "The client was not made by NewClient")
	}
	if ctx == nil {
		return nil, invalid(CodeNullArgument, "The context is nil")
	}
	if ctx.Err() != nil {
		return nil, endedBy(ctx, "The context had ended before the call began")
	}
	t := &turn{client: c, ctx: ctx, done: ctx.Done()}
	if t.deadline, t.ctxDeadline = ctx.Deadline(); !t.ctxDeadline {
		t.deadline = time.Now().Add(timeout)
	}
	if err := t.wait(); err != nil {
		return nil, err
	}
	// If a slot and an end are ready at the same time, the end takes precedence.
	select {
	case <-c.closed:
		<-c.turns
		return nil, ended(ErrClosed, "The client is closed")
	case <-t.done:
		<-c.turns
		return nil, endedBy(ctx, t.waited())
	default:
		return t, nil
	}
}

func (t *turn) wait() error {
	select {
	case t.client.turns <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(time.Until(t.deadline))
	defer timer.Stop()
	select {
	case t.client.turns <- struct{}{}:
		return nil
	case <-t.client.closed:
		return ended(ErrClosed, "The client is closed")
	case <-t.done:
		return endedBy(t.ctx, t.waited())
	case <-timer.C:
		err := &Error{Code: CodeTimeout, message: t.waited()}
		if t.ctxDeadline {
			err.cause = t.lateCause()
		}
		return err
	}
}

func (t *turn) waited() string {
	return fmt.Sprintf("The call ended before its turn came: %d others of its client were under way", cap(t.client.turns))
}

// end releases the slot.
func (t *turn) end() {
	<-t.client.turns
	t.log.panicAgain()
}

// run calls the library with the remaining time, and stops it when the context is done or the client is closed.
func (t *turn) run(call func(cancel *C.cd_cancel, timeoutMS C.uint32_t, failure **C.cd_error) C.cd_code) error {
	if err := t.client.environment.pass(t.client.options); err != nil {
		return err
	}
	t.log = newCallLog(t.client.log)
	defer t.log.delete()
	err := t.watched(func(cancel *C.cd_cancel) error {
		return run(func(failure **C.cd_error) C.cd_code { return call(cancel, t.timeoutMS(), failure) })
	})
	if failure, ok := err.(*Error); ok {
		t.explain(failure)
	}
	return err
}

// watched calls the library with a cancel handle. Another goroutine triggers it when the call must stop.
func (t *turn) watched(call func(cancel *C.cd_cancel) error) error {
	cancel := t.client.takeCancel()
	returned, triggered := make(chan struct{}), make(chan bool)
	go func() { triggered <- t.watch(cancel, returned) }()
	// Deferred because a logger may end this goroutine, which it must not do: the other goroutine must still end.
	defer func() {
		close(returned)
		// Wait, because a handle must not be triggered after it was freed or kept for another call.
		if <-triggered {
			C.cd_cancel_free(cancel)
		} else {
			t.client.keepCancel(cancel)
		}
	}()
	return call(cancel)
}

// watch triggers the handle if the call must stop before it has returned. It returns true if it triggered the handle.
func (t *turn) watch(cancel *C.cd_cancel, returned <-chan struct{}) bool {
	select {
	case <-returned:
		return false
	case <-t.client.closed:
	case <-t.done:
		// The library itself stops at the deadline, and its error says in which phase.
		if t.isLate() {
			return false
		}
	}
	C.cd_cancel_trigger(cancel)
	return true
}

// explain sets the cause of the failure, so that errors.Is works for the context and ErrClosed.
func (t *turn) explain(failure *Error) {
	switch {
	case failure.Code == CodeTimeout && t.ctxDeadline && t.isLate():
		failure.cause = t.lateCause()
	case failure.Code != CodeCancelled:
	case t.ctx.Err() == nil:
		failure.cause = ErrClosed
	default:
		// A context may end by a deadline that its Deadline method did not return: the code is then that of a timeout.
		ended := endedBy(t.ctx, failure.message)
		failure.Code, failure.cause, failure.retryable = ended.Code, ended.cause, nil
	}
}

// lateCause returns the cause of a context whose deadline has passed. It waits briefly, because the context's timer may
// be late, and the context has its cause only after that.
func (t *turn) lateCause() error {
	const moment = 100 * time.Millisecond
	timer := time.NewTimer(moment)
	defer timer.Stop()
	select {
	case <-t.ctx.Done():
	case <-timer.C:
	}
	return withCause(t.ctx, context.DeadlineExceeded)
}

func (t *turn) isLate() bool { return !time.Now().Before(t.deadline) }

// timeoutMS returns the remaining time, from 1 ms to the maximum of the library. It is rounded up, so that the deadline
// has passed when the library times out.
func (t *turn) timeoutMS() C.uint32_t {
	left := time.Until(t.deadline)
	switch {
	case left <= 0:
		left = time.Millisecond
	case left > maxTimeout:
		left = maxTimeout
	}
	ms, _ := milliseconds(left)
	return ms
}

// takeCancel returns a cancel handle that is not triggered and that no other call uses.
func (c *Client) takeCancel() *C.cd_cancel {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if last := len(c.cancels) - 1; last >= 0 {
		cancel := c.cancels[last]
		c.cancels = c.cancels[:last]
		return cancel
	}
	return C.cd_cancel_new()
}

// keepCancel keeps an untriggered handle for a later call.
func (c *Client) keepCancel(cancel *C.cd_cancel) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.cancels = append(c.cancels, cancel)
}
