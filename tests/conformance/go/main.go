// Command cases runs the cases from standard input through the Go package: see ../README.md.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"libcouchdrop.invalid/couchdrop"
)

// testCase is a case while its lines are read.
type testCase struct {
	options     []couchdrop.Option
	credentials couchdrop.Credentials
	callTimeout time.Duration
	times       int
	connects    bool
	cancel      string
}

// outcome is the result of a case.
type outcome struct {
	Code          string  `json:"code"`
	Token         *string `json:"token"`
	Message       *string `json:"message"`
	HTTPStatus    *int    `json:"http_status"`
	ServerMessage *string `json:"server_message"`
	RetryAfter    *int64  `json:"retry_after"`
	Attempts      *int    `json:"attempts"`
	Retryable     bool    `json:"retryable"`
}

// decoded replaces each %XX with its byte.
func decoded(text string) string {
	var bytes strings.Builder
	for at := 0; at < len(text); at++ {
		if text[at] == '%' && at+2 < len(text) {
			if value, err := strconv.ParseUint(text[at+1:at+3], 16, 8); err == nil {
				bytes.WriteByte(byte(value))
				at += 2
				continue
			}
		}
		bytes.WriteByte(text[at])
	}
	return bytes.String()
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	if err != nil {
		fail(err)
	}
	return value
}

func length(text string) time.Duration { return time.Duration(number(text)) * time.Millisecond }

func fail(what any) {
	fmt.Fprintln(os.Stderr, "runner:", what)
	os.Exit(2)
}

// set applies one line of a case, such as `max_retries 2`.
func (c *testCase) set(name, value string, there bool) {
	add := func(option couchdrop.Option) { c.options = append(c.options, option) }
	switch name {
	case "username":
		c.credentials.Username = value
	case "password":
		c.credentials.Password = couchdrop.NewSecret(value)
	case "system":
		c.credentials.System = value
	case "call_timeout_ms":
		c.callTimeout = length(value)
	case "times":
		c.times = number(value)
	case "connect":
		c.connects = true
	case "cancel":
		c.cancel = value
	case "base_url":
		add(couchdrop.WithBaseURL(value))
	case "body_format":
		add(couchdrop.WithBodyFormat(couchdrop.BodyFormat(number(value))))
	case "timeout_ms":
		add(couchdrop.WithTimeout(length(value)))
	case "connect_timeout_ms":
		add(couchdrop.WithConnectTimeout(length(value)))
	case "max_retries":
		add(couchdrop.WithMaxRetries(number(value)))
	case "backoff_ms":
		first, max, _ := strings.Cut(value, " ")
		add(couchdrop.WithBackoff(length(first), length(max)))
	case "proxy":
		if there {
			add(couchdrop.WithProxy(value))
		} else {
			add(couchdrop.WithNoProxy())
		}
	case "ca_file":
		add(couchdrop.WithCAFile(value))
	case "user_agent":
		add(couchdrop.WithUserAgent(value))
	case "max_response_bytes":
		add(couchdrop.WithMaxResponseBytes(number(value)))
	default:
		fail("no setting " + name)
	}
}

func (c *testCase) call(ctx context.Context) (token *string, err error) {
	client, err := couchdrop.NewClient(c.options...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	if c.callTimeout != 0 {
		limited, cancel := context.WithTimeout(ctx, c.callTimeout)
		defer cancel()
		ctx = limited
	}
	for ; c.times > 0; c.times-- {
		if c.connects {
			err = client.Connect(ctx)
		} else {
			var got *couchdrop.Token
			if got, err = client.Authenticate(ctx, c.credentials); err == nil {
				value := got.Value()
				token = &value
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return token, nil
}

func (c *testCase) run(input *bufio.Reader) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	read := make(chan struct{})
	switch c.cancel {
	case "before":
		cancel()
		close(read)
	case "waiting":
		go func() {
			_, _ = input.ReadString('\n')
			cancel()
			close(read)
		}()
	default:
		close(read)
	}
	token, err := c.call(ctx)
	line, jsonErr := json.Marshal(describe(token, err))
	if jsonErr != nil {
		fail(jsonErr)
	}
	fmt.Println(string(line))
	<-read
}

func describe(token *string, err error) outcome {
	if err == nil {
		return outcome{Code: couchdrop.CodeOK.String(), Token: token}
	}
	var loginErr *couchdrop.Error
	if !errors.As(err, &loginErr) {
		fail(err)
	}
	message := loginErr.Error()
	it := outcome{Code: loginErr.Code.String(), Message: &message, Attempts: &loginErr.Attempts, Retryable: loginErr.Retryable()}
	if loginErr.HTTPStatus != 0 {
		it.HTTPStatus = &loginErr.HTTPStatus
	}
	if loginErr.ServerMessage != "" {
		it.ServerMessage = &loginErr.ServerMessage
	}
	if loginErr.HasRetryAfter {
		seconds := int64(loginErr.RetryAfter / time.Second)
		it.RetryAfter = &seconds
	}
	return it
}

func main() {
	input := bufio.NewReader(os.Stdin)
	it := testCase{times: 1}
	for {
		line, err := input.ReadString('\n')
		if err != nil {
			return
		}
		name, value, there := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if name == "run" {
			it.run(input)
			it = testCase{times: 1}
		} else {
			it.set(name, decoded(value), there)
		}
	}
}
