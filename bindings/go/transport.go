//go:build cgo

package couchdrop

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// defaultOrigins are the origins that accept a token: management and files.
var defaultOrigins = []string{"https://api.couchdrop.io", "https://fileio.couchdrop.io"}

// settled is the age from which a refused token may have expired. If a younger token is refused, a permission is
// missing, and a new token would be refused too. After refused credentials the transport waits as long before the next
// login, so that the service does not lock the account.
const settled = time.Minute

// Transport is an [http.RoundTripper] that adds a token to requests to Couchdrop, and only to these.
//
//	transport, err := couchdrop.NewTransport(client, credentials, nil)
//	if err != nil {
//		return err
//	}
//	files := &http.Client{Transport: transport}
//	response, err := files.Post("https://fileio.couchdrop.io/file/ls?path=/", "", nil)
//
// It logs in before the first request that needs a token. It logs in again after a response of 401 or 403 if the token
// is older than a minute, because the token may have expired. A younger token does not cause a login, because a 403
// mostly means a missing permission. All waiting requests share one login. The refused request is sent again if it has
// no body or [http.Request.GetBody] is set. [http.NewRequest] sets it for bytes and strings in memory. Otherwise the
// transport returns the response unchanged, and the next request logs in.
//
// The token is sent only to the listed origins. A redirect to another origin carries no token, not even one that the
// caller set on the request. A redirect back from there carries none either, because the other host would choose the
// request. [http.Response.Request] is the request as the caller passed it, without the token.
//
// A request whose login fails returns that [*Error], for [errors.As]. A refused login ([ErrAccessDenied],
// [ErrTwoFactorRequired]) is not retried for a minute: requests fail with its error, so that the service does not lock
// the account. After a login that failed with a Retry-After the pause is that time, at most a minute.
//
// A login takes at most the client's timeout; a request waits for it until its own context is done. A login for which
// no request waits any more is cancelled. A panic of the client's logger reaches each request that waits for the login;
// if none waits, it is dropped. Any number of goroutines may use a Transport.
type Transport struct {
	client      *Client
	credentials Credentials
	base        http.RoundTripper
	origins     map[string]bool
	now         func() time.Time

	mutex  sync.Mutex
	token  *Token
	since  time.Time
	flight *flight
	// The error of the last login, and the time before which no other login starts.
	refusal      error
	refusedUntil time.Time
}

// flight is a login in progress, shared by all requests that wait for it.
type flight struct {
	done   chan struct{}
	cancel context.CancelFunc
	// The number of requests that wait. Guarded by the transport's mutex.
	waiting int
	// Set before done is closed.
	token *Token
	err   error
	// The panic of the client's logger.
	panicked *panicked
}

// NewTransport returns a transport that logs in with the client and the credentials. A nil client means the client that
// [Authenticate] uses. It sends requests through base; nil means [http.DefaultTransport]. It does not log in, but an
// empty user name or password fails with [ErrEmptyArgument].
//
// The token is sent to the origins, each https://HOST[:PORT]. The defaults are https://api.couchdrop.io and
// https://fileio.couchdrop.io. A string that is not an origin fails with [ErrInvalidURL]. Plain http to a host that is
// not loopback fails with [ErrInsecureURL].
//
// The transport owns neither client, credentials nor base. Close the client and wipe the password when the transport is
// not used any more.
func NewTransport(client *Client, credentials Credentials, base http.RoundTripper, origins ...string) (*Transport, error) {
	if err := credentials.mustBeThere(); err != nil {
		return nil, err
	}
	if client == nil {
		client = sharedClient()
	}
	if base == nil {
		base = http.DefaultTransport
	}
	if len(origins) == 0 {
		origins = defaultOrigins
	}
	t := &Transport{client: client, credentials: credentials, base: base, origins: make(map[string]bool), now: time.Now}
	for _, text := range origins {
		origin, err := parseOrigin(text)
		if err != nil {
			return nil, err
		}
		t.origins[origin] = true
	}
	return t, nil
}

