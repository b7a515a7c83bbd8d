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

// soon is much longer than the expected milliseconds, and much shorter than the timeouts of the calls.
const soon = 5 * time.Second

// mustEndSoon waits for a result and returns it.
func mustEndSoon(t *testing.T, results <-chan error) error {
	t.Helper()
	select {
	case err := <-results:
		return err
	case <-time.After(soon):
		t.Fatal("the call does not end")
		return nil
	}
}

// mustCome waits for a request to arrive.
func mustCome(t *testing.T, requests <-chan struct{}) {
	t.Helper()
	select {
	case <-requests:
	case <-time.After(soon):
		t.Fatal("no request comes")
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

func TestCancellingStopsALoginThatWaitsForItsAnswer(t *testing.T) {
	url, requests := silentServer(t)
	client := newClient(t, WithBaseURL(url))
	ctx, cancel := context.WithCancel(context.Background())
	result := logIn(ctx, client, "ada")
	mustCome(t, requests)
	start := time.Now()
	cancel()
	err := mustEndSoon(t, result)
	var failure *Error
	if !errors.Is(err, context.Canceled) || !errors.Is(err, ErrCancelled) || !errors.As(err, &failure) || failure.Attempts != 1 {
		t.Errorf("%#v", err)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrTimeout) {
		t.Error("is a timeout too")
	}
	t.Logf("stopped after %v", time.Since(start))
}

func TestTheContextsDeadlineIsTheLogins(t *testing.T) {
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
			t.Error("is cancelled too")
		}
		cancel()
	}
}

func deadline(ctx context.Context) time.Time {
	at, _ := ctx.Deadline()
	return at
}

func TestWithoutADeadlineTheTimeoutHolds(t *testing.T) {
	_, err := newClient(t, WithTimeout(50*time.Millisecond)).Authenticate(context.Background(), account("slow"))
	if !errors.Is(err, ErrTimeout) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%#v", err)
	}
}

func TestADeadlineBeyondTheLongestTimeoutIsTaken(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 48*time.Hour)
	defer cancel()
	if _, err := newClient(t).Authenticate(ctx, account("ada")); err != nil {
		t.Error(err)
	}
}

func TestARetryAfterBeyondTheDeadlineIsRateLimitedAtOnce(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := mustEndSoon(t, logIn(ctx, newClient(t), "limited"))
	var failure *Error
	if !errors.Is(err, ErrRateLimited) || !errors.As(err, &failure) || failure.RetryAfter != time.Hour || !failure.HasRetryAfter {
		t.Errorf("%#v", err)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		t.Error("is a deadline too")
	}
}

func TestACallWhoseContextHasEndedSendsNothing(t *testing.T) {
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

// untold is a context that ends by a deadline that its Deadline method does not return.
type untold struct {
	context.Context
	done chan struct{}
	err  error
}

func (u *untold) Done() <-chan struct{} { return u.done }

func (u *untold) Err() error {
	select {
	case <-u.done:
		return u.err
	default:
		return nil
	}
}

func TestAContextOfAnotherKindStopsALogin(t *testing.T) {
	url, requests := silentServer(t)
	client := newClient(t, WithBaseURL(url))
	ctx := &untold{context.Background(), make(chan struct{}), context.DeadlineExceeded}
	result := logIn(ctx, client, "ada")
	mustCome(t, requests)
	close(ctx.done)
	if err := mustEndSoon(t, result); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrTimeout) {
		t.Errorf("%#v", err)
	}
}

// defective is a context whose Err method panics.
type defective struct {
	context.Context
	done chan struct{}
}

func (d *defective) Done() <-chan struct{} { return d.done }

func (d *defective) Err() error {
	select {
	case <-d.done:
		panic("a defect of the context")
	default:
		return nil
	}
}

func TestAContextsPanicReachesItsCaller(t *testing.T) {
	url, requests := silentServer(t)
	client := newClient(t, WithBaseURL(url), WithMaxConcurrent(1))
	fail := func(name string, end func(ctx *defective)) {
		t.Helper()
		ctx := &defective{context.Background(), make(chan struct{})}
		value := make(chan interface{}, 1)
		go func() {
			value <- panicOf(func() { _, _ = client.Authenticate(ctx, account("ada")) })
		}()
		end(ctx)
		if got := <-value; got != "a defect of the context" {
			t.Errorf("%s: panics with %v", name, got)
		}
	}
	fail("while the library waits", func(ctx *defective) {
		mustCome(t, requests)
		close(ctx.done)
	})
	if len(client.slots) != 0 {
		t.Error("its slot was not given back")
	}
	client.slots <- struct{}{}
	fail("while it waits for a slot", func(ctx *defective) { close(ctx.done) })
	<-client.slots
	if len(client.slots) != 0 {
		t.Error("another slot is taken")
	}
}

