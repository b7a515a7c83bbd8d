//go:build cgo

package couchdrop

import "context"

// TokenSource supplies tokens. A [Session] is one, and [StaticTokenSource] returns one. Any number of goroutines may
// use it. The caller owns each returned token, and may wipe it.
type TokenSource interface {
	// Token returns the current token, and gets one first if necessary.
	Token(context.Context) (*Token, error)
	// Renew returns a token after the service has refused rejected. It returns a token with the same value if a new one
	// would be refused too.
	Renew(ctx context.Context, rejected *Token) (*Token, error)
}

// StaticTokenSource returns a source that always returns copies of the token. It is for tests, and for a token that was
// created in Couchdrop's web interface. Renew returns the same token. If the token is nil or wiped, both fail with
// [ErrEmptyArgument].
func StaticTokenSource(token *Token) TokenSource { return staticTokenSource{token} }

type staticTokenSource struct{ token *Token }

// Token implements [TokenSource].
func (s staticTokenSource) Token(context.Context) (*Token, error) {
	if s.token.isEmpty() {
		return nil, invalid(CodeEmptyArgument, "The token is nil or wiped")
	}
	var copied *Token
	s.token.read(func(text []byte) { copied = newToken(append([]byte(nil), text...)) })
	return copied, nil
}

// Renew implements [TokenSource].
func (s staticTokenSource) Renew(ctx context.Context, _ *Token) (*Token, error) { return s.Token(ctx) }
