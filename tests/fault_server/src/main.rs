//! A fault server without TLS for callers in other languages: `fault_server`
//!
//! Standard input begins with one line of JSON:
//!
//! ```json
//! {"connections": [[{"repeat": ["input", "reply"]}]], "replies": [[{"send": "HTTP/1.1 204 X\r\n\r\n"}], ["end"]]}
//! ```
//!
//! `connections` has the script of each connection; the last one is repeated. Each step `reply` plays the next script
//! of `replies`, whose last one is repeated too. Steps: `"request"`, `"input"`, `"reply"`, `"close"`, `"cut"`,
//! `"reset"`, `"end"`, `{"read": BYTES}`, `{"send": TEXT}`, `{"drip": TEXT}` and `{"repeat": STEPS}`; `Step` describes
//! them. Each character of a text is a byte, from U+0000 to U+00FF. Without any connections the port refuses them.
//!
//! The program prints `{"port": PORT}`, then a line for each reply, with the `connection`, `head` and `body` of its
//! request. It runs until standard input ends, and at last prints `{"connections": COUNT}`.

use std::error::Error;
use std::io::{self, Read, Write};

use fault_server::{FaultServer, Refusing, Request, Script, Step, respond};
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let mut plan = String::new();
    io::stdin().read_line(&mut plan)?;
    let plan: Value = serde_json::from_str(&plan)?;
    let replies =
        list(&plan["replies"])?.iter().map(|reply| script(reply, &[])).collect::<Result<Vec<_>>>()?;
    let connections = list(&plan["connections"])?;
    let scripts = connections.iter().map(|steps| script(steps, &replies)).collect::<Result<Vec<_>>>()?;
    if scripts.is_empty() {
        let refusing = Refusing::new();
        print(&json!({"port": refusing.address().port()}));
        wait_for_end()?;
        print(&json!({"connections": 0}));
        return Ok(());
    }
    let server = FaultServer::plain(scripts);
    print(&json!({"port": server.port()}));
    wait_for_end()?;
    print(&json!({"connections": server.connected()}));
    Ok(())
}

fn wait_for_end() -> io::Result<usize> {
    io::stdin().read_to_end(&mut Vec::new())
}

/// Prints a line. The reader may have ended before.
fn print(value: &Value) {
    let _ = writeln!(io::stdout(), "{value}");
}

fn list(value: &Value) -> Result<&[Value]> {
    if value.is_null() { Ok(&[]) } else { Ok(value.as_array().ok_or("not a list")?) }
}

fn script(steps: &Value, replies: &[Script]) -> Result<Script> {
    list(steps)?.iter().map(|value| step(value, replies)).collect()
}

fn step(value: &Value, replies: &[Script]) -> Result<Step> {
    match value.as_str() {
        Some("request") => return Ok(Step::Request),
        Some("input") => return Ok(Step::Input),
        Some("close") => return Ok(Step::Close),
        Some("cut") => return Ok(Step::Cut),
        Some("reset") => return Ok(Step::Reset),
        Some("end") => return Ok(Step::End),
        Some("reply") if !replies.is_empty() => return Ok(next_of(replies.to_vec())),
        _ => {}
    }
    match value.as_object().and_then(|object| object.iter().next()) {
        Some((name, value)) if name == "send" => Ok(Step::Send(bytes(value)?)),
        Some((name, value)) if name == "drip" => Ok(Step::Drip(bytes(value)?)),
        Some((name, value)) if name == "read" => {
            Ok(Step::Read(value.as_u64().ok_or("not a number")?.try_into()?))
        }
        Some((name, value)) if name == "repeat" => Ok(Step::Repeat(script(value, replies)?)),
        _ => Err(format!("not a step: {value}").into()),
    }
}

/// Prints the request, and plays the reply of its number.
fn next_of(replies: Vec<Script>) -> Step {
    respond(move |request: &Request| {
        let body: String = request.body.iter().copied().map(char::from).collect();
        print(&json!({"connection": request.connection, "head": request.head, "body": body}));
        replies[request.number.min(replies.len() - 1)].clone()
    })
}

fn bytes(text: &Value) -> Result<Vec<u8>> {
    let bytes = text.as_str().ok_or("not a text")?.chars().map(u8::try_from);
    Ok(bytes.collect::<std::result::Result<_, _>>()?)
}
