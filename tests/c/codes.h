/*
 * Every code of the header, for C and C++. CODES(X) expands to X(code, retryable) for each code.
 * The compiler reports missing codes (-Wswitch).
 */
#ifndef CODES_H
#define CODES_H

#include <couchdrop.h>

#define CODES(X)                                                                                   \
    X(CD_OK, 0)                                                                                    \
    X(CD_ERR_HTTP_STATUS, 0)                                                                       \
    X(CD_ERR_TWO_FACTOR_REQUIRED, 0)                                                               \
    X(CD_ERR_ACCESS_DENIED, 0)                                                                     \
    X(CD_ERR_RATE_LIMITED, 1)                                                                      \
    X(CD_ERR_SERVER, 1)                                                                            \
    X(CD_ERR_UNAVAILABLE, 1)                                                                       \
    X(CD_ERR_NULL_ARGUMENT, 0)                                                                     \
    X(CD_ERR_INVALID_UTF8, 0)                                                                      \
    X(CD_ERR_EMPTY_ARGUMENT, 0)                                                                    \
    X(CD_ERR_OUT_OF_RANGE, 0)                                                                      \
    X(CD_ERR_INVALID_URL, 0)                                                                       \
    X(CD_ERR_INSECURE_URL, 0)                                                                      \
    X(CD_ERR_CA_FILE, 0)                                                                           \
    X(CD_ERR_OPTIONS_IN_USE, 0)                                                                    \
    X(CD_ERR_DNS, 1)                                                                               \
    X(CD_ERR_CONNECT, 1)                                                                           \
    X(CD_ERR_PROXY, 0)                                                                             \
    X(CD_ERR_TLS, 0)                                                                               \
    X(CD_ERR_TIMEOUT, 1)                                                                           \
    X(CD_ERR_CONNECTION_LOST, 1)                                                                   \
    X(CD_ERR_MALFORMED_RESPONSE, 0)                                                                \
    X(CD_ERR_RESPONSE_TOO_LARGE, 0)                                                                \
    X(CD_ERR_CANCELLED, 0)                                                                         \
    X(CD_ERR_PANIC, 0)                                                                             \
    X(CD_ERR_INTERNAL, 0)                                                                          \
    X(CD_ERR_RESOURCES, 1)

static inline int is_listed(enum cd_code code) {
    switch (code) {
#define LISTED(code, retryable) case code:
        CODES(LISTED)
#undef LISTED
        return 1;
    }
    return 0;
}

#endif
