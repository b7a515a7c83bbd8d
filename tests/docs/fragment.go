// The declarations that a fragment in the documentation may use. It is compiled in place of the mark, and never run.
package fragment

// IMPORTS

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

var _ = []any{errors.Is, fmt.Println, log.Println, http.Get, os.Exit, time.Now}

func fragment(
	ctx context.Context, username, password string, credentials couchdrop.Credentials,
	client *couchdrop.Client, token *couchdrop.Token, request *http.Request,
) error {
	{
		// FRAGMENT
	}
	return nil
}
