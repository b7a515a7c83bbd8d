//go:build cgo

package couchdrop

import (
	"context"
	"sync"
)

var (
	defaultClient     *Client
	makeDefaultClient sync.Once
)

// getDefaultClient returns the client with the defaults. It is never closed.
func getDefaultClient() *Client {
	makeDefaultClient.Do(func() {
		client, err := NewClient()
		if err != nil {
			panic(err) // The defaults are valid.
		}
		defaultClient = client
	})
	return defaultClient
}

// Authenticate logs in as [Client.Authenticate] does. Without options all calls share one client with the defaults, its
// connections and its limit of 64 concurrent calls. With options each call creates its own client and closes it. A
// program that logs in more than once should use [NewClient] instead.
func Authenticate(ctx context.Context, credentials Credentials, options ...Option) (*Token, error) {
	if len(options) == 0 {
		return getDefaultClient().Authenticate(ctx, credentials)
	}
	client, err := NewClient(options...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return client.Authenticate(ctx, credentials)
}
