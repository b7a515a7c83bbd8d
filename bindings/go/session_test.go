//go:build cgo

package couchdrop

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// newSession returns a session of the account ada.
func newSession(t testing.TB, client *Client, options ...SessionOption) *Session {
	t.Helper()
	session, err := client.Session(account("ada"), options...)
	must(t, err)
	return session
}

// newServedSession returns a service and a session that logs in there.
func newServedSession(t *testing.T, options ...SessionOption) (*fakeService, *Session) {
	t.Helper()
	service := newFakeService(t)
	return service, newSession(t, newClient(t, WithBaseURL(service.URL)), options...)
}

func getToken(ctx context.Context, session *Session) <-chan error {
	result := make(chan error, 1)
	go func() {
		_, err := session.Token(ctx)
		result <- err
	}()
	return result
}

// valueOf returns the value of the session's token.
func valueOf(t *testing.T, session *Session) string {
	t.Helper()
	token, err := session.Token(context.Background())
	must(t, err)
	return token.Value()
}

// waitForWaiters waits until this many goroutines wait for another call of a session.
func waitForWaiters(t *testing.T, count int) {
	t.Helper()
	buffer := make([]byte, 4<<20)
	waitFor(t, "the calls do not wait for the login", func() bool {
		stacks := string(buffer[:runtime.Stack(buffer, true)])
		return strings.Count(stacks, ".(*sharedCall).wait(") == count
	})
}

// gate makes logins wait, and returns their number and a function that lets them continue.
func (s *fakeService) gate(respond func(w http.ResponseWriter)) (requested <-chan struct{}, open func()) {
	arrived, proceed := make(chan struct{}, 1000), make(chan struct{})
	s.set(func() {
		s.login = func(w http.ResponseWriter, r *http.Request) {
			// net/http detects that the client closed the connection only after the body was read.
			_, _ = io.Copy(io.Discard, r.Body)
			arrived <- struct{}{}
			select {
			case <-proceed:
				respond(w)
			case <-r.Context().Done():
			}
		}
	})
	return arrived, func() { close(proceed) }
}

func issue(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"token":"token-1"}`) }

func TestTokenIsReusedUntilItIsRejected(t *testing.T) {
	service, session := newServedSession(t, WithMinAge(0))
	first, err := session.Token(context.Background())
	must(t, err)
	second, err := session.Token(context.Background())
	must(t, err)
	if first == second || !first.Equal(second) || first.Value() != "token-1" {
		t.Error(first.Value(), second.Value())
	}
	// Each caller owns its token.
	first.Wipe()
	if second.Value() != "token-1" || valueOf(t, session) != "token-1" {
		t.Error("wiping one token wiped another")
	}
	third, err := session.Renew(context.Background(), second)
	must(t, err)
	if third.Value() != "token-2" || valueOf(t, session) != "token-2" {
		t.Error(third.Value())
	}
	if _, _, logins := service.seen(); logins != 2 {
		t.Errorf("%d logins", logins)
	}
}

func TestRejectedYoungTokenIsReturnedAgain(t *testing.T) {
	service, session := newServedSession(t)
	token, err := session.Token(context.Background())
	must(t, err)
	const calls = 200
	atOnce(calls, func() {
		if again, err := session.Renew(context.Background(), token); err != nil || !again.Equal(token) {
			t.Error(err)
		}
	})
	if _, _, logins := service.seen(); logins != 1 {
		t.Errorf("%d logins", logins)
	}
}

func TestRejectedOtherTokenGivesTheCurrentOne(t *testing.T) {
	service, session := newServedSession(t, WithMinAge(0))
	for _, other := range []*Token{nil, {}, NewToken(""), NewToken("token-0"), NewToken(strings.Repeat("x", 65536))} {
		token, err := session.Renew(context.Background(), other)
		if err != nil || token.Value() != "token-1" {
			t.Error(err)
		}
	}
	if _, _, logins := service.seen(); logins != 1 {
		t.Errorf("%d logins", logins)
	}
}

func TestRejectedTokenOverMinAgeIsReplaced(t *testing.T) {
	_, session := newServedSession(t, WithMinAge(time.Nanosecond)) // rounded up to 1 s
	first, err := session.Token(context.Background())
	must(t, err)
	again, err := session.Renew(context.Background(), first)
	must(t, err)
	if !again.Equal(first) {
		t.Error("a token younger than a second was replaced")
	}
	waitFor(t, "the token is not replaced", func() bool {
		token, err := session.Renew(context.Background(), first)
		return err == nil && token.Value() == "token-2"
	})
}

func TestTokenOverMaxAgeIsReplaced(t *testing.T) {
	_, session := newServedSession(t, WithMaxAge(time.Nanosecond)) // rounded up to 1 s
	if first, second := valueOf(t, session), valueOf(t, session); first != "token-1" || second != first {
		t.Error(first, second)
	}
	waitFor(t, "the token is not replaced", func() bool { return valueOf(t, session) == "token-2" })
}

func TestTokensOfOtherLengthsAreReturnedWhole(t *testing.T) {
	service, session := newServedSession(t, WithMinAge(0))
	var token *Token
	for _, length := range []int{1, 65000, 36, 37, 1} {
		text := strings.Repeat("x", length)
		service.set(func() {
			service.login = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"token":"`+text+`"}`) }
		})
		var err error
		token, err = session.Renew(context.Background(), token)
		must(t, err)
		if token.Value() != text || valueOf(t, session) != text {
			t.Errorf("a token of %d characters has another value", length)
		}
	}
}

