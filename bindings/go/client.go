//go:build cgo

package couchdrop

/*
#include "couchdrop.h"
*/
import "C"

import (
	"context"
	"runtime"
	"sync"
)

// TokenHeader is the name of the request header that carries a token.
const TokenHeader = C.COUCHDROP_TOKEN_HEADER

// Client logs in, and keeps connections for the next login. [NewClient] creates it. Any number of goroutines may use
// it. Close it when it is not needed any more. A finalizer closes a client that was not closed.
type Client struct {
	settings
	// A semaphore: it contains one element for each call in progress.
	slots  chan struct{}
	closed chan struct{}
	close  sync.Once

	environment environment

	// Held for reading while a session is created, which uses the options.
	freeing sync.RWMutex

	mutex sync.Mutex
	// Handles that were not triggered, for reuse by the next calls. Each has a file descriptor.
	cancelHandles []*C.cd_cancel
	// The sessions that are not closed.
	sessions map[*sessionCore]struct{}
}

// NewClient returns a client with these options. A later option overrides an earlier one of the same kind. It does not
// connect. If an option is invalid, it returns an [*Error] with a code of 2xxx.
func NewClient(options ...Option) (*Client, error) {
	client := &Client{
		settings: settings{
			options:        C.cd_options_new(),
			timeout:        defaultTimeout,
			connectTimeout: defaultConnectTimeout,
			maxConcurrent:  defaultMaxConcurrent,
		},
		closed: make(chan struct{}),
	}
	// Set before the options are applied: an option may panic (a log/slog handler), and the client must still be freed.
	runtime.SetFinalizer(client, (*Client).free)
	for _, option := range options {
		if err := option(&client.settings); err != nil {
			runtime.SetFinalizer(client, nil)
			client.free()
			return nil, err
		}
	}
	client.slots = make(chan struct{}, client.maxConcurrent)
	return client, nil
}

// Authenticate logs in and returns the token, which the caller wipes, or an [*Error]. It blocks until the login
// succeeds or fails, or ctx is done. Without a deadline of ctx it takes at most the timeout of [WithTimeout]. It never
// takes more than an hour. A nil ctx fails with [ErrNullArgument]. Any number of goroutines may call it.
func (c *Client) Authenticate(ctx context.Context, credentials Credentials) (*Token, error) {
	call, err := c.startCall(ctx, c.timeout)
	if err != nil {
		return nil, err
	}
	defer call.finish()

	var token *C.cd_token
	err = credentials.withCStrings(func(username, password, system *C.char) error {
		return call.run(func(cancel *C.cd_cancel, timeoutMS C.uint32_t, cErr **C.cd_error) C.cd_code {
			return call.log.authenticate(c.options, cancel, timeoutMS, username, password, system, &token, cErr)
		})
	})
	if err != nil {
		return nil, err
	}
	return takeToken(token), nil
}

// Connect connects now, so that the next login needs one round trip, and sends no request. If it fails, its [*Error]
// says why this machine cannot reach the service: name, proxy, TLS. Without a deadline of ctx it takes at most the
// connect timeout ([WithConnectTimeout]). It does not retry. A nil ctx fails with [ErrNullArgument]. Any number of
// goroutines may call it.
func (c *Client) Connect(ctx context.Context) error {
	call, err := c.startCall(ctx, c.connectTimeout)
	if err != nil {
		return err
	}
	defer call.finish()
	return call.run(func(cancel *C.cd_cancel, timeoutMS C.uint32_t, cErr **C.cd_error) C.cd_code {
		return call.log.connect(c.options, cancel, timeoutMS, cErr)
	})
}

// Close stops the calls in progress, waits until they return, and closes the client's sessions and connections. These
// calls and later ones return an error that is [ErrClosed] and [ErrCancelled]. Close returns nil. Closing again does
// nothing. Any goroutine may call it, but a logger of the client must not.
func (c *Client) Close() error {
	if c.slots == nil {
		return nil // NewClient did not create it: there is nothing to close.
	}
	c.close.Do(func() {
		close(c.closed)
		// Acquiring all slots waits until no call is in progress.
		for i := 0; i < cap(c.slots); i++ {
			c.slots <- struct{}{}
		}
		runtime.SetFinalizer(c, nil)
		c.freeing.Lock()
		defer c.freeing.Unlock()
		for core := range c.openSessions() {
			core.free()
		}
		c.free()
	})
	return nil
}

func (c *Client) addSession(core *sessionCore) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.sessions == nil {
		c.sessions = make(map[*sessionCore]struct{})
	}
	c.sessions[core] = struct{}{}
}

func (c *Client) removeSession(core *sessionCore) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	delete(c.sessions, core)
}

// openSessions returns the sessions that are not closed, and forgets them.
func (c *Client) openSessions() map[*sessionCore]struct{} {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	sessions := c.sessions
	c.sessions = nil
	return sessions
}

// free releases the C objects. No call may be in progress or follow.
func (c *Client) free() {
	for _, cancel := range c.cancelHandles {
		C.cd_cancel_free(cancel)
	}
	C.cd_options_free(c.options)
}

// Version returns the version of the library in use, for instance "1.0.0".
func Version() string { return C.GoString(C.cd_version()) }