// RoundTrip sends one request, with the token if the origin of its URL is listed. It blocks while a login is in
// progress. Its error is that of base, or the [*Error] of the login.
func (t *Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	if !t.mayHaveToken(request) {
		return t.base.RoundTrip(withoutToken(request))
	}
	token, err := t.currentOrClose(request.Context(), request.Body)
	if err != nil {
		return nil, err
	}
	response, err := t.send(request, token, request.Body)
	if err != nil || response.StatusCode != http.StatusUnauthorized && response.StatusCode != http.StatusForbidden {
		return response, err
	}
	if !t.drop(token) {
		return response, nil
	}
	body, ok := bodyAgain(request)
	if !ok {
		return response, nil
	}
	discard(response)
	token, err = t.currentOrClose(request.Context(), body)
	if err != nil {
		return nil, err
	}
	return t.send(request, token, body)
}

// currentOrClose returns the token. It closes the body if it fails or panics.
func (t *Transport) currentOrClose(ctx context.Context, body io.Closer) (token *Token, err error) {
	defer func() {
		if token == nil && body != nil {
			body.Close()
		}
	}()
	return t.current(ctx)
}

// CloseIdleConnections closes the idle connections of base, for [http.Client.CloseIdleConnections].
func (t *Transport) CloseIdleConnections() {
	if base, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}

// drop discards a refused token, unless it is too young to have expired. It returns true if the request may be sent
// with another token: after a login, or because a login has finished since the request was sent.
func (t *Transport) drop(refused *Token) bool {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.token != refused {
		return true
	}
	if t.now().Sub(t.since) < settled {
		return false
	}
	t.token = nil
	return true
}

// current returns the token, and logs in first if there is none.
func (t *Transport) current(ctx context.Context) (*Token, error) {
	// A context is the caller's code and may panic. Call it only when the request is not counted as waiting.
	done := ctx.Done()
	t.mutex.Lock()
	if token := t.token; token != nil {
		t.mutex.Unlock()
		return token, nil
	}
	if t.refusal != nil && t.now().Before(t.refusedUntil) {
		defer t.mutex.Unlock()
		return nil, t.refusal
	}
	if t.flight == nil {
		t.flight = t.logIn()
	}
	flight := t.flight
	flight.waiting++
	t.mutex.Unlock()

	select {
	case <-flight.done:
		if flight.panicked != nil {
			panic(flight.panicked.value)
		}
		return flight.token, flight.err
	case <-done:
		t.leave(flight)
		return nil, endedBy(ctx, "The request ended while it waited for a login")
	}
}

// logIn starts a login whose context is independent of the waiting requests. The caller holds the mutex.
func (t *Transport) logIn() *flight {
	ctx, cancel := context.WithCancel(context.Background())
	flight := &flight{done: make(chan struct{}), cancel: cancel}
	go func() {
		defer cancel()
		// The error if the logger ends this goroutine, which it must not do.
		flight.err = &Error{Code: CodeInternal, message: "The logger ended the goroutine of the login"}
		defer func() {
			t.land(flight)
			close(flight.done)
		}()
		// The logger runs on this goroutine, and its panic would end the process. Instead the waiting requests panic,
		// as they do in singleflight.
		flight.panicked = catchPanic(func() {
			flight.token, flight.err = t.client.Authenticate(ctx, t.credentials)
		})
	}()
	return flight
}

// land stores the result of a login.
func (t *Transport) land(landed *flight) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.flight != landed {
		return // All requests have left, and perhaps another login is in progress.
	}
	t.flight = nil
	if landed.panicked != nil {
		return
	}
	if landed.err == nil {
		t.token, t.since = landed.token, t.now()
	}
	t.refusal, t.refusedUntil = landed.err, t.now().Add(pauseAfter(landed.err))
}

