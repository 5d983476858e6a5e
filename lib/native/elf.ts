import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

/** Program headers of a file that are looked at. Real ones have about a dozen. */
const PROGRAM_HEADERS_MAX = 64

/** The longest path of a dynamic loader that is read. */
const INTERPRETER_BYTES_MAX = 4096

const MAGIC = 0x7f454c46
const HEADER_BYTES = 64
const PROGRAM_HEADER_BYTES = 56

/** `e_machine` of the processors that there are packages for. */
const MACHINES: Partial<Record<string, number>> = { x64: 62, arm64: 183 }

/** `PT_INTERP`: the program header that names the dynamic loader. */
const INTERPRETER = 3

/** The dynamic loader that an executable of 64 bits, little endian, asks for, if it does. */
export function interpreterOf(path: string): string | undefined {
  return look(path, (file, header) => {
    const start = Number(header.readBigUInt64LE(32))
    const bytes = header.readUInt16LE(54)
    const count = Math.min(header.readUInt16LE(56), PROGRAM_HEADERS_MAX)
    for (let index = 0; index < count; index++) {
      const entry = readAt(file, start + index * bytes, PROGRAM_HEADER_BYTES)
      if (entry.readUInt32LE(0) !== INTERPRETER) continue
      const length = Math.min(Number(entry.readBigUInt64LE(32)), INTERPRETER_BYTES_MAX)
      const text = readAt(file, Number(entry.readBigUInt64LE(8)), length)
      return text.toString('utf8').replace(/\0.*$/s, '')
    }
    return undefined
  })
}

/**
 * Why a file that claims to be a library cannot be loaded, where the system would say something
 * misleading, or nothing: it maps what was cut off without complaint, and the process dies when it
 * touches what is missing.
 */
export function problemOf(path: string): string | undefined {
  return look(path, (file, header) => {
    const machine = MACHINES[process.arch] ?? header.readUInt16LE(18)
    if (header.readUInt16LE(18) !== machine) return `is not for ${process.arch}`
    // Linkers end with these.
    const sectionHeaders = header.readUInt16LE(58) * header.readUInt16LE(60)
    const end = Number(header.readBigUInt64LE(40)) + sectionHeaders
    return end > fstatSync(file).size ? 'is cut off' : undefined
  })
}

/** What `reader` finds in an ELF file. What is none, or cannot be read, has nothing to be found. */
function look<T>(path: string, reader: (file: number, header: Buffer) => T): T | undefined {
  let file: number | undefined
  try {
    file = openSync(path, 'r')
    const header = readAt(file, 0, HEADER_BYTES)
    return header.readUInt32BE(0) === MAGIC ? reader(file, header) : undefined
  } catch {
    return undefined
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

/** As much as there is: reading beyond that from the result throws. */
function readAt(file: number, position: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  return bytes.subarray(0, readSync(file, bytes, 0, length, position))
}
