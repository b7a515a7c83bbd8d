// A session's current token: BASE_URL CA_FILE CALLS prints the nanoseconds of each call, on average.
package main

import (
	"context"
	"os"

	"baselines/baseline"

	"libcouchdrop.invalid/couchdrop"
)

func main() {
	client, err := couchdrop.NewClient(couchdrop.WithBaseURL(os.Args[1]), couchdrop.WithCAFile(os.Args[2]))
	baseline.Check(err)
	session, err := client.Session(couchdrop.Credentials{
		Username: baseline.Username,
		Password: couchdrop.NewSecret(baseline.Password),
	})
	baseline.Check(err)
	baseline.Repeat(func() error {
		_, err := session.Token(context.Background())
		return err
	})
}
