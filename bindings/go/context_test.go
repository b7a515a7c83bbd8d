//go:build cgo

package couchdrop

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// testTimeout is much longer than the expected milliseconds, and much shorter than the timeouts of the calls.
const testTimeout = 5 * time.Second

// waitForResult waits for a result and returns it.
func waitForResult(t *testing.T, results <-chan error) error {
	t.Helper()
	select {
	case err := <-results:
		return err
	case <-time.After(testTimeout):
		t.Fatal("the call does not return")
		return nil
	}
}

// waitForRequest waits for a request to arrive.
func waitForRequest(t *testing.T, requests <-chan struct{}) {
	t.Helper()
	select {
	case <-requests:
	case <-time.After(testTimeout):
		t.Fatal("no request arrives")
	}
}

func logIn(ctx context.Context, client *Client, name string) <-chan error {
	result := make(chan error, 1)
	go func() {
		_, err := client.Authenticate(ctx, account(name))
		result <- err
	}()
	return result
}

func TestCancelStopsLoginWaitingForResponse(t *testing.T) {
	url, requests := silentServer(t)
	client := newClient(t, WithBaseURL(url))
	ctx, cancel := context.WithCancel(context.Background())
	result := logIn(ctx, client, "ada")
	waitForRequest(t, requests)
	start := time.Now()
	cancel()
	err := waitForResult(t, result)
	var failure *Error
	if !errors.Is(err, context.Canceled) || !errors.Is(err, ErrCancelled) || !errors.As(err, &failure) || failure.Attempts != 1 {
		t.Errorf("%#v", err)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrTimeout) {
		t.Error("the error is also a timeout")
	}
	t.Logf("stopped after %v", time.Since(start))
}

func TestContextDeadlineIsLoginDeadline(t *testing.T) {
	// The deadline of the context is first shorter, then longer than the client's timeout.
	for _, timeout := range []time.Duration{time.Minute, time.Millisecond} {
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		_, err := newClient(t, WithBaseURL(service.http), WithTimeout(timeout)).Authenticate(ctx, account("slow"))
		if time.Until(deadline(ctx)) > 0 {
			t.Errorf("ended before the deadline, with a timeout of %v", timeout)
		}
		var failure *Error
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrTimeout) || !errors.As(err, &failure) || failure.Attempts != 1 {
			t.Errorf("%#v", err)
		}
		if errors.Is(err, context.Canceled) {
			t.Error("the error is also cancelled")
		}
		cancel()
	}
}

func deadline(ctx context.Context) time.Time {
	at, _ := ctx.Deadline()
	return at
}

func TestTimeoutAppliesWithoutDeadline(t *testing.T) {
	_, err := newClient(t, WithTimeout(50*time.Millisecond)).Authenticate(context.Background(), account("slow"))
	if !errors.Is(err, ErrTimeout) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%#v", err)
	}
}

func TestDeadlineAboveMaxTimeoutIsAccepted(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 48*time.Hour)
	defer cancel()
	if _, err := newClient(t).Authenticate(ctx, account("ada")); err != nil {
		t.Error(err)
	}
}

func TestRetryAfterBeyondDeadlineFailsImmediately(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := waitForResult(t, logIn(ctx, newClient(t), "limited"))
	var failure *Error
	if !errors.Is(err, ErrRateLimited) || !errors.As(err, &failure) || failure.RetryAfter != time.Hour || !failure.HasRetryAfter {
		t.Errorf("%#v", err)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		t.Error("the error is also DeadlineExceeded")
	}
}

func TestDoneContextSendsNothing(t *testing.T) {
	url, requests := silentServer(t)
	client := newClient(t, WithBaseURL(url))
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := client.Authenticate(cancelled, account("ada")); !errors.Is(err, context.Canceled) || !errors.Is(err, ErrCancelled) {
		t.Error(err)
	}
	late, cancel := context.WithDeadline(context.Background(), time.Now())
	defer cancel()
	if err := client.Connect(late); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrTimeout) {
		t.Error(err)
	}
	if len(requests) != 0 {
		t.Error("a request was sent")
	}
}

// customContext exceeds a deadline that its Deadline method does not return.
type customContext struct {
	context.Context
	done chan struct{}
	err  error
}

func (c *customContext) Done() <-chan struct{} { return c.done }

func (c *customContext) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

func TestCustomContextStopsLogin(t *testing.T) {
	url, requests := silentServer(t)
	client := newClient(t, WithBaseURL(url))
	ctx := &customContext{context.Background(), make(chan struct{}), context.DeadlineExceeded}
	result := logIn(ctx, client, "ada")
	waitForRequest(t, requests)
	close(ctx.done)
	if err := waitForResult(t, result); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrTimeout) {
		t.Errorf("%#v", err)
	}
}

