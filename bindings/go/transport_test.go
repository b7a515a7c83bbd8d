//go:build cgo

package couchdrop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// fakeService accepts logins, and only the newest token.
type fakeService struct {
	*httptest.Server
	mutex  sync.Mutex
	logins int
	// The tokens and bodies of requests other than logins, in order.
	tokens, bodies []string
	// The handlers of requests with a valid token, and of logins; nil = 200.
	respond, login func(http.ResponseWriter, *http.Request)
	// No token is valid.
	forbidden bool
	// The target of a redirect of all requests other than logins; "" = no redirect.
	forward string
}

func newFakeService(t *testing.T) *fakeService {
	t.Helper()
	service := &fakeService{}
	service.Server = httptest.NewServer(http.HandlerFunc(service.serve))
	t.Cleanup(service.Close)
	return service
}

func (s *fakeService) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/authenticate" {
		s.mutex.Lock()
		s.logins++
		token, login := s.current(), s.login
		s.mutex.Unlock()
		if login != nil {
			login(w, r)
			return
		}
		fmt.Fprintf(w, `{"token": %q}`, token)
		return
	}
	body, _ := io.ReadAll(r.Body)
	s.mutex.Lock()
	s.tokens = append(s.tokens, strings.Join(r.Header["Token"], ","))
	s.bodies = append(s.bodies, string(body))
	good, respond := r.Header.Get("token") == s.current() && !s.forbidden, s.respond
	s.mutex.Unlock()
	switch {
	case s.forward != "":
		http.Redirect(w, r, s.forward, http.StatusTemporaryRedirect)
	case !good:
		http.Error(w, `{"error":"Access denied"}`, http.StatusForbidden)
	case respond != nil:
		respond(w, r)
	}
}

// current returns the token of the last login.
func (s *fakeService) current() string { return fmt.Sprintf("token-%d", s.logins) }

// expire invalidates the token of the last login.
func (s *fakeService) expire() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.logins += 100
}

func (s *fakeService) set(change func()) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	change()
}

func (s *fakeService) seen() (tokens, bodies string, logins int) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return strings.Join(s.tokens, " "), strings.Join(s.bodies, " "), s.logins
}

// user is an HTTP client with a transport whose clock a test can advance.
type user struct {
	http.Client
	*Transport
	skipped int64
}

func newUser(t *testing.T, service *fakeService, options ...Option) *user {
	t.Helper()
	client := newClient(t, append(options, WithBaseURL(service.URL))...)
	base := &http.Transport{}
	t.Cleanup(base.CloseIdleConnections)
	transport, err := NewTransport(client, account("ada"), base, service.URL)
	if err != nil {
		t.Fatal(err)
	}
	u := &user{Client: http.Client{Transport: transport}, Transport: transport}
	transport.now = func() time.Time { return time.Now().Add(time.Duration(atomic.LoadInt64(&u.skipped))) }
	return u
}

// skip advances the clock of the transport.
func (u *user) skip(length time.Duration) { atomic.AddInt64(&u.skipped, int64(length)) }

// post sends a request and returns the status of the response.
func (u *user) post(t *testing.T, url, body string) int {
	t.Helper()
	response, err := u.Client.Post(url, "text/plain", strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0
	}
	_, _ = io.Copy(io.Discard, response.Body)
	response.Body.Close()
	return response.StatusCode
}

func TestTokenIsSentOnlyToListedOrigins(t *testing.T) {
	service, other := newFakeService(t), newFakeService(t)
	u := newUser(t, service)
	if status := u.post(t, service.URL+"/file/ls?path=/", "a"); status != 200 {
		t.Error(status)
	}
	u.post(t, other.URL+"/file/ls", "b")
	// A different name for the same host is a different origin.
	u.post(t, strings.Replace(service.URL, "127.0.0.1", "localhost", 1)+"/file/ls", "c")
	if tokens, bodies, logins := service.seen(); tokens != "token-1 " || bodies != "a c" || logins != 1 {
		t.Errorf("%q %q %d", tokens, bodies, logins)
	}
	if tokens, bodies, logins := other.seen(); tokens != "" || bodies != "b" || logins != 0 {
		t.Errorf("the other host got %q %q %d", tokens, bodies, logins)
	}
}

