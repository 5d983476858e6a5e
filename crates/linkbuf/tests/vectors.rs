//! Runs the cases that every implementation of the buffer runs: `testdata/linkbuf-vectors.json`,
//! which says what its fields mean.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use linkbuf::{Arena, BufferError, CHUNK_BYTES, Chunk, NocopyBuffer, Segment};
use serde_json::{Value, json};
use std::collections::HashMap;

const VECTORS: &str = include_str!("../../../testdata/linkbuf-vectors.json");
const CASES_MIN: usize = 120;

/// What a step answers: a value to compare, nothing, or the code of an error.
type Outcome = Result<Option<Value>, String>;

struct Buffers {
    arena: Arena,
    by_name: HashMap<String, NocopyBuffer>,
}

/// The arguments of a step.
struct Arguments<'a>(&'a [Value]);

impl Arguments<'_> {
    /// A number that the call's types can hold; any other is out of range.
    fn count(&self, index: usize) -> Result<usize, BufferError> {
        let number = self.0[index].as_u64().ok_or(BufferError::OutOfRange)?;
        usize::try_from(number).map_err(|_| BufferError::OutOfRange)
    }

    fn text(&self, index: usize) -> &str {
        self.0[index].as_str().unwrap()
    }

    fn bytes(&self, index: usize) -> Vec<u8> {
        bytes(&self.0[index])
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    if let Some(digits) = value.as_str() {
        let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        return (0..digits.len()).step_by(2).map(byte).collect();
    }
    let [from, count] = ["from", "count"].map(|field| value[field].as_u64().unwrap());
    (from..from + count)
        .map(|byte| u8::try_from(byte % 251).unwrap())
        .collect()
}

fn segment(bytes: Vec<u8>) -> Segment {
    Segment::own(bytes).unwrap()
}

impl Buffers {
    fn new(nodes: &Value) -> Self {
        let arena = Arena::new(2 * CHUNK_BYTES);
        for _ in 0..2 {
            arena.grant(Chunk::boxed(CHUNK_BYTES)).unwrap();
        }
        let mut buffers = Self {
            arena,
            by_name: HashMap::new(),
        };
        buffers.create("main", nodes);
        buffers
    }

    fn create(&mut self, name: &str, nodes: &Value) {
        let mut buffer = NocopyBuffer::new(&self.arena);
        for node in nodes.as_array().unwrap() {
            buffer.receive(segment(bytes(node)));
        }
        self.by_name.insert(name.to_owned(), buffer);
    }

    fn step(&mut self, step: &Value) -> Outcome {
        let name = step["on"].as_str().unwrap_or("main");
        let arguments = Arguments(step["args"].as_array().unwrap());
        let op = step["op"].as_str().unwrap();
        match op {
            "create" => {
                self.create(step["as"].as_str().unwrap(), &step["args"][0]);
                return Ok(None);
            }
            "append" => return self.append(name, arguments.text(0)),
            "slice" => {
                let slice = arguments.count(0).and_then(|n| self.by_name[name].slice(n));
                let slice = slice.map_err(code)?;
                let name = step["as"].as_str().unwrap();
                self.by_name.insert(name.to_owned(), slice);
                return Ok(None);
            }
            _ => {}
        }
        let buffer = self.by_name.get_mut(name).unwrap();
        let read = read(buffer, op, &arguments).or_else(|| read_number(buffer, op, &arguments));
        match read {
            Some(read) => read
                .map(|value| (!value.is_null()).then_some(value))
                .map_err(code),
            None => write(buffer, op, &arguments).map(|()| None).map_err(code),
        }
    }

    /// To append a buffer to itself is ruled out by its types.
    fn append(&mut self, target: &str, source: &str) -> Outcome {
        if target == source {
            return Err(code(BufferError::InvalidArgument));
        }
        let [target, source] = self.by_name.get_disjoint_mut([target, source]);
        target
            .unwrap()
            .append(source.unwrap())
            .map(|()| None)
            .map_err(code)
    }
}

fn code(error: BufferError) -> String {
    let code = error.code();
    let code = code
        .strip_prefix("ERR_NODEPOLL_")
        .or(code.strip_prefix("ERR_"));
    code.unwrap().to_owned()
}

fn hex(bytes: &[u8]) -> Value {
    let digit = |value| char::from_digit(u32::from(value), 16).unwrap();
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(digit).collect::<String>().into()
}

/// Reading calls. `Null` is no answer.
fn read(
    buffer: &mut NocopyBuffer,
    op: &str,
    arguments: &Arguments<'_>,
) -> Option<Result<Value, BufferError>> {
    let count = |index| arguments.count(index);
    Some(match op {
        "next" => count(0).and_then(|n| buffer.next(n).map(hex)),
        "peek" => count(0).and_then(|n| buffer.peek(n, arguments.count(1)?).map(hex)),
        "skip" => count(0).and_then(|n| buffer.skip(n).map(|()| Value::Null)),
        "readBinary" => count(0).and_then(|n| buffer.read_binary(n).map(|bytes| hex(&bytes))),
        "readString" => count(0).and_then(|n| buffer.read_string(n).map(Value::from)),
        "readByte" => buffer.read_byte().map(Value::from),
        "until" => buffer
            .until(&arguments.bytes(0))
            .map(|view| view.map_or(json!({ "absent": true }), hex)),
        "indexOf" => count(1).and_then(|from| {
            let found = buffer.index_of(&arguments.bytes(0), from)?;
            Ok(found.map_or(json!(-1), Value::from))
        }),
        "chunks" => Ok(hex(&buffer.chunks().collect::<Vec<_>>().concat())),
        "length" => Ok(buffer.len().into()),
        "mallocLength" => Ok(buffer.malloc_length().into()),
        "release" => {
            buffer.release();
            Ok(Value::Null)
        }
        "close" => {
            buffer.close();
            Ok(Value::Null)
        }
        _ => return None,
    })
}

