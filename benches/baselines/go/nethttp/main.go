// Logs in with net/http.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"baselines/baseline"
)

func open(baseURL, caFile string) (func() (string, error), error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	// With its default of 2, all other goroutines would open a new connection for each login.
	transport.MaxIdleConnsPerHost = 1000
	transport.MaxIdleConns = 1000
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	noRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client := &http.Client{Transport: transport, CheckRedirect: noRedirect, Timeout: 30 * time.Second}
	return func() (string, error) { return logIn(client, baseURL+"/authenticate") }, nil
}

func logIn(client *http.Client, address string) (string, error) {
	form := url.Values{"username": {baseline.Username}, "password": {baseline.Password}}
	response, err := client.Post(address, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d", response.StatusCode)
	}
	var answer struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", err
	}
	return answer.Token, nil
}

func main() { baseline.Main(open) }