func TestRedirectToOtherHostCarriesNoToken(t *testing.T) {
	service, other := newFakeService(t), newFakeService(t)
	u := newUser(t, service)
	// The second redirect must not restore the token either.
	respond := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/there" {
			http.Redirect(w, r, other.URL+"/here", http.StatusTemporaryRedirect)
		}
		if r.URL.Path == "/within" {
			http.Redirect(w, r, "/end", http.StatusTemporaryRedirect)
		}
	}
	service.set(func() { service.respond = respond })
	u.post(t, service.URL+"/there", "a")
	request, err := http.NewRequest("POST", service.URL+"/there", strings.NewReader("b"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("token", "the user's own")
	response, err := u.Client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if tokens, bodies, _ := other.seen(); tokens != " " || bodies != "a b" {
		t.Errorf("the other host got %q %q", tokens, bodies)
	}
	if status := u.post(t, service.URL+"/within", "c"); status != 200 {
		t.Error(status)
	}
	if tokens, _, _ := service.seen(); tokens != "token-1 token-1 token-1 token-1" {
		t.Errorf("%q", tokens)
	}
}

func TestRedirectBackFromOtherHostCarriesNoToken(t *testing.T) {
	service, other := newFakeService(t), newFakeService(t)
	other.forward = service.URL + "/file/delete"
	u := newUser(t, service)
	service.set(func() {
		service.respond = func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/there" {
				http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
			}
		}
	})
	for _, start := range []string{other.URL, service.URL + "/there"} {
		request, err := http.NewRequest("POST", start, strings.NewReader("a"))
		must(t, err)
		request.Header.Set("token", "the user's own")
		response, err := u.Client.Do(request)
		must(t, err)
		response.Body.Close()
		if response.StatusCode != 403 || response.Request.URL.Path != "/file/delete" {
			t.Errorf("from %s: %d of %s", start, response.StatusCode, response.Request.URL)
		}
	}
	if tokens, _, logins := service.seen(); tokens != " token-1 " || logins != 1 {
		t.Errorf("%q, %d logins", tokens, logins)
	}
}

func TestTokenHeaderInOtherCaseIsRemoved(t *testing.T) {
	service, other := newFakeService(t), newFakeService(t)
	u := newUser(t, service)
	service.set(func() {
		service.respond = func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		}
	})
	request, err := http.NewRequest("POST", service.URL, strings.NewReader("a"))
	must(t, err)
	request.Header["toKen"] = []string{"the user's own"}
	response, err := u.Client.Do(request)
	must(t, err)
	response.Body.Close()
	if tokens, _, _ := service.seen(); tokens != "token-1" {
		t.Errorf("the service got %q", tokens)
	}
	if tokens, bodies, _ := other.seen(); tokens != "" || bodies != "a" {
		t.Errorf("the other host got %q %q", tokens, bodies)
	}
}

func TestResponseRequestHasNoToken(t *testing.T) {
	service := newFakeService(t)
	u := newUser(t, service)
	for i := 0; i < 2; i++ {
		request, err := http.NewRequest("POST", service.URL, strings.NewReader("a"))
		must(t, err)
		response, err := u.Client.Do(request)
		must(t, err)
		response.Body.Close()
		if response.StatusCode != 200 || response.Request != request || len(request.Header) != 0 {
			t.Errorf("%d, %v", response.StatusCode, response.Request.Header)
		}
		// The second request is refused and sent again with a new token.
		service.expire()
		u.skip(minLoginInterval)
	}
	if tokens, _, _ := service.seen(); tokens != "token-1 token-1 token-102" {
		t.Error(tokens)
	}
}

