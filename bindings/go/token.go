//go:build cgo

package couchdrop

// Token is the result of a login: a secret for the request header [TokenHeader], over https. It prints like [Secret].
//
// It is short-lived (the service does not document its lifetime), and has the permissions of the user who logged in.
// Any number of goroutines may use it. Wipe or a finalizer wipes it.
type Token struct{ masked }

// Value returns the token in clear text: 1 to 65,536 printable ASCII characters without a space, or "" for a wiped
// token. Send it only to Couchdrop, and do not log it. The returned string is a copy, which Go can't wipe.
func (t *Token) Value() string {
	value := ""
	t.read(func(text []byte) { value = string(text) })
	return value
}

// Wipe overwrites the token and thereby all its copies. Value then returns "".
func (t *Token) Wipe() { t.wipe() }
