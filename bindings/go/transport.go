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

// defaultOrigins is where the service takes a token: management and files.
var defaultOrigins = []string{"https://api.couchdrop.io", "https://fileio.couchdrop.io"}

// settled is the age from which on a token that is refused may have run out. A younger one has not: what is refused
// then is a permission, and a new token would be refused too. Credentials that were refused are left alone for the same
// time, so that no account is locked.
const settled = time.Minute

// Transport is an [http.RoundTripper] that puts a token into the requests to Couchdrop, and into no other.
//
//	transport, err := couchdrop.NewTransport(client, credentials, nil)
//	if err != nil {
//		return err
//	}
//	files := &http.Client{Transport: transport}
//	response, err := files.Post("https://fileio.couchdrop.io/file/ls?path=/", "", nil)
//
// It logs in before the first request that needs a token. It logs in again when a request is answered with 401 or 403
// and the token is older than a minute, since it may have run out; a 403 is mostly a missing permission, though, and so
// no other brings a login. One login serves all requests that wait for it. The refused request is sent again where its
// body can be had again: where it has none or [http.Request.GetBody] is set, as [http.NewRequest] sets it for bytes and
// strings in memory. Else the answer is returned as it is, and the next request logs in.
//
// The token goes to the listed origins alone. A redirect to another one takes no token along, not even one that the
// request had before; neither does a redirect that leads back from there, since another host would then choose what is
// done with the token. [http.Response.Request] is the request as it was given, without the token.
//
// A request whose login fails gives that [*Error], for [errors.As]. A login that was refused ([ErrAccessDenied],
// [ErrTwoFactorRequired]) is not tried again for a minute: requests fail with its error, so that no account is locked.
// After a login that the service answered with a Retry-After this holds for as long as that says, at most a minute.
//
// A login takes at most the client's timeout; a request waits for it until its own context ends. When nobody waits for
// a login any more, it is stopped. A panic of the client's logger reaches each
// request that waits for the login; if none waits, it is dropped. Any number of goroutines may use a Transport.
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
	// Why the last login failed, and until when no other is tried.
	refusal      error
	refusedUntil time.Time
}

// flight is a login under way, for all who wait for it.
type flight struct {
	done   chan struct{}
	cancel context.CancelFunc
	// Guarded by the transport's mutex.
	waiting int
	// Set before done is closed.
	token *Token
	err   error
	// The panic of the client's logger.
	panicked *panicked
}

// NewTransport returns a transport that logs in with the client and the credentials; a nil client is the one that
// [Authenticate] uses. Requests go through base; nil is [http.DefaultTransport]. It does not log in yet, but an empty user
// name or password is [ErrEmptyArgument] at once.
//
// The token goes to the origins, https://HOST[:PORT] each; where none is given these are https://api.couchdrop.io and
// https://fileio.couchdrop.io. Something that is no origin is [ErrInvalidURL]; plain http to a host that is not loopback
// is [ErrInsecureURL].
//
// Neither client, credentials nor base belong to the transport: close the client and wipe the password when the
// transport is not used any more.
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

// RoundTrip sends one request, with the token where its URL is of a listed origin. It blocks while a login is under
// way. Its error is the base's, or the login's [*Error].
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

// currentOrClose returns the token, or closes the body, also when it panics.
func (t *Transport) currentOrClose(ctx context.Context, body io.Closer) (token *Token, err error) {
	defer func() {
		if token == nil && body != nil {
			body.Close()
		}
	}()
	return t.current(ctx)
}

// CloseIdleConnections closes those of the base, for [http.Client.CloseIdleConnections].
func (t *Transport) CloseIdleConnections() {
	if base, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}

// drop forgets a token that was refused, unless it is too young to have run out, and reports whether another may be
// had: by a login, or because one has taken place since the request was sent.
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

// current returns the token, after a login where there is none.
func (t *Transport) current(ctx context.Context) (*Token, error) {
	// A context is the user's code, and may panic: it is called before the request counts as waiting, or after.
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

// logIn starts a login that does not depend on any one of those who wait for it. The mutex is held.
func (t *Transport) logIn() *flight {
	ctx, cancel := context.WithCancel(context.Background())
	flight := &flight{done: make(chan struct{}), cancel: cancel}
	go func() {
		defer cancel()
		// Stays if the logger ends this goroutine, against the rule.
		flight.err = &Error{Code: CodeInternal, message: "The logger ended the goroutine of the login"}
		defer func() {
			t.land(flight)
			close(flight.done)
		}()
		// The logger runs on this goroutine, and its panic would end the process: the requests that wait get it instead, as
		// those of singleflight do.
		flight.panicked = catchPanic(func() {
			flight.token, flight.err = t.client.Authenticate(ctx, t.credentials)
		})
	}()
	return flight
}

// land keeps what a login has brought.
func (t *Transport) land(landed *flight) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.flight != landed {
		return // Everybody has left, and perhaps another login is under way.
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

// pauseAfter is how long no other login is tried after one that failed with this error.
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

// leave stops a login for which nobody waits any more.
func (t *Transport) leave(left *flight) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	left.waiting--
	if left.waiting == 0 && t.flight == left {
		t.flight = nil
		left.cancel()
	}
}

// mayHaveToken reports whether the request's origin is listed, and that of each request from which redirects led here.
func (t *Transport) mayHaveToken(request *http.Request) bool {
	for request != nil && request.URL != nil && t.origins[originOf(request.URL)] {
		if request.Response == nil {
			return true
		}
		request = request.Response.Request
	}
	return false
}

// send sends the request with token and body. The request itself must stay as it is. It is also what the answer names,
// so that whoever shows an answer's request shows no token.
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

// withoutToken returns the request without a token that a redirect has brought along: http.Client passes on to any host
// a header that its user has set.
func withoutToken(request *http.Request) *http.Request {
	if request.Response == nil {
		return request
	}
	sent := request.Clone(request.Context())
	deleteToken(sent.Header)
	return sent
}

// deleteToken also finds a token in a spelling that the methods of http.Header don't know.
func deleteToken(header http.Header) {
	for name := range header {
		if strings.EqualFold(name, TokenHeader) {
			delete(header, name)
		}
	}
}

// bodyAgain returns the request's body from its start, and whether it can be had.
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

// discard gives up an answer. A short one is read to its end, so that its connection can be used again.
func discard(response *http.Response) {
	const short = 2 << 10
	if response.ContentLength <= short {
		_, _ = io.CopyN(io.Discard, response.Body, short)
	}
	response.Body.Close()
}

// parseOrigin checks what a user has given as an origin.
func parseOrigin(text string) (string, error) {
	parsed, err := url.Parse(text)
	if err != nil {
		// Its error quotes the text, and with it whatever stands before an @.
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

// originOf is the origin of a URL in one spelling (RFC 6454, section 4).
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
