//go:build cgo

// Package couchdrop logs in to Couchdrop, the managed file-transfer service: it exchanges a user name and a password
// for a token.
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
// [Authenticate] is enough for a program that logs in occasionally. A [Client] has its own settings and keeps
// connections. A [Session] keeps an account logged in: it has the current token, and logs in again when a new one is
// needed. A [Transport] adds the token to the requests of an [net/http.Client], and renews it when it was refused. The
// package couchdroptest is a fake service for tests.
//
// # Time
//
// The deadline of a context is the deadline of the call with its retries. Without a deadline a call takes at most 30 s,
// or the timeout of [WithTimeout]. When a context is done, its call stops immediately. The error then is
// context.Canceled or context.DeadlineExceeded for [errors.Is], and also the cause of the context
// (context.WithCancelCause). If the service requests a longer wait than the deadline allows, the call does not wait. It
// returns [ErrRateLimited] or [ErrUnavailable] immediately, with the requested wait in [Error.RetryAfter].
//
// # Errors
//
// Every error of a call is an [*Error] for [errors.As]. For [errors.Is] there is one value for each [Code]:
// [ErrAccessDenied], [ErrTimeout] and so on. An error with a code of 2xxx means that nothing was sent.
//
// # Secrets
//
// Formatting, logging, JSON encoding and debug output do not show a [Secret] or a [Token], also as a field of another
// struct. No error contains them. Their method Wipe wipes them from memory; a finalizer does so at the latest. The
// string that [Token.Value] returns can't be wiped.
//
// # Threads
//
// A login holds an operating system thread while it runs. A client therefore runs at most 64 calls at once
// ([WithMaxConcurrent]). Further calls wait for a slot, and the wait counts against their deadline. Goroutines that wait
// for one login of a session hold no thread.
//
// The package contains the compiled library libcouchdrop, so it needs cgo and a C compiler. With the build tag
// couchdrop_dynamic it uses the installed library instead, which pkg-config finds.
package couchdrop
