// `service Calculator { i32 add(i32, i32) }`, in short what the compiler of Thrift makes of it.
import thrift from 'thrift'

const { MessageType, TApplicationException, Type } = thrift.Thrift

export class CalculatorClient {
  _reqs = {}
  #seqid = 0

  constructor(output, Protocol) {
    Object.assign(this, { output, Protocol })
  }

  add(a, b) {
    return new Promise((resolve, reject) => {
      this._reqs[++this.#seqid] = (error, sum) => (error ? reject(error) : resolve(sum))
      writeNumbers(new this.Protocol(this.output), 'add', MessageType.CALL, this.#seqid, [a, b], 1)
    })
  }

  recv_add(input, type, seqid) {
    const settle = this._reqs[seqid]
    delete this._reqs[seqid]
    const error = type === MessageType.EXCEPTION ? new TApplicationException() : undefined
    if (error === undefined) settle(undefined, ...readNumbers(input))
    else settle(Object.assign(error, error.read(input)))
  }
}

export class CalculatorProcessor {
  constructor(handler) {
    this.handler = handler
  }

  // It throws at once when no message is left: servers of Thrift rely on that.
  process(input, output) {
    const { fname, rseqid } = input.readMessageBegin()
    const numbers = readNumbers(input)
    input.readMessageEnd()
    const reply = (sum) => writeNumbers(output, fname, MessageType.REPLY, rseqid, [sum], 0)
    return Promise.resolve(this.handler.add(...numbers)).then(reply)
  }
}

function writeNumbers(output, method, type, seqid, numbers, firstId) {
  output.writeMessageBegin(method, type, seqid)
  for (const [index, number] of numbers.entries()) {
    output.writeFieldBegin('', Type.I32, firstId + index)
    output.writeI32(number)
  }
  output.writeFieldStop()
  output.writeMessageEnd()
  output.flush()
}

function readNumbers(input) {
  const numbers = []
  while (input.readFieldBegin().ftype !== Type.STOP) numbers.push(input.readI32())
  return numbers
}