// pauseAfter returns the minimum time between a login that failed with this error and the next one.
func pauseAfter(err error) time.Duration {
	var failure *Error
	switch {
	case !errors.As(err, &failure):
		return 0
	case failure.Code == CodeAccessDenied, failure.Code == CodeTwoFactorRequired, failure.RetryAfter > settled:
		return settled
	default:
		return failure.RetryAfter
	}
}

// leave removes a request from a login, and cancels the login if no other request waits for it.
func (t *Transport) leave(left *flight) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	left.waiting--
	if left.waiting == 0 && t.flight == left {
		t.flight = nil
		left.cancel()
	}
}

// mayHaveToken returns true if the origins of the request and of all requests that redirected to it are listed.
func (t *Transport) mayHaveToken(request *http.Request) bool {
	for request != nil && request.URL != nil && t.origins[originOf(request.URL)] {
		if request.Response == nil {
			return true
		}
		request = request.Response.Request
	}
	return false
}

// send sends a copy of the request with token and body, and does not change the request. The response refers to the
// original request, so that code that prints the response's request does not print the token.
func (t *Transport) send(request *http.Request, token *Token, body io.ReadCloser) (*http.Response, error) {
	sent := request.Clone(request.Context())
	if sent.Header == nil {
		sent.Header = make(http.Header)
	}
	deleteToken(sent.Header)
	sent.Header.Set(TokenHeader, token.Value())
	sent.Body = body
	response, err := t.base.RoundTrip(sent)
	if response != nil {
		response.Request = request
	}
	return response, err
}

// withoutToken removes the token from a redirected request: http.Client copies headers that its caller set to any host.
func withoutToken(request *http.Request) *http.Request {
	if request.Response == nil {
		return request
	}
	sent := request.Clone(request.Context())
	deleteToken(sent.Header)
	return sent
}

// deleteToken compares names case-insensitively: http.Header.Del finds only the canonical spelling.
func deleteToken(header http.Header) {
	for name := range header {
		if strings.EqualFold(name, TokenHeader) {
			delete(header, name)
		}
	}
}

// bodyAgain returns the request's body from its start. It returns false if the body cannot be read again.
func bodyAgain(request *http.Request) (io.ReadCloser, bool) {
	if request.Body == nil || request.Body == http.NoBody {
		return request.Body, true
	}
	if request.GetBody == nil {
		return nil, false
	}
	body, err := request.GetBody()
	return body, err == nil
}

// discard closes a response. It reads a short body to its end, so that the connection can be reused.
func discard(response *http.Response) {
	const short = 2 << 10
	if response.ContentLength <= short {
		_, _ = io.CopyN(io.Discard, response.Body, short)
	}
	response.Body.Close()
}

// parseOrigin checks an origin and returns it in the form of originOf.
func parseOrigin(text string) (string, error) {
	parsed, err := url.Parse(text)
	if err != nil {
		// The error of url.Parse quotes the text, which may contain a password before an @.
		return "", invalid(CodeInvalidURL, "An origin is no URL: https://HOST[:PORT] is one")
	}
	rest := *parsed
	rest.Scheme, rest.Host = "", ""
	if rest.Path == "/" {
		rest.Path = ""
	}
	if parsed.Hostname() == "" || rest != (url.URL{}) || parsed.Scheme != "https" && parsed.Scheme != "http" {
		return "", invalid(CodeInvalidURL, "An origin is https://HOST[:PORT], without user, path, query and fragment")
	}
	if port, err := strconv.ParseUint(parsed.Port(), 10, 16); parsed.Port() != "" && (err != nil || port == 0) {
		return "", invalid(CodeInvalidURL, "The port of an origin is from 1 to 65535")
	}
	if strings.Contains(parsed.Host, "*") {
		return "", invalid(CodeInvalidURL, "An origin is one host, without a wildcard")
	}
	if parsed.Scheme == "http" && !isLoopback(parsed.Hostname()) {
		return "", invalid(CodeInsecureURL, "An origin with plain http is not loopback: the token would travel unprotected")
	}
	return originOf(parsed), nil
}

// originOf returns the normalized origin of a URL (RFC 6454, section 4).
func originOf(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