func TestOriginsAreNormalized(t *testing.T) {
	transport, err := NewTransport(nil, account("ada"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"https://api.couchdrop.io":                       true,
		"https://fileio.couchdrop.io/file/ls?path=/":     true,
		"https://API.Couchdrop.IO:443/x":                 true,
		"https://user:secret@api.couchdrop.io/":          true,
		"http://api.couchdrop.io/":                       false,
		"https://api.couchdrop.io:8443/":                 false,
		"https://api.couchdrop.io./":                     false,
		"https://api.couchdrop.io.example.com/":          false,
		"https://api.couchdrop.io@example.com/":          false,
		"https://example.com/https://api.couchdrop.io/":  false,
		"https://couchdrop.io/":                          false,
		"https://x.api.couchdrop.io/":                    false,
		"ftp://api.couchdrop.io/":                        false,
		"//api.couchdrop.io/":                            false,
		"https:api.couchdrop.io":                         false,
		"https://example.com/?https://api.couchdrop.io/": false,
	} {
		parsed, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if transport.origins[originOf(parsed)] != want {
			t.Errorf("%s is listed: %v", text, !want)
		}
	}
}

func TestTransportRejectsEmptyCredentials(t *testing.T) {
	good, wiped := NewSecret("secret"), NewSecret("secret")
	wiped.Wipe()
	for name, credentials := range map[string]Credentials{
		"nothing":           {},
		"no user name":      {Password: good},
		"no password":       {Username: "ada"},
		"an empty password": {Username: "ada", Password: NewSecret("")},
		"a wiped password":  {Username: "ada", Password: wiped},
	} {
		transport, err := NewTransport(nil, credentials, nil)
		var failure *Error
		if transport != nil || !errors.Is(err, ErrEmptyArgument) || !errors.As(err, &failure) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewTransport(nil, Credentials{Username: "ada", Password: good}, nil); err != nil {
		t.Error(err)
	}
}

func TestInvalidOriginsAreRejected(t *testing.T) {
	for text, want := range map[string]error{
		"https://localhost:1234":       nil,
		"https://localhost/":           nil,
		"http://127.0.0.1:80":          nil,
		"http://[::1]":                 nil,
		"http://LOCALHOST":             nil,
		"http://api.couchdrop.io":      ErrInsecureURL,
		"api.couchdrop.io":             ErrInvalidURL,
		"ftp://localhost":              ErrInvalidURL,
		"https://":                     ErrInvalidURL,
		"https://a:secret@localhost":   ErrInvalidURL,
		"https://localhost/file":       ErrInvalidURL,
		"https://localhost:99999":      ErrInvalidURL,
		"https://localhost:0":          ErrInvalidURL,
		"https://*.couchdrop.io":       ErrInvalidURL,
		"https://localhost?a":          ErrInvalidURL,
		"https://localhost#a":          ErrInvalidURL,
		"https://a:secret@localhost:x": ErrInvalidURL,
	} {
		_, err := NewTransport(nil, account("ada"), nil, text)
		if !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Error("the error quotes user info:", err)
		}
	}
}

func TestAllRequestsShareOneLogin(t *testing.T) {
	service := newFakeService(t)
	u := newUser(t, service)
	const requests = 100
	atOnce(requests, func() {
		if status := u.post(t, service.URL, "a"); status != 200 {
			t.Error(status)
		}
	})
	if _, _, logins := service.seen(); logins != 1 {
		t.Errorf("%d logins", logins)
	}
	// The token of all requests has expired.
	service.expire()
	u.skip(minLoginInterval)
	atOnce(requests, func() {
		if status := u.post(t, service.URL, "b"); status != 200 {
			t.Error(status)
		}
	})
	if _, bodies, logins := service.seen(); logins != 1+100+1 || strings.Count(bodies, "b") < requests+1 {
		t.Errorf("%d logins", logins-100)
	}
}

func atOnce(count int, do func()) {
	var group sync.WaitGroup
	for i := 0; i < count; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			do()
		}()
	}
	group.Wait()
}

