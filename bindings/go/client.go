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
	"unsafe"
)

// TokenHeader is the name of the request header that carries a token.
const TokenHeader = C.COUCHDROP_TOKEN_HEADER

// Credentials are the arguments of a login. Each string is UTF-8 of at most 64 KiB without a NUL. Any other string
// fails with [ErrInvalidUTF8] or [ErrOutOfRange], and nothing is sent. No call keeps them.
type Credentials struct {
	// Username must not be empty ([ErrEmptyArgument]).
	Username string
	// Password must not be empty or wiped ([ErrEmptyArgument]). [NewSecret] creates it. The caller wipes it.
	Password Secret
	// System is the name of the program or system that logs in; "" = none.
	System string
}

// mustBeThere returns the error of a login with an empty user name or password.
func (c Credentials) mustBeThere() error {
	if c.Username == "" {
		return invalid(CodeEmptyArgument, "The user name must not be empty")
	}
	var err error
	c.Password.read(func(text []byte) {
		if len(text) == 0 {
			err = invalid(CodeEmptyArgument, "The password must not be empty")
		}
	})
	return err
}

// Client logs in, and keeps connections for the next login. [NewClient] creates it. Any number of goroutines may use
// it. Close it when it is not needed any more. A finalizer closes a client that was not closed.
type Client struct {
	settings
	// One element for each call in progress.
	turns  chan struct{}
	closed chan struct{}
	close  sync.Once

	environment environment

	mutex sync.Mutex
	// Handles that were not triggered, for reuse by the next calls. Each holds a file descriptor.
	cancels []*C.cd_cancel
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
	client.turns = make(chan struct{}, client.maxConcurrent)
	return client, nil
}

// Authenticate logs in and returns the token, which the caller wipes, or an [*Error]. It blocks until the login
// succeeds or fails, or ctx is done. Without a deadline of ctx it takes at most the timeout of [WithTimeout]. It never
// takes more than an hour. A nil ctx fails with [ErrNullArgument]. Any number of goroutines may call it.
func (c *Client) Authenticate(ctx context.Context, credentials Credentials) (*Token, error) {
	turn, err := c.begin(ctx, c.timeout)
	if err != nil {
		return nil, err
	}
	defer turn.end()

	username, err := newCString("The user name", []byte(credentials.Username))
	if err != nil {
		return nil, err
	}
	defer username.free()
	var password cString
	credentials.Password.read(func(text []byte) { password, err = newCString("The password", text) })
	if err != nil {
		return nil, err
	}
	defer password.free()
	system, err := newCString("The system", []byte(credentials.System))
	if err != nil {
		return nil, err
	}
	defer system.free()

	var token *C.cd_token
	err = turn.run(func(cancel *C.cd_cancel, timeoutMS C.uint32_t, failure **C.cd_error) C.cd_code {
		return turn.log.authenticate(c.options, cancel, timeoutMS, username.text, password.text, system.text, &token, failure)
	})
	if err != nil {
		return nil, err
	}
	defer C.cd_token_free(token)
	return &Token{masked{hide(C.GoBytes(unsafe.Pointer(C.cd_token_str(token)), C.int(C.cd_token_len(token))))}}, nil
}

// Connect connects now, so that the next login needs one round trip, and sends no request. If it fails, its [*Error]
// says why this machine cannot reach the service: name, proxy, TLS. Without a deadline of ctx it takes at most the
// connect timeout ([WithConnectTimeout]). It does not retry. A nil ctx fails with [ErrNullArgument]. Any number of
// goroutines may call it.
func (c *Client) Connect(ctx context.Context) error {
	turn, err := c.begin(ctx, c.connectTimeout)
	if err != nil {
		return err
	}
	defer turn.end()
	return turn.run(func(cancel *C.cd_cancel, timeoutMS C.uint32_t, failure **C.cd_error) C.cd_code {
		return turn.log.connect(c.options, cancel, timeoutMS, failure)
	})
}

// Close stops the calls in progress, waits until they return, and closes the connections. These calls and later ones
// return an error that is [ErrClosed] and [ErrCancelled]. Close returns nil. Closing again does nothing. Any goroutine
// may call it, but a logger of the client must not.
func (c *Client) Close() error {
	if c.turns == nil {
		return nil // NewClient did not create it: there is nothing to close.
	}
	c.close.Do(func() {
		close(c.closed)
		// Taking all slots waits until no call is in progress.
		for i := 0; i < cap(c.turns); i++ {
			c.turns <- struct{}{}
		}
		runtime.SetFinalizer(c, nil)
		c.free()
	})
	return nil
}

// free releases the C objects. No call may be in progress or follow.
func (c *Client) free() {
	for _, cancel := range c.cancels {
		C.cd_cancel_free(cancel)
	}
	C.cd_options_free(c.options)
}

var (
	shared     *Client
	makeShared sync.Once
)

// sharedClient returns the client with the defaults. It is never closed.
func sharedClient() *Client {
	makeShared.Do(func() {
		client, err := NewClient()
		if err != nil {
			panic(err) // The defaults are valid.
		}
		shared = client
	})
	return shared
}

// Authenticate logs in as [Client.Authenticate] does. Without options all calls share one client with the defaults, its
// connections and its limit of 64 calls at once. With options each call creates its own client and closes it. A program
// that logs in more than once should use [NewClient] instead.
func Authenticate(ctx context.Context, credentials Credentials, options ...Option) (*Token, error) {
	if len(options) == 0 {
		return sharedClient().Authenticate(ctx, credentials)
	}
	client, err := NewClient(options...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return client.Authenticate(ctx, credentials)
}

// Version returns the version of the library in use, for instance "1.0.0".
func Version() string { return C.GoString(C.cd_version()) }
