// Files built as C++17, 20 and 23 in one program exchange the types of the header.
#include "mixed.hpp"

#include <chrono>

using namespace std::chrono_literals;
using couchdrop::CancelSource;
using couchdrop::Options;
using couchdrop::Token;

// `user` uses the objects that `maker` makes.
static void exchange(const Standard &maker, const Standard &user) {
    const Options options = maker.make_options();
    CHECK(maker.layout == user.layout);
    CHECK(user.takes(maker.log_in(options, ADA), CD_OK));
    CHECK(user.takes(user.log_in(options, ADA), CD_OK));
    CHECK(user.takes(maker.log_in(options, "twofactor@example.com"), CD_ERR_TWO_FACTOR_REQUIRED));
    CHECK(user.catches(maker.log_in_or_throw, options));
    Token token = user.log_in(options, ADA).value();
    maker.log_in_or_throw(options, ADA, &token);
    CHECK(token.size() == 36);

    CHECK(user.connect(options, 5s).has_value());
    CHECK_CODE(CD_ERR_OUT_OF_RANGE, user.connect(options, 2h).error().code());
    bool asked = false;
    CancelSource cancel = maker.make_cancel_source(&asked);
    CHECK_CODE(CD_ERR_CANCELLED,
               couchdrop::try_authenticate({"slow@example.com", PASSWORD}, options, {cancel, 10s})
                   .error()
                   .code());
    CHECK(asked);
    cancel.trigger();
    CHECK_CODE(CD_ERR_CANCELLED, user.connect(options, cancel).error().code());
}

#if defined(EXCHANGED)
couchdrop::Error takes_without_exceptions(const Options &options);
#endif

int main() {
    const Standard standards[] = {standard_17(), standard_20(), standard_23()};
    CHECK(standards[0].version == 201703L);
    CHECK(standards[1].version == 202002L);
    CHECK(standards[2].version > 202002L);
    CHECK(logs_in_without_exceptions());
#if defined(EXCHANGED)
    CHECK_CODE(CD_OK, takes_without_exceptions(Options()).code());
#endif
    for (const Standard &maker : standards)
        for (const Standard &user : standards)
            exchange(maker, user);
    return checks_result();
}
