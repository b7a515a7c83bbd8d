//go:build cgo

package couchdrop

/*
#include "couchdrop.h"
*/
import "C"

// withCancelHandle calls f with a cancel handle, which another goroutine triggers if the call must stop.
func (c *call) withCancelHandle(f func(cancel *C.cd_cancel) error) error {
	cancel := c.client.getCancelHandle()
	returned, triggered := make(chan struct{}), make(chan bool)
	go func() { triggered <- c.watch(cancel, returned) }()
	// Deferred, because a logger may end this goroutine, although it must not: the other goroutine must still end.
	defer func() {
		close(returned)
		// Wait, because a handle must not be triggered after it was freed or kept for another call.
		if <-triggered {
			C.cd_cancel_free(cancel)
		} else {
			c.client.putCancelHandle(cancel)
		}
	}()
	return f(cancel)
}

// watch triggers the handle if the call must stop before it has returned. It returns true if it triggered the handle.
func (c *call) watch(cancel *C.cd_cancel, returned <-chan struct{}) bool {
	select {
	case <-returned:
		return false
	case <-c.client.closed:
	case <-c.sessionClosed:
	case <-c.done:
		// The library itself stops at the deadline, and its error names the phase.
		if c.deadlinePassed() {
			return false
		}
	}
	C.cd_cancel_trigger(cancel)
	return true
}

// getCancelHandle returns a handle that is not triggered and that no other call uses.
func (c *Client) getCancelHandle() *C.cd_cancel {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if last := len(c.cancelHandles) - 1; last >= 0 {
		cancel := c.cancelHandles[last]
		c.cancelHandles = c.cancelHandles[:last]
		return cancel
	}
	return C.cd_cancel_new()
}

// putCancelHandle keeps a handle that was not triggered for a later call.
func (c *Client) putCancelHandle(cancel *C.cd_cancel) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.cancelHandles = append(c.cancelHandles, cancel)
}
