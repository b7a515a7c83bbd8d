/*
 * Every code has a name and a message, any integer is accepted, and header and library have the
 * same version.
 */
#include "check.h"

#include "codes.h"

static const struct {
    int32_t code;
    const char *name;
    int32_t retryable;
} codes[] = {
#define ROW(code, retryable) {code, #code, retryable},
    CODES(ROW)
#undef ROW
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
        CHECK(is_listed((enum cd_code)codes[i].code));
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
