//go:build cgo && go1.21

package couchdrop

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// shutdown is the cause of a context.
type shutdown struct{ who string }

func (s *shutdown) Error() string { return s.who + " is shutting down" }

// checkCause checks that an error wraps both the Err and the cause of its context, and ends with the cause's text.
func checkCause(t *testing.T, err, ctxErr error, code Code, cause *shutdown) {
	t.Helper()
	var failure *Error
	if !errors.As(err, &failure) || failure.Code != code || !errors.Is(err, ctxErr) || !errors.Is(err, cause) {
		t.Errorf("%#v", err)
		return
	}
	var found *shutdown
	if !errors.As(err, &found) || found != cause {
		t.Error("errors.As does not find the cause")
	}
	if text := failure.Error(); !strings.HasSuffix(text, ": "+cause.Error()) || strings.Contains(text, ".:") {
		t.Error(text)
	}
}

func TestCancelCauseIsKept(t *testing.T) {
	cause := &shutdown{"ada"}
	url, requests := silentServer(t)
	client := newClient(t, WithBaseURL(url), WithMaxConcurrent(1))
	ctx, cancel := context.WithCancelCause(context.Background())
	running := logIn(ctx, client, "ada")
	waitForRequest(t, requests)
	waiting := make(chan error, 1)
	go func() { waiting <- client.Connect(ctx) }()
	cancel(cause)
	err := waitForResult(t, running)
	checkCause(t, err, context.Canceled, CodeCancelled, cause)
	t.Log(err)
	checkCause(t, waitForResult(t, waiting), context.Canceled, CodeCancelled, cause)
	checkCause(t, client.Connect(ctx), context.Canceled, CodeCancelled, cause)
}

func TestDeadlineCauseIsKept(t *testing.T) {
	cause := &shutdown{"grace"}
	url, requests := silentServer(t)
	client := newClient(t, WithBaseURL(url), WithMaxConcurrent(1))
	// Each iteration is a race between the timers of the library, the slot and the context.
	for i := 0; i < 20; i++ {
		ctx, cancel := context.WithTimeoutCause(context.Background(), 20*time.Millisecond, cause)
		checkCause(t, waitForResult(t, logIn(ctx, client, "ada")), context.DeadlineExceeded, CodeTimeout, cause)
		cancel()
	}
	first, stop := context.WithTimeout(context.Background(), time.Minute)
	for len(requests) > 0 {
		<-requests
	}
	running := logIn(first, client, "ada")
	waitForRequest(t, requests)
	for i := 0; i < 20; i++ {
		ctx, cancel := context.WithTimeoutCause(context.Background(), time.Millisecond, cause)
		checkCause(t, client.Connect(ctx), context.DeadlineExceeded, CodeTimeout, cause)
		cancel()
	}
	stop()
	waitForResult(t, running)
}

func TestContextCauseDoesNotChangeCode(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(fmt.Errorf("too late: %w", context.DeadlineExceeded))
	err := newClient(t).Connect(ctx)
	var failure *Error
	if !errors.As(err, &failure) || failure.Code != CodeCancelled || !errors.Is(err, context.Canceled) {
		t.Errorf("%#v", err)
	}
	// Without a separate cause the error is context.Canceled.
	ctx, cancel = context.WithCancelCause(context.Background())
	cancel(nil)
	if err := newClient(t).Connect(ctx); errors.Unwrap(err) != context.Canceled || strings.Contains(err.Error(), ": context") {
		t.Errorf("%#v", err)
	}
}

func TestRequestWaitingForLoginKeepsCause(t *testing.T) {
	cause := &shutdown{"ada"}
	ctx, cancel := context.WithCancelCause(context.Background())
	checkCause(t, stopWaitingRequest(t, ctx, func() { cancel(cause) }), context.Canceled, CodeCancelled, cause)
}

func TestCallWaitingForSharedLoginKeepsCause(t *testing.T) {
	cause := &shutdown{"ada"}
	url, requests := silentServer(t)
	session := newSession(t, newClient(t, WithBaseURL(url)))
	first, stop := context.WithCancel(context.Background())
	running := getToken(first, session)
	waitForRequest(t, requests)
	ctx, cancel := context.WithCancelCause(context.Background())
	waiting := getToken(ctx, session)
	waitForWaiters(t, 1)
	cancel(cause)
	checkCause(t, waitForResult(t, waiting), context.Canceled, CodeCancelled, cause)
	stop()
	waitForResult(t, running)
}
