// The parts of couchdrop.h that couchdrop.hpp relies on: each function's type, and each code as an
// Error.
#include "check.hpp"

#include "../c/codes.h"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

namespace {

// Lists every function of the header (header.py checks this). C++ would silently convert a number
// whose type changes.
#define FUNCTION(name, ...)                                                                        \
    static_assert(std::is_same_v<decltype(name), __VA_ARGS__>, "the type of " #name)

FUNCTION(cd_authenticate,
         cd_code(const char *, const char *, const char *, cd_token **, cd_error **));
FUNCTION(cd_authenticate_with,
         cd_code(const cd_options *, const cd_cancel *, std::uint32_t, const char *, const char *,
                 const char *, cd_token **, cd_error **));
FUNCTION(cd_connect, cd_code(const cd_options *, const cd_cancel *, std::uint32_t, cd_error **));

FUNCTION(cd_token_str, const char *(const cd_token *));
FUNCTION(cd_token_len, std::size_t(const cd_token *));
FUNCTION(cd_token_free, void(cd_token *));

FUNCTION(cd_error_code, cd_code(const cd_error *));
FUNCTION(cd_error_message, const char *(const cd_error *));
FUNCTION(cd_error_http_status, std::int32_t(const cd_error *));
FUNCTION(cd_error_server_message, const char *(const cd_error *));
FUNCTION(cd_error_retry_after_seconds, std::int64_t(const cd_error *));
FUNCTION(cd_error_attempts, std::uint32_t(const cd_error *));
FUNCTION(cd_error_is_retryable, std::int32_t(const cd_error *));
FUNCTION(cd_error_free, void(cd_error *));

FUNCTION(cd_code_name, const char *(std::int32_t));
FUNCTION(cd_code_message, const char *(std::int32_t));
FUNCTION(cd_code_is_retryable, std::int32_t(std::int32_t));

FUNCTION(cd_options_new, cd_options *());
FUNCTION(cd_options_set_base_url, cd_code(cd_options *, const char *, cd_error **));
FUNCTION(cd_options_set_body_format, cd_code(cd_options *, std::int32_t, cd_error **));
FUNCTION(cd_options_set_timeout_ms, cd_code(cd_options *, std::uint32_t, cd_error **));
FUNCTION(cd_options_set_connect_timeout_ms, cd_code(cd_options *, std::uint32_t, cd_error **));
FUNCTION(cd_options_set_max_retries, cd_code(cd_options *, std::uint32_t, cd_error **));
FUNCTION(cd_options_set_backoff_ms,
         cd_code(cd_options *, std::uint32_t, std::uint32_t, cd_error **));
FUNCTION(cd_options_set_proxy, cd_code(cd_options *, const char *, cd_error **));
FUNCTION(cd_options_set_ca_file, cd_code(cd_options *, const char *, cd_error **));
FUNCTION(cd_options_set_user_agent, cd_code(cd_options *, const char *, cd_error **));
FUNCTION(cd_options_set_max_response_bytes, cd_code(cd_options *, std::size_t, cd_error **));
FUNCTION(cd_options_set_logger,
         cd_code(cd_options *, cd_log_fn, void *, std::int32_t, cd_error **));
FUNCTION(cd_options_set_environment,
         cd_code(cd_options *, const char *, const char *, cd_error **));
FUNCTION(cd_options_free, void(cd_options *));

FUNCTION(cd_cancel_new, cd_cancel *());
FUNCTION(cd_cancel_trigger, void(cd_cancel *));
FUNCTION(cd_cancel_is_triggered, std::int32_t(const cd_cancel *));
FUNCTION(cd_cancel_set_check, void(cd_cancel *, cd_check_fn, void *));
FUNCTION(cd_cancel_free, void(cd_cancel *));

FUNCTION(cd_secure_zero, void(void *, std::size_t));
FUNCTION(cd_version, const char *());
FUNCTION(cd_version_number, std::uint32_t());
FUNCTION(cd_abi_version, std::uint32_t());

static_assert(std::is_same_v<cd_log_fn, void (*)(void *, std::int32_t, const char *)>);
static_assert(std::is_same_v<cd_check_fn, std::int32_t (*)(void *)>);
static_assert(std::is_same_v<std::underlying_type_t<cd_code>, std::int32_t>);

void check_error(cd_code code, const char *name, bool retryable) {
    const couchdrop::Error error(code);
    CHECK(is_listed(code));
    CHECK_CODE(code, error.code());
    CHECK_TEXT(name, error.name());
    CHECK_TEXT(cd_code_message(code), error.what());
    CHECK(error.is_retryable() == retryable);
}

} // namespace

int main() {
#define CHECK_ERROR(code, retryable) check_error(code, #code, retryable != 0);
    CODES(CHECK_ERROR)
    return checks_result();
}
