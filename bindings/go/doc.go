//go:build cgo

// Package couchdrop logs in to Couchdrop, the managed file-transfer service: it turns a user name and a password
// into a token.
//
//	token, err := couchdrop.Authenticate(ctx, couchdrop.Credentials{
//		Username: "ada@example.com",
//		Password: couchdrop.NewSecret(password),
//	})
//	if errors.Is(err, couchdrop.ErrAccessDenied) {
//		// wrong user name or password
//	}
//	if err != nil {
//		return err
//	}
//	defer token.Wipe()
//	request.Header.Set(couchdrop.TokenHeader, token.Value())
//
// [Authenticate] is all that a program needs that logs in now and then. A [Client] has settings of its own and keeps
// connections. A [Transport] puts the token into the requests of an [net/http.Client], and logs in again when it has
// run out.
//
// # Time
//
// The deadline of a context becomes the deadline of the call, retries included; without one a call takes at most
// 30 s, or what [WithTimeout] says. The end of a context stops its call at once, wherever it waits. The error then is
// context.Canceled or context.DeadlineExceeded for [errors.Is], and the cause that the context was given
// (context.WithCancelCause). Where the service asks for more patience than the deadline leaves, the call does not wait
// for nothing: it returns [ErrRateLimited] or [ErrUnavailable] at once, with the time to wait in [Error.RetryAfter].
//
// # Errors
//
// Every error of a call is an [*Error] for [errors.As]. For [errors.Is] there is one value for each [Code]:
// [ErrAccessDenied], [ErrTimeout] and so on. An error with a code of 2xxx means that nothing was sent.
//
// # Secrets
//
// A [Secret] and a [Token] show themselves in no format, log, JSON or debug output, also as a field of another struct.
// No error holds them. Both are wiped from memory by their method Wipe, at the latest when they are garbage; what
// [Token.Value] returns is a string, which Go can't wipe.
//
// # Threads
//
// A login holds a thread of the operating system while it lasts. A client therefore runs 64 calls at once
// ([WithMaxConcurrent]); further ones wait for their turn, which counts against their deadline.
//
// The package contains the library libcouchdrop, compiled, and so needs cgo and a C compiler. With the build tag
// couchdrop_dynamic it uses the installed library instead, found by pkg-config.
package couchdrop
