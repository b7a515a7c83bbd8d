// Logs in to Couchdrop and lists the root folder with the token.
//
//	COUCHDROP_USERNAME=ada@example.com COUCHDROP_PASSWORD=… go run .
//
// COUCHDROP_BASE_URL, COUCHDROP_FILES_URL and COUCHDROP_CA_FILE name another service than the real one.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"

	"libcouchdrop.invalid/couchdrop"
)

func main() {
	// Ctrl-C stops a login that waits, and a request.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, describe(err))
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	for _, name := range []string{"COUCHDROP_USERNAME", "COUCHDROP_PASSWORD"} {
		if os.Getenv(name) == "" {
			return errors.New("set " + name)
		}
	}
	credentials := couchdrop.Credentials{
		Username: os.Getenv("COUCHDROP_USERNAME"),
		Password: couchdrop.NewSecret(os.Getenv("COUCHDROP_PASSWORD")),
		System:   "go-example",
	}
	var options []couchdrop.Option
	if url := os.Getenv("COUCHDROP_BASE_URL"); url != "" {
		options = append(options, couchdrop.WithBaseURL(url))
	}
	if path := os.Getenv("COUCHDROP_CA_FILE"); path != "" {
		options = append(options, couchdrop.WithCAFile(path))
	}
	token, err := couchdrop.Authenticate(ctx, credentials, options...)
	if err != nil {
		return err
	}
	defer token.Wipe()
	fmt.Println("logged in: token", token)
	return list(ctx, token)
}

// list uses the token: it prints what is in the root folder.
func list(ctx context.Context, token *couchdrop.Token) error {
	files := os.Getenv("COUCHDROP_FILES_URL")
	if files == "" {
		files = "https://fileio.couchdrop.io"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, files+"/file/ls?path=/", nil)
	if err != nil {
		return err
	}
	request.Header.Set(couchdrop.TokenHeader, token.Value())
	client, err := httpClient(os.Getenv("COUCHDROP_CA_FILE"))
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("listing the root folder: %s", response.Status)
	}
	var folder struct {
		Entries []struct {
			Name string `json:"filename"`
		} `json:"ls"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&folder); err != nil {
		return fmt.Errorf("listing the root folder: %w", err)
	}
	fmt.Println("files in /:")
	for _, entry := range folder.Entries {
		fmt.Println(" ", entry.Name)
	}
	return nil
}

// httpClient trusts a file of CA certificates in place of the system's, where one is named. It follows no redirect:
// net/http would hand the token to wherever that leads.
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
	return &http.Client{Transport: transport, CheckRedirect: noRedirect}, nil
}

// describe says what went wrong: the code's name and what else is known.
func describe(err error) string {
	var failure *couchdrop.Error
	if !errors.As(err, &failure) {
		return err.Error()
	}
	text := fmt.Sprintf("%v: %v", failure.Code, failure)
	if failure.ServerMessage != "" {
		text += fmt.Sprintf(" The service says: %q.", failure.ServerMessage)
	}
	if failure.HasRetryAfter {
		text += fmt.Sprintf(" Try again in %v.", failure.RetryAfter)
	}
	return text
}
