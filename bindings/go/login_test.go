//go:build cgo

package couchdrop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

var tokenShape = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

func TestLoginReturnsResultOfService(t *testing.T) {
	unicode := Credentials{Username: "жук@example.com", Password: NewSecret(`пароль & 100% + "q"\ é`)}
	wrong := account("ada")
	wrong.Password = NewSecretBytes([]byte("not my password"))
	for _, test := range []struct {
		credentials Credentials
		// nil: success
		is            error
		status        int
		serverMessage string
		retryAfter    time.Duration
		attempts      int
	}{
		{credentials: account("ada")},
		{credentials: account("busy")},
		{credentials: account("json")},
		{credentials: unicode},
		{wrong, ErrAccessDenied, 403, "Access denied", -1, 1},
		{account("twofactor"), ErrTwoFactorRequired, 401, "Two-factor authentication is required", -1, 1},
		{account("limited"), ErrRateLimited, 429, "Too many requests", time.Hour, 1},
		{account("down"), ErrUnavailable, 503, "", -1, 5},
		{account("broken"), ErrServer, 500, "Internal error 7", -1, 5},
		{account("portal"), ErrMalformedResponse, 200, "", -1, 1},
		{account("moved"), ErrHTTPStatus, 307, "", -1, 1},
	} {
		t.Run(test.credentials.Username, func(t *testing.T) {
			token, err := newClient(t).Authenticate(context.Background(), test.credentials)
			if test.is == nil {
				if err != nil {
					t.Fatal(err)
				}
				if !tokenShape.MatchString(token.Value()) {
					t.Error("the token is not the fake server's")
				}
				return
			}
			if token != nil {
				t.Error("got a token and an error")
			}
			var failure *Error
			if !errors.As(err, &failure) || !errors.Is(err, test.is) {
				t.Fatalf("got %v, want %v", err, test.is)
			}
			retryAfter := failure.RetryAfter
			if !failure.HasRetryAfter {
				retryAfter = -1
			}
			got := fmt.Sprint(failure.HTTPStatus, failure.ServerMessage, retryAfter, failure.Attempts)
			if want := fmt.Sprint(test.status, test.serverMessage, test.retryAfter, test.attempts); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			for code := range map[error]bool{ErrAccessDenied: true, ErrRateLimited: true, ErrServer: true, ErrTimeout: true} {
				if code != test.is && errors.Is(err, code) {
					t.Errorf("the error is also %v", code)
				}
			}
			if errors.Unwrap(err) != nil {
				t.Error("the error wraps another, but no context is done")
			}
			if !strings.HasPrefix(err.Error(), "couchdrop: ") || strings.Contains(err.Error(), password) {
				t.Error(err)
			}
		})
	}
}

func TestAuthenticateAcceptsOptions(t *testing.T) {
	token, err := Authenticate(context.Background(), account("ada"), WithBaseURL(service.https), WithCAFile(service.caFile))
	if err != nil {
		t.Fatal(err)
	}
	token.Wipe()
	if token.Value() != "" {
		t.Error("a wiped token has a value")
	}
	if _, err := Authenticate(context.Background(), account("ada"), WithBaseURL("ftp://x")); !errors.Is(err, ErrInvalidURL) {
		t.Error(err)
	}
	// The shared client rejects empty credentials before it sends anything.
	if _, err := Authenticate(context.Background(), Credentials{}); !errors.Is(err, ErrEmptyArgument) {
		t.Error(err)
	}
}

func TestConcurrentLoginsSucceed(t *testing.T) {
	client := newClient(t)
	var tokens sync.Map
	var group sync.WaitGroup
	for i := 0; i < 200; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			token, err := client.Authenticate(context.Background(), account("ada"))
			if err != nil {
				t.Error(err)
			} else if _, twice := tokens.LoadOrStore(token.Value(), true); twice {
				t.Error("two logins have the same token")
			}
		}()
	}
	group.Wait()
}

