// Built with -fno-exceptions and linked with files that use exceptions.
#include "mixed.hpp"

#include <utility>

using namespace couchdrop;

Error takes_without_exceptions(const Options &options) {
    return options.error();
}

bool logs_in_without_exceptions() {
    const Options options = options_for_fake_server();
    const auto refused = try_authenticate({"twofactor@example.com", PASSWORD}, options);
    const auto token = try_authenticate({ADA, PASSWORD}, options);
    const Options bad = Options().max_retries(11);
    return token.has_value() && token->size() == 36 &&
           refused.error().code() == CD_ERR_TWO_FACTOR_REQUIRED &&
           takes_without_exceptions(bad).code() == CD_ERR_OUT_OF_RANGE;
}
