//! Responses of a server that misbehaves. Each behaviour has a name and exactly one expected result.

mod common;

use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use common::behaviour::*;
use common::client::*;
use couchdrop::context::CallContext;
use couchdrop::error::{ErrorKind, Phase, cd_code};
use couchdrop::ffi::options::{CD_BODY_FORM, CD_BODY_JSON};
use couchdrop::http::connection::Connection;
use couchdrop::http::fast_path::exchange;
use couchdrop::http::request::RequestHead;
use couchdrop::http::response::Response;
use couchdrop::http::transport_error::TransportError;
use couchdrop::http::ureq_path;
use couchdrop::limits::MAX_HEAD_BYTES;
use couchdrop::login::request;
use couchdrop::secret::Secret;
use couchdrop::url::BaseUrl;
use fault_server::Step::{Close, CloseNotify, Cut, CutAfter, Drip, Raw, Repeat, Request, Reset, Trickle};
use fault_server::*;
use socket2::SockRef;

// ---- results of a login

fn good() -> Expected {
    Expected::success(TOKEN)
}

fn refused(status: u16) -> Expected {
    Expected::refused(status)
}

/// A truncated response. The status is 200 if the head of a 200 was complete, otherwise 0.
fn lost(status: i32) -> Expected {
    Expected::code(cd_code::CD_ERR_CONNECTION_LOST).status(status)
}

/// A response with a malformed head or body.
fn malformed() -> Expected {
    Expected::code(cd_code::CD_ERR_MALFORMED_RESPONSE)
}

/// A 200 whose body contains no usable token.
fn no_token() -> Expected {
    malformed().status(200).no_message()
}

fn too_large() -> Expected {
    Expected::code(cd_code::CD_ERR_RESPONSE_TOO_LARGE)
}

fn timed_out(status: i32) -> Expected {
    Expected::code(cd_code::CD_ERR_TIMEOUT).status(status)
}

/// The timeout of logins that must end by it.
const SHORT: u32 = 1_000;

// ---- parts of responses

/// The body of the good response.
const BODY: &str = r#"{"token":"0e2b6f14-5ad2-4c9e-b1f8-7a3c2d9e4f60"}"#;

/// A 200 with these fields, each ended by CR LF, and this body.
fn response(fields: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\n{fields}\r\n").as_bytes(), body.as_ref()].concat()
}

/// A 200 with the right Content-Length.
fn ok(body: impl AsRef<[u8]>) -> Vec<u8> {
    json_response(200, body)
}

/// A 200 with this chunked body, already encoded.
fn chunked(body: impl AsRef<[u8]>) -> Vec<u8> {
    response("Transfer-Encoding: chunked\r\n", body)
}

fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

/// The good body in two chunks and the last chunk.
fn good_chunks() -> String {
    let (one, two) = BODY.split_at(10);
    format!("{}{}0\r\n\r\n", chunk(one), chunk(two))
}

/// The same as HTTP/1.0.
fn http_1_0(response: impl AsRef<[u8]>) -> Vec<u8> {
    [b"HTTP/1.0", &response.as_ref()[8..]].concat()
}