func TestInvalidArgumentsAreRejectedUnsent(t *testing.T) {
	url, requests := silentServer(t)
	client := newClient(t, WithBaseURL(url))
	good := NewSecret("secret")
	wiped := NewSecret("secret")
	wiped.Wipe()
	for name, test := range map[string]struct {
		credentials Credentials
		is          error
	}{
		"NUL in the user name":     {Credentials{"a\x00b", good, ""}, ErrInvalidUTF8},
		"NUL in the password":      {Credentials{"a", NewSecret("pass\x00word"), ""}, ErrInvalidUTF8},
		"NUL in the system":        {Credentials{"a", good, "s\x00"}, ErrInvalidUTF8},
		"a user name not in UTF-8": {Credentials{"a\xff", good, ""}, ErrInvalidUTF8},
		"a password not in UTF-8":  {Credentials{"a", NewSecret("\xc3"), ""}, ErrInvalidUTF8},
		"no user name":             {Credentials{"", good, ""}, ErrEmptyArgument},
		"no password":              {Credentials{"a", Secret{}, ""}, ErrEmptyArgument},
		"a wiped password":         {Credentials{"a", wiped, ""}, ErrEmptyArgument},
		"a password of 65 KiB":     {Credentials{"a", NewSecret(strings.Repeat("x", 65<<10)), ""}, ErrOutOfRange},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := client.Authenticate(context.Background(), test.credentials)
			var failure *Error
			if !errors.Is(err, test.is) || !errors.As(err, &failure) || failure.Attempts != 0 {
				t.Errorf("got %v, want %v", err, test.is)
			}
			if strings.Contains(err.Error(), "pass\x00word") || strings.Contains(err.Error(), "secret") {
				t.Error("the error quotes the password")
			}
		})
	}
	if len(requests) != 0 {
		t.Error("a request was sent")
	}
}

func TestInvalidOptionsAreRejected(t *testing.T) {
	const century = 876000 * time.Hour
	for name, test := range map[string]struct {
		option Option
		is     error
	}{
		"not a URL":                 {WithBaseURL("couchdrop"), ErrInvalidURL},
		"plain http":                {WithBaseURL("http://example.com"), ErrInsecureURL},
		"NUL in the URL":            {WithBaseURL("https://localhost\x00.example.com"), ErrInvalidUTF8},
		"a missing CA file":         {WithCAFile("/nowhere/ca.pem"), ErrCAFile},
		"empty CA file":             {WithCAFile(""), ErrEmptyArgument},
		"NUL in the CA file":        {WithCAFile("a\x00b"), ErrInvalidUTF8},
		"a proxy of unknown kind":   {WithProxy("gopher://localhost"), ErrInvalidURL},
		"a timeout of 0":            {WithTimeout(0), ErrOutOfRange},
		"a negative timeout":        {WithTimeout(-time.Nanosecond), ErrOutOfRange},
		"a timeout of centuries":    {WithTimeout(century), ErrOutOfRange},
		"a timeout above an hour":   {WithTimeout(time.Hour + 1), ErrOutOfRange},
		"a connect timeout of 0":    {WithConnectTimeout(0), ErrOutOfRange},
		"too many retries":          {WithMaxRetries(11), ErrOutOfRange},
		"negative retries":          {WithMaxRetries(-1), ErrOutOfRange},
		"first above max":           {WithBackoff(2*time.Second, time.Second), ErrOutOfRange},
		"a negative back-off":       {WithBackoff(0, -1), ErrOutOfRange},
		"a back-off of centuries":   {WithBackoff(0, century), ErrOutOfRange},
		"an unknown body format":    {WithBodyFormat(3), ErrOutOfRange},
		"a user agent of two lines": {WithUserAgent("a\r\nb: c"), ErrOutOfRange},
		"responses below 1 KiB":     {WithMaxResponseBytes(1023), ErrOutOfRange},
		"negative responses":        {WithMaxResponseBytes(-1), ErrOutOfRange},
		"no concurrent calls":       {WithMaxConcurrent(0), ErrOutOfRange},
		"too many concurrent calls": {WithMaxConcurrent(1001), ErrOutOfRange},
		"an unknown log level":      {WithLogger(5, func(LogLevel, string) {}), ErrOutOfRange},
		"a nil logger":              {WithLogger(LogInfo, nil), ErrNullArgument},
	} {
		t.Run(name, func(t *testing.T) {
			client, err := NewClient(test.option)
			if client != nil || !errors.Is(err, test.is) {
				t.Errorf("got %v, want %v", err, test.is)
			}
		})
	}
}

