/*
 * Good and bad values for every argument of every function: the valid ones are accepted, and the
 * others are refused with the expected code.
 */
#include "check.h"

#include <unistd.h>

/* The value of an out-parameter before a call, which must overwrite it. */
#define STALE(type) ((type *)(uintptr_t)16)

static cd_error *error;

/*
 * Checks that the call, which receives `&error`, returns this code, and that the error object has
 * it too.
 */
static void check_setter(int line, const char *what, int32_t expected, int32_t actual) {
    check_code(__FILE__, line, what, expected, actual);
    if ((error == NULL) != (actual == CD_OK) || cd_error_code(error) != actual ||
        (strlen(cd_error_message(error)) == 0) != (actual == CD_OK) ||
        cd_error_http_status(error) != 0 || cd_error_server_message(error) != NULL ||
        cd_error_retry_after_seconds(error) != -1 || cd_error_attempts(error) != 0)
        check_failed(__FILE__, line, what, " left a wrong error object");
    cd_error_free(error);
    error = STALE(cd_error);
}
#define EXPECT(expected, call) check_setter(__LINE__, #call, (expected), (call))

/* A string of `length` letters. The caller frees it. */
static char *letters(size_t length) {
    char *text = (char *)malloc(length + 1);
    if (text == NULL)
        abort();
    memset(text, 'a', length);
    text[length] = '\0';
    return text;
}

static void urls(cd_options *o) {
    EXPECT(CD_OK, cd_options_set_base_url(o, "https://api.couchdrop.io", &error));
    EXPECT(CD_OK, cd_options_set_base_url(o, "https://couchdrop.example:8443/v2/", &error));
    EXPECT(CD_OK, cd_options_set_base_url(o, "http://127.0.0.1:80", &error));
    EXPECT(CD_OK, cd_options_set_base_url(o, "http://[::1]:8080", &error));
    EXPECT(CD_OK, cd_options_set_base_url(o, "http://localhost", &error));
    EXPECT(CD_ERR_INSECURE_URL, cd_options_set_base_url(o, "http://couchdrop.example", &error));
    EXPECT(CD_ERR_INVALID_URL, cd_options_set_base_url(o, "ftp://couchdrop.example", &error));
    EXPECT(CD_ERR_INVALID_URL, cd_options_set_base_url(o, "couchdrop", &error));
    EXPECT(CD_ERR_INVALID_URL, cd_options_set_base_url(o, "https://a:b@couchdrop.example", &error));
    EXPECT(CD_ERR_INVALID_URL,
           cd_options_set_base_url(o, "https://couchdrop.example/?a=b", &error));
    EXPECT(CD_ERR_INVALID_URL, cd_options_set_base_url(o, "https://couchdrop.example/#a", &error));
    EXPECT(CD_ERR_INVALID_URL,
           cd_options_set_base_url(o, "https://couchdrop.example:65536", &error));
    EXPECT(CD_ERR_NULL_ARGUMENT, cd_options_set_base_url(o, NULL, &error));
    EXPECT(CD_ERR_EMPTY_ARGUMENT, cd_options_set_base_url(o, "", &error));
    EXPECT(CD_ERR_INVALID_UTF8, cd_options_set_base_url(o, "https://\xff", &error));
}

static void proxies(void) {
    cd_options *o = cd_options_new();
    EXPECT(CD_OK, cd_options_set_proxy(o, NULL, &error));
    EXPECT(CD_OK, cd_options_set_proxy(o, "proxy.example", &error));
    EXPECT(CD_OK, cd_options_set_proxy(o, "http://ada:secret@proxy.example:3128", &error));
    EXPECT(CD_OK, cd_options_set_proxy(o, "socks5://127.0.0.1", &error));
    EXPECT(CD_OK, cd_options_set_proxy(o, "socks5h://proxy.example:1080", &error));
    EXPECT(CD_ERR_INVALID_URL, cd_options_set_proxy(o, "https://proxy.example", &error));
    EXPECT(CD_ERR_INVALID_URL, cd_options_set_proxy(o, "ftp://proxy.example", &error));
    EXPECT(CD_ERR_EMPTY_ARGUMENT, cd_options_set_proxy(o, "", &error));
    EXPECT(CD_ERR_INVALID_UTF8, cd_options_set_proxy(o, "\xc3(", &error));
    /* Plain http never uses a proxy, in whichever order the two are set. */
    EXPECT(CD_ERR_INSECURE_URL, cd_options_set_base_url(o, "http://localhost", &error));
    EXPECT(CD_OK, cd_options_set_proxy(o, NULL, &error));
    EXPECT(CD_OK, cd_options_set_base_url(o, "http://localhost", &error));
    EXPECT(CD_ERR_INSECURE_URL, cd_options_set_proxy(o, "proxy.example", &error));
    cd_options_free(o);

    /* The message must not contain a proxy's credentials. */
    o = cd_options_new();
    CHECK_CODE(CD_ERR_INVALID_URL,
               cd_options_set_proxy(o, "http://ada:secret@proxy.example:x", &error));
    CHECK(strstr(cd_error_message(error), "secret") == NULL);
    cd_error_free(error);
    cd_options_free(o);
}

