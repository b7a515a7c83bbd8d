// Logs in to Couchdrop and lists the root folder with the token.
//
//	COUCHDROP_USERNAME=ada@example.com COUCHDROP_PASSWORD=… go run .
//
// The repository needs `make lib` once before. In another module, let `replace` in go.mod name the folder bindings/go.
//
// To use another server, set COUCHDROP_BASE_URL and COUCHDROP_FILES_URL to its URLs, and COUCHDROP_CA_FILE to the
// certificates to trust.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"

	"libcouchdrop.invalid/couchdrop"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	// Ctrl-C stops a waiting login or request.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	token, err := login(ctx)
	if err != nil {
		return errors.New(describe(err))
	}
	defer token.Wipe()
	// A token is a secret: print only enough to tell two tokens apart.
	value := token.Value()
	fmt.Printf("logged in: token %.4s... (%d characters)\n", value, len(value))

	answer, err := list(ctx, token)
	if err != nil {
		return fmt.Errorf("listing failed: %w", err)
	}
	fmt.Printf("files in /: %s\n", answer)
	return nil
}

func login(ctx context.Context) (*couchdrop.Token, error) {
	// Do not pass a password on the command line: other users of the machine can read it.
	credentials := couchdrop.Credentials{
		Username: os.Getenv("COUCHDROP_USERNAME"),
		Password: couchdrop.NewSecret(os.Getenv("COUCHDROP_PASSWORD")),
		System:   "login-example",
	}
	defer credentials.Password.Wipe()
	var options []couchdrop.Option
	if url := os.Getenv("COUCHDROP_BASE_URL"); url != "" {
		options = append(options, couchdrop.WithBaseURL(url))
	}
	if path := os.Getenv("COUCHDROP_CA_FILE"); path != "" {
		options = append(options, couchdrop.WithCAFile(path))
	}
	return couchdrop.Authenticate(ctx, credentials, options...)
}

// list sends the token in the request header and returns the response, which is JSON.
func list(ctx context.Context, token *couchdrop.Token) ([]byte, error) {
	files := os.Getenv("COUCHDROP_FILES_URL")
	if files == "" {
		files = "https://fileio.couchdrop.io"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, files+"/file/ls?path=/", nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set(couchdrop.TokenHeader, token.Value())
	client, err := httpClient(os.Getenv("COUCHDROP_CA_FILE"))
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, errors.New(response.Status)
	}
	return io.ReadAll(response.Body)
}

// httpClient returns a client that trusts the CA certificates in caFile, or the system's if caFile is "". It follows no
// redirect, because net/http would send the token to the new host.
func httpClient(caFile string) (*http.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if caFile != "" {
		certificates, err := os.ReadFile(caFile)
		if err != nil {
			return nil, err
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(certificates) {
			return nil, fmt.Errorf("%s holds no certificate", caFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	}
	noRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &http.Client{Transport: transport, CheckRedirect: noRedirect, Timeout: 30 * time.Second}, nil
}

// describe returns all details of a failed login.
func describe(err error) string {
	var failure *couchdrop.Error
	if !errors.As(err, &failure) {
		return fmt.Sprintf("login failed: %v", err)
	}
	text := fmt.Sprintf("login failed: %v: %s", failure.Code, strings.TrimPrefix(failure.Error(), "couchdrop: "))
	if failure.HTTPStatus != 0 {
		text += fmt.Sprintf("\n  HTTP status: %d", failure.HTTPStatus)
	}
	if failure.ServerMessage != "" {
		text += fmt.Sprintf("\n  the server says: %s", failure.ServerMessage)
	}
	if failure.HasRetryAfter {
		text += fmt.Sprintf("\n  try again in: %d s", failure.RetryAfter/time.Second)
	}
	return text
}
