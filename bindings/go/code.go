//go:build cgo

package couchdrop

// #include "couchdrop.h"
import "C"

// Code is the result of a call. Codes never change, but later versions may add some, so a switch needs a default. The
// category is the code divided by 1000: 1 the service refused, 2 an argument is invalid and nothing was sent, 3 the
// network, 4 an invalid response, 5 cancelled, 9 a defect or an exhausted process.
type Code int32

// The codes.
const (
	// CodeOK is success. No error has it.
	CodeOK Code = C.CD_OK

	// CodeHTTPStatus: a status without its own code; see [Error.HTTPStatus].
	CodeHTTPStatus Code = C.CD_ERR_HTTP_STATUS
	// CodeTwoFactorRequired: the account needs two-factor authentication, which the API does not support.
	CodeTwoFactorRequired Code = C.CD_ERR_TWO_FACTOR_REQUIRED
	// CodeAccessDenied: wrong user name or password, or an unconfirmed account.
	CodeAccessDenied Code = C.CD_ERR_ACCESS_DENIED
	// CodeRateLimited: too many requests; see [Error.RetryAfter].
	CodeRateLimited Code = C.CD_ERR_RATE_LIMITED
	// CodeServer: the service failed (500, 502, 504).
	CodeServer Code = C.CD_ERR_SERVER
	// CodeUnavailable: the service has no capacity (503).
	CodeUnavailable Code = C.CD_ERR_UNAVAILABLE

	// CodeNullArgument: a required argument is nil, or a [Client] was not created by [NewClient].
	CodeNullArgument Code = C.CD_ERR_NULL_ARGUMENT
	// CodeInvalidUTF8: a string is not valid UTF-8, or contains a NUL.
	CodeInvalidUTF8 Code = C.CD_ERR_INVALID_UTF8
	// CodeEmptyArgument: a string that must not be empty is empty.
	CodeEmptyArgument Code = C.CD_ERR_EMPTY_ARGUMENT
	// CodeOutOfRange: a number, a duration or the length of a string is out of range, or a string contains control
	// characters.
	CodeOutOfRange Code = C.CD_ERR_OUT_OF_RANGE
	// CodeInvalidURL: a string is not a URL, or a URL has a part that it must not have.
	CodeInvalidURL Code = C.CD_ERR_INVALID_URL
	// CodeInsecureURL: plain http to a host that is not loopback, or through a proxy.
	CodeInsecureURL Code = C.CD_ERR_INSECURE_URL
	// CodeCAFile: a CA file is missing, unreadable or empty, or contains no usable certificate.
	CodeCAFile Code = C.CD_ERR_CA_FILE
	// CodeOptionsInUse: a setter of the C library came after the first call that used the options. This package does
	// not cause it.
	CodeOptionsInUse Code = C.CD_ERR_OPTIONS_IN_USE

	// CodeDNS: a host name could not be resolved.
	CodeDNS Code = C.CD_ERR_DNS
	// CodeConnect: no connection could be made to any of the host's addresses.
	CodeConnect Code = C.CD_ERR_CONNECT
	// CodeProxy: the proxy refused, or a proxy variable of the environment can't be used.
	CodeProxy Code = C.CD_ERR_PROXY
	// CodeTLS: TLS failed; the message has the reason, for instance a problem with the certificate.
	CodeTLS Code = C.CD_ERR_TLS
	// CodeTimeout: the deadline passed, or a connection took longer than the connect timeout.
	CodeTimeout Code = C.CD_ERR_TIMEOUT
	// CodeConnectionLost: the connection closed before the response was complete.
	CodeConnectionLost Code = C.CD_ERR_CONNECTION_LOST

	// CodeMalformedResponse: the response is not one of this API, or a success without a usable token.
	CodeMalformedResponse Code = C.CD_ERR_MALFORMED_RESPONSE
	// CodeResponseTooLarge: the response is larger than the limit.
	CodeResponseTooLarge Code = C.CD_ERR_RESPONSE_TOO_LARGE

	// CodeCancelled: the context, [Client.Close] or [Session.Close] stopped the call.
	CodeCancelled Code = C.CD_ERR_CANCELLED

	// CodePanic: a defect in the library, caught at its boundary.
	CodePanic Code = C.CD_ERR_PANIC
	// CodeInternal: a state that the library did not expect.
	CodeInternal Code = C.CD_ERR_INTERNAL
	// CodeResources: the process ran out of descriptors, threads or another resource.
	CodeResources Code = C.CD_ERR_RESOURCES
)

