import type { EventEmitter } from 'node:events'

import { untyped } from './untyped.ts'

/** A protocol of thrift, as far as a call with one string needs it. */
interface Protocol {
  readonly [name: string]: (...values: unknown[]) => unknown
}

interface Thrift {
  readonly Thrift: {
    readonly Type: { readonly STRUCT: number; readonly STRING: number; readonly STOP: number }
    readonly MessageType: { readonly CALL: number; readonly REPLY: number }
  }
  readonly TFramedTransport: unknown
  readonly TBinaryProtocol: unknown
  createServer(processor: object, handler: object, options: object): EventEmitter
  createClient(service: unknown, connection: object): EchoClient
}

const thrift = untyped<Thrift>('thrift')
const { Type, MessageType } = thrift.Thrift
const options = { transport: thrift.TFramedTransport, protocol: thrift.TBinaryProtocol }

type Reply = (error: Error | null, text?: string) => void

/** What a compiler of thrift would make of `service Echo { string say(1: string text) }`. */
class EchoClient {
  _seqid = 0
  readonly _reqs: Record<number, Reply> = {}
  readonly output: { flush(): void }
  readonly pClass: new (transport: object) => Protocol

  constructor(output: { flush(): void }, pClass: new (transport: object) => Protocol) {
    this.output = output
    this.pClass = pClass
  }

  say(text: string): Promise<string> {
    return new Promise((resolve, reject) => {
      this._reqs[++this._seqid] = (error, reply = '') => {
        if (error === null) resolve(reply)
        else reject(error)
      }
      const out = new this.pClass(this.output)
      out['writeMessageBegin']?.('say', MessageType.CALL, this._seqid)
      writeText(out, text, 1)
      this.output.flush()
    })
  }

  recv_say(input: Protocol, _: unknown, id: number): void {
    const reply = this._reqs[id]
    delete this._reqs[id]
    reply?.(null, readText(input))
  }
}

const processor = {
  Processor: class {
    process(input: Protocol, output: Protocol): void {
      const begin = input['readMessageBegin']?.() as { fname: string; rseqid: number }
      const text = readText(input)
      output['writeMessageBegin']?.(begin.fname, MessageType.REPLY, begin.rseqid)
      writeText(output, text.toUpperCase(), 0)
      output['flush']?.()
    }
  },
}

function writeText(out: Protocol, text: string, field: number): void {
  out['writeStructBegin']?.('text')
  out['writeFieldBegin']?.('text', Type.STRING, field)
  out['writeString']?.(text)
  out['writeFieldEnd']?.()
  out['writeFieldStop']?.()
  out['writeStructEnd']?.()
  out['writeMessageEnd']?.()
}

function readText(input: Protocol): string {
  input['readStructBegin']?.()
  input['readFieldBegin']?.()
  const text = input['readString']?.() as string
  input['readFieldEnd']?.()
  input['readFieldBegin']?.()
  input['readStructEnd']?.()
  input['readMessageEnd']?.()
  return text
}

/** A server that says everything loudly. */
export function thriftServer(): EventEmitter {
  return thrift.createServer(processor, {}, options)
}

/** A client over a socket. */
export function thriftClient(socket: object): EchoClient {
  const { Connection } = untyped<{ Connection: new (socket: object, options: object) => object }>(
    'thrift/lib/nodejs/lib/thrift/connection.js',
  )
  return thrift.createClient({ Client: EchoClient }, new Connection(socket, options))
}
