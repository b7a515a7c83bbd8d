//go:build cgo

package couchdrop_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"libcouchdrop.invalid/couchdrop"
	"libcouchdrop.invalid/couchdrop/couchdroptest"
)

func ExampleAuthenticate() {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	token, err := couchdrop.Authenticate(ctx, couchdrop.Credentials{
		Username: "ada@example.com",
		Password: couchdrop.NewSecret(os.Getenv("COUCHDROP_PASSWORD")),
	})
	var failure *couchdrop.Error
	switch {
	case errors.Is(err, couchdrop.ErrAccessDenied):
		log.Fatal("wrong user name or password")
	case errors.As(err, &failure) && failure.HasRetryAfter:
		log.Fatalf("try again in %v", failure.RetryAfter)
	case err != nil:
		log.Fatal(err)
	}
	defer token.Wipe()
	request, err := http.NewRequestWithContext(ctx, "POST", "https://fileio.couchdrop.io/file/ls?path=/", nil)
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set(couchdrop.TokenHeader, token.Value())
}

func ExampleNewClient() {
	client, err := couchdrop.NewClient(
		couchdrop.WithProxy("http://proxy.example.com:3128"),
		couchdrop.WithUserAgent("acme/2.1"),
		couchdrop.WithLogger(couchdrop.LogWarn, func(_ couchdrop.LogLevel, message string) { log.Print(message) }),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	// Check at startup that the service can be reached.
	if err := client.Connect(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func ExampleClient_Session() {
	server := couchdroptest.Start() // in a test: couchdroptest.NewServer(t)
	defer server.Close()
	client, err := couchdrop.NewClient(couchdrop.WithBaseURL(server.URL))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close() // and its sessions
	session, err := client.Session(couchdrop.Credentials{
		Username: couchdroptest.Username,
		Password: couchdrop.NewSecret(couchdroptest.Password),
	}, couchdrop.WithMaxAge(time.Hour))
	if err != nil {
		log.Fatal(err)
	}
	// Any number of goroutines may do this. The first call logs in.
	for i := 0; i < 3; i++ {
		token, err := session.Token(context.Background())
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(token)
	}
	fmt.Println(server.Logins(), "login")
	// Output:
	// [redacted]
	// [redacted]
	// [redacted]
	// 1 login
}

func ExampleSession_Renew() {
	server := couchdroptest.Start()
	defer server.Close()
	client, err := couchdrop.NewClient(couchdrop.WithBaseURL(server.URL))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	session, err := client.Session(couchdrop.Credentials{
		Username: couchdroptest.Username,
		Password: couchdrop.NewSecret(couchdroptest.Password),
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	token, err := session.Token(ctx)
	if err != nil {
		log.Fatal(err)
	}
	// The service has refused the token with 403.
	renewed, err := session.Renew(ctx, token)
	switch {
	case err != nil:
		log.Fatal(err)
	case renewed.Equal(token):
		fmt.Println("the token is young: the user lacks a permission")
	default:
		fmt.Println("send the request again with the new token")
	}
	// Output: the token is young: the user lacks a permission
}

func ExampleNewTransport() {
	server := couchdroptest.Start()
	defer server.Close()
	client, err := couchdrop.NewClient(couchdrop.WithBaseURL(server.URL))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	session, err := client.Session(couchdrop.Credentials{
		Username: couchdroptest.Username,
		Password: couchdrop.NewSecret(couchdroptest.Password),
	})
	if err != nil {
		log.Fatal(err)
	}
	// Without the last argument the token is sent to https://api.couchdrop.io and https://fileio.couchdrop.io.
	transport, err := couchdrop.NewTransport(session, nil, server.URL)
	if err != nil {
		log.Fatal(err)
	}
	files := &http.Client{Transport: transport}
	for _, request := range []struct{ url, body string }{
		{server.URL + "/file/upload?path=/reports/may.csv", "day,files\n"},
		{server.URL + "/file/ls?path=/reports", ""},
	} {
		response, err := files.Post(request.url, "", strings.NewReader(request.body))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(response.Status)
		response.Body.Close()
	}
	// Output:
	// 200 OK
	// 200 OK
}

func ExampleStaticTokenSource() {
	// In a test: no login, and every request carries this token.
	source := couchdrop.StaticTokenSource(couchdrop.NewToken("a token of the test"))
	transport, err := couchdrop.NewTransport(source, nil, "http://127.0.0.1:8080")
	if err != nil {
		log.Fatal(err)
	}
	_ = &http.Client{Transport: transport}
}
