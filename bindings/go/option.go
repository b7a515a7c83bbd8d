//go:build cgo

package couchdrop

/*
#include "couchdrop.h"
*/
import "C"

import (
	"fmt"
	"math"
	"time"
)

// Option is a setting of a client, for [NewClient] and [Authenticate]. Where one is bad these return an [*Error] that
// says why. It may be used for any number of clients; of two that set the same the later one counts.
type Option func(*settings) error

// settings is a client in the making.
type settings struct {
	options        *C.cd_options
	timeout        time.Duration
	connectTimeout time.Duration
	maxConcurrent  int
	log            func(level LogLevel, message string)
}

// What holds where nothing is set. The library has the same timeouts; here they also limit how long a call waits for
// its turn.
const (
	defaultTimeout        = 30 * time.Second
	defaultConnectTimeout = 10 * time.Second
	defaultMaxConcurrent  = 64
)

// BodyFormat says how a login is encoded.
type BodyFormat int32

const (
	// BodyAuto sends a form; where that is answered with 400, 415 or 422 it sends the same login once more as JSON, and
	// remembers JSON for the client after a success with it. The default.
	BodyAuto BodyFormat = C.CD_BODY_AUTO
	// BodyForm sends application/x-www-form-urlencoded alone.
	BodyForm BodyFormat = C.CD_BODY_FORM
	// BodyJSON sends application/json alone.
	BodyJSON BodyFormat = C.CD_BODY_JSON
)

// WithBaseURL sets where the service is: https://HOST[:PORT][/PREFIX], to which /authenticate is added;
// https://api.couchdrop.io where nothing is set. Plain http is taken for loopback addresses alone. Bad ones are
// [ErrInvalidURL] or [ErrInsecureURL].
func WithBaseURL(url string) Option {
	return withString("The base URL", url, func(s *settings, url *C.char, failure **C.cd_error) C.cd_code {
		return C.cd_options_set_base_url(s.options, url, failure)
	})
}

// WithCAFile sets a file of CA certificates (PEM) that are trusted in place of the system's. It is read at once; a
// file that is missing, unreadable, empty or broken is [ErrCAFile]. A server's own self-signed certificate may stand
// in it.
func WithCAFile(path string) Option {
	return withString("The path of the CA file", path, func(s *settings, path *C.char, failure **C.cd_error) C.cd_code {
		return C.cd_options_set_ca_file(s.options, path, failure)
	})
}

// WithProxy sets the proxy: [USER:PASSWORD@]HOST[:PORT] (HTTP CONNECT, and http:// may stand before it), or the same after
// socks5:// (names looked up here) or socks5h:// (by the proxy). Where nothing is set the environment decides, when the
// first call is made: HTTPS_PROXY, ALL_PROXY and NO_PROXY. Bad ones are [ErrInvalidURL] or [ErrInsecureURL].
func WithProxy(url string) Option {
	return withString("The proxy's URL", url, func(s *settings, url *C.char, failure **C.cd_error) C.cd_code {
		return C.cd_options_set_proxy(s.options, url, failure)
	})
}

// WithNoProxy uses no proxy, whatever the environment says.
func WithNoProxy() Option {
	return with(func(s *settings, failure **C.cd_error) C.cd_code {
		return C.cd_options_set_proxy(s.options, nil, failure)
	})
}

// WithTimeout sets how long a call may take whose context has no deadline, retries and the wait for its turn included:
// 1 ms to 1 h, 30 s where nothing is set; else [ErrOutOfRange]. A part of a millisecond counts as a whole one.
func WithTimeout(timeout time.Duration) Option {
	return withDuration("The timeout", timeout, func(s *settings, ms C.uint32_t, failure **C.cd_error) C.cd_code {
		s.timeout = timeout
		return C.cd_options_set_timeout_ms(s.options, ms, failure)
	})
}

// WithConnectTimeout sets how long one attempt may take to resolve, connect and finish the TLS handshake: 1 ms to 1 h,
// 10 s where nothing is set; else [ErrOutOfRange]. A part of a millisecond counts as a whole one.
func WithConnectTimeout(timeout time.Duration) Option {
	return withDuration("The connect timeout", timeout, func(s *settings, ms C.uint32_t, failure **C.cd_error) C.cd_code {
		s.connectTimeout = timeout
		return C.cd_options_set_connect_timeout_ms(s.options, ms, failure)
	})
}

