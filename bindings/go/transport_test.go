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
	"strings"
	"sync"
	"sync/atomic"
	"testing"
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

// user is an HTTP client with a transport.
type user struct {
	http.Client
	*Transport
	session *Session
}

// newUser returns a client whose session renews each rejected token.
func newUser(t *testing.T, service *fakeService, options ...Option) *user {
	t.Helper()
	return newUserOf(t, newSession(t, newClient(t, append(options, WithBaseURL(service.URL))...), WithMinAge(0)), service)
}

func newUserOf(t *testing.T, session *Session, service *fakeService) *user {
	t.Helper()
	base := &http.Transport{}
	t.Cleanup(base.CloseIdleConnections)
	transport, err := NewTransport(session, base, service.URL)
	must(t, err)
	return &user{Client: http.Client{Transport: transport}, Transport: transport, session: session}
}

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
	}
	if tokens, _, _ := service.seen(); tokens != "token-1 token-1 token-102" {
		t.Error(tokens)
	}
}

func TestOriginsAreNormalized(t *testing.T) {
	transport, err := NewTransport(StaticTokenSource(NewToken("token")), nil)
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
		_, err := NewTransport(StaticTokenSource(NewToken("token")), nil, text)
		if !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Error("the error quotes user info:", err)
		}
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
	if _, bodies, logins := service.seen(); bodies != "a b" || logins != 102 {
		t.Errorf("%s, %d logins", bodies, logins)
	}
	// The next request has the new token.
	if status := u.post(t, service.URL, "c"); status != 200 {
		t.Error(status)
	}
	if _, bodies, logins := service.seen(); bodies != "a b c" || logins != 102 {
		t.Errorf("%s, %d logins", bodies, logins)
	}
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

// panicOf returns the value that call panics with, or nil if it returns.
func panicOf(call func()) (value interface{}) {
	defer func() { value = recover() }()
	call()
	return nil
}

func TestRefusalsOfYoungTokenCauseOneLogin(t *testing.T) {
	service := newFakeService(t)
	client := newClient(t, WithBaseURL(service.URL))
	u := newUserOf(t, newSession(t, client), service)
	service.set(func() { service.forbidden = true })
	const requests = 20
	atOnce(requests, func() {
		if status := u.post(t, service.URL, "a"); status != 403 {
			t.Error(status)
		}
	})
	if _, bodies, logins := service.seen(); logins != 1 || strings.Count(bodies, "a") != requests {
		t.Errorf("%d logins, sent %s", logins, bodies)
	}
}

func TestRefusedRequestIsRepeatedOnce(t *testing.T) {
	service := newFakeService(t)
	u := newUser(t, service)
	service.set(func() { service.forbidden = true })
	if status := u.post(t, service.URL, "a"); status != 403 {
		t.Error(status)
	}
	if tokens, bodies, logins := service.seen(); logins != 2 || bodies != "a a" || tokens != "token-1 token-2" {
		t.Errorf("%d logins, %s, %s", logins, tokens, bodies)
	}
}

func TestStatus401IsRefusalOfToken(t *testing.T) {
	service := newFakeService(t)
	u := newUser(t, service)
	service.set(func() {
		service.respond = func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("token") == "token-1" {
				w.WriteHeader(http.StatusUnauthorized)
			}
		}
	})
	if status := u.post(t, service.URL, "a"); status != 200 {
		t.Error(status)
	}
	if tokens, _, _ := service.seen(); tokens != "token-1 token-2" {
		t.Error(tokens)
	}
}

func TestExpiredTokenCausesOneLogin(t *testing.T) {
	service := newFakeService(t)
	u := newUser(t, service)
	u.post(t, service.URL, "a")
	service.expire()
	const requests = 100
	// Each is refused with the first token before any of them renews it.
	var refused sync.WaitGroup
	refused.Add(requests)
	base := u.Transport.base
	u.Transport.base = roundTripper(func(request *http.Request) (*http.Response, error) {
		response, err := base.RoundTrip(request)
		if request.Header.Get("token") == "token-1" {
			refused.Done()
			refused.Wait()
		}
		return response, err
	})
	atOnce(requests, func() {
		if status := u.post(t, service.URL, "b"); status != 200 {
			t.Error(status)
		}
	})
	if _, bodies, logins := service.seen(); logins != 102 || strings.Count(bodies, "b") != 2*requests {
		t.Errorf("%d logins", logins-100)
	}
}

