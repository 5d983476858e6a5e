import { outOfRange } from '../errors.ts'
import { type RpcError, rpcFailure } from './errors.ts'

// What each end sends first, the client before the server.
//
//  0         4         5      8          12            16      24
//  ┌─────────┬─────────┬──────┬──────────┬─────────────┬───────┐
//  │ "nprc"  │ version │ zero │ frameMax │ concurrency │ codec │
//  └─────────┴─────────┴──────┴──────────┴─────────────┴───────┘
//
// `frameMax` is the longest frame that this end takes, `concurrency` how many calls may be under
// way at a time (of a server; a client says 0), `codec` its name, filled up with zeros.

const MAGIC = 'nprc'
const VERSION = 1
const CODEC_BYTES = 8

/** So many bytes are enough to tell who does not speak this protocol. */
export const MAGIC_BYTES: number = MAGIC.length

export const PREFACE_BYTES = 24

/** What an end says of itself. */
export interface Preface {
  readonly frameMax: number
  readonly concurrencyMax: number
  readonly codec: string
}

export function encodePreface({ frameMax, concurrencyMax, codec }: Preface): Buffer {
  const bytes = Buffer.alloc(PREFACE_BYTES)
  bytes.write(MAGIC, 'latin1')
  bytes[4] = VERSION
  bytes.writeUInt32BE(frameMax, 8)
  bytes.writeUInt32BE(concurrencyMax, 12)
  bytes.write(codec, 16, 'latin1')
  return bytes
}

/** What the peer says of itself. Throws if it has another version. */
export function decodePreface(bytes: Buffer): Preface {
  const version = bytes[4]
  if (version !== VERSION) {
    const what = `the peer speaks version ${version} of the protocol, not ${VERSION}`
    throw rpcFailure('ERR_NODEPOLL_RPC_VERSION', what)
  }
  return {
    frameMax: bytes.readUInt32BE(8),
    concurrencyMax: bytes.readUInt32BE(12),
    codec: bytes.toString('latin1', 16, 16 + CODEC_BYTES).replace(/\0+$/, ''),
  }
}

/** Throws unless both ends have the same codec. */
export function checkSameCodec(own: string, peers: string): void {
  if (own === peers) return
  const what = `the peer has the codec '${peers}', this end has '${own}'`
  throw rpcFailure('ERR_NODEPOLL_RPC_UNKNOWN_CODEC', what)
}

export function checkCodecName(name: unknown): void {
  if (typeof name === 'string' && /^[!-~]{1,8}$/.test(name)) return
  throw outOfRange('options.codec.name', 'from 1 to 8 characters of ASCII', name)
}

/** Another protocol, by its first bytes: what is wrong, and how to say so in it. */
export interface Stranger {
  readonly error: RpcError
  readonly answer: Buffer | undefined
}

/** Who speaks if the first bytes are not ours. */
export function strangerOf(first: Buffer): Stranger | undefined {
  const start = first.toString('latin1', 0, MAGIC_BYTES)
  if (start === MAGIC) return undefined
  if (/^(?:GET |PUT |POST|HEAD|DELE|OPTI|PATC|TRAC|CONN|PRI |HTTP)/.test(start)) {
    return stranger('HTTP', httpAnswer())
  }
  if (first[0] === 0x16 && first[1] === 0x03) return stranger('TLS', tlsAlert())
  return stranger(`something that begins with ${JSON.stringify(start)}`)
}

function stranger(what: string, answer?: Buffer): Stranger {
  const message = `the peer speaks ${what}, not nodepoll/rpc`
  return { error: rpcFailure('ERR_NODEPOLL_RPC_PREFACE', message), answer }
}

function httpAnswer(): Buffer {
  const text = 'ERR_NODEPOLL_RPC_PREFACE: nodepoll/rpc is spoken here, not HTTP\n'
  const head = `HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n`
  return Buffer.from(`${head}Content-Length: ${text.length}\r\n\r\n${text}`)
}

/** A fatal alert: an unexpected message (RFC 8446, 6.2). */
function tlsAlert(): Buffer {
  return Buffer.of(0x15, 0x03, 0x01, 0, 2, 2, 10)
}