fn body_with(token_as_json: &str) -> String {
    format!(r#"{{"token":{token_as_json}}}"#)
}

// ---- truncation

/// The response truncated after each of its bytes, and the complete response.
fn cut_everywhere(
    name: &str,
    response: &[u8],
    end: &Step,
    expected: impl Fn(usize) -> Expected,
) -> Behaviour {
    let logins = (0..=response.len()).map(|bytes| {
        let script = vec![Request, send(&response[..bytes]), end.clone()];
        (script, expected(bytes))
    });
    behaviours_in_order(name, logins.collect())
}

fn head_length(response: &[u8]) -> usize {
    response.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4
}

fn peer_failures() -> Vec<Behaviour> {
    let whole = GOOD.as_bytes();
    let in_chunks = chunked(good_chunks());
    let denied = json_response(403, r#"{"err":"Access denied"}"#);
    let until_close = response("Connection: close\r\n", BODY);
    let cut = |response: &[u8], bytes: usize, complete: Expected| {
        if bytes == response.len() {
            complete
        } else {
            lost(if bytes >= head_length(response) { 200 } else { 0 })
        }
    };
    let decides = |bytes: usize| if bytes >= head_length(&denied) { refused(403) } else { lost(0) };
    let json_decides = |bytes: usize| match bytes - head_length(&until_close).min(bytes) {
        0 if bytes < head_length(&until_close) => lost(0),
        48 => good(),
        _ => no_token(),
    };
    let no_end = |bytes: usize| lost(if bytes >= head_length(&until_close) { 200 } else { 0 });

    let mut all = Vec::new();
    for (what, end) in [("close", Close), ("reset", Reset)] {
        for over in [Over::Tcp, Over::Tls] {
            all.extend(
                [
                    cut_everywhere(
                        &format!("a {what} after every byte of a good response"),
                        whole,
                        &end,
                        |bytes| cut(whole, bytes, good()),
                    ),
                    cut_everywhere(
                        &format!("a {what} after every byte of a chunked response"),
                        &in_chunks,
                        &end,
                        |bytes| cut(&in_chunks, bytes, good()),
                    ),
                    cut_everywhere(
                        &format!("a {what} after every byte of a refusal"),
                        &denied,
                        &end,
                        decides,
                    ),
                ]
                .map(|behaviour| behaviour.over(over)),
            );
        }
    }
    for over in [Over::Tcp, Over::Tls] {
        all.push(
            cut_everywhere(
                "a close after every byte of a close-delimited response",
                &until_close,
                &Close,
                json_decides,
            )
            .over(over),
        );
        all.push(
            cut_everywhere(
                "a reset after every byte of a close-delimited response",
                &until_close,
                &Reset,
                no_end,
            )
            .over(over),
        );
    }
    // Without close_notify, an attacker may have truncated the response.
    for (what, response) in [("a good response", whole), ("a chunked response", &in_chunks)] {
        let name = format!("a FIN without close_notify after every byte of {what}");
        all.push(cut_everywhere(&name, response, &Cut, |bytes| cut(response, bytes, good())).over(Over::Tls));
    }
    all.push(
        cut_everywhere(
            "a FIN after every byte of a close-delimited response",
            &until_close,
            &Cut,
            // A complete JSON object cannot be truncated.
            |bytes| if bytes == until_close.len() { good() } else { no_end(bytes) },
        )
        .over(Over::Tls),
    );
    // 5 bytes of a record's header, 1 of its type, 16 of its tag.
    let record = whole.len() + 22;
    for (what, end) in [("FIN", Cut), ("reset", Reset)] {
        let logins = (0..=record).map(|bytes| {
            let end = Box::new(end.clone());
            let script = vec![Request, CutAfter { bytes, end }, send(whole)];
            (script, if bytes == record { good() } else { lost(0) })
        });
        let name = format!("a {what} after every byte of a good response's record");
        all.push(behaviours_in_order(name, logins.collect()).over(Over::Tls));
    }
    all.extend([
        behaviour("a close without a response", vec![Request, Close], lost(0)),
        behaviour("a reset without a response", vec![Request, Reset], lost(0)),
        behaviour("a FIN without a response or close_notify", vec![Request, Cut], lost(0)).over(Over::Tls),
        behaviour("a close during the request", vec![Step::Read(20), Close], lost(0)),
        behaviour("a reset during the request", vec![Step::Read(20), Reset], lost(0)),
        behaviour("close_notify and an open socket", vec![Request, CloseNotify], lost(0)).over(Over::Tls),
        behaviour(
            "close_notify within the body and an open socket",
            vec![Request, send(&whole[..whole.len() - 1]), CloseNotify],
            lost(200),
        )
        .over(Over::Tls),
        behaviour(
            "the rest of the body in plaintext after a close_notify",
            vec![Request, send(&whole[..whole.len() - 5]), CloseNotify, Raw(whole[whole.len() - 5..].into())],
            lost(200),
        )
        .over(Over::Tls),
        behaviour(
            "a length that is longer than the body",
            closing(response("Content-Length: 49\r\n", BODY)),
            lost(200),
        ),
        behaviour("a refusal that is shorter than its length", closing(response_503_of(100)), refused(503)),
        behaviour(
            "a truncated chunked refusal",
            closing("HTTP/1.1 429 X\r\nTransfer-Encoding: chunked\r\nRetry-After: 7\r\n\r\n5\r\nslo"),
            refused(429).retry_after(7),
        ),
        behaviour(
            "an HTTP/1.0 refusal ended by a reset",
            vec![Request, send("HTTP/1.0 403 X\r\nContent-Length: 100\r\n\r\nno"), Reset],
            refused(403).message("no"),
        ),
        behaviour(
            "plaintext garbage instead of a response",
            vec![Request, Raw(b"HTTP/1.1 200 OK\r\n\r\n".into())],
            Expected::code(cd_code::CD_ERR_TLS).status(0),
        )
        .over(Over::Tls),
        behaviour(
            "a forged record instead of a response",
            vec![Request, Raw([&[0x17, 3, 3, 0, 40][..], &[7; 40]].concat())],
            Expected::code(cd_code::CD_ERR_TLS).status(0),
        )
        .over(Over::Tls),
        behaviour(
            "a forged record within the body of a refusal",
            vec![Request, send(response_503_of(100)), Raw([&[0x17, 3, 3, 0, 40][..], &[7; 40]].concat())],
            refused(503),
        )
        .over(Over::Tls),
        behaviour(
            "a forged record within the body of a success",
            vec![
                Request,
                send(&whole[..whole.len() - 1]),
                Raw([&[0x17, 3, 3, 0, 40][..], &[7; 40]].concat()),
            ],
            Expected::code(cd_code::CD_ERR_TLS).status(200),
        )
        .over(Over::Tls),
        behaviour("empty records, then a response", vec![Request, send(""), send(GOOD)], good()),
    ]);
    all
}

/// A 503 with this Content-Length and a body of 4 bytes.
fn response_503_of(length: usize) -> String {
    format!("HTTP/1.1 503 X\r\nContent-Length: {length}\r\n\r\nbusy")
}

/// A complete head with an error status decides the result, even if the body is truncated.
#[test]
fn truncated_response_is_a_lost_connection() {
    try_all(peer_failures());
}

// ---- slow and missing responses

fn slow() -> Vec<Behaviour> {
    let drip = |response: &[u8]| vec![Request, Drip(response.into())];
    let trickle =
        |response: &[u8]| vec![Request, Trickle { bytes: response.into(), pause: Duration::from_millis(20) }];
    let mut all = vec![
        behaviour("a good response a byte at a time", drip(GOOD.as_bytes()), good()),
        behaviour("a chunked response a byte at a time", drip(&chunked(good_chunks())), good()),
        behaviour("an HTTP/1.0 response a byte at a time", then_closing(drip(&http_1_0(GOOD))), good()),
        behaviour(
            "a chunked response with trailers a byte at a time",
            drip(&chunked(good_chunks().replace("0\r\n\r\n", "0\r\nX-Sum: 1\r\n\r\n"))),
            good(),
        ),
        behaviour(
            "chunks with extensions a byte at a time",
            drip(&chunked(good_chunks().replace("\r\n{", ";a=b\r\n{"))),
            good(),
        ),
        behaviour(
            "a close-delimited response a byte at a time",
            then_closing(drip(&response("Connection: close\r\n", BODY))),
            good(),
        ),
        behaviour("a refusal a byte at a time", drip(&json_response(403, "no")), refused(403).message("no")),
        behaviour(
            "interim responses a byte at a time",
            drip(["HTTP/1.1 103 X\r\nLink: a\r\n\r\n", "HTTP/1.1 100 X\r\n\r\n", GOOD].concat().as_bytes()),
            good(),
        ),
    ];
    let hanging: [(&str, Script, Expected); 16] = [
        ("no response byte", vec![Request], timed_out(0)),
        ("no byte read or sent", vec![Step::Handshake, Step::Gate("never")], timed_out(0)),
        ("one byte of a response, then silence", whole("H"), timed_out(0)),
        ("a part of the head, then silence", whole("HTTP/1.1 200 OK\r\nContent-Le"), timed_out(0)),
        ("an interim response, then silence", whole("HTTP/1.1 100 Continue\r\n\r\n"), timed_out(0)),
        ("a head, then silence", whole("HTTP/1.1 200 OK\r\nContent-Length: 48\r\n\r\n"), timed_out(200)),
        ("a part of the body, then silence", whole(&GOOD[..GOOD.len() - 1]), timed_out(200)),
        ("a part of a chunk, then silence", whole(chunked("30\r\n{\"tok")), timed_out(200)),
        (
            "all chunks except the last, then silence",
            whole(chunked(good_chunks().replace("0\r\n\r\n", ""))),
            timed_out(200),
        ),
        (
            "a close-delimited response, which stays open",
            whole(response("Connection: close\r\n", BODY)),
            timed_out(200),
        ),
        ("the head of a refusal, then silence", whole(response_503_of(100)), timed_out(503)),
        ("the head of an HTTP/1.0 refusal, then silence", whole("HTTP/1.0 403 X\r\n\r\n"), timed_out(403)),
        ("bytes that are not HTTP, without a line end", trickle(b"x"), malformed()),
        ("a head that trickles", trickle(b"HTTP/1.1 200 OK\r\nX: y"), timed_out(0)),
        (
            "a body that trickles",
            vec![
                Request,
                send(response("Content-Length: 60000\r\n", "")),
                Trickle { bytes: b" ".into(), pause: Duration::from_millis(20) },
            ],
            timed_out(200),
        ),
        (
            "interim responses that trickle",
            vec![
                Request,
                Trickle { bytes: b"HTTP/1.1 102 X\r\n\r\n".into(), pause: Duration::from_millis(20) },
            ],
            timed_out(0),
        ),
    ];
    all.extend(
        hanging.into_iter().map(|(name, script, expected)| behaviour(name, script, expected).timeout(SHORT)),
    );
    all
}

#[test]
fn slow_server_is_waited_for_until_the_deadline() {
    try_all(slow());
}

// ---- lengths

fn lengths() -> Vec<Behaviour> {
    let length = |value: &str| response(&format!("Content-Length: {value}\r\n"), BODY);
    let mut all = vec![
        behaviour("a length with leading zeros", whole(length("00048")), good()),
        behaviour("a length with white space around it", whole(length("\t 48 \t")), good()),
        behaviour("the length in mixed case", whole(response("cOnTeNt-LeNgTh: 48\r\n", BODY)), good()),
        behaviour("a length of 0", whole(response("Content-Length: 0\r\n", "")), no_token()),
        behaviour("a length of 0 before a body", whole(response("Content-Length: 0\r\n", BODY)), no_token()),
        behaviour("a length that is shorter than the body", whole(length("47")), no_token()),
        behaviour("a second response after the first", whole([GOOD, GOOD].concat()), good()),
        behaviour("garbage after the response", whole([GOOD, "xyz"].concat()), good()),
        behaviour(
            "the same length twice in two fields",
            whole(response("Content-Length: 48\r\nContent-Length: 48\r\n", BODY)),
            good(),
        ),
        behaviour("the same length twice in one field", whole(length("48, 48")), good()),
        behaviour(
            "a length and chunks",
            whole(response("Content-Length: 10\r\nTransfer-Encoding: chunked\r\n", good_chunks())),
            good(),
        ),
        behaviour(
            "chunks and a length",
            whole(response("Transfer-Encoding: chunked\r\nContent-Length: 10\r\n", good_chunks())),
            good(),
        ),
        behaviour("neither length nor chunks, ended by a close", closing(response("", BODY)), good()),
        behaviour("a length in an HTTP/1.0 response", closing(http_1_0(GOOD)), good()),
        behaviour("a length in an HTTP/1.0 response on an open connection", whole(http_1_0(GOOD)), good()),
    ];
    for (name, value) in [
        ("a negative length", "-1"),
        ("a length with a plus", "+48"),
        ("a hexadecimal length", "0x30"),
        ("a length with a fraction", "48.0"),
        ("a length with an exponent", "4.8e1"),
        ("a length followed by other data", "48;x"),
        ("a length with a space in it", "4 8"),
        ("an empty length", ""),
        ("a length in letters", "many"),
        ("a length beyond 64 bits", "18446744073709551616"),
        ("a length of a hundred digits", &"9".repeat(100)),
        ("two lengths in one field", "48, 49"),
        ("a length and an empty one in one field", "48,"),
        ("a length in Arabic digits", "\u{664}\u{668}"),
    ] {
        all.push(behaviour(name, closing(length(value)), malformed()));
    }
    for (name, first, second) in
        [("two lengths, the first right", 48, 49), ("two lengths, the second right", 49, 48)]
    {
        let fields = format!("Content-Length: {first}\r\nContent-Length: {second}\r\n");
        all.push(behaviour(name, closing(response(&fields, BODY)), malformed()));
    }
    for (name, value) in [
        ("a length above the limit", "65537"),
        ("a length of nine nines", "999999999"),
        ("a length of 10 GB", "10000000000"),
        ("the largest length of 64 bits", "18446744073709551615"),
    ] {
        all.push(behaviour(name, whole(length(value)), too_large().status(200)).timeout(FLOODED));
    }
    all
}

#[test]
fn content_length_must_be_digits_and_unambiguous() {
    try_all(lengths());
}

// ---- chunks

fn chunks() -> Vec<Behaviour> {
    let coded = |value: &str, body: &str| response(&format!("Transfer-Encoding: {value}\r\n"), body);
    let good_but = |from: &str, to: &str| {
        let body = good_chunks();
        assert!(body.contains(from));
        chunked(body.replacen(from, to, 1))
    };
    vec![
        behaviour("chunks", whole(chunked(good_chunks())), good()),
        behaviour("one chunk for each byte", whole(chunked(chunk_each_byte(BODY))), good()),
        behaviour("a chunk size in upper case", whole(good_but("a\r\n", "A\r\n")), good()),
        behaviour("a chunk size with leading zeros", whole(good_but("a\r\n", "000a\r\n")), good()),
        behaviour("chunked in mixed case", whole(coded("cHuNkEd", &good_chunks())), good()),
        behaviour("a chunk with an extension", whole(good_but("a\r\n", "a;a=b\r\n")), good()),
        behaviour("a chunk with a quoted extension", whole(good_but("a\r\n", "a;a=\"x;y\"\r\n")), good()),
        behaviour("white space after a chunk size", whole(good_but("a\r\n", "a \t\r\n")), good()),
        behaviour("a last chunk of many zeros", whole(good_but("0\r\n\r\n", "000000\r\n\r\n")), good()),
        behaviour("a trailer", whole(good_but("0\r\n", "0\r\nX-Sum: 1\r\n")), good()),
        behaviour(
            "a Content-Length trailer",
            whole(good_but("0\r\n", "0\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n")),
            good(),
        ),
        behaviour(
            "a second response after the last chunk",
            whole([chunked(good_chunks()), GOOD.into()].concat()),
            good(),
        ),
        behaviour("only the last chunk", whole(chunked("0\r\n\r\n")), no_token()),
        behaviour("no chunk at all", closing(chunked("")), lost(200)),
        behaviour("no last chunk", closing(good_but("0\r\n\r\n", "")), lost(200)),
        behaviour("no empty line after the last chunk", closing(good_but("0\r\n\r\n", "0\r\n")), lost(200)),
        // The body is complete, and ureq reads no further.
        behaviour("an unterminated trailer", closing(good_but("0\r\n\r\n", "0\r\nX: y\r\n")), good()),
        behaviour("a truncated chunk", closing(chunked("30\r\n{\"token\"")), lost(200)),
        behaviour("a truncated chunk size", closing(chunked("3")), lost(200)),
        behaviour("a negative chunk size", closing(good_but("a\r\n", "-a\r\n")), malformed()),
        behaviour("a chunk size in letters", closing(good_but("a\r\n", "seven\r\n")), malformed()),
        behaviour("a chunk size with 0x", closing(good_but("a\r\n", "0xa\r\n")), malformed()),
        behaviour("an empty chunk size", closing(good_but("a\r\n", "\r\n")), malformed()),
        behaviour(
            "a chunk size beyond 64 bits",
            closing(good_but("a\r\n", "1000000000000000a\r\n")),
            malformed(),
        ),
        behaviour(
            "a chunk size of a hundred digits",
            closing(good_but("a\r\n", &format!("{}\r\n", "f".repeat(100)))),
            malformed(),
        ),
        behaviour("a chunk size ended by LF only", whole(good_but("a\r\n", "a\n")), malformed().status(200)),
        behaviour("a chunk ended by LF only", whole(good_but(":\"\r\n", ":\"\n")), malformed().status(200)),
        behaviour(
            "a last chunk ended by LF only",
            whole(good_but("0\r\n\r\n", "0\r\n\n")),
            malformed().status(200),
        ),
        behaviour(
            "a refusal whose second chunk size is ended by LF only",
            whole("HTTP/1.1 403 X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n2\n"),
            refused(403).message("no"),
        ),
        behaviour("a chunk that is longer than its size", closing(good_but("a\r\n", "9\r\n")), malformed()),
        behaviour("a chunk that is shorter than its size", closing(good_but("a\r\n", "b\r\n")), malformed()),
        behaviour(
            "data between a chunk and its CR LF",
            closing(good_but(":\"\r\n", ":\"x\r\n")),
            malformed(),
        ),
        behaviour("chunked coding without chunks", closing(chunked(format!("{BODY}\r\n"))), malformed()),
        behaviour("chunks in an HTTP/1.0 response", closing(http_1_0(chunked(good_chunks()))), malformed()),
        behaviour("chunked twice in one field", closing(coded("chunked, chunked", &good_chunks())), good()),
        behaviour(
            "chunks with the coding gzip, chunked",
            closing(coded("gzip, chunked", &good_chunks())),
            good(),
        ),
        behaviour(
            "chunks with the coding chunked, gzip",
            closing(coded("chunked, gzip", &good_chunks())),
            malformed().status(200),
        ),
        behaviour(
            "a chunked refusal with the coding chunked, gzip",
            closing(format!("HTTP/1.1 403 X\r\nTransfer-Encoding: chunked, gzip\r\n\r\n{}", good_chunks())),
            refused(403),
        ),
        behaviour("an unknown transfer coding", closing(coded("xchunked", &good_chunks())), malformed()),
        behaviour("the transfer coding identity", closing(coded("identity", BODY)), good()),
        behaviour("an empty transfer coding", closing(coded("", BODY)), good()),
        behaviour(
            "endless chunks of one byte",
            vec![Request, send(chunked("")), Repeat(vec![send("1\r\n \r\n".repeat(200))])],
            too_large().status(200),
        ),
        behaviour(
            "an endless chunk",
            vec![Request, send(chunked("ffffffff\r\n")), Repeat(vec![send([b' '; 1000])])],
            too_large().status(200),
        ),
        behaviour(
            "an endless chunk size",
            vec![Request, send(chunked("")), Repeat(vec![send([b'1'; 1000])])],
            too_large(),
        ),
        behaviour(
            "an endless chunk extension",
            vec![Request, send(chunked("1;")), Repeat(vec![send([b'x'; 1000])])],
            too_large(),
        ),
        behaviour(
            "an endless trailer",
            vec![Request, send(good_but("0\r\n\r\n", "0\r\nX: ")), Repeat(vec![send([b'x'; 1000])])],
            too_large(),
        ),
        behaviour(
            "endless trailers",
            vec![
                Request,
                send(good_but("0\r\n\r\n", "0\r\n")),
                Repeat(vec![send("X-One-More-Trailer: y\r\n".repeat(40))]),
            ],
            too_large(),
        ),
    ]
}

fn chunk_each_byte(body: &str) -> String {
    let chunks: String = body.chars().map(|letter| chunk(&letter.to_string())).collect();
    chunks + "0\r\n\r\n"
}

/// Long enough for the cases that must end at once, and too short to read an endless flood.
const FLOODED: u32 = 10_000;

#[test]
fn chunked_body_is_read_whole_or_refused() {
    try_all(chunks().into_iter().map(|behaviour| behaviour.timeout(FLOODED)).collect());
}

// ---- versions and first lines

fn versions() -> Vec<Behaviour> {
    let line = |line: &str| GOOD.replacen("HTTP/1.1 200 OK", line, 1);
    let mut all = vec![
        behaviour("only a body, as in HTTP/0.9", closing(BODY), malformed().status(0)),
        behaviour("a close-delimited HTTP/1.0 response", closing(http_1_0(response("", BODY))), good()),
        behaviour(
            "an HTTP/1.0 response ended without close_notify",
            vec![Request, send(http_1_0(response("", BODY))), Cut],
            good(),
        )
        .over(Over::Tls),
        behaviour(
            "a truncated HTTP/1.0 response without close_notify",
            vec![Request, send(http_1_0(response("", &BODY[..BODY.len() - 1]))), Cut],
            lost(200),
        )
        .over(Over::Tls),
        behaviour(
            "an HTTP/1.0 response without a token or close_notify",
            vec![Request, send(http_1_0(response("", "{}"))), Cut],
            lost(200),
        )
        .over(Over::Tls),
        behaviour(
            "an HTTP/1.0 response ended by a reset",
            vec![Request, send(http_1_0(response("", BODY))), Reset],
            lost(200),
        ),
        behaviour(
            "an HTTP/1.0 response that keeps the connection",
            whole(http_1_0(response("Connection: keep-alive\r\nContent-Length: 48\r\n", BODY))),
            good(),
        ),
        behaviour(
            "an HTTP/2 preface",
            whole(b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64\0\0\0\0\0\0\0\0"),
            malformed().status(0),
        ),
        behaviour(
            "an HTTP/2 GOAWAY",
            whole(b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0d"),
            malformed().status(0),
        ),
        behaviour(
            "an HTTP/2 client preface",
            whole("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
            malformed().status(0),
        ),
        behaviour("no reason", whole(line("HTTP/1.1 200 ")), good()),
        behaviour("no reason and no space before it", whole(line("HTTP/1.1 200")), good()),
        behaviour("a reason in UTF-8", whole(line("HTTP/1.1 200 Gut gemacht, Jürgen")), good()),
        behaviour(
            "a reason of 10,000 bytes",
            whole(line(&format!("HTTP/1.1 200 {}", "x".repeat(10_000)))),
            good(),
        ),
        behaviour("an SSH banner", closing("SSH-2.0-OpenSSH_9.2p1\r\n"), malformed().status(0)),
        behaviour("an SMTP banner", closing("220 mail.example.com ESMTP\r\n"), malformed().status(0)),
        behaviour(
            "an FTP banner of many lines",
            closing("220-Welcome\r\n220 here\r\n"),
            malformed().status(0),
        ),
        behaviour("a TLS alert", closing(b"\x15\x03\x01\0\x02\x02\x16"), malformed().status(0)),
        behaviour("only a newline", closing("\n"), lost(0)),
        behaviour("only a NUL", closing("\0"), malformed().status(0)),
        behaviour(
            "the client's own request",
            closing(GOOD.replacen("HTTP/1.1 200 OK", "POST / HTTP/1.1", 1)),
            malformed().status(0),
        ),
        behaviour("every byte from 0 to 255", closing((0..=255).collect::<Vec<u8>>()), malformed().status(0)),
    ];
    for first in [
        "HTTP/2 200",
        "HTTP/2.0 200 OK",
        "HTTP/3 200 OK",
        "HTTP/1.2 200 OK",
        "HTTP/1 200 OK",
        "HTTP/1.10 200 OK",
        "HTTP/11 200 OK",
        "HTTP/1,1 200 OK",
        "http/1.1 200 OK",
        "HTTPS/1.1 200 OK",
        "HTTP /1.1 200 OK",
        " HTTP/1.1 200 OK",
        "ICY 200 OK",
        "RTSP/1.0 200 OK",
        "HTTP/1.1\t200 OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 0200 OK",
        "HTTP/1.1 -200 OK",
        "HTTP/1.1 +200 OK",
        "HTTP/1.1 0xC8 OK",
        "HTTP/1.1 200.0 OK",
        "HTTP/1.1 OK",
        "HTTP/1.1 2OO OK",
        "HTTP/1.1 200OK",
        "HTTP/1.1 \u{662}\u{660}\u{660} OK",
        "HTTP/1.1 000 OK",
        "HTTP/1.1 099 OK",
        "HTTP/1.1",
        "HTTP/1.1 ",
        "",
    ] {
        let name = format!("the first line {first:?}");
        all.push(behaviour(name, closing(line(first)), malformed().status(0)));
    }
    // An invalid reason phrase leaves the status readable, but it is not valid HTTP.
    for first in ["HTTP/1.1 200 O\0K", "HTTP/1.1 200 O\rK"] {
        let name = format!("the first line {first:?}");
        all.push(behaviour(name, closing(line(first)), malformed().status(200)));
    }
    all
}

#[test]
fn response_without_http_1_status_line_is_malformed() {
    try_all(versions());
}

// ---- fields

fn fields() -> Vec<Behaviour> {
    let field = |field: &str| response(&format!("{field}\r\nContent-Length: 48\r\n"), BODY);
    let mut all: Vec<_> = [
        ("lines ended by LF only", GOOD.replace("\r\n", "\n").into_bytes()),
        ("one line ended by LF only", GOOD.replacen("\r\n", "\n", 1).into_bytes()),
        ("an empty line ended by LF only", GOOD.replacen("\r\n\r\n", "\r\n\n", 1).into_bytes()),
        ("a field without a value", field("X:")),
        ("a field with a value of spaces", field("X:    ")),
        ("a value in UTF-8", field("X: grüße")),
        (
            "a value in Latin-1",
            response("X: ", "")
                .strip_suffix(b"\r\n")
                .unwrap()
                .iter()
                .copied()
                .chain(*b"\xe9\r\nContent-Length: 48\r\n\r\n")
                .chain(BODY.bytes())
                .collect(),
        ),
        ("a tab before a value", field("X:\ty")),
        ("a hundred cookies", field(&["Set-Cookie: a=b"; 98].join("\r\n"))),
        ("a field of 60,000 bytes", field(&format!("X: {}", "y".repeat(60_000)))),
        ("a Location with a 200", field("Location: https://evil.example/")),
        ("a content type of text", field("Content-Type: text/plain")),
        ("a content type with a wrong charset", field("Content-Type: application/json; charset=utf-16")),
        ("an unrequested Upgrade", field("Upgrade: h2c")),
        ("Connection: upgrade", field("Connection: upgrade")),
        ("Connection: close, keep-alive", field("Connection: close, keep-alive")),
        ("Connection with an unknown option", field("Connection: maybe")),
        ("an Alt-Svc", field("Alt-Svc: h2=\"evil.example:443\"")),
        ("a Refresh", field("Refresh: 0; url=http://evil.example/")),
        ("a Trailer field without trailers", field("Trailer: X-Sum")),
    ]
    .into_iter()
    .map(|(name, response)| behaviour(name, whole(response), good()))
    .collect();
    for (name, response) in [
        ("a line without a colon", field("no colon here")),
        ("a field without a name", field(": x")),
        ("a space before a colon", field("X : y")),
        ("a space in a name", field("X Y: z")),
        ("a name in UTF-8", field("Grüße: x")),
        ("a name with a NUL", field("X\0: y")),
        ("a value with a NUL", field("X: y\0z")),
        ("a value with a CR", field("X: y\rz")),
        ("a value with a DEL", field("X: y\x7fz")),
        ("a folded line", field("X: y\r\n z")),
        ("a folded length", response("Content-Length:\r\n 48\r\n", BODY)),
        ("a first field that begins with a space", field(" X: y")),
        (
            "a length after a space",
            response("X: y\r\n Content-Length: 48\r\n", "").into_iter().chain(BODY.bytes()).collect(),
        ),
    ] {
        all.push(behaviour(name, closing(response), malformed()));
    }
    for (name, ending) in [("lines ended by CR only", "\r"), ("lines ended by CR CR LF", "\r\r\n")] {
        // Only the close ends the head.
        all.push(behaviour(name, closing(GOOD.replace("\r\n", ending)), lost(0)));
    }
    all
}

#[test]
fn unusual_fields_do_not_change_the_response() {
    try_all(fields());
}

// ---- interim responses

fn interim() -> Vec<Behaviour> {
    let before = |interim: &str| [interim, GOOD].concat();
    vec![
        behaviour("a 100 before the response", whole(before("HTTP/1.1 100 Continue\r\n\r\n")), good()),
        behaviour(
            "a 102 with fields before the response",
            whole(before("HTTP/1.1 102 X\r\nX: y\r\nDate: z\r\n\r\n")),
            good(),
        ),
        behaviour(
            "a 103 of many links before the response",
            whole(before(&format!("HTTP/1.1 103 X\r\n{}\r\n", "Link: </a>\r\n".repeat(99)))),
            good(),
        ),
        behaviour("a 199 before the response", whole(before("HTTP/1.1 199 X\r\n\r\n")), good()),
        behaviour(
            "an HTTP/1.0 100 before the response",
            whole(before("HTTP/1.0 100 Continue\r\n\r\n")),
            good(),
        ),
        behaviour(
            "a 100 with a length of 0",
            whole(before("HTTP/1.1 100 X\r\nContent-Length: 0\r\n\r\n")),
            good(),
        ),
        behaviour(
            "a 100 with Connection: close",
            whole(before("HTTP/1.1 100 X\r\nConnection: close\r\n\r\n")),
            good(),
        ),
        behaviour(
            "a 100 before a refusal",
            whole([&b"HTTP/1.1 100 X\r\n\r\n"[..], &json_response(403, "no")].concat()),
            refused(403).message("no"),
        ),
        behaviour(
            "a 100 before a close-delimited response",
            closing([&b"HTTP/1.1 100 X\r\n\r\n"[..], &response("", BODY)].concat()),
            good(),
        ),
        behaviour(
            "a 100 with a forbidden body",
            closing(before("HTTP/1.1 100 X\r\nContent-Length: 5\r\n\r\nhello")),
            malformed().status(0),
        ),
        behaviour("16 interim responses", whole(before(&"HTTP/1.1 103 X\r\n\r\n".repeat(16))), good()),
        behaviour(
            "17 interim responses",
            whole(before(&"HTTP/1.1 103 X\r\n\r\n".repeat(17))),
            too_large().status(0),
        ),
        behaviour(
            "16 interim responses before an HTTP/1.0 response",
            whole([&b"HTTP/1.1 103 X\r\n\r\n".repeat(16)[..], &http_1_0(GOOD)].concat()),
            good(),
        ),
        behaviour(
            "17 interim responses before an HTTP/1.0 response",
            whole([&b"HTTP/1.1 103 X\r\n\r\n".repeat(17)[..], &http_1_0(GOOD)].concat()),
            too_large().status(0),
        ),
        behaviour(
            "endless interim responses",
            vec![Request, Repeat(vec![send("HTTP/1.1 100 Continue\r\n\r\n".repeat(100))])],
            too_large().status(0),
        ),
        behaviour(
            "endless HTTP/1.0 interim responses",
            vec![Request, Repeat(vec![send("HTTP/1.0 100 X\r\n\r\n".repeat(100))])],
            too_large().status(0),
        ),
        behaviour(
            "endless interim responses with LF only",
            vec![Request, Repeat(vec![send("HTTP/1.1 100 X\n\n".repeat(100))])],
            too_large().status(0),
        ),
        behaviour(
            "endless interim responses after an empty line",
            vec![Request, send("\r\n"), Repeat(vec![send("HTTP/1.1 102 X\r\n\r\n".repeat(100))])],
            too_large().status(0),
        ),
        behaviour(
            "endless interim responses, each after an empty line",
            vec![
                Request,
                send("HTTP/1.1 103 X\r\n\r\n"),
                Repeat(vec![send("\r\nHTTP/1.1 103 X\r\n\r\n".repeat(100))]),
            ],
            too_large().status(0),
        ),
        behaviour(
            "an interim response of 65 KiB",
            whole(before(&format!("HTTP/1.1 103 X\r\nX: {}\r\n\r\n", "y".repeat(65 << 10)))),
            too_large().status(0),
        ),
        behaviour(
            "an interim response of 101 fields",
            whole(before(&format!("HTTP/1.1 103 X\r\n{}\r\n", "Link: </a>\r\n".repeat(101)))),
            too_large().status(0),
        ),
        behaviour("an interim response, then a close", closing("HTTP/1.1 100 Continue\r\n\r\n"), lost(0)),
        behaviour(
            "an interim response, then a reset",
            vec![Request, send("HTTP/1.1 100 X\r\n\r\n"), Reset],
            lost(0),
        ),
        behaviour(
            "an interim response and a part of a head, then a close",
            closing("HTTP/1.1 100 X\r\n\r\nHTTP/1.1 200 O"),
            lost(0),
        ),
        behaviour(
            "a 101 to an unrequested protocol",
            closing("HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"),
            refused(101),
        ),
        behaviour("a 101 before the response", closing(before("HTTP/1.1 101 X\r\n\r\n")), refused(101)),
        behaviour(
            "endless 101",
            vec![Request, Repeat(vec![send("HTTP/1.1 101 X\r\n\r\n".repeat(100))])],
            refused(101),
        ),
    ]
}

#[test]
fn interim_responses_are_skipped_and_bounded() {
    try_all(interim().into_iter().map(|behaviour| behaviour.timeout(FLOODED)).collect());
}

// ---- statuses

/// No retry as JSON, so that each login is one request.
fn form(client: Client) -> Client {
    client.body_format(CD_BODY_FORM)
}

fn statuses() -> Vec<Behaviour> {
    let each = |name: &str, range: std::ops::RangeInclusive<u16>, script: &dyn Fn(u16) -> Script| {
        let logins =
            range.map(|status| (script(status), if status == 200 { no_token() } else { refused(status) }));
        behaviours_in_order(name, logins.collect()).with(form)
    };
    let bare = |status: u16| closing(format!("HTTP/1.1 {status} X\r\n\r\n"));
    let old = |status: u16| closing(format!("HTTP/1.0 {status} X\r\n\r\n"));
    let in_chunks = |status: u16| {
        format!("HTTP/1.1 {status} X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n").into_bytes()
    };
    // 408 and 421 have a special meaning on a reused connection.
    let kept = |status: &u16| !matches!(status, 200 | 204 | 304 | 408 | 421);
    let on_one_connection =
        |name: &str, statuses: std::ops::RangeInclusive<u16>, response: &dyn Fn(u16) -> Vec<u8>| {
            let script = statuses.clone().filter(kept).flat_map(|status| whole(response(status))).collect();
            let mut logins = statuses.filter(kept).map(|status| match status {
                // A 2xx other than 200 might contain a token.
                201..=299 => refused(status).no_message(),
                _ => refused(status).message("no"),
            });
            let first = behaviour(name, script, logins.next().unwrap()).with(form);
            logins.fold(first, Behaviour::then_login)
        };
    let in_json = |status: u16| json_response(status, r#"{"err":"no"}"#);
    let close_requested = |status: u16| {
        whole(format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno"))
    };
    let mut all = vec![
        each("every status from 200 to 599 with neither length nor body", 200..=599, &bare),
        each("every HTTP/1.0 status from 200 to 599", 200..=599, &old),
        each("every status from 200 to 599 with Connection: close", 200..=599, &close_requested),
        on_one_connection("every status from 200 to 599 with a chunked body", 200..=599, &in_chunks),
        on_one_connection("every status from 200 to 599 with JSON", 200..=599, &in_json),
        on_one_connection("every status from 600 to 999 with JSON", 600..=999, &in_json),
        behaviours_in_order(
            "every status from 100 to 199 except 101, then a close",
            (100..=199).filter(|status| *status != 101).map(|status| (bare(status), lost(0))).collect(),
        ),
    ];
    for status in [204, 205, 304] {
        all.extend([
            behaviour(
                format!("{status} with a length of 0"),
                whole(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n")),
                refused(status).no_message(),
            ),
            behaviour(
                format!("{status} with a good body"),
                closing(json_response(status, BODY)),
                refused(status).no_message(),
            ),
            behaviour(
                format!("{status} with a good body in chunks"),
                closing(
                    [
                        format!("HTTP/1.1 {status} X\r\nTransfer-Encoding: chunked\r\n\r\n").as_bytes(),
                        good_chunks().as_bytes(),
                    ]
                    .concat(),
                ),
                refused(status).no_message(),
            ),
        ]);
    }
    for status in [204, 304] {
        all.push(behaviour(
            format!("{status} with neither length nor close"),
            whole(format!("HTTP/1.1 {status} X\r\n\r\n")),
            refused(status).no_message(),
        ));
    }
    for status in [204, 304, 302, 401, 403, 429, 503] {
        all.extend([
            behaviour(
                format!("{status} with two different lengths"),
                closing(format!("HTTP/1.1 {status} X\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nno")),
                refused(status),
            ),
            behaviour(
                format!("{status} with an invalid length"),
                closing(format!("HTTP/1.1 {status} X\r\nContent-Length: many\r\n\r\nno")),
                refused(status),
            ),
            behaviour(
                format!("{status} with invalid chunks"),
                closing(format!("HTTP/1.1 {status} X\r\nTransfer-Encoding: chunked\r\n\r\nmany\r\nno")),
                refused(status),
            ),
        ]);
    }
    for status in [201, 202, 203, 206, 226] {
        all.push(behaviour(
            format!("{status} with a token"),
            whole(json_response(status, BODY)),
            refused(status).no_message(),
        ));
    }
    for status in [400, 415, 422] {
        all.push(behaviour(
            format!("{status} to a form and to JSON"),
            vec![Request, send(json_response(status, "form")), Request, send(json_response(status, "json"))],
            refused(status).message("json").attempts(2),
        ));
        all.push(
            behaviour(
                format!("{status} to JSON set in the options"),
                whole(json_response(status, "json")),
                refused(status).message("json"),
            )
            .with(|client| client.body_format(CD_BODY_JSON)),
        );
        all.push(behaviour(
            format!("{status} to a form, a token to JSON"),
            vec![Request, send(json_response(status, "")), Request, send(GOOD)],
            good(),
        ));
    }
    for status in [401, 403, 408, 409, 421] {
        all.push(
            behaviour(
                format!("{status} on a new connection is final"),
                vec![Request, send(json_response(status, "no")), Request, send(GOOD)],
                refused(status).message("no"),
            )
            .with(|client| client.retries(3)),
        );
    }
    for status in [429, 500, 502, 503, 504] {
        let both = vec![Request, send(json_response(status, "busy")), Request, send(GOOD)];
        all.push(
            behaviour(format!("{status}, then a token, with retries"), both, good())
                .with(|client| client.retries(1)),
        );
        all.push(
            behaviour(
                format!("{status} every time, with two retries"),
                serve(json_response(status, "busy")),
                refused(status).message("busy").attempts(3),
            )
            .with(|client| client.retries(2)),
        );
    }
    all
}

#[test]
fn status_other_than_200_alone_decides_the_result() {
    try_all(statuses());
}

// ---- redirects

#[test]
fn redirect_is_not_followed() {
    let plain = FaultServer::plain(vec![serve(GOOD)]);
    let secure = FaultServer::tls(good_server(), vec![serve(GOOD)]);
    assert!(try_all(redirects(&plain.url(), &secure.url())) >= 60);
    for target in [plain, secure] {
        assert!(target.connections().is_empty(), "a redirect was followed: {:?}", target.connections());
    }
}

fn redirects(plain: &str, secure: &str) -> Vec<Behaviour> {
    let mut all = Vec::new();
    for status in [300, 301, 302, 303, 305, 307, 308] {
        for over in [Over::Tcp, Over::Tls] {
            let own = TcpListener::bind("127.0.0.1:0").unwrap();
            let scheme = if over == Over::Tls { "https" } else { "http" };
            let here = format!("{scheme}://localhost:{}/elsewhere", own.local_addr().unwrap().port());
            // The script has one response, and a second request would get a token.
            let to = |target: &str| {
                let body = r#"{"err":"moved"}"#;
                let head = format!(
                    "HTTP/1.1 {status} X\r\nLocation: {target}\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                vec![Request, send(head), Request, send(GOOD)]
            };
            let expected = || refused(status).message("moved").connections(1);
            let row = |what: &str, target: &str| {
                behaviour(format!("{status} to {what}"), to(target), expected()).over(over)
            };
            all.push(row("the same host", &here).on(own));
            all.push(row("a path of the same host", "/elsewhere"));
            all.push(row("another host over http", &format!("{plain}/authenticate")));
            all.push(row("another host over https", &format!("{secure}/authenticate")));
            all.push(row("a file", "file:///etc/passwd"));
        }
    }
    for (name, fields) in [
        ("307 without a Location", ""),
        ("307 with an empty Location", "Location:\r\n"),
        ("307 with two Locations", "Location: /a\r\nLocation: /b\r\n"),
        ("307 with a Location that is not a URL", "Location: ::%%\x01\r\n"),
        ("307 with a javascript: Location", "Location: javascript:alert(1)\r\n"),
        ("307 with a Location that holds user info", "Location: https://evil@evil.example/\r\n"),
    ] {
        all.push(behaviour(
            name,
            closing(format!("HTTP/1.1 307 X\r\n{fields}Content-Length: 0\r\n\r\n")),
            refused(307),
        ));
    }
    all.push(behaviour(
        "302 whose head is not terminated",
        closing(format!("HTTP/1.1 302 X\r\nLocation: {plain}/authenticate\r\n")),
        lost(0),
    ));
    all.push(behaviour(
        "HTTP/1.0 302 whose head is not terminated",
        closing(format!("HTTP/1.0 302 X\r\nLocation: {plain}/authenticate\r\n")),
        lost(0),
    ));
    all
}

// ---- bodies

fn bodies() -> Vec<Behaviour> {
    let utf16 = |big: bool| -> Vec<u8> {
        let units = BODY.encode_utf16();
        if big {
            [0xfe, 0xff].into_iter().chain(units.flat_map(u16::to_be_bytes)).collect()
        } else {
            [0xff, 0xfe].into_iter().chain(units.flat_map(u16::to_le_bytes)).collect()
        }
    };
    let longest = "x".repeat(64 << 10);
    let mut all = Vec::new();
    let portal = "<!DOCTYPE html><html><head><title>Wi-Fi</title></head><body>Please log in</body></html>";
    let useless: Vec<(&str, Vec<u8>)> = vec![
        ("an empty body", "".into()),
        ("a body of white space", " \r\n\t ".into()),
        ("a captive portal's page", portal.into()),
        ("a token in HTML", format!("<html>{BODY}</html>").into()),
        ("JSON after a byte order mark", format!("\u{feff}{BODY}").into()),
        ("JSON in UTF-16, little-endian", utf16(false)),
        ("JSON in UTF-16, big-endian", utf16(true)),
        ("JSON after a NUL", format!("\0{BODY}").into()),
        ("JSON before a NUL", format!("{BODY}\0").into()),
        ("a NUL in a token", body_with("\"a\0b\"").into()),
        ("an escaped NUL in a token", body_with(r#""a\u0000b""#).into()),
        ("a lone surrogate as a token", body_with(r#""\ud800""#).into()),
        ("a token in invalid UTF-8", b"{\"token\":\"\xff\"}".to_vec()),
        ("two token members", r#"{"token":"a","token":"b"}"#.into()),
        ("the same token member twice", r#"{"token":"a","token":"a"}"#.into()),
        ("an escaped second token", r#"{"token":"a","tok\u0065n":"b"}"#.into()),
        ("100,000 nested arrays", "[".repeat(100_000).into()),
        ("100,000 nested objects", "{\"a\":".repeat(100_000).into()),
        ("a number as token", body_with("1234567890").into()),
        ("a number of a thousand digits as token", body_with(&"9".repeat(1000)).into()),
        ("NaN as token", body_with("NaN").into()),
        ("true as token", body_with("true").into()),
        ("null as token", body_with("null").into()),
        ("an array as token", body_with(r#"["abc"]"#).into()),
        ("an object as token", body_with(r#"{"token":"abc"}"#).into()),
        ("garbage after the JSON", format!("{BODY}x").into()),
        ("a second object after the JSON", format!("{BODY}{BODY}").into()),
        ("JSON without its last brace", BODY[..47].into()),
        ("a trailing comma", r#"{"token":"abc",}"#.into()),
        ("single quotes", "{'token':'abc'}".into()),
        ("no quotes", "{token:abc}".into()),
        ("a comment", r#"{"token":"abc"/* x */}"#.into()),
        ("a form", "token=abc".into()),
        ("only a string", r#""abc""#.into()),
        ("only a token", TOKEN.into()),
        ("an array of objects", format!("[{BODY}]").into()),
        ("a JSONP callback", format!("f({BODY})").into()),
        ("JSON after an anti-hijacking prefix", format!(")]}}',\n{BODY}").into()),
        ("a Token member", r#"{"Token":"abc"}"#.into()),
        ("a token member with a leading space", r#"{" token":"abc"}"#.into()),
        ("a nested token", r#"{"data":{"token":"abc"}}"#.into()),
        ("an error with 200", r#"{"err":"Access denied"}"#.into()),
        ("an empty token", body_with(r#""""#).into()),
        ("a token that is a space", body_with(r#"" ""#).into()),
        ("a token with a trailing space", body_with(r#""abc ""#).into()),
        ("a token with CR LF", body_with(r#""abc\r\nX-Evil: 1""#).into()),
        ("a token with LF", body_with(r#""abc\ndef""#).into()),
        ("a token with a raw line break", body_with("\"abc\r\ndef\"").into()),
        ("a token with a tab", body_with(r#""a\tb""#).into()),
        ("a token with DEL", body_with("\"a\u{7f}b\"").into()),
        ("a token with a non-ASCII letter", body_with("\"é\"").into()),
        ("a token with a zero-width space", body_with("\"a\u{200b}b\"").into()),
        ("a token of 64 KiB and 1 byte", body_with(&format!("\"{longest}x\"")).into()),
        ("a token of 64 KiB, the last byte not ASCII", body_with(&format!("\"{}é\"", &longest[2..])).into()),
    ];
    for (name, body) in useless {
        all.push(behaviour(name, closing(ok(body)), no_token()).with(|client| client.max_response(1 << 20)));
    }
    let odd_but_good: Vec<(&str, String, &str)> = vec![
        ("white space around the JSON", format!(" \r\n\t{BODY}\n\n"), TOKEN),
        (
            "other members next to the token",
            format!(r#"{{"user":{{"id":7}},"roles":[1,2],{}"#, &BODY[1..]),
            TOKEN,
        ),
        ("an escaped token", body_with(r#""\u0061\u0062\/""#), "ab/"),
        ("an escaped member name", r#"{"tok\u0065n":"abc"}"#.to_owned(), "abc"),
        ("a token of every permitted character", body_with(&serde_text(&every_letter())), ""),
        ("a lone surrogate next to the token", r#"{"x":"\udfff","token":"abc"}"#.to_owned(), "abc"),
        (
            "100,000 nested arrays next to the token",
            format!(r#"{{"x":{}{},"token":"abc"}}"#, "[".repeat(100_000), "]".repeat(100_000)),
            "abc",
        ),
        ("a token of one byte", body_with(r#""x""#), "x"),
        ("a token that looks like JSON", body_with(r#""{}""#), "{}"),
        ("a token of 64 KiB", body_with(&format!("\"{longest}\"")), &longest),
        (
            "a token next to a number of a thousand digits",
            format!(r#"{{"x":{},"token":"abc"}}"#, "9".repeat(1000)),
            "abc",
        ),
    ];
    for (name, body, token) in odd_but_good {
        let letters = every_letter();
        let token = if token.is_empty() { letters.as_str() } else { token };
        all.push(
            behaviour(name, whole(ok(body)), Expected::success(token))
                .with(|client| client.max_response(1 << 20)),
        );
    }
    let huge = body_with(&format!("\"{}\"", "x".repeat(10 << 20)));
    all.push(
        behaviour("a token of 10 MiB below the response limit", whole(ok(&huge)), no_token())
            .with(|client| client.max_response(16 << 20)),
    );
    all.push(behaviour("a token of 10 MiB", whole(ok(&huge)), too_large().status(200)));
    all
}

/// Every character that a token may contain.
fn every_letter() -> String {
    (0x21..=0x7e).map(char::from).collect()
}

/// A string as a JSON literal.
fn serde_text(text: &str) -> String {
    let mut json = Secret::default();
    request::json_string(text, &mut json);
    String::from_utf8(json.to_vec()).unwrap()
}

#[test]
fn status_200_without_a_usable_token_is_malformed() {
    try_all(bodies());
}

// ---- limits

fn limits() -> Vec<Behaviour> {
    // A body of exactly this many bytes.
    let body = |bytes: usize| format!("{BODY}{}", " ".repeat(bytes - BODY.len()));
    let head_of = |first: &str, bytes: usize| {
        let without = format!("{first}\r\nContent-Length: 48\r\nX: \r\n\r\n").len();
        format!("{first}\r\nContent-Length: 48\r\nX: {}\r\n\r\n{BODY}", "y".repeat(bytes - without))
    };
    let fields = |first: &str, count: usize| {
        format!("{first}\r\nContent-Length: 48\r\n{}\r\n{BODY}", "X: y\r\n".repeat(count - 1))
    };
    let mut all = Vec::new();
    for (what, limit, set) in
        [("64 KiB", 64 << 10, false), ("the minimum limit", 1 << 10, true), ("1 MiB", 1 << 20, true)]
    {
        type Made<'a> = (&'a str, Box<dyn Fn(usize) -> Vec<u8>>);
        let kinds: [Made; 4] = [
            ("with a length", Box::new(move |bytes| ok(body(bytes)))),
            ("in a chunk", Box::new(move |bytes| chunked(format!("{}0\r\n\r\n", chunk(&body(bytes)))))),
            ("delimited by close", Box::new(move |bytes| response("", body(bytes)))),
            ("in HTTP/1.0 with a length", Box::new(move |bytes| http_1_0(ok(body(bytes))))),
        ];
        for (kind, made) in kinds {
            let with = move |client: Client| if set { client.max_response(limit) } else { client };
            all.push(behaviour(format!("a body {kind} of {what}"), closing(made(limit)), good()).with(with));
            all.push(
                behaviour(
                    format!("a body {kind} of {what} and a byte"),
                    closing(made(limit + 1)),
                    too_large().status(200),
                )
                .with(with),
            );
        }
    }
    for (name, bytes, expected) in [
        ("a body of 16 MiB", 16 << 20, good()),
        ("a body of 16 MiB and a byte", (16 << 20) + 1, too_large().status(200)),
    ] {
        all.push(
            behaviour(name, whole(ok(body(bytes))), expected).with(|client| client.max_response(16 << 20)),
        );
    }
    all.push(behaviour(
        "a head of 64 KiB and a byte after an empty line",
        whole(format!("\r\n{}", head_of("HTTP/1.1 200 OK", MAX_HEAD_BYTES + 1))),
        too_large().status(0),
    ));
    all.push(behaviour(
        "a head of 101 fields after an empty line",
        whole(format!("\r\n{}", fields("HTTP/1.1 200 OK", 101))),
        too_large().status(0),
    ));
    for (version, first) in [("", "HTTP/1.1 200 OK"), (" of HTTP/1.0", "HTTP/1.0 200 OK")] {
        all.extend([
            behaviour(format!("a head{version} of 64 KiB"), whole(head_of(first, MAX_HEAD_BYTES)), good()),
            behaviour(
                format!("a head{version} of 64 KiB and a byte"),
                whole(head_of(first, MAX_HEAD_BYTES + 1)),
                too_large().status(0),
            ),
            behaviour(format!("a head{version} of 100 fields"), whole(fields(first, 100)), good()),
            behaviour(
                format!("a head{version} of 101 fields"),
                whole(fields(first, 101)),
                too_large().status(0),
            ),
        ]);
    }
    let endless = |start: &str, again: &str| {
        vec![Request, send(start), Repeat(vec![send(again.repeat(1000 / again.len() + 1))])]
    };
    for (name, start, again, expected) in [
        ("an endless status line", "HTTP/1.1 200 ", "x", too_large().status(0)),
        ("an endless field", "HTTP/1.1 200 OK\r\nX: ", "x", too_large().status(0)),
        ("an endless field name", "HTTP/1.1 200 OK\r\n", "x", too_large().status(0)),
        ("endless fields", "HTTP/1.1 200 OK\r\n", "X: y\r\n", too_large().status(0)),
        ("endless fields ended by LF only", "HTTP/1.1 200 OK\n", "X: y\n", too_large().status(0)),
        ("endless CR", "HTTP/1.1 200 OK", "\r", too_large().status(0)),
        ("endless empty lines", "", "\r\n", too_large().status(0)),
        ("endless LF", "", "\n", too_large().status(0)),
        ("endless NUL", "", "\0", malformed().status(0)),
        ("a head of 1 MiB after an empty line", "\r\nHTTP/1.1 200 OK\r\n", "X: y\r\n", too_large().status(0)),
        ("an endless body", "HTTP/1.1 200 OK\r\n\r\n", " ", too_large().status(200)),
        ("an endless HTTP/1.0 body", "HTTP/1.0 200 OK\r\n\r\n", " ", too_large().status(200)),
        ("an endless body of a refusal", "HTTP/1.1 403 X\r\n\r\n", "no", refused(403)),
        (
            "an endless body of a refusal with a length",
            "HTTP/1.1 500 X\r\nContent-Length: 999999999999\r\n\r\n",
            "no",
            refused(500),
        ),
        (
            "an endless chunked body of a refusal",
            "HTTP/1.1 503 X\r\nTransfer-Encoding: chunked\r\n\r\n",
            "2\r\nno\r\n",
            refused(503),
        ),
        ("an endless redirect", "HTTP/1.1 302 X\r\nLocation: /x\r\n\r\n", "no", refused(302)),
        ("an endless JSON string", "HTTP/1.1 200 OK\r\n\r\n{\"token\":\"", "x", too_large().status(200)),
    ] {
        all.push(behaviour(name, endless(start, again), expected).timeout(FLOODED));
    }
    all
}

/// A response of exactly the limit is accepted.
#[test]
fn response_over_a_limit_is_refused() {
    try_all(limits());
}

// ---- Retry-After

fn retry_after() -> Vec<Behaviour> {
    let date = "Date: Wed, 21 Oct 2015 07:28:00 GMT\r\n";
    let mut all = Vec::new();
    for (value, seconds) in [
        ("0", 0),
        ("7", 7),
        ("007", 7),
        ("  7  ", 7),
        ("9223372036854775807", i64::MAX),
        ("9223372036854775808", -1),
        ("99999999999999999999999999", -1),
        ("-1", -1),
        ("-9223372036854775808", -1),
        ("+7", -1),
        ("1.5", -1),
        ("1e3", -1),
        ("0x10", -1),
        ("7, 7", -1),
        ("7s", -1),
        ("soon", -1),
        ("", -1),
        ("\u{667}", -1),
        ("Wed, 21 Oct 2015 07:29:30 GMT", 90),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Tue, 20 Oct 2015 07:28:00 GMT", 0),
        ("Wednesday, 21-Oct-15 07:29:30 GMT", 90),
        ("Wed Oct 21 07:29:30 2015", 90),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 251_956_888_319),
        ("Wed, 32 Oct 2015 07:28:00 GMT", -1),
        ("Wed, 21 Oct 2015 07:28:00 CEST", -1),
        ("2015-10-21T07:29:30Z", -1),
    ] {
        let (status, name) = (429, format!("a Retry-After of {value:?}"));
        let head = format!("HTTP/1.1 {status} X\r\n{date}Retry-After: {value}\r\nContent-Length: 0\r\n\r\n");
        all.push(behaviour(name, whole(head), refused(status).retry_after(seconds)));
    }
    let with = |status: u16, fields: &str| {
        whole(format!("HTTP/1.1 {status} X\r\n{fields}Content-Length: 0\r\n\r\n"))
    };
    all.extend([
        behaviour("a Retry-After with a 503", with(503, "Retry-After: 5\r\n"), refused(503).retry_after(5)),
        behaviour("a Retry-After with a 403", with(403, "Retry-After: 5\r\n"), refused(403).retry_after(5)),
        behaviour("no Retry-After", with(429, ""), refused(429).retry_after(-1)),
        behaviour(
            "a Retry-After in an HTTP/1.0 response",
            closing("HTTP/1.0 429 X\r\nRetry-After: 5\r\n\r\n"),
            refused(429).retry_after(5),
        ),
        behaviour(
            "two Retry-After: the first is used",
            with(429, "Retry-After: 5\r\nRetry-After: 9\r\n"),
            refused(429).retry_after(5),
        ),
        behaviour(
            "two Retry-After in an HTTP/1.0 response: the first is used",
            closing("HTTP/1.0 429 X\r\nRetry-After: 5\r\nRetry-After: 9\r\n\r\n"),
            refused(429).retry_after(5),
        ),
        behaviour(
            "a Retry-After with a success",
            whole(response("Retry-After: 5\r\nContent-Length: 48\r\n", BODY)),
            good(),
        ),
        behaviour(
            "a Retry-After date with an invalid Date",
            with(429, "Date: now\r\nRetry-After: Wed, 21 Oct 2015 07:29:30 GMT\r\n"),
            refused(429).retry_after(-1),
        ),
        behaviour(
            "a Retry-After beyond the deadline is returned at once",
            with(503, "Retry-After: 3600\r\n"),
            refused(503).retry_after(3600),
        )
        .with(|client| client.retries(4)),
        behaviour(
            "a Retry-After of centuries is returned at once",
            with(429, "Retry-After: 9223372036854775807\r\n"),
            refused(429).retry_after(i64::MAX),
        )
        .with(|client| client.retries(4)),
        behaviour(
            "a Retry-After of 0 is retried at once",
            vec![
                Request,
                send("HTTP/1.1 429 X\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"),
                Request,
                send(GOOD),
            ],
            good(),
        )
        .with(|client| client.retries(1)),
    ]);
    all
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    try_all(retry_after());
}

// ---- gzip

/// Bits of a deflate stream, lowest bit first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    count: usize,
}

impl Bits {
    fn push(&mut self, bits: u32, count: usize) {
        for bit in 0..count {
            if self.count % 8 == 0 {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().unwrap() |= (((bits >> bit) & 1) as u8) << (self.count % 8);
            self.count += 1;
        }
    }

    /// Pushes a code, highest bit first.
    fn push_code(&mut self, code: u32, count: usize) {
        self.push(code.reverse_bits() >> (32 - count), count);
    }
}

const GZIP_HEAD: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];

/// A text as gzip without compression (RFC 1952).
fn gzip(text: &str) -> Vec<u8> {
    let length = text.len() as u16;
    let mut crc = !0u32;
    for byte in text.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    [
        GZIP_HEAD,
        &[1],
        &length.to_le_bytes(),
        &(!length).to_le_bytes(),
        text.as_bytes(),
        &(!crc).to_le_bytes(),
        &u32::from(length).to_le_bytes(),
    ]
    .concat()
}

/// 40 KiB of gzip that decompress to 6 MiB of spaces.
fn gzip_bomb() -> Vec<u8> {
    let mut bits = Bits::default();
    bits.push(0b011, 3); // the last block, with the fixed codes of RFC 1951, 3.2.6
    bits.push_code(0x30 + 0x20, 8);
    for _ in 0..25_000 {
        bits.push_code(0b1100_0101, 8); // 258 bytes
        bits.push_code(0, 5); // at distance 1
    }
    bits.push_code(0, 7);
    [GZIP_HEAD, &bits.bytes, &[0; 8]].concat()
}

fn packed() -> Vec<Behaviour> {
    let packed = |status: u16, body: &[u8]| {
        let head = format!(
            "HTTP/1.1 {status} X\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        whole([head.as_bytes(), body].concat())
    };
    vec![
        behaviour("unrequested gzip", packed(200, &gzip(BODY)), no_token()),
        behaviour("a gzip bomb", packed(200, &gzip_bomb()), no_token()),
        behaviour("a gzip bomb in a refusal", packed(403, &gzip_bomb()), refused(403)),
        behaviour("invalid gzip", packed(200, BODY.as_bytes()), good()),
        behaviour("truncated gzip", packed(200, &gzip(BODY)[..20]), no_token()),
        behaviour("gzip without Content-Encoding", whole(ok(gzip(BODY))), no_token()),
        behaviour(
            "an unknown content encoding",
            whole(response("Content-Encoding: xyz\r\nContent-Length: 48\r\n", BODY)),
            good(),
        ),
    ]
}

#[test]
fn compression_is_neither_requested_nor_decoded() {
    try_all(packed());
}

// ---- the server's message

fn messages() -> Vec<Behaviour> {
    let denied = |body: &str| closing(json_response(403, body));
    let shown = |message: &str| refused(403).message(message);
    let repeats = |encoded: &str| denied(&format!("wrong password: {encoded}!"));
    // For every status.
    let mut all: Vec<_> = [300, 400, 401, 402, 404, 409, 415, 418, 422, 429, 451, 500, 502, 503, 504, 599]
        .into_iter()
        .flat_map(|status| {
            [PASSWORD, "hunter2+%22%C3%A9%26%25%5C%3D%2B", r#"hunter2 \"é&%\\=+"#].map(|encoded| {
                let body = format!("bad value: {encoded}");
                behaviour(
                    format!("{status} with a message that contains {encoded}"),
                    closing(json_response(status, body)),
                    refused(status).no_message(),
                )
                .with(|client| client.body_format(CD_BODY_FORM))
            })
        })
        .collect();
    all.extend([
        behaviour("a message in err", denied(r#"{"err":"Access denied"}"#), shown("Access denied")),
        behaviour("a message in error", denied(r#"{"error":"Access denied"}"#), shown("Access denied")),
        behaviour("a message in plain text", denied("Access denied\n"), shown("Access denied")),
        behaviour("a message in HTML", denied("<h1>403</h1>"), shown("<h1>403</h1>")),
        behaviour("a message in another member", denied(r#"{"message":"no"}"#), refused(403).no_message()),
        behaviour("a message that is not a string", denied(r#"{"err":{"x":1}}"#), refused(403).no_message()),
        behaviour("an empty message body", denied(""), refused(403).no_message()),
        behaviour("a message of white space", denied(" \r\n\t"), refused(403).no_message()),
        behaviour(
            "a message with control characters",
            denied("a\u{1b}[31mb\0c\rd\u{85}e"),
            shown("a[31mbcde"),
        ),
        behaviour("a message with bidirectional controls", denied("\u{202e}abc\u{2066}"), shown("abc")),
        behaviour("a message in invalid UTF-8", closing(json_response(403, b"a\xff")), shown("a\u{fffd}")),
        behaviour("a message of 1 KiB", denied(&"x".repeat(1024)), shown(&"x".repeat(1024))),
        behaviour("a message of 60 KiB", denied(&"x".repeat(60 << 10)), shown(&"x".repeat(1024))),
        behaviour("a message of 1 MiB", denied(&"x".repeat(1 << 20)), shown(&"x".repeat(1024))),
        behaviour(
            "a message whose last character exceeds the limit",
            denied(&"é".repeat(1000)),
            shown(&"é".repeat(512)),
        ),
        behaviour(
            "a message in JSON of 50,000 levels",
            denied(&"[".repeat(50_000)),
            shown(&"[".repeat(1024)),
        ),
        behaviour("a message that contains the password", repeats(PASSWORD), refused(403).no_message()),
        behaviour(
            "a message that contains the password form-encoded",
            repeats("hunter2+%22%C3%A9%26%25%5C%3D%2B"),
            refused(403).no_message(),
        ),
        behaviour(
            "a message that contains the password JSON-encoded",
            repeats(r#"hunter2 \"é&%\\=+"#),
            refused(403).no_message(),
        ),
        behaviour(
            "a JSON message that contains the escaped password",
            denied(r#"{"err":"\u0068unter2 \"\u00e9&%\\=+"}"#),
            refused(403).no_message(),
        ),
        behaviour(
            "a message with the password and a control character in it",
            repeats("hunt\u{1}er2 \"é&%\\=+"),
            refused(403).no_message(),
        ),
        behaviour(
            "a message whose password follows too many control characters",
            denied(&format!("{}{PASSWORD}", "\n".repeat(8192 + 5 * PASSWORD.len() + 1))),
            refused(403).no_message(),
        ),
        behaviour(
            "a message with the password in other encodings and case",
            repeats("HUNTER2%20%26quot%3B%26Eacute%3B%26amp%3B%25%5C%3D%2B"),
            refused(403).no_message(),
        ),
        behaviour(
            "a message that contains the password in Latin-1",
            closing(json_response(403, b"wrong: hunter2 \"\xe9&%\\=+")),
            refused(403).no_message(),
        ),
        behaviour(
            "a message that contains the password in UTF-16",
            closing(json_response(
                403,
                PASSWORD.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>(),
            )),
            refused(403).no_message(),
        ),
        behaviour(
            "a message with the password except its last character",
            repeats(&PASSWORD[..PASSWORD.len() - 1]),
            refused(403).no_message(),
        ),
        behaviour(
            "a message truncated within the password",
            closing("HTTP/1.1 403 X\r\nContent-Length: 99\r\n\r\nwrong password: hunter2 "),
            refused(403).no_message(),
        ),
        behaviour(
            "a chunked message truncated within the password",
            closing("HTTP/1.1 403 X\r\nTransfer-Encoding: chunked\r\n\r\n40\r\nwrong password: hunter2+%2"),
            refused(403).no_message(),
        ),
        behaviour(
            "a close-delimited message truncated within the password",
            closing("HTTP/1.1 403 X\r\n\r\nwrong password: hunt"),
            refused(403).no_message(),
        ),
        behaviour(
            "a message that the limit truncates within the password",
            closing(json_response(403, format!("{}{PASSWORD}", " ".repeat((1 << 10) - 7)))),
            refused(403).no_message(),
        )
        .with(|client| client.max_response(1 << 10)),
        behaviour(
            "a whole message whose end begins the password",
            closing("HTTP/1.1 403 X\r\nConnection: close\r\nContent-Length: 9\r\n\r\nno hunter"),
            shown("no hunter"),
        ),
        behaviour(
            "a whole chunked message whose end begins the password",
            closing(
                "HTTP/1.1 403 X\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
                 9\r\nno hunter\r\n0\r\n\r\n",
            ),
            shown("no hunter"),
        ),
        behaviour(
            "a message truncated outside the password",
            closing("HTTP/1.1 403 X\r\nContent-Length: 99\r\n\r\nwrong passw"),
            shown("wrong passw"),
        ),
        behaviour(
            "a message that contains the whole request",
            denied("POST /authenticate username=a&password=hunter2+%22%C3%A9%26%25%5C%3D%2B"),
            refused(403).no_message(),
        ),
        behaviour(
            "a message with the password after the first KiB",
            denied(&format!("{}{PASSWORD}", "x".repeat(1024))),
            refused(403).no_message(),
        ),
        behaviour(
            "a message with the password across the end of the first KiB",
            denied(&format!("{}{PASSWORD}", "x".repeat(1020))),
            refused(403).no_message(),
        ),
        behaviour("a message in a 200", closing(ok(r#"{"err":"no"}"#)), no_token()),
        behaviour(
            "a message in an HTTP/1.0 response",
            closing("HTTP/1.0 403 X\r\n\r\n{\"err\":\"no\"}"),
            shown("no"),
        ),
        behaviour(
            "the message of the last attempt",
            vec![Request, send(json_response(500, "one")), Request, send(json_response(503, "two"))],
            refused(503).message("two").attempts(2),
        )
        .with(|client| client.retries(1)),
        behaviour(
            "no message of an earlier attempt",
            whole("HTTP/1.1 500 X\r\nConnection: close\r\nContent-Length: 3\r\n\r\none"),
            lost(0).no_message().retry_after(-1).attempts(2).connections(2),
        )
        .then(vec![Request, Reset])
        .with(|client| client.retries(1)),
    ]);
    all
}

/// The message never contains the password.
#[test]
fn server_message_is_bounded_and_sanitized() {
    try_all(messages());
}

// ---- the strict reader and ureq

/// Both ends of a TCP connection.
fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

fn as_connection(client: TcpStream, peer: SocketAddr) -> Box<Connection> {
    client.set_nonblocking(true).unwrap();
    Connection::new(client.into(), peer)
}

fn open_connection() -> (Box<Connection>, TcpStream) {
    let (client, server) = connected();
    (as_connection(client, server.local_addr().unwrap()), server)
}

/// A connection whose peer sent these bytes and then a FIN.
fn connection_with(bytes: &[u8]) -> (Box<Connection>, TcpStream) {
    let (connection, mut server) = open_connection();
    server.write_all(bytes).unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    (connection, server)
}

/// The result of parsing a response: status, body and seconds to wait, or the code of the failure.
type Read = Result<(u16, String, Option<i64>), cd_code>;

fn read(done: Result<Response, TransportError>) -> Read {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let response = done.map_err(|broken| broken.kind.code())?;
    Ok((response.status, text(&response.body), response.retry_after))
}

#[test]
fn fast_path_and_ureq_read_responses_alike() {
    const LIMIT: usize = 1 << 10;
    let base = BaseUrl::parse("http://127.0.0.1").unwrap();
    let head = RequestHead::new(&base, "/authenticate", "application/json", "x");
    let call = || CallContext::new(Duration::from_secs(20), None, None);
    let table = responses_to_read_twice();
    assert!(table.len() >= 60, "{}", table.len());
    let mut kept = 0;
    for (name, response, strict) in &table {
        let (connection, server) = connection_with(response);
        let exchanged = exchange(&call(), connection, &head, b"{}", LIMIT);
        let fit = exchanged.as_ref().is_ok_and(|exchanged| exchanged.connection.is_some());
        assert_eq!(fit, *strict, "reuse of the connection after {name}");
        let ours = read(exchanged.map(|exchanged| exchanged.response));
        drop(server);
        let ureqs = read(through_ureq_alone(response, LIMIT));
        if ours.is_ok() {
            assert_eq!(ours, ureqs, "{name}");
        }
        kept += usize::from(fit);
    }
    assert!(kept >= 20, "{kept}");
}

/// The result of ureq alone for these bytes, after which the server closes.
fn through_ureq_alone(bytes: &[u8], limit: usize) -> Result<Response, TransportError> {
    let (connection, server) = connection_with(bytes);
    let response = ureq_path::read(&CallContext::new(Duration::from_secs(20), None, None), connection, limit);
    drop(server);
    response
}

/// The error has the status, if the head was complete, and says if the request was sent.
#[test]
fn ureq_path_error_reports_progress() {
    let broken =
        through_ureq_alone(b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nx", 1 << 10).map(drop).unwrap_err();
    assert!(matches!(broken.kind, ErrorKind::Lost { .. }), "{broken:?}");
    assert!(broken.status == 200 && broken.request_sent && !broken.no_response_bytes, "{broken:?}");

    let packed = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n";
    let broken = through_ureq_alone(packed, 1 << 10).map(drop).unwrap_err();
    assert!(matches!(broken.kind, ErrorKind::Malformed(_)), "{broken:?}");
    assert!(broken.status == 200 && broken.request_sent, "{broken:?}");

    let broken = through_ureq_alone(b"garbage\r\n\r\n", 1 << 10).map(drop).unwrap_err();
    assert!(matches!(broken.kind, ErrorKind::Malformed(_)), "{broken:?}");
    assert!(broken.kind.to_string().contains("not valid HTTP"), "{}", broken.kind);

    // The server keeps the connection open.
    let (connection, server) = open_connection();
    (&server).write_all(b"HTTP/1.0 503 X\r\n\r\n").unwrap();
    let call = CallContext::new(Duration::from_millis(50), None, None);
    let broken = ureq_path::read(&call, connection, 1 << 10).map(drop).unwrap_err();
    assert!(matches!(broken.kind, ErrorKind::Timeout { .. }), "{broken:?}");
    assert_eq!(broken.status, 503);
}

/// With its framing, each byte of the body takes six bytes.
#[test]
fn body_in_one_byte_chunks_is_within_the_limit() {
    const LIMIT: usize = 32 << 10;
    let response = chunked("1\r\nx\r\n".repeat(LIMIT) + "0\r\n\r\n");
    assert_eq!(through_ureq_alone(&response, LIMIT).unwrap().body.len(), LIMIT);
}

/// Odd responses. The flag is true if the connection may serve another login.
fn responses_to_read_twice() -> Vec<(&'static str, Vec<u8>, bool)> {
    let strict = [
        ("a good response", GOOD.to_owned()),
        ("a response without a reason", "HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nhi".into()),
        ("a response without a reason or its space", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi".into()),
        ("a reason with a tab", "HTTP/1.1 200 O\tK\r\nContent-Length: 2\r\n\r\nhi".into()),
        ("an empty body", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into()),
        ("a length with zeros", "HTTP/1.1 200 OK\r\nContent-Length: 0002\r\n\r\nhi".into()),
        ("a length without a space", "HTTP/1.1 200 OK\r\nContent-Length:2\r\n\r\nhi".into()),
        (
            "a length with white space around it",
            "HTTP/1.1 200 OK\r\nContent-Length: \t 2 \t\r\n\r\nhi".into(),
        ),
        ("a length in mixed case", "HTTP/1.1 200 OK\r\ncOnTeNt-lEnGtH: 2\r\n\r\nhi".into()),
        (
            "a body that looks like a response",
            "HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\nHTTP/1.1 200 OK\r\n\r\n".into(),
        ),
        (
            "a body that looks like chunks",
            "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n2\r\nhi\r\n0\r\n\r\n".into(),
        ),
        ("a body of line breaks", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\r\n\r\n".into()),
        ("a refusal", "HTTP/1.1 403 X\r\nContent-Length: 2\r\n\r\nno".into()),
        ("a 205", "HTTP/1.1 205 X\r\nContent-Length: 2\r\n\r\nno".into()),
        ("a redirect", "HTTP/1.1 302 X\r\nLocation: /x\r\nContent-Length: 2\r\n\r\nno".into()),
        ("a 999", "HTTP/1.1 999 X\r\nContent-Length: 2\r\n\r\nno".into()),
        ("a Retry-After", "HTTP/1.1 429 X\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n".into()),
        (
            "a Retry-After and a Date",
            "HTTP/1.1 429 X\r\nDate: a\r\nRetry-After: b\r\nContent-Length: 0\r\n\r\n".into(),
        ),
        (
            "two Retry-After",
            "HTTP/1.1 429 X\r\nRetry-After: 1\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n".into(),
        ),
        (
            "two dates",
            "HTTP/1.1 429 X\r\nDate: a\r\nDate: b\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n".into(),
        ),
        (
            "Connection: keep-alive",
            "HTTP/1.1 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nhi".into(),
        ),
        ("a Keep-Alive", "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nhi".into()),
        (
            "a field name that resembles Content-Length",
            "HTTP/1.1 200 OK\r\nContent-Lengths: 9\r\nX-Content-Length: 9\r\nContent-Length: 2\r\n\r\nhi"
                .into(),
        ),
        (
            "a field name that resembles Transfer-Encoding",
            "HTTP/1.1 200 OK\r\nTransfer_Encoding: chunked\r\nContent-Length: 2\r\n\r\nhi".into(),
        ),
        ("an empty field", "HTTP/1.1 200 OK\r\nX:\r\nContent-Length: 2\r\n\r\nhi".into()),
        (
            "a value with colons",
            "HTTP/1.1 200 OK\r\nX: Content-Length: 9\r\nContent-Length: 2\r\n\r\nhi".into(),
        ),
        ("a Trailer field", "HTTP/1.1 200 OK\r\nTrailer: X\r\nContent-Length: 2\r\n\r\nhi".into()),
        (
            "a Content-Encoding",
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nhi".into(),
        ),
        (
            "a body at the limit",
            format!("HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n{}", "x".repeat(1024)),
        ),
        ("chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n".into()),
        (
            "chunked in mixed case",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: cHuNkEd\r\n\r\n2\r\nhi\r\n0\r\n\r\n".into(),
        ),
        (
            "a chunk size in upper case",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n".into(),
        ),
        (
            "a chunk size with zeros",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0002\r\nhi\r\n0\r\n\r\n".into(),
        ),
        (
            "a last chunk with zeros",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0000000\r\n\r\n".into(),
        ),
        ("only the last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into()),
        (
            "chunks of line breaks",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n\r\n\r\n\r\n2\r\n0\r\r\n0\r\n\r\n"
                .into(),
        ),
        (
            "a chunk that holds chunks",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n0\r\n\r\n\r\n0\r\n\r\n".into(),
        ),
        (
            "a chunked refusal",
            "HTTP/1.1 503 X\r\nRetry-After: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n"
                .into(),
        ),
        (
            "a response after an interim response",
            "HTTP/1.1 103 X\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi".into(),
        ),
        (
            "chunks with an extension",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n0\r\n\r\n".into(),
        ),
        (
            "chunks with white space",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2 \r\nhi\r\n0\r\n\r\n".into(),
        ),
        (
            "chunks with trailers",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX: y\r\n\r\n".into(),
        ),
        (
            "a chunk size of eight digits",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n00000002\r\nhi\r\n0\r\n\r\n".into(),
        ),
    ];
    let lenient = [
        ("HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
        (
            "HTTP/1.0 with keep-alive",
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi",
        ),
        ("lines ended by LF only", "HTTP/1.1 200 OK\nContent-Length: 2\n\nhi"),
        ("one line ended by LF only", "HTTP/1.1 200 OK\r\nContent-Length: 2\nX: y\r\n\r\nhi"),
        ("an empty line ended by LF only", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\nhi"),
        (
            "a response after an interim response with a length",
            "HTTP/1.1 103 X\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        ),
        (
            "a response after an interim response with LF only",
            "HTTP/1.1 103 X\n\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        ),
        ("a response after an empty line", "\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
        ("no length", "HTTP/1.1 200 OK\r\n\r\nhi"),
        ("a 204", "HTTP/1.1 204 X\r\n\r\n"),
        ("a 204 with a length", "HTTP/1.1 204 X\r\nContent-Length: 2\r\n\r\nno"),
        ("a 304", "HTTP/1.1 304 X\r\nContent-Length: 2\r\n\r\nno"),
        ("a 101", "HTTP/1.1 101 X\r\nUpgrade: x\r\n\r\n"),
        ("Connection: close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"),
        (
            "Connection with two options",
            "HTTP/1.1 200 OK\r\nConnection: keep-alive, close\r\nContent-Length: 2\r\n\r\nhi",
        ),
        (
            "two Connection fields",
            "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
        ),
        ("an Upgrade", "HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi"),
        ("the same length twice", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi"),
        ("a list of the same length", "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nhi"),
        (
            "a length and chunks",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        ),
        ("a body beyond its length", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nhi"),
        (
            "a second response",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nho",
        ),
        ("a body after a 204", "HTTP/1.1 204 X\r\n\r\nno"),
        ("chunks with a plus", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+2\r\nhi\r\n0\r\n\r\n"),
        (
            "chunked twice",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        ),
        ("chunks in gzip", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
        (
            "data after the chunks",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\nx",
        ),
        ("a truncated refusal", "HTTP/1.1 403 X\r\nContent-Length: 9\r\n\r\nno"),
        ("a truncated HTTP/1.0 refusal", "HTTP/1.0 403 X\r\nContent-Length: 9\r\n\r\nno"),
        ("a refusal above the limit", "HTTP/1.1 500 X\r\nContent-Length: 1025\r\n\r\nno"),
        ("a folded line", "HTTP/1.1 200 OK\r\nX: y\r\n z\r\nContent-Length: 2\r\n\r\nhi"),
        ("a space before a colon", "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nhi"),
    ];
    let strict = strict.into_iter().map(|(name, response)| (name, response.into_bytes(), true));
    strict.chain(lenient.into_iter().map(|(name, response)| (name, response.into(), false))).collect()
}

/// A socket whose buffers hold only a few KiB, so that a request does not fit.
fn narrow_connection() -> (Box<Connection>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    SockRef::from(&listener).set_recv_buffer_size(4 << 10).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    SockRef::from(&client).set_send_buffer_size(4 << 10).unwrap();
    client.set_nonblocking(true).unwrap();
    let (server, _) = listener.accept().unwrap();
    let peer = client.peer_addr().unwrap();
    (Connection::new(client.into(), peer), server)
}

fn send_much(connection: Box<Connection>, timeout: Duration) -> Result<Response, TransportError> {
    let base = BaseUrl::parse("http://127.0.0.1").unwrap();
    let head = RequestHead::new(&base, "/authenticate", "application/json", "x");
    let call = CallContext::new(timeout, None, None);
    exchange(&call, connection, &head, &vec![b'x'; 4 << 20], 1 << 10).map(|exchanged| exchanged.response)
}

#[test]
fn unread_request_times_out_in_the_send_phase() {
    let (connection, server) = narrow_connection();
    let broken = send_much(connection, Duration::from_millis(300)).map(drop).unwrap_err();
    let ErrorKind::Timeout { phase: Phase::Send, .. } = broken.kind else { panic!("{broken:?}") };
    assert!(broken.request_sent);
    drop(server);
}

/// The error reports that no byte of the request was sent.
#[test]
fn failure_before_the_first_byte_is_not_sent() {
    // The server resets the connection before it is used.
    let (client, server) = connected();
    let peer = server.local_addr().unwrap();
    SockRef::from(&server).set_linger(Some(Duration::ZERO)).unwrap();
    drop(server);
    client.peek(&mut [0]).unwrap_err();
    let broken = send_much(as_connection(client, peer), Duration::from_secs(20)).map(drop).unwrap_err();
    assert!(matches!(broken.kind, ErrorKind::Lost { .. }) && !broken.request_sent, "{broken:?}");
}

#[test]
fn response_to_an_unread_request_is_accepted() {
    let (connection, mut server) = narrow_connection();
    server.write_all(&json_response(413, "too much")).unwrap();
    let response = send_much(connection, Duration::from_secs(20)).unwrap();
    assert_eq!((response.status, &response.body[..]), (413, &b"too much"[..]));
    drop(server); // stays open until here
}

/// The server does not read the request, so without the FIN the login would wait until its deadline.
#[test]
fn fin_while_sending_is_a_lost_connection() {
    let (connection, server) = narrow_connection();
    server.shutdown(Shutdown::Write).unwrap();
    let broken = send_much(connection, Duration::from_secs(20)).map(drop).unwrap_err();
    assert!(matches!(broken.kind, ErrorKind::Lost { .. }) && broken.request_sent, "{broken:?}");
    drop(server); // stays open until here
}

#[test]
fn response_before_a_reset_is_accepted() {
    let (connection, mut server) = narrow_connection();
    server.write_all(&json_response(413, "too much")).unwrap();
    drop(server); // a reset, because part of the request was never read
    let response = send_much(connection, Duration::from_secs(20)).unwrap();
    assert_eq!((response.status, &response.body[..]), (413, &b"too much"[..]));
}

// ---- number of behaviours

#[test]
fn tables_have_at_least_200_behaviours() {
    let tables = [
        peer_failures(),
        slow(),
        lengths(),
        chunks(),
        versions(),
        fields(),
        interim(),
        statuses(),
        redirects("http://127.0.0.1:9", "https://localhost:9"),
        bodies(),
        limits(),
        retry_after(),
        packed(),
        messages(),
    ];
    let names: std::collections::HashSet<_> =
        tables.iter().flatten().map(|behaviour| behaviour.name().to_owned()).collect();
    assert!(names.len() >= 200, "{}", names.len());
}
