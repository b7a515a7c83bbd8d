// Uses of the setters that a compiler must reject: REJECTED chooses one. With 0 it compiles.
#include <couchdrop.hpp>

#include <utility>

using couchdrop::Options;
using namespace std::chrono_literals;

int main() {
    Options options;
#if REJECTED == 1
    auto &dangling = Options().timeout(5s);
    return dangling.get() != nullptr;
#elif REJECTED == 2
    Options *dangling = &Options().timeout(5s).max_retries(2);
    return dangling->get() != nullptr;
#elif REJECTED == 3
    auto copy = options.timeout(5s);
    return copy.get() != nullptr;
#elif REJECTED == 4
    const Options copy = options;
    return copy.get() != nullptr;
#else
    auto &same = options.timeout(5s);
    const auto moved = std::move(same).max_retries(2);
    const auto &kept = Options().timeout(5s).max_retries(2);
    return moved.get() != nullptr && kept.get() != nullptr ? 0 : 1;
#endif
}
