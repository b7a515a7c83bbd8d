/* Codes have names and sentences, any integer is taken, and header and library are one version. */
#include "check.h"

static const struct {
    int32_t code;
    const char *name;
    int32_t retryable;
} codes[] = {
#define CODE(code, retryable)                                                                      \
    { code, #code, retryable }
    CODE(CD_OK, 0),
    CODE(CD_ERR_HTTP_STATUS, 0),
    CODE(CD_ERR_TWO_FACTOR_REQUIRED, 0),
    CODE(CD_ERR_ACCESS_DENIED, 0),
    CODE(CD_ERR_RATE_LIMITED, 1),
    CODE(CD_ERR_SERVER, 1),
    CODE(CD_ERR_UNAVAILABLE, 1),
    CODE(CD_ERR_NULL_ARGUMENT, 0),
    CODE(CD_ERR_INVALID_UTF8, 0),
    CODE(CD_ERR_EMPTY_ARGUMENT, 0),
    CODE(CD_ERR_OUT_OF_RANGE, 0),
    CODE(CD_ERR_INVALID_URL, 0),
    CODE(CD_ERR_INSECURE_URL, 0),
    CODE(CD_ERR_CA_FILE, 0),
    CODE(CD_ERR_OPTIONS_IN_USE, 0),
    CODE(CD_ERR_DNS, 1),
    CODE(CD_ERR_CONNECT, 1),
    CODE(CD_ERR_PROXY, 0),
    CODE(CD_ERR_TLS, 0),
    CODE(CD_ERR_TIMEOUT, 1),
    CODE(CD_ERR_CONNECTION_LOST, 1),
    CODE(CD_ERR_MALFORMED_RESPONSE, 0),
    CODE(CD_ERR_RESPONSE_TOO_LARGE, 0),
    CODE(CD_ERR_CANCELLED, 0),
    CODE(CD_ERR_PANIC, 0),
    CODE(CD_ERR_INTERNAL, 0),
    CODE(CD_ERR_RESOURCES, 1),
};
static const int32_t unknown[] = {-1, 1, 200, 1401 - 1000, 1402, 2000, 9999, INT32_MIN, INT32_MAX};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static int is_sentence(const char *text) {
    return text != NULL && strlen(text) > 5 && text[strlen(text) - 1] == '.';
}

int main(void) {
    size_t i, j;
    uint32_t version = 0;
    char buffer[] = "secret";
    unsigned major = 0, minor = 0, patch = 0;

    for (i = 0; i < COUNT(codes); i++) {
        CHECK_TEXT(codes[i].name, cd_code_name(codes[i].code));
        CHECK(is_sentence(cd_code_message(codes[i].code)));
        CHECK(cd_code_is_retryable(codes[i].code) == codes[i].retryable);
        for (j = 0; j < i; j++)
            CHECK(strcmp(cd_code_message(codes[i].code), cd_code_message(codes[j].code)) != 0);
    }
    for (i = 0; i < COUNT(unknown); i++) {
        CHECK_TEXT("CD_ERR_UNKNOWN", cd_code_name(unknown[i]));
        CHECK(is_sentence(cd_code_message(unknown[i])));
        CHECK(cd_code_is_retryable(unknown[i]) == 0);
    }

    CHECK_TEXT(COUCHDROP_VERSION, cd_version());
    CHECK(cd_version_number() == COUCHDROP_VERSION_NUMBER);
    CHECK(cd_abi_version() == COUCHDROP_ABI_VERSION);
    if (sscanf(COUCHDROP_VERSION, "%u.%u.%u", &major, &minor, &patch) == 3)
        version = major * 1000000 + minor * 1000 + patch;
    CHECK(version == COUCHDROP_VERSION_NUMBER);
    CHECK(major == COUCHDROP_ABI_VERSION);
    CHECK_TEXT("token", COUCHDROP_TOKEN_HEADER);

    cd_secure_zero(buffer, 3);
    CHECK(memcmp(buffer, "\0\0\0ret", sizeof buffer) == 0);
    cd_secure_zero(buffer, 0);
    cd_secure_zero(NULL, 5);
    CHECK_TEXT("ret", buffer + 3);
    return checks_result();
}