func TestValidOptionsAreAccepted(t *testing.T) {
	client := newClient(t, WithProxy("socks5h://user:secret@localhost"), WithNoProxy(), WithTimeout(time.Nanosecond),
		WithTimeout(time.Hour), WithConnectTimeout(time.Second), WithMaxRetries(10), WithBackoff(0, time.Hour),
		WithBodyFormat(BodyJSON), WithUserAgent("acme/2.1"), WithMaxResponseBytes(16<<20), WithMaxConcurrent(1000))
	if _, err := client.Authenticate(context.Background(), account("ada")); err != nil {
		t.Error(err)
	}
	// Only a form gets 415 here.
	form := newClient(t, WithBodyFormat(BodyForm))
	if _, err := form.Authenticate(context.Background(), account("json")); !errors.Is(err, ErrHTTPStatus) {
		t.Error(err)
	}
}

func TestConnectReportsReasonForFailure(t *testing.T) {
	ctx := context.Background()
	if err := newClient(t).Connect(ctx); err != nil {
		t.Error(err)
	}
	untrusted, err := NewClient(WithBaseURL(service.https))
	if err != nil {
		t.Fatal(err)
	}
	defer untrusted.Close()
	if err := untrusted.Connect(ctx); !errors.Is(err, ErrTLS) {
		t.Errorf("an untrusted certificate: %v", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	if err := newClient(t, WithBaseURL("http://"+listener.Addr().String())).Connect(ctx); !errors.Is(err, ErrConnect) {
		t.Errorf("a port without a listener: %v", err)
	}
}

func TestProxyRefusalReportsRetryable(t *testing.T) {
	for status, want := range map[int]bool{http.StatusServiceUnavailable: true, http.StatusForbidden: false} {
		status := status
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		client := newClient(t, WithBaseURL(notLoopback), WithProxy(proxy.URL), WithMaxRetries(0))
		err := client.Connect(context.Background())
		var failure *Error
		if !errors.Is(err, ErrProxy) || !errors.As(err, &failure) || failure.HTTPStatus != status {
			t.Fatal(err)
		}
		if failure.Retryable() != want || failure.Temporary() != want {
			t.Errorf("after %d: Retryable is %v", status, failure.Retryable())
		}
		proxy.Close()
	}
}

func TestCodesReportRetryable(t *testing.T) {
	if !(&Error{Code: CodeUnavailable}).Temporary() || (&Error{Code: CodeAccessDenied}).Temporary() {
		t.Error("Temporary is wrong")
	}
	if !(&Error{Code: CodeUnavailable}).Retryable() || (&Error{Code: CodeAccessDenied}).Retryable() {
		t.Error("Retryable is wrong")
	}
	var timeout net.Error = &Error{Code: CodeTimeout}
	if !timeout.Timeout() {
		t.Error("ErrTimeout is not a timeout")
	}
	if got := (&Error{Code: CodeRateLimited}).Error(); got != ErrRateLimited.Error() {
		t.Errorf("the message of an error without its own is %q", got)
	}
	if Code(12345).String() != "CD_ERR_UNKNOWN" || Code(12345).Message() == "" || Code(12345).Retryable() {
		t.Error("an unknown code has no name, or is retryable")
	}
	if got := ErrAccessDenied.Error(); got != "couchdrop: "+CodeAccessDenied.Message() {
		t.Error(got)
	}
}
