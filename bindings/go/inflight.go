//go:build cgo

package couchdrop

import (
	"context"
	"errors"
	"time"
)

// minLoginInterval is the age from which a refused token may have expired. If a younger token is refused, a permission
// is missing, and a new token would be refused too. It is also the pause after refused credentials, so that the service
// does not lock the account.
const minLoginInterval = time.Minute

// loginCall is an in-flight login, shared by all requests that wait for it.
type loginCall struct {
	done   chan struct{}
	cancel context.CancelFunc
	// The number of requests that wait. Guarded by the transport's mutex.
	waiters int
	// Set before done is closed.
	token *Token
	err   error
	// The panic of the client's logger.
	panicked *panicValue
}

// currentToken returns the token, and logs in first if there is none.
func (t *Transport) currentToken(ctx context.Context) (*Token, error) {
	// A context is the caller's code and may panic. Call its methods only while the request is not counted as waiting.
	done := ctx.Done()
	t.mutex.Lock()
	if token := t.token; token != nil {
		t.mutex.Unlock()
		return token, nil
	}
	if t.loginErr != nil && t.now().Before(t.nextLoginAt) {
		defer t.mutex.Unlock()
		return nil, t.loginErr
	}
	if t.inFlight == nil {
		t.inFlight = t.startLogin()
	}
	login := t.inFlight
	login.waiters++
	t.mutex.Unlock()

	select {
	case <-login.done:
		if login.panicked != nil {
			panic(login.panicked.value)
		}
		return login.token, login.err
	case <-done:
		t.stopWaiting(login)
		return nil, newContextError(ctx, "The request's context was done before the login completed")
	}
}

// startLogin starts a login whose context is independent of the waiting requests. The caller holds the mutex.
func (t *Transport) startLogin() *loginCall {
	ctx, cancel := context.WithCancel(context.Background())
	login := &loginCall{done: make(chan struct{}), cancel: cancel}
	go func() {
		defer cancel()
		// The error if the logger ends this goroutine, which it must not do.
		login.err = &Error{Code: CodeInternal, message: "The logger ended the goroutine of the login"}
		defer func() {
			t.complete(login)
			close(login.done)
		}()
		// The logger runs on this goroutine, and its panic would end the process. Instead the waiting requests panic,
		// as they do in singleflight.
		login.panicked = catchPanic(func() {
			login.token, login.err = t.client.Authenticate(ctx, t.credentials)
		})
	}()
	return login
}

// complete stores the result of a login.
func (t *Transport) complete(login *loginCall) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.inFlight != login {
		return // No request waits for it, and another login may be in progress.
	}
	t.inFlight = nil
	if login.panicked != nil {
		return
	}
	if login.err == nil {
		t.token, t.tokenAt = login.token, t.now()
	}
	t.loginErr, t.nextLoginAt = login.err, t.now().Add(pauseAfter(login.err))
}

// pauseAfter returns the minimum time between a login that failed with this error and the next one.
func pauseAfter(err error) time.Duration {
	var failure *Error
	switch {
	case !errors.As(err, &failure):
		return 0
	case failure.Code == CodeAccessDenied, failure.Code == CodeTwoFactorRequired, failure.RetryAfter > minLoginInterval:
		return minLoginInterval
	default:
		return failure.RetryAfter
	}
}

// stopWaiting removes one request from a login, and cancels the login if no other request waits for it.
func (t *Transport) stopWaiting(login *loginCall) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	login.waiters--
	if login.waiters == 0 && t.inFlight == login {
		t.inFlight = nil
		login.cancel()
	}
}

// invalidate discards a refused token, unless it is too young to have expired. It returns true if the request may be
// sent with another token: after a login, or because a login has finished since the request was sent.
func (t *Transport) invalidate(refused *Token) bool {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.token != refused {
		return true
	}
	if t.now().Sub(t.tokenAt) < minLoginInterval {
		return false
	}
	t.token = nil
	return true
}
