//go:build cgo

package couchdrop

/*
#include "couchdrop.h"
*/
import "C"

import (
	"context"
	"errors"
	"math"
	"strings"
	"time"
)

// ErrClosed is the cause of a call that was cancelled because its client or session was closed, for [errors.Is].
var ErrClosed = errors.New("couchdrop: the client or session is closed")

// Error is the failure of one call. It contains neither a password nor a token, unless the cause of a context does
// ([Error.Unwrap]). It contains the user name only if the server's message does. It is immutable: any number of
// goroutines may read it.
type Error struct {
	// Code is the reason for the failure; [errors.Is] compares it with [ErrAccessDenied] and the others.
	Code Code
	// HTTPStatus is the status of the last response, 0 if there was none. For [CodeProxy] it is the proxy's.
	HTTPStatus int
	// ServerMessage is the message in the body of the service's refusal, or "": at most 1 KiB without control
	// characters. Display it, but do not parse it.
	ServerMessage string
	// RetryAfter is the delay that the last response requested, in whole seconds. Valid if HasRetryAfter is true.
	RetryAfter time.Duration
	// HasRetryAfter is true if the last response requested a delay, which may be 0.
	HasRetryAfter bool
	// Attempts is the number of requests that were sent.
	Attempts int

	message string
	cause   error
	// The result of cd_error_is_retryable(); nil = Code.Retryable.
	retryable *bool
}

// Error returns a message of one or two English sentences, followed by a colon and the cause of the call's context, if
// any. It does not quote the service: see ServerMessage.
func (e *Error) Error() string {
	message := e.message
	if message == "" {
		message = e.Code.Message()
	}
	if ctxErr, ok := e.cause.(*contextError); ok {
		message = strings.TrimSuffix(message, ".") + ": " + ctxErr.cause.Error()
	}
	return "couchdrop: " + message
}

// Is returns true if target is the value for this error's code: [ErrAccessDenied] or another.
func (e *Error) Is(target error) bool {
	code, ok := target.(codeError)
	return ok && Code(code) == e.Code
}

// Unwrap returns context.Canceled or context.DeadlineExceeded if the context ended the call, [ErrClosed] if
// [Client.Close] or [Session.Close] did, and nil otherwise. If the context has its own cause (context.WithCancelCause), the returned error
// wraps both, for [errors.Is] and [errors.As].
func (e *Error) Unwrap() error { return e.cause }

// Timeout returns true if the call timed out, as the interface net.Error defines it.
func (e *Error) Timeout() bool { return e.Code == CodeTimeout }

// Retryable returns true if the same call may succeed later without any change. It differs from [Code.Retryable] for
// [CodeProxy]: true if the proxy could not reach the service at that moment, false if it refused by policy or for the
// credentials. The library has already made its own retries, so wait before you call again.
func (e *Error) Retryable() bool {
	if e.retryable != nil {
		return *e.retryable
	}
	return e.Code.Retryable()
}

// Temporary is the same as Retryable, as the interface net.Error names it.
func (e *Error) Temporary() bool { return e.Retryable() }

// invalid returns the error of an argument that this package itself rejects.
func invalid(code Code, message string) *Error { return &Error{Code: code, message: message} }

// newCancelError returns the error of a call that ended for the cause, before it called the library.
func newCancelError(cause error, message string) *Error {
	code := CodeCancelled
	if errors.Is(cause, context.DeadlineExceeded) {
		code = CodeTimeout
	}
	return &Error{Code: code, message: message, cause: cause}
}

// newContextError returns the error of a call whose context is done. The code depends only on the context's Err, because
// the cause may be any error.
func newContextError(ctx context.Context, message string) *Error {
	failure := newCancelError(ctx.Err(), message)
	failure.cause = withCause(ctx, failure.cause)
	return failure
}

// contextError combines the Err and the cause of a context.
type contextError struct{ err, cause error }

// Error returns both messages.
func (e *contextError) Error() string { return e.err.Error() + ": " + e.cause.Error() }

// callC calls a function of the library and returns a failure as an [*Error].
func callC(f func(cErr **C.cd_error) C.cd_code) error {
	var cErr *C.cd_error
	code := f(&cErr)
	if code == C.CD_OK {
		return nil
	}
	defer C.cd_error_free(cErr)
	retryable := C.cd_error_is_retryable(cErr) != 0
	err := &Error{
		Code:          Code(code),
		HTTPStatus:    int(C.cd_error_http_status(cErr)),
		ServerMessage: C.GoString(C.cd_error_server_message(cErr)),
		Attempts:      int(C.cd_error_attempts(cErr)),
		message:       C.GoString(C.cd_error_message(cErr)),
		retryable:     &retryable,
	}
	if seconds := int64(C.cd_error_retry_after_seconds(cErr)); seconds >= 0 {
		err.HasRetryAfter = true
		err.RetryAfter = math.MaxInt64
		if seconds <= math.MaxInt64/int64(time.Second) {
			err.RetryAfter = time.Duration(seconds) * time.Second
		}
	}
	return err
}