func TestInvalidSessionsAreRejectedUnsent(t *testing.T) {
	url, requests := silentServer(t)
	client := newClient(t, WithBaseURL(url))
	const century = 876000 * time.Hour
	wiped := NewSecret("secret")
	wiped.Wipe()
	good := account("ada")
	for name, test := range map[string]struct {
		credentials Credentials
		option      SessionOption
		is          error
	}{
		"no user name":              {Credentials{"", NewSecret("x"), ""}, nil, ErrEmptyArgument},
		"a wiped password":          {Credentials{"ada", wiped, ""}, nil, ErrEmptyArgument},
		"NUL in the password":       {Credentials{"ada", NewSecret("pass\x00word"), ""}, nil, ErrInvalidUTF8},
		"a password not in UTF-8":   {Credentials{"ada", NewSecret("\xc3"), ""}, nil, ErrInvalidUTF8},
		"a negative maximum age":    {good, WithMaxAge(-1), ErrOutOfRange},
		"a maximum age above 2^32":  {good, WithMaxAge(4294967295*time.Second + 1), ErrOutOfRange},
		"a minimum age of a decade": {good, WithMinAge(century / 10), nil},
		"a negative minimum age":    {good, WithMinAge(-time.Hour), ErrOutOfRange},
		"a minimum age of 2 ages":   {good, WithMinAge(2 * century), ErrOutOfRange},
	} {
		options := []SessionOption{}
		if test.option != nil {
			options = append(options, test.option)
		}
		session, err := client.Session(test.credentials, options...)
		if !errors.Is(err, test.is) || (session == nil) != (test.is != nil) {
			t.Errorf("%s: got %v, want %v", name, err, test.is)
		}
	}
	session := newSession(t, client)
	if _, err := session.Renew(context.Background(), NewToken("a\x00b")); !errors.Is(err, ErrInvalidUTF8) {
		t.Error(err)
	}
	if _, err := session.Renew(context.Background(), NewToken(strings.Repeat("x", 65537))); !errors.Is(err, ErrOutOfRange) {
		t.Error(err)
	}
	if len(requests) != 0 {
		t.Error("a request was sent")
	}
}