func TestRefusedYoungTokenCausesNoLogin(t *testing.T) {
	service := newFakeService(t)
	u := newUser(t, service)
	service.set(func() { service.forbidden = true })
	for i := 0; i < 3; i++ {
		u.skip(minLoginInterval / 4)
		if status := u.post(t, service.URL, "a"); status != 403 {
			t.Error(status)
		}
	}
	if tokens, _, logins := service.seen(); logins != 1 || tokens != "token-1 token-1 token-1" {
		t.Errorf("%d logins, %s", logins, tokens)
	}
	// Now it may have expired. The transport retries once and returns the response.
	u.skip(minLoginInterval)
	if status := u.post(t, service.URL, "b"); status != 403 {
		t.Error(status)
	}
	if tokens, bodies, logins := service.seen(); logins != 2 || bodies != "a a a b b" || tokens != "token-1 token-1 token-1 token-1 token-2" {
		t.Errorf("%d logins, %s, %s", logins, tokens, bodies)
	}
}

func TestStatus401RefreshesOldToken(t *testing.T) {
	service := newFakeService(t)
	u := newUser(t, service)
	respond := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("token") == "token-1" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
	service.set(func() { service.respond = respond })
	if status := u.post(t, service.URL, "a"); status != 401 {
		t.Error(status)
	}
	u.skip(minLoginInterval)
	if status := u.post(t, service.URL, "b"); status != 200 {
		t.Error(status)
	}
}

// once is a body that can be read only once.
type once struct {
	io.Reader
	closed int64
}

func (o *once) Close() error { atomic.AddInt64(&o.closed, 1); return nil }

func TestRequestWithConsumedBodyIsNotResent(t *testing.T) {
	service := newFakeService(t)
	u := newUser(t, service)
	u.post(t, service.URL, "a")
	service.expire()
	u.skip(minLoginInterval)
	body := &once{Reader: strings.NewReader("b")}
	response, err := u.Client.Post(service.URL, "", body)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(response.Body)
	response.Body.Close()
	if response.StatusCode != 403 || !strings.Contains(string(text), "Access denied") || err != nil {
		t.Errorf("%d %s %v", response.StatusCode, text, err)
	}
	if _, bodies, logins := service.seen(); bodies != "a b" || logins != 101 {
		t.Errorf("%s, %d logins", bodies, logins)
	}
	// The next request has a new token.
	if status := u.post(t, service.URL, "c"); status != 200 {
		t.Error(status)
	}
	if _, bodies, logins := service.seen(); bodies != "a b c" || logins != 102 {
		t.Errorf("%s, %d logins", bodies, logins)
	}
}

