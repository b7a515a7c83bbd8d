//go:build cgo

package couchdrop

import (
	"fmt"
	"time"
)

// acquireSlot waits for one of the client's slots, until the deadline of the call at most. The caller releases it.
func (c *call) acquireSlot() error {
	if err := c.waitForSlot(); err != nil {
		return err
	}
	// A select chooses at random if more than one case is ready, but a call that must stop takes precedence.
	select {
	case <-c.client.closed:
		c.releaseSlot()
		return newCancelError(ErrClosed, "The client is closed")
	case <-c.sessionClosed:
		c.releaseSlot()
		return newCancelError(ErrClosed, "The session is closed")
	case <-c.done:
		c.releaseSlot()
		return newContextError(c.ctx, c.noSlot())
	default:
		return nil
	}
}

func (c *call) waitForSlot() error {
	select {
	case c.client.slots <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(time.Until(c.deadline))
	defer timer.Stop()
	select {
	case c.client.slots <- struct{}{}:
		return nil
	case <-c.client.closed:
		return newCancelError(ErrClosed, "The client is closed")
	case <-c.sessionClosed:
		return newCancelError(ErrClosed, "The session is closed")
	case <-c.done:
		return newContextError(c.ctx, c.noSlot())
	case <-timer.C:
		return c.newTimeoutError(c.noSlot())
	}
}

func (c *call) releaseSlot() { <-c.client.slots }

// noSlot returns the message of a call that ended without a slot.
func (c *call) noSlot() string {
	return fmt.Sprintf("The client's limit of %d concurrent calls was reached, and the call ended before a slot was free",
		cap(c.client.slots))
}
