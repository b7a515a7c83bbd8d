// Runs the cases from standard input through couchdrop.hpp: see README.md.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include <couchdrop.hpp>

using std::chrono::milliseconds;

namespace {

// A case while its lines are read. A string without a value is a missing one.
struct Case {
    couchdrop::Options options;
    std::optional<std::string> username, password, system, token;
    std::optional<milliseconds> call_timeout;
    std::int64_t times = 1;
    bool connects = false, sets_late = false;
    std::string cancel;
    std::optional<couchdrop::Error> error;
};

// A number for an option of any integer type or enumeration.
struct Number {
    long long value;
    template <class Type> operator Type() const { return static_cast<Type>(value); }
};

int digit(char letter) {
    const auto at = std::string_view("0123456789ABCDEF").find(letter);
    return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

// Replaces each %XX with its byte.
std::string decoded(std::string_view text) {
    std::string bytes;
    for (std::size_t at = 0; at < text.size(); at++) {
        if (text[at] == '%' && at + 2 < text.size() && digit(text[at + 1]) >= 0) {
            bytes += static_cast<char>(digit(text[at + 1]) * 16 + digit(text[at + 2]));
            at += 2;
        } else {
            bytes += text[at];
        }
    }
    return bytes;
}

// Applies one line of a case, such as `max_retries 2`.
void set(Case &it, std::string_view name, const std::optional<std::string> &value) {
    const auto number = [&value] { return std::stoll(value.value()); };
    const auto length = [&number] { return milliseconds(number()); };
    couchdrop::Options &options = it.options;
    if (name == "username")
        it.username = value;
    else if (name == "password")
        it.password = value;
    else if (name == "system")
        it.system = value;
    else if (name == "call_timeout_ms")
        it.call_timeout = length();
    else if (name == "times")
        it.times = number();
    else if (name == "connect")
        it.connects = true;
    else if (name == "set_late")
        it.sets_late = true;
    else if (name == "cancel")
        it.cancel = value.value();
    else if (it.error)
        return;
    else if (name == "proxy" && !value)
        options.no_proxy();
#define TEXT(option) else if (name == #option) options.option(value);
#define NUMBER(option, type) else if (name == #option) options.option(Number{number()});
#define DURATION(option) else if (name == #option "_ms") options.option(length());
#define DURATIONS(option)                                                                          \
    else if (name == #option "_ms") options.option(                                                \
        length(), milliseconds(std::stoll(value->substr(value->find(' ')))));
#include "options.def"
    else {
        std::cerr << "runner: no setting " << name << '\n';
        std::exit(2);
    }
}

void call(Case &it, const couchdrop::CancelSource &cancel) {
    const couchdrop::CallOptions call_options =
        it.call_timeout ? couchdrop::CallOptions(cancel, *it.call_timeout)
                        : couchdrop::CallOptions(cancel);
    for (; it.times > 0; it.times--) {
        if (it.connects) {
            couchdrop::connect(it.options, call_options);
        } else {
            const couchdrop::Token token = couchdrop::authenticate(
                {it.username, it.password, it.system}, it.options, call_options);
            it.token = token.view();
        }
    }
    if (it.sets_late)
        it.options.max_retries(1);
}

std::string json(std::string_view text) {
    std::string quoted = "\"";
    for (const char letter : text) {
        char code[8];
        if (letter == '"' || letter == '\\')
            quoted += '\\';
        if (static_cast<unsigned char>(letter) < ' ') {
            std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(letter));
            quoted += code;
        } else {
            quoted += letter;
        }
    }
    return quoted + '"';
}

void print(const Case &it) {
    const std::string null = "null";
    const auto &error = it.error;
    const bool refused = error && !error->server_message().empty();
    std::cout << "{\"code\":" << json(error ? error->name() : "CD_OK")
              << ",\"token\":" << (!error && it.token ? json(*it.token) : null)
              << ",\"message\":" << (error ? json(error->what()) : null) << ",\"http_status\":"
              << (error && error->http_status() ? std::to_string(error->http_status()) : null)
              << ",\"server_message\":" << (refused ? json(error->server_message()) : null)
              << ",\"retry_after\":"
              << (error && error->retry_after() ? std::to_string(error->retry_after()->count())
                                                : null)
              << ",\"attempts\":" << (error ? std::to_string(error->attempts()) : null)
              << ",\"retryable\":" << (error && error->is_retryable() ? "true" : "false") << "}\n"
              << std::flush;
}

void run(Case &it) {
    couchdrop::CancelSource cancel;
    std::thread waiting;
    if (it.cancel == "before") {
        cancel.trigger();
    } else if (it.cancel == "waiting") {
        waiting = std::thread([&cancel] {
            std::string line;
            std::getline(std::cin, line);
            cancel.trigger();
        });
    }
    try {
        if (!it.error)
            call(it, cancel);
    } catch (const couchdrop::Error &error) {
        it.error = error;
    }
    print(it);
    if (waiting.joinable())
        waiting.join();
}

} // namespace

int main() {
    // Untied, because a read on any thread would otherwise flush the output.
    std::cin.tie(nullptr);
    std::optional<Case> it(std::in_place);
    for (std::string line; std::getline(std::cin, line);) {
        if (line == "run") {
            run(*it);
            it.emplace();
            continue;
        }
        const auto space = line.find(' ');
        std::optional<std::string> value;
        if (space != std::string::npos)
            value = decoded(std::string_view(line).substr(space + 1));
        try {
            set(*it, line.substr(0, space), value);
        } catch (const couchdrop::Error &error) {
            it->error = error;
        }
    }
}