// panickingContext is a context whose Err method panics.
type panickingContext struct {
	context.Context
	done chan struct{}
}

func (c *panickingContext) Done() <-chan struct{} { return c.done }

func (c *panickingContext) Err() error {
	select {
	case <-c.done:
		panic("a defect of the context")
	default:
		return nil
	}
}

func TestContextPanicReachesCaller(t *testing.T) {
	url, requests := silentServer(t)
	client := newClient(t, WithBaseURL(url), WithMaxConcurrent(1))
	fail := func(name string, end func(ctx *panickingContext)) {
		t.Helper()
		ctx := &panickingContext{context.Background(), make(chan struct{})}
		value := make(chan interface{}, 1)
		go func() {
			value <- panicOf(func() { _, _ = client.Authenticate(ctx, account("ada")) })
		}()
		end(ctx)
		if got := <-value; got != "a defect of the context" {
			t.Errorf("%s: panics with %v", name, got)
		}
	}
	fail("while the library waits", func(ctx *panickingContext) {
		waitForRequest(t, requests)
		close(ctx.done)
	})
	if len(client.slots) != 0 {
		t.Error("the slot was not released")
	}
	client.slots <- struct{}{}
	fail("while it waits for a slot", func(ctx *panickingContext) { close(ctx.done) })
	<-client.slots
	if len(client.slots) != 0 {
		t.Error("another slot is in use")
	}
}

func TestThousandLoginsUseBoundedThreads(t *testing.T) {
	url, requests := silentServer(t)
	client := newClient(t, WithBaseURL(url))
	before, goroutines := status(t, "Threads"), runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	const logins = 1000
	results := make(chan error, logins)
	for i := 0; i < logins; i++ {
		go func() {
			_, err := client.Authenticate(ctx, account("ada"))
			results <- err
		}()
	}
	for i := 0; i < defaultMaxConcurrent; i++ {
		waitForRequest(t, requests)
	}
	// The Go runtime has its own threads.
	during, most := status(t, "Threads"), before+defaultMaxConcurrent+runtime.GOMAXPROCS(0)+10
	if during > most {
		t.Errorf("%d threads, want at most %d", during, most)
	}
	start := time.Now()
	cancel()
	for i := 0; i < logins; i++ {
		if err := waitForResult(t, results); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	t.Logf("all stopped after %v; %d threads before, %d during, %d after", time.Since(start), before, during, status(t, "Threads"))
	if len(requests) != 0 {
		t.Error("more logins ran than the limit allows")
	}
	waitFor(t, "goroutines are leaked", func() bool { return runtime.NumGoroutine() <= goroutines })
}

func TestWaitForSlotCountsAgainstDeadline(t *testing.T) {
	url, requests := silentServer(t)
	client := newClient(t, WithBaseURL(url), WithMaxConcurrent(1), WithTimeout(50*time.Millisecond))
	first, cancelFirst := context.WithTimeout(context.Background(), time.Minute)
	defer cancelFirst()
	result := logIn(first, client, "ada")
	waitForRequest(t, requests)

	_, err := client.Authenticate(context.Background(), account("ada"))
	if !errors.Is(err, ErrTimeout) || errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "limit of 1 concurrent calls") {
		t.Errorf("with a timeout: %#v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := client.Connect(ctx); !errors.Is(err, ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a deadline: %#v", err)
	}
	ctx, cancel = context.WithCancel(context.Background())
	second := logIn(ctx, client, "ada")
	cancel()
	if err := waitForResult(t, second); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %#v", err)
	}

	cancelFirst()
	if err := waitForResult(t, result); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if len(requests) != 0 {
		t.Error("a call ran without a slot")
	}
	// The slot is free again.
	ctx, cancel = context.WithTimeout(context.Background(), time.Minute)
	result = logIn(ctx, client, "ada")
	waitForRequest(t, requests)
	cancel()
	if err := waitForResult(t, result); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestHungHostDoesNotBlockOtherClients(t *testing.T) {
	url, requests := silentServer(t)
	dead := newClient(t, WithBaseURL(url), WithMaxConcurrent(2))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	results := []<-chan error{logIn(ctx, dead, "ada"), logIn(ctx, dead, "ada")}
	waitForRequest(t, requests)
	waitForRequest(t, requests)
	if err := waitForResult(t, logIn(context.Background(), newClient(t), "ada")); err != nil {
		t.Error(err)
	}
	cancel()
	for _, result := range results {
		waitForResult(t, result)
	}
}