func TestRequestWithOldTokenIsResentWithoutLogin(t *testing.T) {
	service := newFakeService(t)
	u := newUser(t, service)
	u.post(t, service.URL, "a")
	// Another request logs in before this one receives its response.
	newest := &Token{masked{hide([]byte("token-101"))}}
	service.expire()
	u.Transport.base = roundTripper(func(request *http.Request) (*http.Response, error) {
		response, err := http.DefaultTransport.RoundTrip(request)
		u.Transport.mutex.Lock()
		defer u.Transport.mutex.Unlock()
		u.Transport.token = newest
		return response, err
	})
	if status := u.post(t, service.URL, "b"); status != 200 {
		t.Error(status)
	}
	if tokens, _, logins := service.seen(); tokens != "token-1 token-1 token-101" || logins != 101 {
		t.Errorf("%s, %d logins", tokens, logins)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

func TestRequestIsNotModified(t *testing.T) {
	service := newFakeService(t)
	u := newUser(t, service)
	body := &once{Reader: strings.NewReader("a")}
	request, err := http.NewRequest("POST", service.URL, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = nil
	response, err := u.Transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if request.Header != nil || request.Body != body {
		t.Error("the request was changed")
	}
	if atomic.LoadInt64(&body.closed) == 0 {
		t.Error("its body was not closed")
	}
	if _, err := u.Transport.RoundTrip(&http.Request{}); err == nil {
		t.Error("a request without URL was sent")
	}
}

func TestFailedLoginFailsRequest(t *testing.T) {
	service := newFakeService(t)
	u := newUser(t, service)
	denied := func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"err":"Access denied"}`)
	}
	unavailable := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotImplemented) }
	fail := func(want error) {
		t.Helper()
		body := &once{Reader: strings.NewReader("a")}
		_, err := u.Client.Post(service.URL, "", body)
		var failure *Error
		if !errors.Is(err, want) || !errors.As(err, &failure) {
			t.Errorf("got %v, want %v", err, want)
		}
		if atomic.LoadInt64(&body.closed) == 0 {
			t.Error("the request's body was not closed")
		}
	}
	service.set(func() { service.login = unavailable })
	fail(ErrHTTPStatus)
	fail(ErrHTTPStatus)
	if _, _, logins := service.seen(); logins != 2 {
		t.Errorf("%d logins", logins)
	}
	// After refused credentials there is no login for a while, so that the service does not lock the account.
	service.set(func() { service.login = denied })
	fail(ErrAccessDenied)
	fail(ErrAccessDenied)
	if _, _, logins := service.seen(); logins != 3 {
		t.Errorf("%d logins", logins)
	}
	u.skip(minLoginInterval)
	// A Retry-After delays the next login too, but at most as long.
	for retryAfter, pause := range map[string]time.Duration{"3600": minLoginInterval, "40": 40 * time.Second} {
		header := retryAfter
		service.set(func() {
			service.login = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", header)
				w.WriteHeader(http.StatusTooManyRequests)
			}
		})
		_, _, before := service.seen()
		fail(ErrRateLimited)
		u.skip(pause / 2)
		fail(ErrRateLimited)
		if _, _, logins := service.seen(); logins != before+1 {
			t.Errorf("Retry-After: %s: %d logins", retryAfter, logins-before)
		}
		u.skip(pause / 2)
	}
	service.set(func() { service.login = nil })
	if status := u.post(t, service.URL, "b"); status != 200 {
		t.Error(status)
	}
	// The token has expired, and the new login fails.
	service.expire()
	u.skip(minLoginInterval)
	service.set(func() { service.login = unavailable })
	response, err := u.Client.Post(service.URL, "", strings.NewReader("c"))
	if err == nil {
		response.Body.Close()
	}
	if !errors.Is(err, ErrHTTPStatus) {
		t.Error(err)
	}
}

func TestCancelledRequestDoesNotStopSharedLogin(t *testing.T) {
	service := newFakeService(t)
	u := newUser(t, service)
	requested, proceed := make(chan struct{}, 2), make(chan struct{})
	login := func(w http.ResponseWriter, r *http.Request) {
		requested <- struct{}{}
		select {
		case <-proceed:
			_, _ = io.WriteString(w, `{"token":"token-1"}`)
		case <-r.Context().Done():
		}
	}
	service.set(func() { service.login = login })
	get := func(ctx context.Context) <-chan error {
		result := make(chan error, 1)
		request, err := http.NewRequestWithContext(ctx, "GET", service.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			response, err := u.Client.Do(request)
			if err == nil {
				response.Body.Close()
				if response.StatusCode != 200 {
					err = errors.New(response.Status)
				}
			}
			result <- err
		}()
		return result
	}
	cancellable, cancelFirst := context.WithCancel(context.Background())
	first := get(cancellable)
	<-requested
	second := get(context.Background())
	waitFor(t, "the second request does not wait for the login", func() bool { return u.waiting(2) })
	cancelFirst()
	if err := waitForResult(t, first); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(proceed)
	if err := waitForResult(t, second); err != nil {
		t.Error(err)
	}

	// The login stops when no request waits for it.
	u.Transport.mutex.Lock()
	u.Transport.token = nil
	u.Transport.mutex.Unlock()
	stopped := make(chan struct{})
	service.set(func() {
		service.login = func(_ http.ResponseWriter, r *http.Request) {
			// net/http detects that the client closed the connection only after the body was read.
			_, _ = io.Copy(io.Discard, r.Body)
			requested <- struct{}{}
			<-r.Context().Done()
			close(stopped)
		}
	})
	late, cancel := context.WithCancel(context.Background())
	third := get(late)
	<-requested
	cancel()
	if err := waitForResult(t, third); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	select {
	case <-stopped:
	case <-time.After(testTimeout):
		t.Error("the login continues without a waiter")
	}
	service.set(func() { service.login = nil })
	if err := waitForResult(t, get(context.Background())); err != nil {
		t.Error("after a stopped login:", err)
	}
}

// waiting returns true if count requests wait for a login.
func (u *user) waiting(count int) bool {
	u.Transport.mutex.Lock()
	defer u.Transport.mutex.Unlock()
	return u.inFlight != nil && u.inFlight.waiters == count
}

// panicOf returns the value that call panics with, or nil if it returns.
func panicOf(call func()) (value interface{}) {
	defer func() { value = recover() }()
	call()
	return nil
}

func TestTransportLoggerPanicReachesItsRequests(t *testing.T) {
	service := newFakeService(t)
	reason := errors.New("a defect of the logger")
	var good atomic.Bool
	u := newUser(t, service, WithLogger(LogInfo, func(LogLevel, string) {
		if !good.Load() {
			panic(reason)
		}
	}))
	proceed := make(chan struct{})
	service.set(func() {
		service.login = func(w http.ResponseWriter, _ *http.Request) {
			<-proceed
			_, _ = io.WriteString(w, `{"token":"token-1"}`)
		}
	})
	const requests = 5
	values := make(chan interface{}, requests)
	bodies := make([]*once, requests)
	for i := range bodies {
		body := &once{Reader: strings.NewReader("a")}
		bodies[i] = body
		go func() {
			values <- panicOf(func() {
				response, err := u.Client.Post(service.URL, "", body)
				if err == nil {
					response.Body.Close()
				}
				t.Errorf("a request returned %v", err)
			})
		}()
	}
	waitFor(t, "the requests do not wait for the login", func() bool { return u.waiting(requests) })
	close(proceed)
	for range bodies {
		if value := <-values; value != reason {
			t.Errorf("a request panics with %v", value)
		}
	}
	for _, body := range bodies {
		if atomic.LoadInt64(&body.closed) == 0 {
			t.Error("the body of a request was not closed")
		}
	}
	if len(u.client.slots) != 0 || u.inFlight != nil {
		t.Error("a slot or a login was not released")
	}
	// The next request logs in.
	good.Store(true)
	service.set(func() { service.login = nil })
	if status := u.post(t, service.URL, "b"); status != 200 {
		t.Error(status)
	}
	if _, bodies, logins := service.seen(); bodies != "b" || logins != 2 {
		t.Errorf("sent %q, %d logins", bodies, logins)
	}
}

func TestTransportLoggerPanicWithoutWaiterIsDropped(t *testing.T) {
	service := newFakeService(t)
	u := newUser(t, service, WithLogger(LogInfo, func(LogLevel, string) { panic("a defect of the logger") }))
	requested := make(chan struct{}, 1)
	service.set(func() {
		service.login = func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			requested <- struct{}{}
			<-r.Context().Done()
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	request, err := http.NewRequestWithContext(ctx, "GET", service.URL, nil)
	must(t, err)
	go func() {
		<-requested
		cancel()
	}()
	// Cancelling the request stops the login, and the library logs that.
	response, err := u.RoundTrip(request)
	if !errors.Is(err, context.Canceled) {
		t.Error(response, err)
	}
	waitFor(t, "the login does not end", func() bool { return len(u.client.slots) == 0 })
}

func TestTransportLoggerThatExitsFailsTheRequest(t *testing.T) {
	service := newFakeService(t)
	u := newUser(t, service, WithLogger(LogInfo, func(LogLevel, string) { runtime.Goexit() }))
	result := make(chan error, 1)
	go func() {
		response, err := u.Client.Get(service.URL)
		if err == nil {
			response.Body.Close()
		}
		result <- err
	}()
	if err := waitForResult(t, result); !errors.Is(err, ErrInternal) {
		t.Error(err)
	}
	waitFor(t, "the login keeps its slot", func() bool { return len(u.client.slots) == 0 })
}
