// Package couchdroptest is a fake of the Couchdrop service for tests: a server on loopback without TLS, in this process.
// It needs neither an account nor a network.
//
//	func TestReport(t *testing.T) {
//		server := couchdroptest.NewServer(t)
//		client, err := couchdrop.NewClient(couchdrop.WithBaseURL(server.URL))
//		// …
//		session, err := client.Session(couchdrop.Credentials{
//			Username: couchdroptest.Username,
//			Password: couchdrop.NewSecret(couchdroptest.Password),
//		})
//		// …
//		transport, err := couchdrop.NewTransport(session, nil, server.URL)
//		// …
//	}
//
// # Routes
//
//   - POST /authenticate logs in as one of the [Accounts], by a form or by JSON. Any path may precede it.
//   - POST /file/upload?path=/folder/name stores a file, and the folders that it needs: the raw body, or the field data
//     of a multipart form. [Server.File] returns it.
//   - POST /file/ls?path=/folder lists a folder.
//
// The last two need a token of this server in the header token. A missing, unknown or expired token gets 403.
package couchdroptest
