//go:build cgo

package couchdrop

import (
	"net"
	"net/url"
	"strconv"
	"strings"
)

// defaultOrigins are the origins that accept a token: management and files.
var defaultOrigins = []string{"https://api.couchdrop.io", "https://fileio.couchdrop.io"}

// parseOrigin checks an origin and returns it in the form of originOf.
func parseOrigin(text string) (string, error) {
	parsed, err := url.Parse(text)
	if err != nil {
		// The error of url.Parse quotes the text, which may contain a password before an @.
		return "", invalid(CodeInvalidURL, "An origin must be a URL: https://HOST[:PORT]")
	}
	rest := *parsed
	rest.Scheme, rest.Host = "", ""
	if rest.Path == "/" {
		rest.Path = ""
	}
	if parsed.Hostname() == "" || rest != (url.URL{}) || parsed.Scheme != "https" && parsed.Scheme != "http" {
		return "", invalid(CodeInvalidURL, "An origin must be https://HOST[:PORT], without user info, path, query or fragment")
	}
	if port, err := strconv.ParseUint(parsed.Port(), 10, 16); parsed.Port() != "" && (err != nil || port == 0) {
		return "", invalid(CodeInvalidURL, "The port of an origin must be 1 to 65535")
	}
	if strings.Contains(parsed.Host, "*") {
		return "", invalid(CodeInvalidURL, "An origin must be one host, without a wildcard")
	}
	if parsed.Scheme == "http" && !isLoopback(parsed.Hostname()) {
		return "", invalid(CodeInsecureURL, "An origin with plain http must be loopback, because the token is sent unencrypted")
	}
	return originOf(parsed), nil
}

// originOf returns the normalized origin of a URL (RFC 6454, section 4).
func originOf(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
