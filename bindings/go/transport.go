//go:build cgo

package couchdrop

import (
	"context"
	"io"
	"net/http"
	"strings"
)

// Transport is an [http.RoundTripper] that adds a token to requests to Couchdrop, and only to these.
//
//	session, err := client.Session(credentials)
//	if err != nil {
//		return err
//	}
//	transport, err := couchdrop.NewTransport(session, nil)
//	if err != nil {
//		return err
//	}
//	files := &http.Client{Transport: transport}
//	response, err := files.Post("https://fileio.couchdrop.io/file/ls?path=/", "", nil)
//
// It gets the token of each request from a [TokenSource], mostly a [Session], which logs in if necessary. After a
// response of 401 or 403 it calls [TokenSource.Renew] once. If the token is another one then, it sends the request once
// more, provided that the request has no body or [http.Request.GetBody] is set. [http.NewRequest] sets it for bytes and
// strings in memory. Otherwise the transport returns the response unchanged, and the next request has the new token.
//
// The token is sent only to the listed origins. A redirect to another origin carries no token, not even one that the
// caller set on the request. A redirect back from there carries none either, because the other host would choose the
// request. [http.Response.Request] is the request as the caller passed it, without the token.
//
// A request for which the source returns an error fails with that error: with a [Session] an [*Error], for [errors.As].
// Only the response of a request that can't be sent again is returned even if the new login fails. A request waits for
// a token until its own context is done. Any number of goroutines may use a Transport.
type Transport struct {
	source  TokenSource
	base    http.RoundTripper
	origins map[string]bool
}

// NewTransport returns a transport that gets its tokens from the source; nil fails with [ErrNullArgument]. It sends
// requests through base; nil means [http.DefaultTransport]. It does not log in.
//
// The token is sent to the origins, each https://HOST[:PORT]. The defaults are https://api.couchdrop.io and
// https://fileio.couchdrop.io. A string that is not an origin fails with [ErrInvalidURL]. Plain http to a host that is
// not loopback fails with [ErrInsecureURL].
//
// The transport owns neither source nor base. Close the session when the transport is not used any more.
func NewTransport(source TokenSource, base http.RoundTripper, origins ...string) (*Transport, error) {
	if source == nil {
		return nil, invalid(CodeNullArgument, "The token source is nil")
	}
	if base == nil {
		base = http.DefaultTransport
	}
	if len(origins) == 0 {
		origins = defaultOrigins
	}
	t := &Transport{source: source, base: base, origins: make(map[string]bool)}
	for _, text := range origins {
		origin, err := parseOrigin(text)
		if err != nil {
			return nil, err
		}
		t.origins[origin] = true
	}
	return t, nil
}

// RoundTrip sends one request, with the token if the origin of its URL is listed. It blocks while the source logs in.
// Its error is that of base or of the source.
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
	renewed, err := t.renew(request.Context(), token, response)
	switch {
	case !canRewindBody(request):
		return response, nil
	case err != nil:
		drainAndClose(response)
		return nil, err
	case renewed.Equal(token):
		return response, nil
	}
	body, err := rewindBody(request)
	if err != nil {
		return response, nil
	}
	drainAndClose(response)
	return t.send(request, renewed, body)
}

// tokenOrClose returns the source's token. It closes the body if the source fails or panics.
func (t *Transport) tokenOrClose(ctx context.Context, body io.Closer) (token *Token, err error) {
	defer func() {
		if (token == nil || err != nil) && body != nil {
			body.Close()
		}
	}()
	token, err = t.source.Token(ctx)
	if err == nil && token.isEmpty() {
		return nil, invalid(CodeEmptyArgument, "The token source returned an empty token")
	}
	return token, err
}

// renew returns the token after a refusal. It closes the response if the source panics.
func (t *Transport) renew(ctx context.Context, refused *Token, response *http.Response) (*Token, error) {
	returned := false
	defer func() {
		if !returned {
			response.Body.Close()
		}
	}()
	token, err := t.source.Renew(ctx, refused)
	returned = true
	if err == nil && token.isEmpty() {
		return nil, invalid(CodeEmptyArgument, "The token source returned an empty token")
	}
	return token, err
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

// canRewindBody returns true if the request's body can be read again.
func canRewindBody(request *http.Request) bool {
	return request.Body == nil || request.Body == http.NoBody || request.GetBody != nil
}

// rewindBody returns the request's body from its start.
func rewindBody(request *http.Request) (io.ReadCloser, error) {
	if request.Body == nil || request.Body == http.NoBody {
		return request.Body, nil
	}
	return request.GetBody()
}

// drainAndClose closes a response. It reads a short body to its end, so that the connection can be reused.
func drainAndClose(response *http.Response) {
	const maxDrain = 2 << 10
	if response.ContentLength <= maxDrain {
		_, _ = io.CopyN(io.Discard, response.Body, maxDrain)
	}
	response.Body.Close()
}
