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

// Option is a setting of a client, for [NewClient] and [Authenticate]. If an option is invalid, these return an
// [*Error] with the reason. Any number of clients may use the same option. A later option overrides an earlier one of
// the same kind.
type Option func(*settings) error

// settings holds the options of a client while NewClient applies them, and afterwards.
type settings struct {
	options        *C.cd_options
	timeout        time.Duration
	connectTimeout time.Duration
	maxConcurrent  int
	log            func(level LogLevel, message string)
}

// The defaults. The library has the same timeouts; here they also limit the time that a call waits for a slot.
const (
	defaultTimeout        = 30 * time.Second
	defaultConnectTimeout = 10 * time.Second
	defaultMaxConcurrent  = 64
)

// BodyFormat is the encoding of a login.
type BodyFormat int32

const (
	// BodyAuto sends a form. If the response is 400, 415 or 422, it sends the same login once more as JSON. After a
	// success with JSON the client keeps using JSON. The default.
	BodyAuto BodyFormat = C.CD_BODY_AUTO
	// BodyForm sends only application/x-www-form-urlencoded.
	BodyForm BodyFormat = C.CD_BODY_FORM
	// BodyJSON sends only application/json.
	BodyJSON BodyFormat = C.CD_BODY_JSON
)

// WithBaseURL sets the URL of the service: https://HOST[:PORT][/PREFIX], to which the client adds /authenticate. The
// default is https://api.couchdrop.io. Plain http is allowed only for loopback addresses. Other URLs fail with
// [ErrInvalidURL] or [ErrInsecureURL].
func WithBaseURL(url string) Option {
	return withString("The base URL", url, func(s *settings, url *C.char, cErr **C.cd_error) C.cd_code {
		return C.cd_options_set_base_url(s.options, url, cErr)
	})
}

// WithCAFile sets a file of CA certificates (PEM) to trust in place of the system's. The file is read immediately. A
// missing, unreadable, empty or malformed file fails with [ErrCAFile]. The file may contain a server's own self-signed
// certificate.
func WithCAFile(path string) Option {
	return withString("The path of the CA file", path, func(s *settings, path *C.char, cErr **C.cd_error) C.cd_code {
		return C.cd_options_set_ca_file(s.options, path, cErr)
	})
}

// WithProxy sets the proxy: [USER:PASSWORD@]HOST[:PORT] for HTTP CONNECT, optionally after http://. After socks5://
// this machine looks up names; after socks5h:// the proxy does. By default the environment selects the proxy at the
// first call: HTTPS_PROXY, ALL_PROXY and NO_PROXY. Other URLs fail with [ErrInvalidURL] or [ErrInsecureURL].
func WithProxy(url string) Option {
	return withString("The proxy's URL", url, func(s *settings, url *C.char, cErr **C.cd_error) C.cd_code {
		return C.cd_options_set_proxy(s.options, url, cErr)
	})
}

// WithNoProxy disables the proxy and ignores the environment's.
func WithNoProxy() Option {
	return with(func(s *settings, cErr **C.cd_error) C.cd_code {
		return C.cd_options_set_proxy(s.options, nil, cErr)
	})
}

// WithTimeout sets the time limit of a call whose context has no deadline. It includes retries and the wait for a slot.
// The range is 1 ms to 1 h, the default 30 s; other values fail with [ErrOutOfRange]. Fractions of a millisecond are
// rounded up.
func WithTimeout(timeout time.Duration) Option {
	return withDuration("The timeout", timeout, func(s *settings, ms C.uint32_t, cErr **C.cd_error) C.cd_code {
		s.timeout = timeout
		return C.cd_options_set_timeout_ms(s.options, ms, cErr)
	})
}

// WithConnectTimeout sets the time limit for one attempt to look up the name, connect and finish the TLS handshake. The
// range is 1 ms to 1 h, the default 10 s; other values fail with [ErrOutOfRange]. Fractions of a millisecond are
// rounded up.
func WithConnectTimeout(timeout time.Duration) Option {
	return withDuration("The connect timeout", timeout, func(s *settings, ms C.uint32_t, cErr **C.cd_error) C.cd_code {
		s.connectTimeout = timeout
		return C.cd_options_set_connect_timeout_ms(s.options, ms, cErr)
	})
}