fn write(
    buffer: &mut NocopyBuffer,
    op: &str,
    arguments: &Arguments<'_>,
) -> Result<(), BufferError> {
    match op {
        "malloc" => {
            let target = buffer.malloc(arguments.count(0)?)?;
            target.copy_from_slice(&arguments.bytes(1));
            Ok(())
        }
        "mallocAck" => buffer.malloc_ack(arguments.count(0)?),
        "writeBinary" => buffer.write_binary(&arguments.bytes(0)),
        "writeString" => buffer.write_string(arguments.text(0)),
        "writeByte" => buffer.write_byte(u8::try_from(arguments.count(0)?).unwrap()),
        "writeDirect" => buffer.write_direct(segment(arguments.bytes(0)), arguments.count(1)?),
        "writeNumber" => write_number(buffer, arguments.text(0), arguments.text(1)),
        "flush" => {
            buffer.flush();
            Ok(())
        }
        _ => panic!("no such operation: {op}"),
    }
}

/// Fractions as the cases write them.
fn fraction(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }
        .to_owned();
    }
    number.to_string()
}

macro_rules! numbers {
    ($($name:literal, $read:ident, $peek:ident, $write:ident, $text:expr;)*) => {
        fn read_number(
            buffer: &mut NocopyBuffer,
            op: &str,
            arguments: &Arguments<'_>,
        ) -> Option<Result<Value, BufferError>> {
            if !["readNumber", "peekNumber"].contains(&op) {
                return None;
            }
            let peeks = op == "peekNumber";
            let offset = if peeks { arguments.count(1) } else { Ok(0) };
            Some(offset.and_then(|offset| match arguments.text(0) {
                $($name => {
                    let number = if peeks { buffer.$peek(offset) } else { buffer.$read() };
                    number.map($text).map(Value::from)
                })*
                name => panic!("no such number: {name}"),
            }))
        }

        fn write_number(
            buffer: &mut NocopyBuffer,
            name: &str,
            number: &str,
        ) -> Result<(), BufferError> {
            match name {
                $($name => buffer.$write(number.parse().unwrap()),)*
                _ => panic!("no such number: {name}"),
            }
        }
    };
}

numbers! {
    "u8", read_u8, peek_u8, write_u8, |number| number.to_string();
    "i8", read_i8, peek_i8, write_i8, |number| number.to_string();
    "u16be", read_u16_be, peek_u16_be, write_u16_be, |number| number.to_string();
    "u16le", read_u16_le, peek_u16_le, write_u16_le, |number| number.to_string();
    "u32be", read_u32_be, peek_u32_be, write_u32_be, |number| number.to_string();
    "u32le", read_u32_le, peek_u32_le, write_u32_le, |number| number.to_string();
    "u64be", read_u64_be, peek_u64_be, write_u64_be, |number| number.to_string();
    "u64le", read_u64_le, peek_u64_le, write_u64_le, |number| number.to_string();
    "i16be", read_i16_be, peek_i16_be, write_i16_be, |number| number.to_string();
    "i16le", read_i16_le, peek_i16_le, write_i16_le, |number| number.to_string();
    "i32be", read_i32_be, peek_i32_be, write_i32_be, |number| number.to_string();
    "i32le", read_i32_le, peek_i32_le, write_i32_le, |number| number.to_string();
    "i64be", read_i64_be, peek_i64_be, write_i64_be, |number| number.to_string();
    "i64le", read_i64_le, peek_i64_le, write_i64_le, |number| number.to_string();
    "f32be", read_f32_be, peek_f32_be, write_f32_be, |number| fraction(number.into());
    "f32le", read_f32_le, peek_f32_le, write_f32_le, |number| fraction(number.into());
    "f64be", read_f64_be, peek_f64_be, write_f64_be, fraction;
    "f64le", read_f64_le, peek_f64_le, write_f64_le, fraction;
}

/// What is expected, bytes as hexadecimal digits.
fn expected(value: &Value) -> Value {
    if value["count"].is_u64() {
        return hex(&bytes(value));
    }
    value.clone()
}

fn run(case: &Value) {
    let name = &case["name"];
    let nodes = case["nodes"].as_array().unwrap();
    let sizes: Vec<usize> = nodes.iter().map(|node| bytes(node).len()).collect();
    assert_eq!(case["nodeSizes"], json!(sizes), "{name}");
    let mut buffers = Buffers::new(&case["nodes"]);
    for (index, step) in case["steps"].as_array().unwrap().iter().enumerate() {
        let outcome = buffers.step(step);
        let wanted = match step["error"].as_str() {
            Some(code) => Err(code.to_owned()),
            None => Ok(step.get("result").map(expected)),
        };
        assert_eq!(outcome, wanted, "{name}, step {index}: {step}");
    }
    let main = buffers.by_name.get_mut("main").unwrap();
    let readable = hex(&main.chunks().collect::<Vec<_>>().concat());
    assert_eq!(readable, expected(&case["remaining"]), "{name}, at the end");
    main.skip(main.len()).unwrap();
    main.flush();
    let unflushed = hex(main.next(main.len()).unwrap());
    assert_eq!(unflushed, expected(&case["unflushed"]), "{name}, unflushed");
    let arena = buffers.arena.clone();
    drop(buffers);
    assert_eq!(arena.stats().nodes, 0, "{name}, when all is given back");
}

#[test]
fn every_case_that_all_implementations_share() {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let cases = vectors["cases"].as_array().unwrap();
    assert!(cases.len() >= CASES_MIN);
    cases.iter().for_each(run);
}