func TestAgesAreRoundedUp(t *testing.T) {
	for age, want := range map[time.Duration]uint32{
		0: 0, 1: 1, time.Second: 1, time.Second + 1: 2, 4294967295 * time.Second: 4294967295,
	} {
		if got, err := seconds("An age", age); err != nil || uint32(got) != want {
			t.Errorf("%v: got %d, %v", age, got, err)
		}
	}
}

func TestCurrentTokenNeedsNoSlot(t *testing.T) {
	_, session := newServedSession(t)
	valueOf(t, session)
	goroutines := runtime.NumGoroutine()
	for i := 0; i < cap(session.client.slots); i++ {
		session.client.slots <- struct{}{}
	}
	valueOf(t, session)
	for i := 0; i < cap(session.client.slots); i++ {
		<-session.client.slots
	}
	if now := runtime.NumGoroutine(); now > goroutines {
		t.Errorf("%d goroutines, then %d", goroutines, now)
	}
}

func TestThousandCallsShareOneLoginAndOneThread(t *testing.T) {
	service, session := newServedSession(t)
	requested, open := service.gate(issue)
	goroutines := runtime.NumGoroutine()
	first := getToken(context.Background(), session)
	waitForRequest(t, requested)
	const calls = 1000
	var group sync.WaitGroup
	for i := 0; i < calls; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			token, err := session.Token(context.Background())
			if err != nil || token.Value() != "token-1" {
				t.Error(err)
			}
		}()
	}
	waitForWaiters(t, calls)
	if inLibrary := len(session.client.slots); inLibrary != 1 {
		t.Errorf("%d calls are in the library", inLibrary)
	}
	open()
	group.Wait()
	must(t, waitForResult(t, first))
	if _, _, logins := service.seen(); logins != 1 {
		t.Errorf("%d logins", logins)
	}
	waitFor(t, "goroutines are leaked", func() bool { return runtime.NumGoroutine() <= goroutines+2 })
}