/* Stores `content` in a new file. The caller unlinks it. */
static void make_file(char *name, const char *content) {
    int file = mkstemp(name);
    CHECK(file >= 0 && write(file, content, strlen(content)) == (ssize_t)strlen(content));
    close(file);
}

static void ca_files(cd_options *o) {
    char empty[] = "/tmp/ca-empty-XXXXXX", none[] = "/tmp/ca-none-XXXXXX",
         broken[] = "/tmp/ca-broken-XXXXXX";
    char kept[300];
    make_file(empty, "");
    make_file(none, "nothing of the kind\n");
    make_file(broken, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    EXPECT(CD_OK, cd_options_set_ca_file(o, environment("COUCHDROP_CA_FILE"), &error));
    EXPECT(CD_ERR_CA_FILE, cd_options_set_ca_file(o, empty, &error));
    EXPECT(CD_ERR_CA_FILE, cd_options_set_ca_file(o, none, &error));
    EXPECT(CD_ERR_CA_FILE, cd_options_set_ca_file(o, broken, &error));
    EXPECT(CD_ERR_CA_FILE, cd_options_set_ca_file(o, "/tmp", &error));
    EXPECT(CD_ERR_NULL_ARGUMENT, cd_options_set_ca_file(o, NULL, &error));
    EXPECT(CD_ERR_EMPTY_ARGUMENT, cd_options_set_ca_file(o, "", &error));
    EXPECT(CD_ERR_INVALID_UTF8, cd_options_set_ca_file(o, "/tmp/\xff", &error));

    /* The message names the file. */
    snprintf(kept, sizeof kept, "%s.missing", empty);
    CHECK_CODE(CD_ERR_CA_FILE, cd_options_set_ca_file(o, kept, &error));
    CHECK(strstr(cd_error_message(error), kept) != NULL);
    cd_error_free(error);
    unlink(empty);
    unlink(none);
    unlink(broken);
}

static void numbers(cd_options *o) {
    EXPECT(CD_OK, cd_options_set_body_format(o, CD_BODY_AUTO, &error));
    EXPECT(CD_OK, cd_options_set_body_format(o, CD_BODY_FORM, &error));
    EXPECT(CD_OK, cd_options_set_body_format(o, CD_BODY_JSON, &error));
    EXPECT(CD_ERR_OUT_OF_RANGE, cd_options_set_body_format(o, 3, &error));
    EXPECT(CD_ERR_OUT_OF_RANGE, cd_options_set_body_format(o, -1, &error));

    EXPECT(CD_OK, cd_options_set_timeout_ms(o, 1, &error));
    EXPECT(CD_OK, cd_options_set_timeout_ms(o, 3600000, &error));
    EXPECT(CD_ERR_OUT_OF_RANGE, cd_options_set_timeout_ms(o, 0, &error));
    EXPECT(CD_ERR_OUT_OF_RANGE, cd_options_set_timeout_ms(o, 3600001, &error));
    EXPECT(CD_ERR_OUT_OF_RANGE, cd_options_set_timeout_ms(o, UINT32_MAX, &error));

    EXPECT(CD_OK, cd_options_set_connect_timeout_ms(o, 1, &error));
    EXPECT(CD_OK, cd_options_set_connect_timeout_ms(o, 3600000, &error));
    EXPECT(CD_ERR_OUT_OF_RANGE, cd_options_set_connect_timeout_ms(o, 0, &error));
    EXPECT(CD_ERR_OUT_OF_RANGE, cd_options_set_connect_timeout_ms(o, 3600001, &error));

    EXPECT(CD_OK, cd_options_set_max_retries(o, 0, &error));
    EXPECT(CD_OK, cd_options_set_max_retries(o, 10, &error));
    EXPECT(CD_ERR_OUT_OF_RANGE, cd_options_set_max_retries(o, 11, &error));

    EXPECT(CD_OK, cd_options_set_backoff_ms(o, 0, 0, &error));
    EXPECT(CD_OK, cd_options_set_backoff_ms(o, 3600000, 3600000, &error));
    EXPECT(CD_ERR_OUT_OF_RANGE, cd_options_set_backoff_ms(o, 2, 1, &error));
    EXPECT(CD_ERR_OUT_OF_RANGE, cd_options_set_backoff_ms(o, 0, 3600001, &error));

    EXPECT(CD_OK, cd_options_set_max_response_bytes(o, 1024, &error));
    EXPECT(CD_OK, cd_options_set_max_response_bytes(o, 16777216, &error));
    EXPECT(CD_ERR_OUT_OF_RANGE, cd_options_set_max_response_bytes(o, 1023, &error));
    EXPECT(CD_ERR_OUT_OF_RANGE, cd_options_set_max_response_bytes(o, 16777217, &error));
    EXPECT(CD_ERR_OUT_OF_RANGE, cd_options_set_max_response_bytes(o, 0, &error));
}

static void user_agents(cd_options *o) {
    char *longest = letters(65536), *too_long = letters(65537);
    EXPECT(CD_OK, cd_options_set_user_agent(o, "acme/2.1 (build 7)", &error));
    EXPECT(CD_ERR_OUT_OF_RANGE, cd_options_set_user_agent(o, "acme\r\nX-Evil: 1", &error));
    EXPECT(CD_ERR_OUT_OF_RANGE, cd_options_set_user_agent(o, "acme\x7f", &error));
    EXPECT(CD_ERR_NULL_ARGUMENT, cd_options_set_user_agent(o, NULL, &error));
    EXPECT(CD_ERR_EMPTY_ARGUMENT, cd_options_set_user_agent(o, "", &error));
    EXPECT(CD_ERR_INVALID_UTF8, cd_options_set_user_agent(o, "acme\xe9", &error));
    EXPECT(CD_OK, cd_options_set_user_agent(o, longest, &error));
    EXPECT(CD_ERR_OUT_OF_RANGE, cd_options_set_user_agent(o, too_long, &error));
    free(longest);
    free(too_long);
}

static void environments(cd_options *o) {
    static const char *const names[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
                                        "no_proxy", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"};
    char *longest = letters(65536), *too_long = letters(65537);
    size_t i;
    for (i = 0; i < sizeof names / sizeof *names; i++) {
        EXPECT(CD_OK, cd_options_set_environment(o, names[i], "\xff", &error));
        EXPECT(CD_OK, cd_options_set_environment(o, names[i], longest, &error));
        EXPECT(CD_OK, cd_options_set_environment(o, names[i], "", &error));
        EXPECT(CD_OK, cd_options_set_environment(o, names[i], NULL, &error));
        EXPECT(CD_OK, cd_options_set_environment(o, names[i], too_long, &error));
        EXPECT(CD_OK, cd_options_set_environment(o, names[i], NULL, &error));
    }
    EXPECT(CD_ERR_OUT_OF_RANGE, cd_options_set_environment(o, "PATH", "x", &error));
    EXPECT(CD_ERR_OUT_OF_RANGE, cd_options_set_environment(o, "http_proxy", "x", &error));
    EXPECT(CD_ERR_OUT_OF_RANGE, cd_options_set_environment(o, too_long, "x", &error));
    EXPECT(CD_ERR_INVALID_UTF8, cd_options_set_environment(o, "\xff", "x", &error));
    EXPECT(CD_ERR_EMPTY_ARGUMENT, cd_options_set_environment(o, "", "x", &error));
    EXPECT(CD_ERR_NULL_ARGUMENT, cd_options_set_environment(o, NULL, "x", &error));
    free(longest);
    free(too_long);
}

static void never_called(void *user_data, int32_t level, const char *message) {
    (void)user_data, (void)level, (void)message;
    FAIL("a logger that no login has");
}

static void loggers(cd_options *o) {
    int32_t level;
    for (level = CD_LOG_ERROR; level <= CD_LOG_DEBUG; level++)
        EXPECT(CD_OK, cd_options_set_logger(o, never_called, NULL, level, &error));
    EXPECT(CD_ERR_OUT_OF_RANGE, cd_options_set_logger(o, never_called, NULL, 0, &error));
    EXPECT(CD_ERR_OUT_OF_RANGE, cd_options_set_logger(o, never_called, NULL, 5, &error));
    EXPECT(CD_OK, cd_options_set_logger(o, NULL, NULL, CD_LOG_INFO, &error));
}

/* NULL for each pointer of each function is refused or harmless. */
static void nulls(void) {
    cd_token *token = STALE(cd_token);

    EXPECT(CD_ERR_NULL_ARGUMENT, cd_options_set_base_url(NULL, "https://a.example", &error));
    EXPECT(CD_ERR_NULL_ARGUMENT, cd_options_set_body_format(NULL, CD_BODY_AUTO, &error));
    EXPECT(CD_ERR_NULL_ARGUMENT, cd_options_set_timeout_ms(NULL, 1, &error));
    EXPECT(CD_ERR_NULL_ARGUMENT, cd_options_set_connect_timeout_ms(NULL, 1, &error));
    EXPECT(CD_ERR_NULL_ARGUMENT, cd_options_set_max_retries(NULL, 1, &error));
    EXPECT(CD_ERR_NULL_ARGUMENT, cd_options_set_backoff_ms(NULL, 1, 1, &error));
    EXPECT(CD_ERR_NULL_ARGUMENT, cd_options_set_proxy(NULL, NULL, &error));
    EXPECT(CD_ERR_NULL_ARGUMENT, cd_options_set_ca_file(NULL, "a", &error));
    EXPECT(CD_ERR_NULL_ARGUMENT, cd_options_set_user_agent(NULL, "a", &error));
    EXPECT(CD_ERR_NULL_ARGUMENT, cd_options_set_max_response_bytes(NULL, 1024, &error));
    EXPECT(CD_ERR_NULL_ARGUMENT, cd_options_set_logger(NULL, NULL, NULL, 1, &error));
    EXPECT(CD_ERR_NULL_ARGUMENT, cd_options_set_environment(NULL, "NO_PROXY", NULL, &error));
    CHECK_CODE(CD_ERR_NULL_ARGUMENT, cd_options_set_timeout_ms(NULL, 1, NULL));

    EXPECT(CD_ERR_NULL_ARGUMENT, cd_authenticate("ada", "pw", NULL, NULL, &error));
    EXPECT(CD_ERR_NULL_ARGUMENT, cd_authenticate(NULL, "pw", NULL, &token, &error));
    CHECK(token == NULL);
    EXPECT(CD_ERR_NULL_ARGUMENT, cd_authenticate("ada", NULL, NULL, &token, &error));
    EXPECT(CD_ERR_NULL_ARGUMENT,
           cd_authenticate_with(NULL, NULL, 0, "ada", "pw", NULL, NULL, &error));
    EXPECT(CD_ERR_NULL_ARGUMENT,
           cd_authenticate_with(NULL, NULL, 0, NULL, "pw", NULL, &token, &error));
    EXPECT(CD_ERR_NULL_ARGUMENT,
           cd_authenticate_with(NULL, NULL, 0, "ada", NULL, NULL, &token, &error));
    CHECK_CODE(CD_ERR_NULL_ARGUMENT, cd_authenticate(NULL, NULL, NULL, NULL, NULL));

    CHECK(cd_token_str(NULL) == NULL);
    CHECK(cd_token_len(NULL) == 0);
    cd_token_free(NULL);
    CHECK_CODE(CD_OK, cd_error_code(NULL));
    CHECK_TEXT("", cd_error_message(NULL));
    CHECK(cd_error_http_status(NULL) == 0);
    CHECK_TEXT(NULL, cd_error_server_message(NULL));
    CHECK(cd_error_retry_after_seconds(NULL) == -1);
    CHECK(cd_error_attempts(NULL) == 0);
    CHECK(cd_error_is_retryable(NULL) == 0);
    cd_error_free(NULL);
    cd_options_free(NULL);
    cd_cancel_trigger(NULL);
    CHECK(cd_cancel_is_triggered(NULL) == 0);
    cd_cancel_set_check(NULL, NULL, NULL);
    cd_cancel_free(NULL);
}

/*
 * The strings and the timeout of a login. Nothing is sent, because nothing listens at the address.
 */
static void logins(void) {
    cd_options *o = cd_options_new();
    char *too_long = letters(65537);
    cd_token *token = STALE(cd_token);
    CHECK_CODE(CD_OK, cd_options_set_base_url(o, "http://127.0.0.1:1", NULL));
    CHECK_CODE(CD_OK, cd_options_set_max_retries(o, 0, NULL));

#define LOGIN(timeout, username, password, system)                                                 \
    cd_authenticate_with(o, NULL, timeout, username, password, system, &token, &error)
    EXPECT(CD_ERR_EMPTY_ARGUMENT, LOGIN(0, "", "pw", NULL));
    CHECK(token == NULL);
    EXPECT(CD_ERR_EMPTY_ARGUMENT, LOGIN(0, "ada", "", NULL));
    EXPECT(CD_ERR_INVALID_UTF8, LOGIN(0, "\xff", "pw", NULL));
    EXPECT(CD_ERR_INVALID_UTF8, LOGIN(0, "ada", "\xed\xa0\x80", NULL));
    EXPECT(CD_ERR_INVALID_UTF8, LOGIN(0, "ada", "pw", "\xc0\x80"));
    EXPECT(CD_ERR_OUT_OF_RANGE, LOGIN(0, too_long, "pw", NULL));
    EXPECT(CD_ERR_OUT_OF_RANGE, LOGIN(0, "ada", too_long, NULL));
    EXPECT(CD_ERR_OUT_OF_RANGE, LOGIN(0, "ada", "pw", too_long));
    EXPECT(CD_ERR_OUT_OF_RANGE, LOGIN(3600001, "ada", "pw", NULL));
    EXPECT(CD_ERR_OUT_OF_RANGE, cd_connect(o, NULL, 3600001, &error));

    /*
     * Calls with bad arguments did not freeze the options. A login attempt does, and then every
     * setter fails.
     */
    EXPECT(CD_OK, cd_options_set_timeout_ms(o, 1000, &error));
    too_long[65536] = '\0';
    EXPECT(CD_ERR_CONNECT, LOGIN(0, too_long, too_long, too_long));
    EXPECT(CD_ERR_CONNECT, LOGIN(3600000, "ada", "pw", ""));
    EXPECT(CD_ERR_CONNECT, cd_connect(o, NULL, 0, &error));
    EXPECT(CD_ERR_OPTIONS_IN_USE, cd_options_set_base_url(o, "https://a.example", &error));
    EXPECT(CD_ERR_OPTIONS_IN_USE, cd_options_set_body_format(o, CD_BODY_AUTO, &error));
    EXPECT(CD_ERR_OPTIONS_IN_USE, cd_options_set_timeout_ms(o, 1, &error));
    EXPECT(CD_ERR_OPTIONS_IN_USE, cd_options_set_connect_timeout_ms(o, 1, &error));
    EXPECT(CD_ERR_OPTIONS_IN_USE, cd_options_set_max_retries(o, 1, &error));
    EXPECT(CD_ERR_OPTIONS_IN_USE, cd_options_set_backoff_ms(o, 1, 1, &error));
    EXPECT(CD_ERR_OPTIONS_IN_USE, cd_options_set_proxy(o, NULL, &error));
    EXPECT(CD_ERR_OPTIONS_IN_USE,
           cd_options_set_ca_file(o, environment("COUCHDROP_CA_FILE"), &error));
    EXPECT(CD_ERR_OPTIONS_IN_USE, cd_options_set_user_agent(o, "a", &error));
    EXPECT(CD_ERR_OPTIONS_IN_USE, cd_options_set_max_response_bytes(o, 1024, &error));
    EXPECT(CD_ERR_OPTIONS_IN_USE, cd_options_set_logger(o, NULL, NULL, 1, &error));
    EXPECT(CD_ERR_OPTIONS_IN_USE, cd_options_set_environment(o, "NO_PROXY", NULL, &error));
    free(too_long);
    cd_options_free(o);
}

/* A refused setter changes nothing: the earlier settings still work. */
static void refused_settings(void) {
    cd_options *o = fake_server_options();
    CHECK_CODE(CD_ERR_INVALID_URL, cd_options_set_base_url(o, "nonsense", NULL));
    CHECK_CODE(CD_ERR_CA_FILE, cd_options_set_ca_file(o, "/dev/null", NULL));
    CHECK_CODE(CD_ERR_OUT_OF_RANGE, cd_options_set_timeout_ms(o, 0, NULL));
    CHECK_CODE(CD_ERR_OUT_OF_RANGE, cd_options_set_body_format(o, 9, NULL));
    CHECK_LOGIN(o);
    cd_options_free(o);
}

int main(void) {
    cd_options *o = cd_options_new();
    error = STALE(cd_error);
    urls(o);
    ca_files(o);
    numbers(o);
    user_agents(o);
    environments(o);
    loggers(o);
    cd_options_free(o);
    proxies();
    nulls();
    logins();
    refused_settings();
    return checks_result();
}
