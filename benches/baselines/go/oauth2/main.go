// The current token of golang.org/x/oauth2: arguments and output are those of ../session. It never logs in.
package main

import (
	"time"

	"baselines/baseline"

	"golang.org/x/oauth2"
)

func main() {
	token := &oauth2.Token{AccessToken: baseline.Password, Expiry: time.Now().Add(time.Hour)}
	source := oauth2.ReuseTokenSource(token, nil)
	baseline.Repeat(func() error {
		_, err := source.Token()
		return err
	})
}
