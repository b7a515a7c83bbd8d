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

// ErrClosed is why a call on a client that is closed, or that is being closed, was cancelled: for [errors.Is].
var ErrClosed = errors.New("couchdrop: the client is closed")

// Error says what went wrong in one call. It holds no password and no token, unless the cause of a context does
// ([Error.Unwrap]), a user name only where the server itself says it, and does not change: any number of goroutines may read it.
type Error struct {
	// Code says which failure it was; [errors.Is] compares it with [ErrAccessDenied] and the like.
	Code Code
	// HTTPStatus is the status of the last attempt's answer, 0 where it got none. With [CodeProxy] it is the proxy's.
	HTTPStatus int
	// ServerMessage is what the service said in the body of its refusal, "" where it said nothing: at most 1 KiB
	// without control characters. Foreign text: show it, but don't parse it.
	ServerMessage string
	// RetryAfter is how long the last answer asked to wait, in whole seconds. It counts where HasRetryAfter is true.
	RetryAfter time.Duration
	// HasRetryAfter tells an answer that asked for no wait at all from one that did not ask.
	HasRetryAfter bool
	// Attempts is how many requests were sent.
	Attempts int

	message string
	cause   error
	// The library's own answer; nil = what the code says.
	retryable *bool
}

// Error returns what went wrong in one or two English sentences, and after a colon the cause that the owner of the
// call's context gave. It does not quote the service: see ServerMessage.
func (e *Error) Error() string {
	message := e.message
	if message == "" {
		message = e.Code.Message()
	}
	if end, ok := e.cause.(*contextEnd); ok {
		message = strings.TrimSuffix(message, ".") + ": " + end.cause.Error()
	}
	return "couchdrop: " + message
}

// Is reports whether target stands for this error's code: [ErrAccessDenied] and the like.
func (e *Error) Is(target error) bool {
	code, ok := target.(codeError)
	return ok && Code(code) == e.Code
}

// Unwrap returns context.Canceled or context.DeadlineExceeded where the call's context ended it, [ErrClosed] where
// [Client.Close] did, and nil otherwise. Where the context has a cause of its own (context.WithCancelCause), the error
// that it returns wraps both, for [errors.Is] and [errors.As].
func (e *Error) Unwrap() error { return e.cause }

// Timeout reports whether time ran out; it makes an Error what package net calls a timeout.
func (e *Error) Timeout() bool { return e.Code == CodeTimeout }

// Retryable reports whether the same call may succeed later without any change. It differs from [Code.Retryable] for
// [CodeProxy]: true if the proxy could not reach the service at that moment, false if it refused by policy or for its
// credentials. The library has made its own retries already, so wait before you call again.
func (e *Error) Retryable() bool {
	if e.retryable != nil {
		return *e.retryable
	}
	return e.Code.Retryable()
}

// Temporary is Retryable, under the name that package net has for it.
func (e *Error) Temporary() bool { return e.Retryable() }

// invalid is an argument that this package refuses itself.
func invalid(code Code, message string) *Error { return &Error{Code: code, message: message} }

// ended is a call that ended before the library was asked, or while it waited for its turn.
func ended(cause error, message string) *Error {
	code := CodeCancelled
	if errors.Is(cause, context.DeadlineExceeded) {
		code = CodeTimeout
	}
	return &Error{Code: code, message: message, cause: cause}
}

// endedBy is a call that its context ended. The code follows from the context's Err alone: its owner may give any cause.
func endedBy(ctx context.Context, message string) *Error {
	failure := ended(ctx.Err(), message)
	failure.cause = withCause(ctx, failure.cause)
	return failure
}

// contextEnd is why a context ended: its Err, and the cause that its owner gave.
type contextEnd struct{ err, cause error }

// Error returns both.
func (e *contextEnd) Error() string { return e.err.Error() + ": " + e.cause.Error() }

// run calls a function of the library that can fail, and returns its failure as an [*Error].
func run(call func(failure **C.cd_error) C.cd_code) error {
	var failure *C.cd_error
	code := call(&failure)
	if code == C.CD_OK {
		return nil
	}
	defer C.cd_error_free(failure)
	retryable := C.cd_error_is_retryable(failure) != 0
	err := &Error{
		Code:          Code(code),
		HTTPStatus:    int(C.cd_error_http_status(failure)),
		ServerMessage: C.GoString(C.cd_error_server_message(failure)),
		Attempts:      int(C.cd_error_attempts(failure)),
		message:       C.GoString(C.cd_error_message(failure)),
		retryable:     &retryable,
	}
	if seconds := int64(C.cd_error_retry_after_seconds(failure)); seconds >= 0 {
		err.HasRetryAfter = true
		err.RetryAfter = math.MaxInt64
		if seconds <= math.MaxInt64/int64(time.Second) {
			err.RetryAfter = time.Duration(seconds) * time.Second
		}
	}
	return err
}
