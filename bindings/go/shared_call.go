//go:build cgo

package couchdrop

import "time"

// sharedCall is a call of a session in the library that other goroutines wait for. Otherwise each of them would hold an
// operating system thread in the library.
//
// It has the earliest deadline of them. A deadline decides if the library waits for a Retry-After or fails at once. A
// call with an earlier deadline therefore calls the library itself.
type sharedCall struct {
	started, deadline time.Time
	// Closed when the call has returned.
	done chan struct{}

	// Set before done is closed. The error; nil also if it concerns this call only.
	err *Error
	// The deadline of this call may have prevented a retry.
	limited bool
	// The rejected token is young, and the library returned it again.
	keptToken bool
}

const (
	// deadlineSlack is the difference of two deadlines that does not matter. Calls that start together have slightly
	// different deadlines.
	deadlineSlack = 50 * time.Millisecond
	// minAttemptTime is the time before the deadline in which the library does not retry. For a call of less than four
	// times this it is a quarter of that call's time.
	minAttemptTime = time.Second
)

// join returns the call to wait for, or a new one, which the caller must make and complete.
func (s *Session) join(c *call) (shared *sharedCall, isOwn bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.inFlight != nil && c.deadline.Add(deadlineSlack).After(s.inFlight.deadline) {
		return s.inFlight, false
	}
	s.inFlight = &sharedCall{started: time.Now(), deadline: c.deadline, done: make(chan struct{})}
	return s.inFlight, true
}

// complete gives the result to the waiting calls.
func (s *Session) complete(shared *sharedCall) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.inFlight == shared {
		s.inFlight = nil
	}
	close(shared.done)
}

// setError sets the error for the waiting calls, unless the call ended because of its own limits or arguments.
func (s *sharedCall) setError(c *call, err error) {
	failure, ok := err.(*Error)
	if !ok || failure.cause != nil || failure.Code == CodeCancelled || failure.Code == CodeTimeout && c.deadlinePassed() ||
		failure.Code/1000 == CodeNullArgument/1000 {
		return
	}
	reserve := s.deadline.Sub(s.started) / 4
	if reserve > minAttemptTime {
		reserve = minAttemptTime
	}
	s.limited = failure.Retryable() && time.Until(s.deadline)-reserve < failure.RetryAfter
	copied := *failure
	copied.Attempts = 0
	s.err = &copied
}

// wait waits for the result within the limits of the waiting call. It returns nil if that call must decide again: there
// may be a token, or another call must log in.
func (s *sharedCall) wait(c *call) error {
	const message = "The call ended while it waited for the login of another call of this session"
	timer := time.NewTimer(time.Until(c.deadline))
	defer timer.Stop()
	select {
	case <-s.done:
	case <-c.sessionClosed:
		return newCancelError(ErrClosed, "The session is closed")
	case <-c.client.closed:
		return newCancelError(ErrClosed, "The client is closed")
	case <-c.done:
		return newContextError(c.ctx, message)
	case <-timer.C:
		return c.newTimeoutError(message)
	}
	// With a much later deadline the library may retry longer.
	if s.err == nil || s.limited && c.deadline.After(s.deadline.Add(minAttemptTime)) {
		return nil
	}
	// A copy, because callers may change the fields of an error.
	copied := *s.err
	return &copied
}