// WithMaxRetries sets the maximum number of retries after a response of 429, 500, 502, 503 or 504, or a connection that
// could not be made. The range is 0 to 10, the default 4; other values fail with [ErrOutOfRange].
func WithMaxRetries(count int) Option {
	return func(s *settings) error {
		if count < 0 || count > math.MaxInt32 {
			return invalid(CodeOutOfRange, fmt.Sprintf("The number of retries is out of range: %d", count))
		}
		return callC(func(cErr **C.cd_error) C.cd_code {
			return C.cd_options_set_max_retries(s.options, C.uint32_t(count), cErr)
		})
	}
}

// WithBackoff sets the waits between attempts. Each is random, uniform between 0 and a window that doubles from first
// to max. Both are 0 to 1 h, and first is not above max; other values fail with [ErrOutOfRange]. The defaults are 1 s
// and 8 s. After a Retry-After the wait is that time plus a random time up to the larger of it and the window.
// Fractions of a millisecond are rounded up.
func WithBackoff(first, max time.Duration) Option {
	return withDuration("The first back-off", first, func(s *settings, firstMS C.uint32_t, cErr **C.cd_error) C.cd_code {
		// The library rejects a value that is too large.
		maxMS, ok := milliseconds(max)
		if !ok {
			maxMS = math.MaxUint32
		}
		return C.cd_options_set_backoff_ms(s.options, firstMS, maxMS, cErr)
	})
}

// WithBodyFormat sets the encoding of a login. The default is [BodyAuto]. A value other than the three constants fails
// with [ErrOutOfRange].
func WithBodyFormat(format BodyFormat) Option {
	return with(func(s *settings, cErr **C.cd_error) C.cd_code {
		return C.cd_options_set_body_format(s.options, C.int32_t(format), cErr)
	})
}

// WithUserAgent sets the product before the library's name in the User-Agent header, for instance "acme/2.1". Control
// characters, or a string that is too long, fail with [ErrOutOfRange].
func WithUserAgent(product string) Option {
	return withString("The user agent", product, func(s *settings, product *C.char, cErr **C.cd_error) C.cd_code {
		return C.cd_options_set_user_agent(s.options, product, cErr)
	})
}

// WithMaxResponseBytes sets the maximum size of a response body. The range is 1 KiB to 16 MiB, the default 64 KiB;
// other values fail with [ErrOutOfRange].
func WithMaxResponseBytes(count int) Option {
	return with(func(s *settings, cErr **C.cd_error) C.cd_code {
		if count < 0 {
			count = 0
		}
		return C.cd_options_set_max_response_bytes(s.options, C.size_t(count), cErr)
	})
}

// WithMaxConcurrent sets the number of calls of the client that run at once. The range is 1 to 1,000, the default 64;
// other values fail with [ErrOutOfRange]. A running call holds an operating system thread, and Go limits a program to
// 10,000 threads. Further calls wait for a slot.
func WithMaxConcurrent(count int) Option {
	return func(s *settings) error {
		if count < 1 || count > 1000 {
			return invalid(CodeOutOfRange, fmt.Sprintf("The number of concurrent calls must be 1 to 1000, not %d", count))
		}
		s.maxConcurrent = count
		return nil
	}
}

// with returns an option that calls a setter of the library.
func with(set func(s *settings, cErr **C.cd_error) C.cd_code) Option {
	return func(s *settings) error {
		return callC(func(cErr **C.cd_error) C.cd_code { return set(s, cErr) })
	}
}

// withString returns an option with a string value, which error messages call name.
func withString(name, text string, set func(s *settings, text *C.char, cErr **C.cd_error) C.cd_code) Option {
	return func(s *settings) error {
		copied, err := newCString(name, []byte(text))
		if err != nil {
			return err
		}
		defer copied.free()
		return callC(func(cErr **C.cd_error) C.cd_code { return set(s, copied.text, cErr) })
	}
}

// withDuration returns an option with a value in milliseconds, which error messages call name.
func withDuration(name string, length time.Duration, set func(s *settings, ms C.uint32_t, cErr **C.cd_error) C.cd_code) Option {
	return func(s *settings) error {
		ms, ok := milliseconds(length)
		if !ok {
			return invalid(CodeOutOfRange, fmt.Sprintf("%s is out of range: %v", name, length))
		}
		return callC(func(cErr **C.cd_error) C.cd_code { return set(s, ms, cErr) })
	}
}

// milliseconds rounds up, so that a positive duration does not become 0. It returns false if the duration is negative
// or too large.
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
