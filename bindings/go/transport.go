//go:build cgo

package couchdrop

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

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
// A login takes at most the client's timeout; a request waits for it until its own context is done. A login is cancelled
// when no request waits for it any more. If the client's logger panics, each request that waits for the login panics; if
// none waits, the panic is dropped. Any number of goroutines may use a Transport.
type Transport struct {
	client      *Client
	credentials Credentials
	base        http.RoundTripper
	origins     map[string]bool
	now         func() time.Time

	// Guards the fields below.
	mutex sync.Mutex
	// The token, nil if the next request must log in, and the time of its login.
	token   *Token
	tokenAt time.Time
	// The login in progress, if any.
	inFlight *loginCall
	// The error of the last login, and the time before which no other login starts.
	loginErr    error
	nextLoginAt time.Time
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
	if err := credentials.validate(); err != nil {
		return nil, err
	}
	if client == nil {
		client = getDefaultClient()
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
	if !t.mayCarryToken(request) {
		return t.base.RoundTrip(withoutToken(request))
	}
	token, err := t.tokenOrClose(request.Context(), request.Body)
	if err != nil {
		return nil, err
	}
	response, err := t.send(request, token, request.Body)
	if err != nil || response.StatusCode != http.StatusUnauthorized && response.StatusCode != http.StatusForbidden {
		return response, err
	}
	if !t.invalidate(token) {
		return response, nil
	}
	body, ok := rewindBody(request)
	if !ok {
		return response, nil
	}
	drainAndClose(response)
	token, err = t.tokenOrClose(request.Context(), body)
	if err != nil {
		return nil, err
	}
	return t.send(request, token, body)
}

// tokenOrClose returns the token, after a login if necessary. It closes the body if it fails or panics.
func (t *Transport) tokenOrClose(ctx context.Context, body io.Closer) (token *Token, err error) {
	defer func() {
		if token == nil && body != nil {
			body.Close()
		}
	}()
	return t.currentToken(ctx)
}

// CloseIdleConnections closes the idle connections of base, for [http.Client.CloseIdleConnections].
func (t *Transport) CloseIdleConnections() {
	if base, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}

// mayCarryToken returns true if the origins of the request and of all requests that redirected to it are listed.
func (t *Transport) mayCarryToken(request *http.Request) bool {
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

// rewindBody returns the request's body from its start. It returns false if the body cannot be read again.
func rewindBody(request *http.Request) (io.ReadCloser, bool) {
	if request.Body == nil || request.Body == http.NoBody {
		return request.Body, true
	}
	if request.GetBody == nil {
		return nil, false
	}
	body, err := request.GetBody()
	return body, err == nil
}

// drainAndClose closes a response. It reads a short body to its end, so that the connection can be reused.
func drainAndClose(response *http.Response) {
	const maxDrain = 2 << 10
	if response.ContentLength <= maxDrain {
		_, _ = io.CopyN(io.Discard, response.Body, maxDrain)
	}
	response.Body.Close()
}