func TestCloseStopsCallsInProgress(t *testing.T) {
	url, requests := silentServer(t)
	client := newClient(t, WithBaseURL(url), WithMaxConcurrent(2))
	results := []<-chan error{}
	for i := 0; i < 4; i++ {
		results = append(results, logIn(context.Background(), client, "ada"))
	}
	waitForRequest(t, requests)
	waitForRequest(t, requests)
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	for _, result := range results {
		if err := waitForResult(t, result); !errors.Is(err, ErrClosed) || !errors.Is(err, ErrCancelled) || errors.Is(err, context.Canceled) {
			t.Errorf("%#v", err)
		}
	}
	if _, err := client.Authenticate(context.Background(), account("ada")); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if err := client.Connect(context.Background()); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
}

func TestCloseDuringConcurrentLoginsWaitsForThem(t *testing.T) {
	client := newClient(t, WithBaseURL(service.http), WithMaxConcurrent(4))
	goroutines := runtime.NumGoroutine()
	loggedIn := make(chan struct{}, 100000)
	var group sync.WaitGroup
	for i := 0; i < 20; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for {
				_, err := client.Authenticate(context.Background(), account("ada"))
				if errors.Is(err, ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				loggedIn <- struct{}{}
			}
		}()
	}
	for i := 0; i < 100; i++ {
		waitForRequest(t, loggedIn)
	}
	for i := 0; i < 3; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			if err := client.Close(); err != nil {
				t.Error(err)
			}
		}()
	}
	group.Wait()
	if len(client.slots) != cap(client.slots) {
		t.Error("Close did not wait for the calls")
	}
	waitFor(t, "goroutines are leaked", func() bool { return runtime.NumGoroutine() <= goroutines })
}

func TestZeroClientFails(t *testing.T) {
	var client Client
	if _, err := client.Authenticate(context.Background(), account("ada")); !errors.Is(err, ErrNullArgument) {
		t.Error(err)
	}
	if err := client.Connect(context.Background()); !errors.Is(err, ErrNullArgument) {
		t.Error(err)
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
}

func TestNilContextFails(t *testing.T) {
	var none context.Context
	client := newClient(t)
	refuse := func(call string, err error) {
		t.Helper()
		var failure *Error
		if !errors.Is(err, ErrNullArgument) || !errors.As(err, &failure) || !strings.Contains(err.Error(), "context is nil") {
			t.Errorf("%s: %v", call, err)
		}
	}
	_, err := client.Authenticate(none, account("ada"))
	refuse("Client.Authenticate", err)
	refuse("Client.Connect", client.Connect(none))
	_, err = Authenticate(none, account("ada"))
	refuse("Authenticate", err)
	_, err = Authenticate(none, account("ada"), WithBaseURL(service.http))
	refuse("Authenticate with options", err)
	// A rejected call must not hold a slot.
	if len(client.slots) != 0 {
		t.Error("a slot was acquired")
	}
}

func TestCancelledLoginsLeakNothing(t *testing.T) {
	url, requests := silentServer(t)
	before := descriptors(t)
	client := newClient(t, WithBaseURL(url))
	for i := 0; i < 300; i++ {
		ctx, cancel := context.WithCancel(context.Background())
		result := logIn(ctx, client, "ada")
		waitForRequest(t, requests)
		// A triggered handle and its descriptor must be freed with the call.
		cancel()
		waitForResult(t, result)
	}
	if kept := len(client.cancelHandles); kept > 1 {
		t.Errorf("%d cancel handles are kept", kept)
	}
	client.Close()
	waitFor(t, "descriptors are leaked", func() bool { return descriptors(t) <= before })

	// Untriggered handles are reused.
	client = newClient(t, WithBaseURL(service.http))
	for i := 0; i < 300; i++ {
		if _, err := client.Authenticate(context.Background(), account("ada")); err != nil {
			t.Fatal(err)
		}
	}
	if kept := len(client.cancelHandles); kept != 1 {
		t.Errorf("%d cancel handles are kept", kept)
	}
	client.Close()
}

// waitFor polls until a condition is true.
func waitFor(t *testing.T, problem string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(testTimeout); !so(); runtime.GC() {
		if time.Now().After(end) {
			t.Fatal(problem)
		}
	}
}

func TestUnreachableClientIsFreed(t *testing.T) {
	before := descriptors(t)
	func() {
		client, err := NewClient(WithBaseURL(service.http))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Authenticate(context.Background(), account("ada")); err != nil {
			t.Fatal(err)
		}
		if descriptors(t) <= before {
			t.Fatal("a client that keeps a connection has no descriptor")
		}
	}()
	waitFor(t, "its descriptors are leaked", func() bool { return descriptors(t) <= before })
}

// status returns a number from /proc/self/status: Threads, or an amount of memory in kB.
func status(t *testing.T, name string) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		skipOrFail(t, "this system has no /proc/self/status")
	}
	_, value, _ := strings.Cut(string(text), "\n"+name+":")
	number := 0
	_, err = fmt.Sscan(value, &number)
	must(t, err)
	return number
}

func descriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		skipOrFail(t, "this system has no /proc/self/fd")
	}
	return len(open)
}