// WithMaxRetries sets how often a login is tried again after an answer of 429, 500, 502, 503 or 504, or a connection
// that could not be made: 0 to 10, 4 where nothing is set; else [ErrOutOfRange].
func WithMaxRetries(count int) Option {
	return func(s *settings) error {
		if count < 0 || count > math.MaxInt32 {
			return invalid(CodeOutOfRange, fmt.Sprintf("The number of retries is out of its range: %d", count))
		}
		return run(func(failure **C.cd_error) C.cd_code {
			return C.cd_options_set_max_retries(s.options, C.uint32_t(count), failure)
		})
	}
}

// WithBackoff sets the waits between attempts: each is drawn evenly from nought to a window, which doubles from first
// to max. Both are 0 to 1 h, first not above max, 1 s and 8 s where nothing is set; else [ErrOutOfRange]. With a
// Retry-After the wait is that time and a draw from nought to the larger of it and the window. A part of a millisecond counts as a whole one.
func WithBackoff(first, max time.Duration) Option {
	return withDuration("The first back-off", first, func(s *settings, firstMS C.uint32_t, failure **C.cd_error) C.cd_code {
		// The library itself refuses what is too large.
		maxMS, ok := milliseconds(max)
		if !ok {
			maxMS = math.MaxUint32
		}
		return C.cd_options_set_backoff_ms(s.options, firstMS, maxMS, failure)
	})
}

// WithBodyFormat sets how a login is encoded; [BodyAuto] where nothing is set. Others than the three are
// [ErrOutOfRange].
func WithBodyFormat(format BodyFormat) Option {
	return with(func(s *settings, failure **C.cd_error) C.cd_code {
		return C.cd_options_set_body_format(s.options, C.int32_t(format), failure)
	})
}

// WithUserAgent sets what stands before the library's own name in the User-Agent header, for instance "acme/2.1".
// Control characters and texts that are too long are [ErrOutOfRange].
func WithUserAgent(product string) Option {
	return withString("The user agent", product, func(s *settings, product *C.char, failure **C.cd_error) C.cd_code {
		return C.cd_options_set_user_agent(s.options, product, failure)
	})
}

// WithMaxResponseBytes sets how large the body of an answer may be: 1 KiB to 16 MiB, 64 KiB where nothing is set; else
// [ErrOutOfRange].
func WithMaxResponseBytes(count int) Option {
	return with(func(s *settings, failure **C.cd_error) C.cd_code {
		if count < 0 {
			count = 0
		}
		return C.cd_options_set_max_response_bytes(s.options, C.size_t(count), failure)
	})
}

// WithMaxConcurrent sets how many calls of the client run at once: 1 to 1,000, 64 where nothing is set; else
// [ErrOutOfRange]. Each holds a thread of the operating system while it runs, of which Go allows a program 10,000 in
// all. Further ones wait for their turn.
func WithMaxConcurrent(count int) Option {
	return func(s *settings) error {
		if count < 1 || count > 1000 {
			return invalid(CodeOutOfRange, fmt.Sprintf("The number of concurrent calls is 1 to 1000, not %d", count))
		}
		s.maxConcurrent = count
		return nil
	}
}

// with is an option of the library.
func with(set func(s *settings, failure **C.cd_error) C.cd_code) Option {
	return func(s *settings) error {
		return run(func(failure **C.cd_error) C.cd_code { return set(s, failure) })
	}
}

// withString is an option that is a text.
func withString(what, text string, set func(s *settings, text *C.char, failure **C.cd_error) C.cd_code) Option {
	return func(s *settings) error {
		copied, err := newCString(what, []byte(text))
		if err != nil {
			return err
		}
		defer copied.free()
		return run(func(failure **C.cd_error) C.cd_code { return set(s, copied.text, failure) })
	}
}

// withDuration is an option that is a time in milliseconds.
func withDuration(what string, length time.Duration, set func(s *settings, ms C.uint32_t, failure **C.cd_error) C.cd_code) Option {
	return func(s *settings) error {
		ms, ok := milliseconds(length)
		if !ok {
			return invalid(CodeOutOfRange, fmt.Sprintf("%s is out of its range: %v", what, length))
		}
		return run(func(failure **C.cd_error) C.cd_code { return set(s, ms, failure) })
	}
}

// milliseconds rounds up, so that no time that is given becomes none.
func milliseconds(length time.Duration) (C.uint32_t, bool) {
	ms := length / time.Millisecond
	if length%time.Millisecond > 0 {
		ms++
	}
	if length < 0 || ms > math.MaxUint32 {
		return 0, false
	}
	return C.uint32_t(ms), true
}