// The errors for [errors.Is], one for each [Code], which has more documentation. A call returns an [*Error] with the
// details.
var (
	ErrHTTPStatus        error = codeError(CodeHTTPStatus)        // a status without its own code
	ErrTwoFactorRequired error = codeError(CodeTwoFactorRequired) // 401: the account needs two-factor authentication
	ErrAccessDenied      error = codeError(CodeAccessDenied)      // 403: wrong user name or password, or an unconfirmed account
	ErrRateLimited       error = codeError(CodeRateLimited)       // 429: too many requests; see RetryAfter
	ErrServer            error = codeError(CodeServer)            // 500, 502, 504: the service failed
	ErrUnavailable       error = codeError(CodeUnavailable)       // 503: the service has no capacity
	ErrNullArgument      error = codeError(CodeNullArgument)      // an argument is nil, or not created by its New function
	ErrInvalidUTF8       error = codeError(CodeInvalidUTF8)       // a string that is not valid UTF-8, or contains a NUL
	ErrEmptyArgument     error = codeError(CodeEmptyArgument)     // a string that must not be empty
	ErrOutOfRange        error = codeError(CodeOutOfRange)        // a number, a duration or a length
	ErrInvalidURL        error = codeError(CodeInvalidURL)        // not a URL, or a URL with a part that it must not have
	ErrInsecureURL       error = codeError(CodeInsecureURL)       // plain http to a host that is not loopback
	ErrCAFile            error = codeError(CodeCAFile)            // a CA file that can't be used
	ErrOptionsInUse      error = codeError(CodeOptionsInUse)      // not caused by this package
	ErrDNS               error = codeError(CodeDNS)               // a name could not be resolved
	ErrConnect           error = codeError(CodeConnect)           // no connection to any address
	ErrProxy             error = codeError(CodeProxy)             // the proxy refused, or its variable can't be used
	ErrTLS               error = codeError(CodeTLS)               // the certificate or the handshake
	ErrTimeout           error = codeError(CodeTimeout)           // the deadline, or the connect timeout
	ErrConnectionLost    error = codeError(CodeConnectionLost)    // the connection closed before the response was complete
	ErrMalformedResponse error = codeError(CodeMalformedResponse) // a response that is not one of this API
	ErrResponseTooLarge  error = codeError(CodeResponseTooLarge)  // a response above the limit
	ErrCancelled         error = codeError(CodeCancelled)         // stopped by its context or by Close
	ErrPanic             error = codeError(CodePanic)             // a defect in the library, caught at its boundary
	ErrInternal          error = codeError(CodeInternal)          // a state that the library did not expect
	ErrResources         error = codeError(CodeResources)         // no descriptors or threads left
)

// String returns the name of the code in the C library, for instance "CD_ERR_TIMEOUT". The name is the same in every
// language. It is "CD_ERR_UNKNOWN" for a code that this version does not know.
func (c Code) String() string { return C.GoString(C.cd_code_name(C.int32_t(c))) }

// Message returns one English sentence about the code.
func (c Code) Message() string { return C.GoString(C.cd_code_message(C.int32_t(c))) }

// Retryable returns true if the same call may succeed later without any change. The library has already made its own
// retries, so wait before you call again.
func (c Code) Retryable() bool { return C.cd_code_is_retryable(C.int32_t(c)) != 0 }

// codeError is the target of errors.Is for an [*Error] with this code.
type codeError Code

// Error returns one English sentence about the code.
func (c codeError) Error() string { return "couchdrop: " + Code(c).Message() }
