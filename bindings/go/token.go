//go:build cgo

package couchdrop

/*
#include "couchdrop.h"
*/
import "C"

import (
	"crypto/subtle"
	"unsafe"
)

// Token is the result of a login: a secret for the request header [TokenHeader], over https. It prints like [Secret].
//
// It is short-lived (the service does not document its lifetime), and has the permissions of the user who logged in.
// Any number of goroutines may use it. Wipe or a finalizer wipes it.
type Token struct{ masked }

// NewToken returns a token with a copy of the text, for [StaticTokenSource] or your own [TokenSource]. The caller still
// has the text, which Go can't wipe.
func NewToken(text string) *Token { return newToken([]byte(text)) }

// newToken takes ownership of the text.
func newToken(text []byte) *Token { return &Token{masked{hide(text)}} }

// takeToken copies a token of the library and frees it.
func takeToken(token *C.cd_token) *Token {
	defer C.cd_token_free(token)
	return newToken(C.GoBytes(unsafe.Pointer(C.cd_token_str(token)), C.int(C.cd_token_len(token))))
}

// Value returns the token in clear text: 1 to 65,536 printable ASCII characters without a space, or "" for a wiped
// token. Send it only to Couchdrop, and do not log it. The returned string is a copy, which Go can't wipe.
func (t *Token) Value() string {
	value := ""
	t.read(func(text []byte) { value = string(text) })
	return value
}

// Equal returns true if both tokens have the same value. A nil token equals a wiped one.
func (t *Token) Equal(other *Token) bool {
	if t.isEmpty() || other.isEmpty() {
		return t.isEmpty() && other.isEmpty()
	}
	// A copy: reading both at once could deadlock with two goroutines that wipe them.
	var copied []byte
	t.read(func(text []byte) { copied = append(copied, text...) })
	equal := false
	other.read(func(text []byte) { equal = subtle.ConstantTimeCompare(text, copied) == 1 })
	for i := range copied {
		copied[i] = 0
	}
	return equal
}

// isEmpty returns true if the token is nil or wiped.
func (t *Token) isEmpty() bool {
	if t == nil {
		return true
	}
	empty := false
	t.read(func(text []byte) { empty = len(text) == 0 })
	return empty
}

// Wipe overwrites the token and thereby all its copies. Value then returns "".
func (t *Token) Wipe() { t.wipe() }
