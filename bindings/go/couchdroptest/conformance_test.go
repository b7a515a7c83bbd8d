//go:build cgo

package couchdroptest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"libcouchdrop.invalid/couchdrop"
	"libcouchdrop.invalid/couchdrop/couchdroptest"
)

// testCase is a case of tests/conformance/cases.json; its README describes the fields.
type testCase struct {
	Name                       string
	Server                     json.RawMessage
	Path                       string
	Username, Password, System *text
	Options                    map[string]json.RawMessage
	Connect                    bool
	Times                      int
	CallTimeoutMS              int `json:"call_timeout_ms"`
	Cancel                     string
	Connections                int
	Except                     map[string]json.RawMessage
	Expect                     result
	// Not possible with this package.
	SetLate       bool `json:"set_late"`
	NoDescriptors bool `json:"no_descriptors"`
}

// result is the expected or actual result of a case.
type result struct {
	Code          string
	Token         *text
	HTTPStatus    int   `json:"http_status"`
	ServerMessage *text `json:"server_message"`
	RetryAfter    *int  `json:"retry_after"`
	Attempts      *int
	Sent          []string
}

// scripted is a response of a case.
type scripted struct {
	Status  int
	Headers map[string]string
	Body    *text
	JSON    json.RawMessage
	silence bool
}

// UnmarshalJSON also accepts "silence".
func (s *scripted) UnmarshalJSON(data []byte) error {
	type object scripted
	if s.silence = string(data) == `"silence"`; s.silence {
		return nil
	}
	return json.Unmarshal(data, (*object)(s))
}

// text is a string, an object with repeat and count, or a list of both.
type text string

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(data []byte) error {
	var value interface{}
	if err := json.Unmarshal(data, &value); err != nil {
		return err
	}
	parts, isList := value.([]interface{})
	if !isList {
		parts = []interface{}{value}
	}
	for _, part := range parts {
		switch part := part.(type) {
		case string:
			*t += text(part)
		case map[string]interface{}:
			*t += text(strings.Repeat(part["repeat"].(string), int(part["count"].(float64))))
		default:
			return fmt.Errorf("not a text: %s", data)
		}
	}
	return nil
}

func (t *text) or(other string) string {
	if t == nil {
		return other
	}
	return string(*t)
}

// runs returns true if the case needs neither TLS, raw bytes, a proxy nor a language other than Go.
func (c *testCase) runs(raw string) bool {
	excluded := c.SetLate || c.NoDescriptors || string(c.Except["go"]) != "" || strings.Contains(raw, `\udc`) ||
		strings.Contains(raw, `"raw"`) || strings.Contains(raw, "https://") || string(c.Server) == "[]" ||
		strings.Contains(raw, `"close"`) || strings.Contains(raw, `"reset"`) || c.Options["ca_file"] != nil || c.Options["proxy"] != nil
	base := string(c.Options["base_url"])
	return !excluded && (c.Server != nil || base == `"{fake_server_http}"`)
}

// record holds the logins that a server received.
type record struct {
	mutex       sync.Mutex
	sent        []string
	connections map[string]bool
	paths       map[string]bool
	requested   chan struct{}
}

// script returns a handler that sends one response for each login, and repeats the last one.
func (r *record) script(responses []scripted) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		_, _ = io.Copy(io.Discard, request.Body)
		format := "other"
		if contentType := request.Header.Get("Content-Type"); strings.HasSuffix(contentType, "json") {
			format = "json"
		} else if strings.HasSuffix(contentType, "form-urlencoded") {
			format = "form"
		}
		r.mutex.Lock()
		next := responses[len(responses)-1]
		if len(r.sent) < len(responses) {
			next = responses[len(r.sent)]
		}
		r.sent = append(r.sent, format)
		r.connections[request.RemoteAddr] = true
		r.paths[strings.TrimSuffix(request.URL.Path, "/authenticate")] = true
		r.mutex.Unlock()
		r.requested <- struct{}{}
		if next.silence {
			<-request.Context().Done()
			panic(http.ErrAbortHandler)
		}
		body := next.Body.or("")
		if next.JSON != nil {
			w.Header().Set("Content-Type", "application/json")
			body = string(next.JSON)
		}
		for name, value := range next.Headers {
			w.Header().Set(name, value)
		}
		w.WriteHeader(next.Status)
		_, _ = io.WriteString(w, body)
	})
}

// matches returns true if the text matches the whole regular expression. Package regexp allows at most 1,000 repetitions.
func matches(pattern, text string) bool {
	if pattern == "~{65536}" {
		return text == strings.Repeat("~", 65536)
	}
	return regexp.MustCompile("^(" + pattern + ")$").MatchString(text)
}

