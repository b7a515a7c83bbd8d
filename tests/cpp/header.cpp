// Each code of couchdrop.h as an Error. abi/libcouchdrop.abi has the types of the functions.
#include "check.hpp"

#include "../c/codes.h"

#include <cstdint>
#include <type_traits>

namespace {

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
