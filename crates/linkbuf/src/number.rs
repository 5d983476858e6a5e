//! Numbers in a [`NocopyBuffer`]. No view is made, and they may lie across nodes.

use crate::buffer_error::BufferError;
use crate::nocopy_buffer::NocopyBuffer;

macro_rules! numbers {
    ($(
        $number:ident { $read:ident, $peek:ident, $write:ident: $from:ident, $to:ident }
        $what:literal;
    )*) => {
        impl NocopyBuffer {
            $(
                #[doc = concat!("Consumes ", $what, ".")]
                ///
                /// # Errors
                /// [`ShortBuffer`](BufferError::ShortBuffer) if there are too few bytes.
                #[inline]
                pub fn $read(&self) -> Result<$number, BufferError> {
                    self.read_array().map(<$number>::$from)
                }

                #[doc = concat!("Reads ", $what, ", `offset` bytes from here, consuming nothing.")]
                ///
                /// # Errors
                /// [`ShortBuffer`](BufferError::ShortBuffer) if there are too few bytes.
                #[inline]
                pub fn $peek(&self, offset: usize) -> Result<$number, BufferError> {
                    self.peek_array(offset).map(<$number>::$from)
                }

                #[doc = concat!("Writes ", $what, ".")]
                ///
                /// # Errors
                /// As [`write_binary`](Self::write_binary).
                #[inline]
                pub fn $write(&mut self, number: $number) -> Result<(), BufferError> {
                    self.write_array(number.$to())
                }
            )*
        }
    };
}

numbers! {
    u8 { read_u8, peek_u8, write_u8: from_be_bytes, to_be_bytes }
        "a byte";
    i8 { read_i8, peek_i8, write_i8: from_be_bytes, to_be_bytes }
        "a signed byte";
    u16 { read_u16_be, peek_u16_be, write_u16_be: from_be_bytes, to_be_bytes }
        "a `u16`, its highest byte first";
    u16 { read_u16_le, peek_u16_le, write_u16_le: from_le_bytes, to_le_bytes }
        "a `u16`, its lowest byte first";
    u32 { read_u32_be, peek_u32_be, write_u32_be: from_be_bytes, to_be_bytes }
        "a `u32`, its highest byte first";
    u32 { read_u32_le, peek_u32_le, write_u32_le: from_le_bytes, to_le_bytes }
        "a `u32`, its lowest byte first";
    u64 { read_u64_be, peek_u64_be, write_u64_be: from_be_bytes, to_be_bytes }
        "a `u64`, its highest byte first";
    u64 { read_u64_le, peek_u64_le, write_u64_le: from_le_bytes, to_le_bytes }
        "a `u64`, its lowest byte first";
    i16 { read_i16_be, peek_i16_be, write_i16_be: from_be_bytes, to_be_bytes }
        "an `i16`, its highest byte first";
    i16 { read_i16_le, peek_i16_le, write_i16_le: from_le_bytes, to_le_bytes }
        "an `i16`, its lowest byte first";
    i32 { read_i32_be, peek_i32_be, write_i32_be: from_be_bytes, to_be_bytes }
        "an `i32`, its highest byte first";
    i32 { read_i32_le, peek_i32_le, write_i32_le: from_le_bytes, to_le_bytes }
        "an `i32`, its lowest byte first";
    i64 { read_i64_be, peek_i64_be, write_i64_be: from_be_bytes, to_be_bytes }
        "an `i64`, its highest byte first";
    i64 { read_i64_le, peek_i64_le, write_i64_le: from_le_bytes, to_le_bytes }
        "an `i64`, its lowest byte first";
    f32 { read_f32_be, peek_f32_be, write_f32_be: from_be_bytes, to_be_bytes }
        "an `f32`, its highest byte first";
    f32 { read_f32_le, peek_f32_le, write_f32_le: from_le_bytes, to_le_bytes }
        "an `f32`, its lowest byte first";
    f64 { read_f64_be, peek_f64_be, write_f64_be: from_be_bytes, to_be_bytes }
        "an `f64`, its highest byte first";
    f64 { read_f64_le, peek_f64_le, write_f64_le: from_le_bytes, to_le_bytes }
        "an `f64`, its lowest byte first";
}

impl NocopyBuffer {
    #[inline]
    fn read_array<const N: usize>(&self) -> Result<[u8; N], BufferError> {
        let array = self.peek_array(0)?;
        self.skip(N)?;
        Ok(array)
    }

    #[inline]
    fn peek_array<const N: usize>(&self, offset: usize) -> Result<[u8; N], BufferError> {
        let at = self.cursor_ahead(N, offset)?;
        let within = self.within(at, N).and_then(<[u8]>::first_chunk);
        if let Some(array) = within {
            return Ok(*array);
        }
        let mut array = [0; N];
        self.copy(at, &mut array);
        Ok(array)
    }

    #[inline]
    fn write_array<const N: usize>(&mut self, array: [u8; N]) -> Result<(), BufferError> {
        self.malloc(N)?.copy_from_slice(&array);
        Ok(())
    }
}
