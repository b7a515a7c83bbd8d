//go:build cgo

package couchdrop_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"libcouchdrop.invalid/couchdrop"
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

func ExampleNewTransport() {
	client, err := couchdrop.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	transport, err := couchdrop.NewTransport(client, couchdrop.Credentials{
		Username: "ada@example.com",
		Password: couchdrop.NewSecret(os.Getenv("COUCHDROP_PASSWORD")),
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	files := &http.Client{Transport: transport}
	response, err := files.Post("https://fileio.couchdrop.io/file/ls?path=/", "", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	fmt.Println(response.Status)
}