func TestFailedLoginFailsRequest(t *testing.T) {
	service := newFakeService(t)
	u := newUser(t, service)
	unavailable := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotImplemented) }
	service.set(func() { service.login = unavailable })
	body := &once{Reader: strings.NewReader("a")}
	_, err := u.Client.Post(service.URL, "", body)
	var failure *Error
	if !errors.Is(err, ErrHTTPStatus) || !errors.As(err, &failure) {
		t.Error(err)
	}
	if atomic.LoadInt64(&body.closed) == 0 {
		t.Error("the request's body was not closed")
	}
	service.set(func() { service.login = nil })
	u.post(t, service.URL, "b")
	// The token has expired, and the new login fails.
	service.expire()
	service.set(func() { service.login = unavailable })
	response, err := u.Client.Post(service.URL, "", strings.NewReader("c"))
	if err == nil {
		response.Body.Close()
	}
	if !errors.Is(err, ErrHTTPStatus) {
		t.Error(err)
	}
	// A request that can't be sent again returns its own response.
	service.set(func() { service.login = nil })
	u.post(t, service.URL, "d")
	service.expire()
	service.set(func() { service.login = unavailable })
	response, err = u.Client.Post(service.URL, "", &once{Reader: strings.NewReader("e")})
	must(t, err)
	text, err := io.ReadAll(response.Body)
	response.Body.Close()
	if response.StatusCode != 403 || !strings.Contains(string(text), "Access denied") || err != nil {
		t.Errorf("%d %s %v", response.StatusCode, text, err)
	}
}

func TestBodyThatCannotBeReopenedIsNotResent(t *testing.T) {
	service := newFakeService(t)
	u := newUser(t, service)
	u.post(t, service.URL, "a")
	service.expire()
	request, err := http.NewRequest("POST", service.URL, strings.NewReader("b"))
	must(t, err)
	request.GetBody = func() (io.ReadCloser, error) { return nil, errors.New("the file is gone") }
	response, err := u.Client.Do(request)
	must(t, err)
	response.Body.Close()
	if _, bodies, _ := service.seen(); response.StatusCode != 403 || bodies != "a b" {
		t.Errorf("%d %s", response.StatusCode, bodies)
	}
}

// stopWaitingRequest sends a request with ctx through a Transport whose service does not respond, and calls stop while the
// request waits for the login. It returns the request's error.
func stopWaitingRequest(t *testing.T, ctx context.Context, stop func()) error {
	t.Helper()
	url, requests := silentServer(t)
	transport, err := NewTransport(newSession(t, newClient(t, WithBaseURL(url))), nil, url)
	must(t, err)
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
	waitForRequest(t, requests)
	stop()
	return waitForResult(t, result)
}

func TestRequestContextStopsLogin(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	if err := stopWaitingRequest(t, ctx, cancel); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestTransportLoggerPanicReachesRequest(t *testing.T) {
	service := newFakeService(t)
	reason := errors.New("a defect of the logger")
	u := newUser(t, service, WithLogger(LogInfo, func(LogLevel, string) { panic(reason) }))
	body := &once{Reader: strings.NewReader("a")}
	value := panicOf(func() {
		response, err := u.Client.Post(service.URL, "", body)
		if err == nil {
			response.Body.Close()
		}
	})
	if value != reason || atomic.LoadInt64(&body.closed) == 0 {
		t.Errorf("panics with %v, body closed: %v", value, atomic.LoadInt64(&body.closed))
	}
	// The login succeeded, and so does the next request. Its renewal panics.
	if status := u.post(t, service.URL, "b"); status != 200 {
		t.Error(status)
	}
	service.expire()
	if value := panicOf(func() { u.post(t, service.URL, "c") }); value != reason {
		t.Errorf("panics with %v", value)
	}
}

// brokenSource returns no token and no error.
type brokenSource struct{ first *Token }

func (s brokenSource) Token(context.Context) (*Token, error)         { return s.first, nil }
func (s brokenSource) Renew(context.Context, *Token) (*Token, error) { return nil, nil }

func TestSourceWithoutTokenFailsRequest(t *testing.T) {
	service := newFakeService(t)
	for name, source := range map[string]TokenSource{
		"nil token": brokenSource{}, "no new token": brokenSource{NewToken("old")}, "wiped token": brokenSource{&Token{}},
		"static source": StaticTokenSource(nil),
	} {
		transport, err := NewTransport(source, nil, service.URL)
		must(t, err)
		response, err := (&http.Client{Transport: transport}).Get(service.URL)
		if err == nil {
			response.Body.Close()
		}
		if !errors.Is(err, ErrEmptyArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if tokens, _, _ := service.seen(); tokens != "old" {
		t.Error(tokens)
	}
	if transport, err := NewTransport(nil, nil); transport != nil || !errors.Is(err, ErrNullArgument) {
		t.Error(err)
	}
}

func TestStaticSourceReturnsCopies(t *testing.T) {
	token := NewToken("token-1")
	source := StaticTokenSource(token)
	first, err := source.Token(context.Background())
	must(t, err)
	first.Wipe()
	second, err := source.Renew(context.Background(), first)
	if err != nil || !second.Equal(token) || second.Value() != "token-1" {
		t.Error(second.Value(), err)
	}
}
