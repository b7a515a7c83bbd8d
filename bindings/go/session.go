//go:build cgo

package couchdrop

/*
#include <string.h>
#include "couchdrop.h"

typedef struct {
	cd_code code;
	size_t length; // the token's length; 0 = no current token
} couchdrop_go_peeked;

// Copies the token if the buffer is large enough. One call from Go costs less than one call for each function.
static couchdrop_go_peeked couchdrop_go_session_peek(cd_session *session, char *buffer, size_t size) {
	cd_token *token = NULL;
	couchdrop_go_peeked peeked = {0};
	peeked.code = cd_session_peek(session, &token, NULL);
	peeked.length = cd_token_len(token);
	if (peeked.length != 0 && peeked.length <= size)
		memcpy(buffer, cd_token_str(token), peeked.length);
	cd_token_free(token);
	return peeked;
}
*/
import "C"

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"
)

// Session keeps one account logged in: it holds the current token, and logs in again when a new one is needed.
// [Client.Session] creates it. It is a [TokenSource], for instance for [NewTransport]. Any number of goroutines may use
// it.
//
//   - One login at a time. The other calls wait for its result, each within its own context, and receive it too. An
//     error that another call shares has 0 [Error.Attempts]. If the call that logs in is cancelled or reaches its own
//     deadline, one of the others logs in.
//   - After a refused login (401 or 403: [ErrTwoFactorRequired], [ErrAccessDenied]) calls fail with the same error for
//     60 s, and nothing is sent. Otherwise many goroutines with a wrong password would lock the account.
//   - After the service's 429 or 503 with Retry-After, no login is sent before that time, at most an hour. A call whose
//     deadline allows it waits. Another fails at once, with the remaining time in [Error.RetryAfter].
//
// A logger of the client must not call the session whose login it reports, because that call would wait for itself.
//
// Close it when it is not needed any more, or close its client. A finalizer closes a session that was not closed.
type Session struct {
	client *Client
	core   *sessionCore
	// The length of the last token, so that the buffer for the next one has the right size.
	tokenLength atomic.Int64

	mutex sync.Mutex
	// The call in the library with the earliest deadline, which further calls wait for. Guarded by the mutex.
	inFlight *sharedCall
}

// sessionCore is the C object of a session. The client refers to it and not to the Session, which otherwise would not
// become unreachable while the client is in use.
type sessionCore struct {
	raw    *C.cd_session
	closed chan struct{}
	close  sync.Once

	// Held for reading by calls that do not wait, and while another call is added. Guards isClosed.
	mutex    sync.RWMutex
	isClosed bool
	// The calls that may wait.
	calls sync.WaitGroup
}

// Session returns a session for one account. It sends nothing. The session keeps its own copy of the credentials, which it
// wipes when it is closed. The caller may wipe the password at once.
//
// Invalid credentials or options fail with an [*Error] with a code of 2xxx. A proxy or trust variable of the environment
// that can't be used fails with [ErrProxy] or [ErrTLS].
func (c *Client) Session(credentials Credentials, options ...SessionOption) (*Session, error) {
	if c.slots == nil {
		return nil, invalid(CodeNullArgument, "The client was not created by NewClient")
	}
	settings := sessionSettings{minAge: defaultMinAge}
	for _, option := range options {
		if err := option(&settings); err != nil {
			return nil, err
		}
	}
	c.freeing.RLock()
	defer c.freeing.RUnlock()
	select {
	case <-c.closed:
		return nil, newCancelError(ErrClosed, "The client is closed")
	default:
	}
	if err := c.environment.apply(c.options); err != nil {
		return nil, err
	}
	var raw *C.cd_session
	err := credentials.withCStrings(func(username, password, system *C.char) error {
		return callC(func(cErr **C.cd_error) C.cd_code {
			return C.cd_session_new(c.options, username, password, system, &raw, cErr)
		})
	})
	if err != nil {
		return nil, err
	}
	if err := settings.apply(raw); err != nil {
		C.cd_session_free(raw)
		return nil, err
	}
	core := &sessionCore{raw: raw, closed: make(chan struct{})}
	c.addSession(core)
	session := &Session{client: c, core: core}
	runtime.SetFinalizer(session, (*Session).Close)
	return session, nil
}

// Token returns the current token, which belongs to the caller, or an [*Error]. It logs in if there is no token yet, or
// if the token is older than the maximum age ([WithMaxAge]). The errors are those of [Client.Authenticate].
//
// With a current token it sends nothing and does not wait. Otherwise it blocks until a login succeeds or fails, or ctx
// is done. Without a deadline of ctx it takes at most the timeout of [WithTimeout]. A nil ctx fails with
// [ErrNullArgument]. A ctx that is done fails even if there is a current token.
func (s *Session) Token(ctx context.Context) (*Token, error) { return s.token(ctx, nil) }