func TestAThousandLoginsHoldABoundedNumberOfThreads(t *testing.T) {
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
		mustCome(t, requests)
	}
	// The Go runtime has its own threads.
	during, most := status(t, "Threads"), before+defaultMaxConcurrent+runtime.GOMAXPROCS(0)+10
	if during > most {
		t.Errorf("%d threads, want at most %d", during, most)
	}
	start := time.Now()
	cancel()
	for i := 0; i < logins; i++ {
		if err := mustEndSoon(t, results); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	t.Logf("all stopped after %v; %d threads before, %d during, %d after", time.Since(start), before, during, status(t, "Threads"))
	if len(requests) != 0 {
		t.Error("more logins ran than the limit allows")
	}
	waitFor(t, "goroutines are left", func() bool { return runtime.NumGoroutine() <= goroutines })
}

func TestWaitingForATurnCountsAgainstTheTime(t *testing.T) {
	url, requests := silentServer(t)
	client := newClient(t, WithBaseURL(url), WithMaxConcurrent(1), WithTimeout(50*time.Millisecond))
	first, cancelFirst := context.WithTimeout(context.Background(), time.Minute)
	defer cancelFirst()
	result := logIn(first, client, "ada")
	mustCome(t, requests)

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
	if err := mustEndSoon(t, second); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %#v", err)
	}

	cancelFirst()
	if err := mustEndSoon(t, result); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if len(requests) != 0 {
		t.Error("a call ran without a slot")
	}
	// The slot is free again.
	ctx, cancel = context.WithTimeout(context.Background(), time.Minute)
	result = logIn(ctx, client, "ada")
	mustCome(t, requests)
	cancel()
	if err := mustEndSoon(t, result); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestOneDeadHostStarvesNoOtherClient(t *testing.T) {
	url, requests := silentServer(t)
	dead := newClient(t, WithBaseURL(url), WithMaxConcurrent(2))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	results := []<-chan error{logIn(ctx, dead, "ada"), logIn(ctx, dead, "ada")}
	mustCome(t, requests)
	mustCome(t, requests)
	if err := mustEndSoon(t, logIn(context.Background(), newClient(t), "ada")); err != nil {
		t.Error(err)
	}
	cancel()
	for _, result := range results {
		mustEndSoon(t, result)
	}
}

func TestCloseStopsWhatIsUnderWay(t *testing.T) {
	url, requests := silentServer(t)
	client := newClient(t, WithBaseURL(url), WithMaxConcurrent(2))
	results := []<-chan error{}
	for i := 0; i < 4; i++ {
		results = append(results, logIn(context.Background(), client, "ada"))
	}
	mustCome(t, requests)
	mustCome(t, requests)
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	for _, result := range results {
		if err := mustEndSoon(t, result); !errors.Is(err, ErrClosed) || !errors.Is(err, ErrCancelled) || errors.Is(err, context.Canceled) {
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

func TestCloseAmidLoginsOfManyGoroutines(t *testing.T) {
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
		mustCome(t, loggedIn)
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
	waitFor(t, "goroutines are left", func() bool { return runtime.NumGoroutine() <= goroutines })
}

func TestAClientThatNobodyMadeSaysSo(t *testing.T) {
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

func TestANilContextIsRefused(t *testing.T) {
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
	// The panic must not leak a slot.
	if len(client.slots) != 0 {
		t.Error("a slot was acquired")
	}
}

func TestCancelledLoginsLeaveNothingBehind(t *testing.T) {
	url, requests := silentServer(t)
	before := descriptors(t)
	client := newClient(t, WithBaseURL(url))
	for i := 0; i < 300; i++ {
		ctx, cancel := context.WithCancel(context.Background())
		result := logIn(ctx, client, "ada")
		mustCome(t, requests)
		// A triggered handle and its descriptor must be freed with the call.
		cancel()
		mustEndSoon(t, result)
	}
	if kept := len(client.cancelHandles); kept > 1 {
		t.Errorf("%d cancel handles are kept", kept)
	}
	client.Close()
	waitFor(t, "descriptors are left", func() bool { return descriptors(t) <= before })

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
	for end := time.Now().Add(soon); !so(); runtime.GC() {
		if time.Now().After(end) {
			t.Fatal(problem)
		}
	}
}

func TestAForgottenClientIsReleased(t *testing.T) {
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
	waitFor(t, "its descriptors are left", func() bool { return descriptors(t) <= before })
}

// status returns a number from /proc/self/status: Threads, or an amount of memory in kB.
func status(t *testing.T, name string) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		lacking(t, "this system does not tell how a process is")
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
		lacking(t, "this system does not tell which descriptors are open")
	}
	return len(open)
}
