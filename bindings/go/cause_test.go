//go:build cgo && go1.21

package couchdrop

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// shutdown is the cause of a context.
type shutdown struct{ who string }

func (s *shutdown) Error() string { return s.who + " shuts down" }

// mustShow checks that an error is both the end and the cause of its context, and that its text ends with the cause.
func mustShow(t *testing.T, err, end error, code Code, cause *shutdown) {
	t.Helper()
	var failure *Error
	if !errors.As(err, &failure) || failure.Code != code || !errors.Is(err, end) || !errors.Is(err, cause) {
		t.Errorf("%#v", err)
		return
	}
	var found *shutdown
	if !errors.As(err, &found) || found != cause {
		t.Error("the cause can't be had")
	}
	if text := failure.Error(); !strings.HasSuffix(text, ": "+cause.Error()) || strings.Contains(text, ".:") {
		t.Error(text)
	}
}

func TestTheCauseOfACancelledContextIsKept(t *testing.T) {
	cause := &shutdown{"ada"}
	url, requests := silentServer(t)
	client := newClient(t, WithBaseURL(url), WithMaxConcurrent(1))
	ctx, cancel := context.WithCancelCause(context.Background())
	running := logIn(ctx, client, "ada")
	mustCome(t, requests)
	waiting := make(chan error, 1)
	go func() { waiting <- client.Connect(ctx) }()
	cancel(cause)
	err := mustEndSoon(t, running)
	mustShow(t, err, context.Canceled, CodeCancelled, cause)
	t.Log(err)
	mustShow(t, mustEndSoon(t, waiting), context.Canceled, CodeCancelled, cause)
	mustShow(t, client.Connect(ctx), context.Canceled, CodeCancelled, cause)
}

func TestTheCauseOfADeadlineIsKept(t *testing.T) {
	cause := &shutdown{"grace"}
	url, requests := silentServer(t)
	client := newClient(t, WithBaseURL(url), WithMaxConcurrent(1))
	// Each iteration is a race between the timers of the library, the slot and the context.
	for i := 0; i < 20; i++ {
		ctx, cancel := context.WithTimeoutCause(context.Background(), 20*time.Millisecond, cause)
		mustShow(t, mustEndSoon(t, logIn(ctx, client, "ada")), context.DeadlineExceeded, CodeTimeout, cause)
		cancel()
	}
	first, stop := context.WithTimeout(context.Background(), time.Minute)
	for len(requests) > 0 {
		<-requests
	}
	running := logIn(first, client, "ada")
	mustCome(t, requests)
	for i := 0; i < 20; i++ {
		ctx, cancel := context.WithTimeoutCause(context.Background(), time.Millisecond, cause)
		mustShow(t, client.Connect(ctx), context.DeadlineExceeded, CodeTimeout, cause)
		cancel()
	}
	stop()
	mustEndSoon(t, running)
}

func TestACauseChangesNoCode(t *testing.T) {
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

func TestARequestThatWaitsForALoginKeepsTheCause(t *testing.T) {
	cause := &shutdown{"ada"}
	url, requests := silentServer(t)
	transport, err := NewTransport(newClient(t, WithBaseURL(url)), account("ada"), nil, url)
	must(t, err)
	ctx, cancel := context.WithCancelCause(context.Background())
	request, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	must(t, err)
	result := make(chan error, 1)
	go func() {
		response, err := transport.RoundTrip(request)
		if err == nil {
			response.Body.Close()
		}
		result <- err
	}()
	mustCome(t, requests)
	cancel(cause)
	mustShow(t, mustEndSoon(t, result), context.Canceled, CodeCancelled, cause)
}
