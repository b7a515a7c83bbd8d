// Logs in with the library's Go package.
package main

import (
	"context"

	"baselines/baseline"

	"libcouchdrop.invalid/couchdrop"
)

func open(baseURL, caFile string) (func() (string, error), error) {
	client, err := couchdrop.NewClient(couchdrop.WithBaseURL(baseURL), couchdrop.WithCAFile(caFile))
	if err != nil {
		return nil, err
	}
	credentials := couchdrop.Credentials{
		Username: baseline.Username,
		Password: couchdrop.NewSecret(baseline.Password),
	}
	return func() (string, error) {
		token, err := client.Authenticate(context.Background(), credentials)
		if err != nil {
			return "", err
		}
		return token.Value(), nil
	}, nil
}

func main() { baseline.Main(open) }
