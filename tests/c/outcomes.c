/*
 * Every account of the fake server, with and without TLS: the result of a login, and the content of
 * its error.
 */
#include "check.h"

typedef struct {
    const char *username;
    const char *password;
    cd_code code;
    int32_t http_status;
    const char *server_message;
    int64_t retry_after_seconds;
    uint32_t attempts;
} outcome;

static const outcome outcomes[] = {
    {"ada@example.com", PASSWORD, CD_OK, 0, NULL, -1, 0},
    {"json@example.com", PASSWORD, CD_OK, 0, NULL, -1, 0},
    {"жук@example.com", "пароль & 100% + \"q\"\\ é", CD_OK, 0, NULL, -1, 0},
    {"ada@example.com", "not my password", CD_ERR_ACCESS_DENIED, 403, "Access denied", -1, 1},
    {"nobody@example.com", PASSWORD, CD_ERR_ACCESS_DENIED, 403, "Access denied", -1, 1},
    {"twofactor@example.com", PASSWORD, CD_ERR_TWO_FACTOR_REQUIRED, 401,
     "Two-factor authentication is required", -1, 1},
    {"limited@example.com", PASSWORD, CD_ERR_RATE_LIMITED, 429, "Too many requests", 3600, 1},
    {"down@example.com", PASSWORD, CD_ERR_UNAVAILABLE, 503, NULL, -1, 5},
    {"broken@example.com", PASSWORD, CD_ERR_SERVER, 500, "Internal error 7", -1, 5},
    {"portal@example.com", PASSWORD, CD_ERR_MALFORMED_RESPONSE, 200, NULL, -1, 1},
    {"moved@example.com", PASSWORD, CD_ERR_HTTP_STATUS, 307, NULL, -1, 1},
    /* Rate limited for a second, then accepted. */
    {"busy@example.com", PASSWORD, CD_OK, 0, NULL, -1, 0},
};

/* Hexadecimal digits and dashes, as in a UUID. */
static int is_token(const char *text, size_t length) {
    return text != NULL && strlen(text) == length && length == 36 &&
           strspn(text, "0123456789abcdef-") == length;
}

static void check_outcome(const cd_options *options, const outcome *expected) {
    cd_token *token = NULL;
    cd_error *error = NULL;
    cd_code code = cd_authenticate_with(options, NULL, 0, expected->username, expected->password,
                                        "test", &token, &error);
    int failed_before = checks_failed;

    CHECK_CODE(expected->code, code);
    CHECK((token != NULL) == (code == CD_OK));
    CHECK((error == NULL) == (code == CD_OK));
    CHECK(token == NULL || is_token(cd_token_str(token), cd_token_len(token)));
    CHECK_CODE(code, cd_error_code(error));
    CHECK(cd_error_http_status(error) == expected->http_status);
    CHECK_TEXT(expected->server_message, cd_error_server_message(error));
    CHECK(cd_error_retry_after_seconds(error) == expected->retry_after_seconds);
    CHECK(cd_error_attempts(error) == expected->attempts);
    /* The message contains neither the username nor the password. */
    CHECK(strstr(cd_error_message(error), expected->username) == NULL);
    CHECK(strstr(cd_error_message(error), expected->password) == NULL);
    if (checks_failed != failed_before)
        fprintf(stderr, "  with %s: %s\n", expected->username, cd_error_message(error));
    cd_token_free(token);
    cd_error_free(error);
}

/* Logs in to one account after another with the same options. */
static void check_outcomes(const cd_options *options) {
    size_t i;
    for (i = 0; i < sizeof outcomes / sizeof outcomes[0]; i++)
        check_outcome(options, &outcomes[i]);
}

/* Each login gets its own token, which outlives the options. */
static void each_login_has_its_own_token(void) {
    cd_options *options = fake_server_options();
    cd_token *first = NULL, *second = NULL;
    CHECK_CODE(CD_OK, cd_authenticate_with(options, NULL, 0, "ada@example.com", PASSWORD, NULL,
                                           &first, NULL));
    CHECK_CODE(CD_OK, cd_authenticate_with(options, NULL, 0, "ada@example.com", PASSWORD, NULL,
                                           &second, NULL));
    cd_options_free(options);
    CHECK(first != NULL && second != NULL &&
          strcmp(cd_token_str(first), cd_token_str(second)) != 0);
    cd_token_free(first);
    cd_token_free(second);
}

/* A login without a response ends by its own timeout, which replaces that of the options. */
static void silent_server_times_out(void) {
    cd_options *options = fake_server_options();
    cd_token *token = NULL;
    cd_error *error = NULL;
    int64_t started = now_ms();
    CHECK_CODE(CD_ERR_TIMEOUT, cd_authenticate_with(options, NULL, 300, "slow@example.com",
                                                    PASSWORD, NULL, &token, &error));
    CHECK(now_ms() - started >= 300);
    CHECK(now_ms() - started < 300 + slack_ms());
    CHECK(token == NULL);
    CHECK(cd_error_http_status(error) == 0);
    CHECK(cd_error_attempts(error) <= 1);
    cd_error_free(error);
    cd_options_free(options);
}

/* cd_connect() opens a connection before the login. Without the fake server's CA file it fails. */
static void connect_before_login(void) {
    cd_options *options = fake_server_options();
    cd_error *error = NULL;
    CHECK_CODE(CD_OK, cd_connect(options, NULL, 0, &error));
    CHECK_CODE(CD_OK, cd_connect(options, NULL, 5000, NULL));
    CHECK(error == NULL);
    CHECK_LOGIN(options);
    cd_options_free(options);

    options = cd_options_new();
    CHECK_CODE(CD_OK, cd_options_set_base_url(options, environment("COUCHDROP_BASE_URL"), NULL));
    CHECK_CODE(CD_ERR_TLS, cd_connect(options, NULL, 0, &error));
    CHECK_CODE(CD_ERR_TLS, cd_error_code(error));
    CHECK(cd_error_attempts(error) == 0);
    cd_error_free(error);
    cd_options_free(options);
}

int main(void) {
    cd_options *tls = fake_server_options();
    cd_options *plain = cd_options_new();
    CHECK_CODE(CD_OK, cd_options_set_base_url(plain, environment("COUCHDROP_HTTP_URL"), NULL));
    CHECK_CODE(CD_OK, cd_options_set_backoff_ms(plain, 1, 5, NULL));
    check_outcomes(tls);
    check_outcomes(plain);
    cd_options_free(tls);
    cd_options_free(plain);
    each_login_has_its_own_token();
    silent_server_times_out();
    connect_before_login();
    return checks_result();
}