// Renew is the same as Token after a request in which the service refused the token rejected, with a status such as 401
// or 403. It returns the current token if that is another one already. Otherwise it logs in.
//
// It does not log in if rejected is the current token and younger than the minimum age ([WithMinAge]). Then the refusal
// is about a permission, and a new token would be refused too. It returns a copy of the same token: pass the refusal on
// to your caller. [Token.Equal] compares two tokens. A rejected that is nil or wiped means that nothing was refused.
func (s *Session) Renew(ctx context.Context, rejected *Token) (*Token, error) {
	return s.token(ctx, rejected)
}

// Close stops the calls in progress, waits until they return, and wipes the credentials and the token. These calls and
// later ones return an error that is [ErrClosed] and [ErrCancelled]. Tokens that the session returned stay valid
// objects. Close returns nil. Closing again does nothing. Any goroutine may call it, but a logger of the client must
// not. [Client.Close] closes all sessions of the client.
func (s *Session) Close() error {
	if s.core == nil {
		return nil // Client.Session did not create it: there is nothing to close.
	}
	runtime.SetFinalizer(s, nil)
	s.core.free()
	s.client.removeSession(s.core)
	return nil
}

func (s *Session) token(ctx context.Context, rejected *Token) (*Token, error) {
	if s.core == nil {
		return nil, invalid(CodeNullArgument, "The session was not created by Client.Session")
	}
	// Otherwise the finalizer could close the session during its last call.
	defer runtime.KeepAlive(s)
	if err := checkContext(ctx); err != nil {
		return nil, err
	}
	if rejected.isEmpty() {
		rejected = nil
	}
	if token, err := s.peek(rejected); token != nil || err != nil {
		return token, err
	}
	call := s.client.newCall(ctx, s.client.timeout)
	call.sessionClosed = s.core.closed
	for {
		shared, isOwn := s.join(call)
		if isOwn {
			return s.call(call, shared, rejected)
		}
		if err := shared.wait(call); err != nil {
			return nil, err
		}
		if shared.keptToken {
			rejected = nil
		}
		if token, err := s.peek(rejected); token != nil || err != nil {
			return token, err
		}
	}
}

// peek returns the current token. It returns nil if the library must decide: there is none, or it was rejected.
func (s *Session) peek(rejected *Token) (*Token, error) {
	s.core.mutex.RLock()
	defer s.core.mutex.RUnlock()
	for !s.core.isClosed {
		size := s.tokenLength.Load()
		buffer := make([]byte, size+1) // one more, so that there is a first byte
		peeked := C.couchdrop_go_session_peek(s.core.raw, (*C.char)(unsafe.Pointer(&buffer[0])), C.size_t(size))
		length := int64(peeked.length)
		switch {
		case peeked.code != C.CD_OK:
			return nil, &Error{Code: Code(peeked.code)}
		case length == 0:
			return nil, nil
		case length != size:
			s.tokenLength.Store(length)
		}
		if length <= size {
			token := newToken(buffer[:length])
			if rejected != nil && token.Equal(rejected) {
				token.Wipe()
				return nil, nil
			}
			return token, nil
		}
	}
	return nil, newCancelError(ErrClosed, "The session is closed")
}

// call calls the library, which logs in or waits, and gives the result to the calls that wait for it.
func (s *Session) call(c *call, shared *sharedCall, rejected *Token) (token *Token, err error) {
	// Deferred, because the client's logger may panic.
	defer s.complete(shared)
	if !s.core.startCall() {
		return nil, newCancelError(ErrClosed, "The session is closed")
	}
	defer s.core.calls.Done()
	if err := c.acquireSlot(); err != nil {
		return nil, err
	}
	defer c.finish()

	var cRejected cString
	if rejected != nil {
		rejected.read(func(text []byte) { cRejected, err = newCString("The rejected token", text) })
		if err != nil {
			return nil, err
		}
		defer cRejected.free()
	}
	var cToken *C.cd_token
	err = c.run(func(cancel *C.cd_cancel, timeoutMS C.uint32_t, cErr **C.cd_error) C.cd_code {
		return c.log.sessionToken(s.core.raw, cancel, timeoutMS, cRejected.text, &cToken, cErr)
	})
	if err != nil {
		shared.setError(c, err)
		return nil, err
	}
	token = takeToken(cToken)
	shared.keptToken = rejected != nil && token.Equal(rejected)
	return token, nil
}

// startCall adds a call that may wait, which the caller removes with calls.Done. It returns false if the session is
// closed.
func (c *sessionCore) startCall() bool {
	c.mutex.RLock()
	defer c.mutex.RUnlock()
	if c.isClosed {
		return false
	}
	c.calls.Add(1)
	return true
}

// free stops the calls, waits for them, and frees the C object.
func (c *sessionCore) free() {
	c.close.Do(func() {
		c.mutex.Lock()
		c.isClosed = true
		c.mutex.Unlock()
		close(c.closed)
		c.calls.Wait()
		C.cd_session_free(c.raw)
	})
}