func TestFailedLoginIsSharedByItsWaiters(t *testing.T) {
	for status, want := range map[int]error{403: ErrAccessDenied, 418: ErrHTTPStatus, 500: ErrServer} {
		status := status
		service := newFakeService(t)
		session := newSession(t, newClient(t, WithBaseURL(service.URL), WithMaxRetries(0)))
		requested, open := service.gate(func(w http.ResponseWriter) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"err":"no such user"}`)
		})
		const calls = 20
		results := make(chan error, calls)
		call := func() {
			_, err := session.Token(context.Background())
			results <- err
		}
		go call()
		waitForRequest(t, requested)
		for i := 1; i < calls; i++ {
			go call()
		}
		waitForWaiters(t, calls-1)
		open()
		attempts := 0
		seen := map[*Error]bool{}
		for i := 0; i < calls; i++ {
			err := waitForResult(t, results)
			var failure *Error
			if !errors.Is(err, want) || !errors.As(err, &failure) || failure.HTTPStatus != status || failure.ServerMessage != "no such user" {
				t.Fatalf("%d: %#v", status, err)
			}
			attempts += failure.Attempts
			seen[failure] = true
		}
		if _, _, logins := service.seen(); logins != 1 || attempts != 1 || len(seen) != calls {
			t.Errorf("%d: %d logins, %d attempts, %d errors", status, logins, attempts, len(seen))
		}
	}
}

func TestRefusedCredentialsAreNotSentAgain(t *testing.T) {
	service, session := newServedSession(t)
	service.set(func() {
		service.login = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }
	})
	for i := 0; i < 3; i++ {
		_, err := session.Token(context.Background())
		var failure *Error
		if !errors.Is(err, ErrAccessDenied) || !errors.As(err, &failure) || (failure.Attempts == 1) != (i == 0) {
			t.Errorf("%#v", err)
		}
	}
	if _, _, logins := service.seen(); logins != 1 {
		t.Errorf("%d logins", logins)
	}
}

func TestCancelledCallLeavesItsLoginToAnother(t *testing.T) {
	service, session := newServedSession(t)
	requested, open := service.gate(issue)
	ctx, cancel := context.WithCancel(context.Background())
	first := getToken(ctx, session)
	waitForRequest(t, requested)
	others := []<-chan error{getToken(context.Background(), session), getToken(context.Background(), session)}
	waitForWaiters(t, 2)
	cancel()
	if err := waitForResult(t, first); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	waitForRequest(t, requested)
	open()
	for _, other := range others {
		must(t, waitForResult(t, other))
	}
	if _, _, logins := service.seen(); logins != 2 {
		t.Errorf("%d logins", logins)
	}
}

func TestWaitingCallEndsWithItsOwnContext(t *testing.T) {
	service, session := newServedSession(t)
	requested, open := service.gate(issue)
	first := getToken(context.Background(), session)
	waitForRequest(t, requested)
	cancellable, cancel := context.WithCancel(context.Background())
	second := getToken(cancellable, session)
	waitForWaiters(t, 1)
	cancel()
	var failure *Error
	if err := waitForResult(t, second); !errors.Is(err, context.Canceled) || !errors.As(err, &failure) || failure.Attempts != 0 {
		t.Errorf("%#v", err)
	}
	// An earlier deadline than that of the first call.
	limited, stop := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer stop()
	if err := waitForResult(t, getToken(limited, session)); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrTimeout) {
		t.Errorf("%#v", err)
	}
	open()
	must(t, waitForResult(t, first))
}

func TestDeadlinesOfWaitingCallsAreTheirOwn(t *testing.T) {
	url, requests := silentServer(t)
	session := newSession(t, newClient(t, WithBaseURL(url)))
	first, stop := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer stop()
	results := []<-chan error{getToken(first, session)}
	waitForRequest(t, requests)
	second, stop := context.WithTimeout(context.Background(), 250*time.Millisecond)
	defer stop()
	results = append(results, getToken(second, session))
	for i, ctx := range []context.Context{first, second} {
		err := waitForResult(t, results[i])
		if !errors.Is(err, context.DeadlineExceeded) || time.Until(deadline(ctx)) > 0 {
			t.Errorf("call %d: %v", i, err)
		}
	}
}

func TestRetryAfterEndsOnlyCallsWithEarlyDeadlines(t *testing.T) {
	service, session := newServedSession(t)
	requested, open := service.gate(func(w http.ResponseWriter) {
		w.Header().Set("Retry-After", "20")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	long, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	first, second := getToken(long, session), make(chan error, 1)
	waitForRequest(t, requested)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour+time.Minute)
		defer cancel()
		_, err := session.Token(ctx)
		second <- err
	}()
	waitForWaiters(t, 1)
	// The deadline allows no wait of 20 s.
	short, cancelShort := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancelShort()
	third := getToken(short, session)
	waitFor(t, "the third call is not in the library", func() bool { return len(session.client.slots) == 2 })
	open()
	for _, result := range []<-chan error{third, getToken(short, session)} {
		err := waitForResult(t, result)
		var failure *Error
		if !errors.Is(err, ErrRateLimited) || !errors.As(err, &failure) || failure.Attempts != 0 || failure.RetryAfter < 15*time.Second {
			t.Errorf("%#v", err)
		}
	}
	select {
	case err := <-first:
		t.Error("the first call does not wait:", err)
	case err := <-second:
		t.Error("the second call does not wait:", err)
	default:
	}
	session.Close()
	for _, result := range []<-chan error{first, second} {
		if err := waitForResult(t, result); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	}
}

func TestLimitedCallLeavesItsRetryToLaterDeadlines(t *testing.T) {
	service, session := newServedSession(t)
	requested, open := service.gate(func(w http.ResponseWriter) {
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	var results []<-chan error
	for i, timeout := range []time.Duration{30 * time.Second, 30*time.Second + minAttemptTime/2, time.Hour} {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		results = append(results, getToken(ctx, session))
		if i == 0 {
			waitForRequest(t, requested)
		} else {
			waitForWaiters(t, i)
		}
	}
	open()
	for i, result := range results[:2] {
		err := waitForResult(t, result)
		var failure *Error
		if !errors.Is(err, ErrRateLimited) || !errors.As(err, &failure) || failure.Attempts != 1-i || failure.RetryAfter != time.Minute {
			t.Errorf("call %d: %#v", i, err)
		}
	}
	// The last call waits in the library until the service allows a login.
	waitFor(t, "the last call does not wait in the library", func() bool { return len(session.client.slots) == 1 })
	session.Close()
	if err := waitForResult(t, results[2]); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if _, _, logins := service.seen(); logins != 1 {
		t.Errorf("%d logins", logins)
	}
}

func TestCloseStopsCallsOfSession(t *testing.T) {
	url, requests := silentServer(t)
	client := newClient(t, WithBaseURL(url), WithMaxConcurrent(2))
	closeSession := func(session *Session) { _ = session.Close() }
	closeClient := func(*Session) { client.Close() }
	for i, end := range []func(*Session){closeSession, closeClient} {
		session, other := newSession(t, client), newSession(t, client)
		results := []<-chan error{getToken(context.Background(), session)}
		waitForRequest(t, requests)
		results = append(results, getToken(context.Background(), session))
		waitForWaiters(t, 1)
		// One call of the session waits for a slot.
		client.slots <- struct{}{}
		short, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		results = append(results, getToken(short, session))
		waitForSlot(t)
		<-client.slots
		end(session)
		for _, result := range results {
			if err := waitForResult(t, result); !errors.Is(err, ErrClosed) || !errors.Is(err, ErrCancelled) || errors.Is(err, context.Canceled) {
				t.Errorf("%#v", err)
			}
		}
		cancel()
		if _, err := session.Token(context.Background()); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		if err := session.Close(); err != nil {
			t.Error(err)
		}
		// Closing one session leaves the client and its other sessions open.
		_, err := other.Renew(expiredSoon(t), nil)
		if wantClosed := i == 1; errors.Is(err, ErrClosed) != wantClosed {
			t.Errorf("%d: the other session returns %v", i, err)
		}
		for len(requests) > 0 {
			<-requests
		}
	}
	if _, err := client.Session(account("ada")); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if len(client.sessions) != 0 {
		t.Errorf("%d sessions are open", len(client.sessions))
	}
}

// waitForSlot waits until a call waits for a slot.
func waitForSlot(t *testing.T) {
	t.Helper()
	buffer := make([]byte, 4<<20)
	waitFor(t, "no call waits for a slot", func() bool {
		return strings.Contains(string(buffer[:runtime.Stack(buffer, true)]), ".(*call).waitForSlot(")
	})
}

func expiredSoon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestCloseDuringConcurrentCallsWaitsForThem(t *testing.T) {
	for i := 0; i < 20; i++ {
		_, session := newServedSession(t, WithMinAge(0))
		goroutines := runtime.NumGoroutine()
		var done atomic.Int64
		var group sync.WaitGroup
		for j := 0; j < 10; j++ {
			group.Add(1)
			go func() {
				defer group.Done()
				for {
					token, err := session.Token(context.Background())
					if err == nil {
						_, err = session.Renew(context.Background(), token)
					}
					if errors.Is(err, ErrClosed) {
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
					done.Add(1)
				}
			}()
		}
		waitFor(t, "no call succeeds", func() bool { return done.Load() > 20 })
		for j := 0; j < 2; j++ {
			group.Add(1)
			go func() {
				defer group.Done()
				session.Close()
			}()
		}
		session.client.Close()
		group.Wait()
		waitFor(t, "goroutines are leaked", func() bool { return runtime.NumGoroutine() <= goroutines })
	}
}

func TestUnreachableSessionIsFreed(t *testing.T) {
	client := newClient(t, WithBaseURL(service.http))
	open := func() int {
		client.mutex.Lock()
		defer client.mutex.Unlock()
		return len(client.sessions)
	}
	func() {
		valueOf(t, newSession(t, client))
		newSession(t, client).Close()
		if open() != 1 {
			t.Errorf("%d open sessions", open())
		}
	}()
	waitFor(t, "the session is not freed", func() bool { return open() == 0 })
}

func TestSessionKeepsItsClientReachable(t *testing.T) {
	session := newSession(t, func() *Client {
		client, err := NewClient(WithBaseURL(service.http))
		must(t, err)
		return client
	}())
	for i := 0; i < 3; i++ {
		runtime.GC()
	}
	valueOf(t, session)
}

func TestPanicOfLoggerReachesOnlyItsCall(t *testing.T) {
	service := newFakeService(t)
	reason := errors.New("a defect of the logger")
	session := newSession(t, newClient(t, WithBaseURL(service.URL), WithLogger(LogInfo, func(LogLevel, string) { panic(reason) })))
	requested, open := service.gate(issue)
	value := make(chan interface{}, 1)
	go func() { value <- panicOf(func() { _, _ = session.Token(context.Background()) }) }()
	waitForRequest(t, requested)
	other := getToken(context.Background(), session)
	waitForWaiters(t, 1)
	open()
	if got := <-value; got != reason {
		t.Errorf("panics with %v", got)
	}
	must(t, waitForResult(t, other))
	if len(session.client.slots) != 0 || session.inFlight != nil {
		t.Error("a slot or a call was not released")
	}
	session.Close()
}

func TestSessionLogsWithItsClientsLogger(t *testing.T) {
	service := newFakeService(t)
	var mutex sync.Mutex
	lines := ""
	client := newClient(t, WithBaseURL(service.URL), WithLogger(LogInfo, func(_ LogLevel, message string) {
		mutex.Lock()
		defer mutex.Unlock()
		lines += message + "\n"
	}))
	valueOf(t, newSession(t, client))
	mutex.Lock()
	defer mutex.Unlock()
	if !strings.Contains(lines, "logged in") || strings.Contains(lines, "token-1") {
		t.Errorf("%q", lines)
	}
}

func TestZeroSessionFails(t *testing.T) {
	var session Session
	if _, err := session.Token(context.Background()); !errors.Is(err, ErrNullArgument) {
		t.Error(err)
	}
	if _, err := session.Renew(context.Background(), nil); !errors.Is(err, ErrNullArgument) {
		t.Error(err)
	}
	if err := session.Close(); err != nil {
		t.Error(err)
	}
	if _, err := new(Client).Session(account("ada")); !errors.Is(err, ErrNullArgument) {
		t.Error(err)
	}
}

func TestDoneContextFailsEvenWithToken(t *testing.T) {
	_, session := newServedSession(t)
	valueOf(t, session)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := session.Token(ctx); !errors.Is(err, context.Canceled) || !errors.Is(err, ErrCancelled) {
		t.Error(err)
	}
	var none context.Context
	if _, err := session.Token(none); !errors.Is(err, ErrNullArgument) {
		t.Error(err)
	}
}

func TestTokensAreComparedByValue(t *testing.T) {
	var none *Token
	token := NewToken("token-1")
	for _, test := range []struct {
		a, b *Token
		want bool
	}{
		{token, token, true}, {token, NewToken("token-1"), true}, {token, NewToken("token-2"), false}, {token, NewToken("token-10"), false},
		{token, none, false}, {none, token, false}, {none, &Token{}, true}, {none, none, true}, {NewToken(""), none, true},
	} {
		if test.a.Equal(test.b) != test.want {
			t.Errorf("%q and %q: want %v", test.a, test.b, test.want)
		}
	}
}

func BenchmarkSessionToken(b *testing.B) {
	session := newSession(b, newClient(b, WithBaseURL(service.http)))
	ctx := context.Background()
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		token, err := session.Token(ctx)
		if err != nil {
			b.Fatal(err)
		}
		token.Wipe()
	}
}