func number(t *testing.T, data json.RawMessage) int {
	t.Helper()
	var value int
	if err := json.Unmarshal(data, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

func (c *testCase) option(t *testing.T, name string, data json.RawMessage, server *couchdroptest.Server) couchdrop.Option {
	t.Helper()
	var value text
	switch name {
	case "base_url", "user_agent", "backoff_ms", "body_format":
		if err := json.Unmarshal(data, &value); err != nil && name != "body_format" {
			t.Fatal(err)
		}
	}
	switch name {
	case "base_url":
		port := server.URL[strings.LastIndex(server.URL, ":")+1:]
		base := strings.NewReplacer("{server}", server.URL, "{fake_server_http}", server.URL, "{port}", port).Replace(string(value))
		return couchdrop.WithBaseURL(base)
	case "body_format":
		format, known := map[text]couchdrop.BodyFormat{
			"auto": couchdrop.BodyAuto, "form": couchdrop.BodyForm, "json": couchdrop.BodyJSON,
		}[value]
		if !known {
			format = couchdrop.BodyFormat(number(t, data))
		}
		return couchdrop.WithBodyFormat(format)
	case "user_agent":
		return couchdrop.WithUserAgent(string(value))
	case "timeout_ms":
		return couchdrop.WithTimeout(time.Duration(number(t, data)) * time.Millisecond)
	case "max_retries":
		return couchdrop.WithMaxRetries(number(t, data))
	case "max_response_bytes":
		return couchdrop.WithMaxResponseBytes(number(t, data))
	default:
		t.Fatalf("the option %s is unknown to this test", name)
		return nil
	}
}

func (c *testCase) run(t *testing.T) {
	server := couchdroptest.NewServer(t)
	received := &record{connections: map[string]bool{}, paths: map[string]bool{}, requested: make(chan struct{}, 100)}
	isScripted := string(c.Server) != `"fake server"` && c.Server != nil
	if isScripted {
		var responses []scripted
		if err := json.Unmarshal(c.Server, &responses); err != nil {
			t.Fatal(err)
		}
		server.HandleLogin(received.script(responses))
	}
	options := []couchdrop.Option{couchdrop.WithBaseURL(server.URL), couchdrop.WithBackoff(0, 0)}
	for name, data := range c.Options {
		options = append(options, c.option(t, name, data, server))
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	switch c.Cancel {
	case "before":
		cancel()
	case "waiting":
		go func() {
			<-received.requested
			cancel()
		}()
	}
	if c.CallTimeoutMS != 0 {
		limited, stop := context.WithTimeout(ctx, time.Duration(c.CallTimeoutMS)*time.Millisecond)
		defer stop()
		ctx = limited
	}
	got := result{Code: "CD_OK"}
	token, err := c.call(ctx, options)
	received.mutex.Lock()
	defer received.mutex.Unlock()
	got.Sent = received.sent
	if err != nil {
		got.setError(t, err)
	}
	c.Expect.complete(isScripted)
	if pattern := c.Expect.Token; pattern != nil && (token == nil || !matches(string(*pattern), token.Value())) {
		t.Errorf("the token is not like %.80s", *pattern)
	}
	c.Expect.Token = nil
	if !isScripted {
		c.Expect.Sent = nil
	}
	if got.Code == "CD_OK" {
		c.Expect.Attempts = nil
	}
	if !reflect.DeepEqual(got, c.Expect) {
		gotJSON, _ := json.Marshal(got)
		wantJSON, _ := json.Marshal(c.Expect)
		t.Errorf("got %s, want %s", gotJSON, wantJSON)
	}
	if c.Connections != 0 && !c.Connect && len(received.connections) != c.Connections {
		t.Errorf("%d connections, want %d", len(received.connections), c.Connections)
	}
	if c.Path != "" && !received.paths[c.Path] {
		t.Errorf("the paths are %v, want %s", received.paths, c.Path)
	}
}

func (c *testCase) call(ctx context.Context, options []couchdrop.Option) (token *couchdrop.Token, err error) {
	client, err := couchdrop.NewClient(options...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	credentials := couchdrop.Credentials{
		Username: c.Username.or(couchdroptest.Username),
		Password: couchdrop.NewSecret(c.Password.or(couchdroptest.Password)),
		System:   c.System.or(""),
	}
	for i := 0; i == 0 || i < c.Times; i++ {
		if c.Connect {
			err = client.Connect(ctx)
		} else {
			token, err = client.Authenticate(ctx, credentials)
		}
		if err != nil {
			return nil, err
		}
	}
	return token, nil
}

// complete adds the defaults to an expected result.
func (r *result) complete(isScripted bool) {
	if r.Attempts == nil && r.Code != "CD_OK" {
		attempts := len(r.Sent)
		r.Attempts = &attempts
	}
	if isScripted && len(r.Sent) == 0 {
		r.Sent = nil
	}
}

func (r *result) setError(t *testing.T, err error) {
	t.Helper()
	var failure *couchdrop.Error
	if !errors.As(err, &failure) {
		t.Fatal(err)
	}
	r.Code, r.HTTPStatus, r.Attempts = failure.Code.String(), failure.HTTPStatus, &failure.Attempts
	if failure.ServerMessage != "" {
		message := text(failure.ServerMessage)
		r.ServerMessage = &message
	}
	if failure.HasRetryAfter {
		seconds := int(failure.RetryAfter / time.Second)
		r.RetryAfter = &seconds
	}
}

// TestConformanceCasesPass runs the cases that need neither TLS nor raw bytes.
func TestConformanceCasesPass(t *testing.T) {
	content := couchdroptest.ReadProjectFile(t, "tests/conformance/cases.json")
	var file struct{ Cases []json.RawMessage }
	if err := json.Unmarshal(content, &file); err != nil {
		t.Fatal(err)
	}
	fake, own := 0, 0
	for _, raw := range file.Cases {
		test := testCase{}
		decoder := json.NewDecoder(bytes.NewReader(raw))
		if err := decoder.Decode(&test); err != nil {
			t.Logf("not run: %.80s: %v", raw, err)
			continue
		}
		if !test.runs(string(raw)) {
			continue
		}
		if strings.HasPrefix(test.Name, "fake server:") {
			fake++
		} else {
			own++
		}
		t.Run(test.Name, func(t *testing.T) { test.run(t) })
	}
	// The number of cases that ran when this test was written.
	if fake < 14 || own < 60 {
		t.Errorf("only %d cases of the fake server and %d with their own responses ran", fake, own)
	}
}
