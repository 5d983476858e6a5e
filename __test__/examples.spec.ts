import { createHash } from 'node:crypto'
import { connect } from 'node:net'

import test from 'ava'

import { DEADLINE_MS, within } from './helpers/deadline.ts'
import { runProgram, startProgram, stopProgram, talk } from './helpers/program.ts'

/** Sends `bytes`, reads as many, ends the connection. */
async function exchange(port: number, bytes: Uint8Array): Promise<Buffer> {
  const socket = connect({ host: '127.0.0.1', port })
  const received: Buffer[] = []
  let missing = bytes.length
  const all = new Promise<void>((resolve, reject) => {
    socket.on('data', (data) => {
      received.push(data)
      missing -= data.length
      if (missing <= 0) resolve()
    })
    socket.on('close', () => reject(new Error(`${missing} bytes are missing`)))
    socket.on('error', reject)
  })
  try {
    socket.write(bytes)
    await within(all, 'all bytes')
  } finally {
    socket.destroy()
  }
  return Buffer.concat(received)
}

/** A message of the RPC example, shorter than 256 bytes. */
function frame(json: string): string {
  return `\0\0\0${String.fromCharCode(json.length)}${json}`
}

/** Bytes of which no two neighbouring stretches are equal. */
function pattern(length: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, at) => (at * 31) ^ (at >>> 8)))
}

// One after the other: each starts processes. Elsewhere a signal kills without giving the program
// the chance to close its connections.
const onPosix = process.platform === 'win32' ? test.skip : test.serial

onPosix('echo sends back what it is sent and ends on a signal', async (t) => {
  const echo = await startProgram(t, 'examples/echo.mjs', ['0'])
  const sent = pattern(300_000)
  t.true(sent.equals(await exchange(echo.port, sent)))
  await stopProgram(t, echo)
})

onPosix('http answers what is under way when it is told to end', async (t) => {
  const http = await startProgram(t, 'examples/http.mjs', ['0'])
  const client = await talk(t, http.port)
  const head = 'POST /loud HTTP/1.1\r\nhost: here\r\ntransfer-encoding: chunked\r\n\r\n'
  await client.say(head, '5\r\nhello\r\n')
  await client.hear(/HELLO/)
  http.child.kill('SIGTERM')
  // It listens no more once it has been told.
  await within(refused(http.port), 'the end of listening')
  await client.say('4\r\n you\r\n', '0\r\n\r\n')
  await client.hear(/ YOU\r\n0\r\n\r\n/)
  await client.ended()
  t.is(await http.end(), 0)
  t.is(http.errors, '')
})

/** Resolves when nobody listens on a port any more. */
async function refused(port: number): Promise<void> {
  const isOpen = await new Promise<boolean>((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      resolve(true)
      socket.destroy()
    })
    socket.on('error', () => resolve(false))
  })
  if (isOpen) await refused(port)
}

onPosix('chat tells all what one says, who has come and who has left', async (t) => {
  const chat = await startProgram(t, 'examples/chat.mjs', ['0'])
  const ann = await talk(t, chat.port)
  await ann.hear(/\* welcome, guest\d+/)
  const ben = await talk(t, chat.port)
  await ann.hear(/\* guest\d+ has come\n/)
  await ann.say('/na', 'me Ann\nhello', ' there\n')
  await ben.hear(/\* guest\d+ is now Ann\nAnn: hello there\n/)
  await ben.say('/who\n')
  t.regex(await ben.hear(/Ann, guest/), /^\* Ann, guest\d+\n$/)
  await ben.say('/quit\n')
  await ben.ended()
  await ann.hear(/\* guest\d+ has left\n/)
  await stopProgram(t, chat)
})

onPosix('chat drops a member that does not read, and no other', async (t) => {
  const chat = await startProgram(t, 'examples/chat.mjs', ['0'])
  const ann = await talk(t, chat.port)
  const ben = await talk(t, chat.port)
  await ben.hear(/welcome/)
  await ann.hear(/has come/)
  ben.socket.pause()
  const text = `${'x'.repeat(900)}\n`.repeat(50)
  let heard = ''
  while (!heard.includes('has left')) {
    await ann.say(text)
    // Ann reads all that comes back, and so is not behind.
    heard = await ann.hear(/(x{900}\n[^x]*){50}/)
  }
  await ann.say('/who\n')
  t.regex(await ann.hear(/^\* guest\d+\n$/m), /\* guest\d+\n$/)
  await stopProgram(t, chat)
})

onPosix('smtp-sink prints a message that comes in pieces, and delivers none', async (t) => {
  const sink = await startProgram(t, 'examples/smtp-sink.mjs', ['0'])
  const client = await talk(t, sink.port)
  await client.hear(/^220 .*\r\n$/)
  await client.say('EHLO me\r\nDA', 'TA\r\n')
  t.is(await client.hear(/503.*\r\n$/), '250 OK\r\n503 MAIL and RCPT come first\r\n')
  await client.say('MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n')
  await client.hear(/354.*\r\n$/)
  await client.say('Subject: hi\r\n\r', '\n..one dot\r\nlast line\r\n.', '\r\n')
  t.is(await client.hear(/\r\n$/), '250 printed\r\n')
  await sink.line(/^last line$/)
  t.regex(sink.output, /MAIL FROM:<a@b\.c>\nRCPT TO:<d@e\.f>\n\nSubject: hi\n\n\.one dot\nlast/)
  await client.say('WHAT\r\nQUIT\r\n')
  t.is(await client.ended(), '500 what is WHAT?\r\n221 bye\r\n')
  await stopProgram(t, sink)
})

onPosix('smtp-sink ends a connection whose line is too long, and serves the next', async (t) => {
  const sink = await startProgram(t, 'examples/smtp-sink.mjs', ['0'])
  const first = await talk(t, sink.port)
  await first.hear(/^220/)
  await first.say('x'.repeat(70_000))
  await first.ended()
  const second = await talk(t, sink.port)
  await second.hear(/^220/)
  await stopProgram(t, sink, /^a frame of \d+ bytes is over the limit of 65536 bytes\n$/)
})

onPosix('proxy passes both directions on, byte for byte', async (t) => {
  const echo = await startProgram(t, 'examples/echo.mjs', ['0'])
  const proxy = await startProgram(t, 'examples/proxy.mjs', ['0', String(echo.port)])
  const sent = pattern(3_000_000)
  t.true(sent.equals(await exchange(proxy.port, sent)))
  await stopProgram(t, proxy)
  await stopProgram(t, echo)
})

onPosix('proxy passes FIN on and still brings the reply', async (t) => {
  const echo = await startProgram(t, 'examples/echo.mjs', ['0'])
  const proxy = await startProgram(t, 'examples/proxy.mjs', ['0', String(echo.port)])
  const client = await talk(t, proxy.port, { allowHalfOpen: true })
  client.socket.end('the last word')
  t.is(await client.ended(), 'the last word')
  await stopProgram(t, proxy)
  await stopProgram(t, echo)
})

onPosix('proxy ends a connection whose target refuses, and serves the next', async (t) => {
  const echo = await startProgram(t, 'examples/echo.mjs', ['0'])
  const proxy = await startProgram(t, 'examples/proxy.mjs', ['0', String(echo.port)])
  t.is((await exchange(proxy.port, Buffer.from('up'))).toString(), 'up')
  await stopProgram(t, echo)
  for (const word of ['down', 'still down']) {
    await t.throwsAsync(exchange(proxy.port, Buffer.from(word)))
  }
  await stopProgram(t, proxy, /^(connect ECONNREFUSED [\d.:]+\n){2}$/)
})

test.serial('rpc: its own tests pass', async (t) => {
  const { stdout } = await runProgram('examples/rpc/service.test.mjs')
  t.regex(stdout, /^# pass 3$/m)
  t.regex(stdout, /^# fail 0$/m)
})

onPosix('rpc answers calls from a shell, and stops on a signal after the last one', async (t) => {
  const server = await startProgram(t, 'examples/rpc/server.mjs', [], { PORT: '0' })
  const call = async (...args: string[]): Promise<string> => {
    const environment = { PORT: String(server.port) }
    const { stdout } = await runProgram('examples/rpc/call.mjs', args, environment)
    return stdout.trim()
  }
  t.is(await call('add', '2', '3'), '5')
  t.is(await call('reverse', '"stressed"'), 'desserts')
  const failed = await t.throwsAsync(call('divide', '1', '0'))
  t.regex(failed.message, /no method 'divide'/)
  const slow = await talk(t, server.port)
  await slow.say(frame('{"id":7,"method":"sleep","params":[300]}'))
  // When this one is answered the one before has come.
  await slow.say(frame('{"id":8,"method":"none","params":[]}'))
  await slow.hear(/"id":8/)
  await stopProgram(t, server)
  t.regex(await slow.ended(), /"id":7,"result":"slept 300 ms"/)
  t.regex(server.output, /stopped\n$/)
})

onPosix(
  'graceful-shutdown answers all that it has begun, and is not ready meanwhile',
  async (t) => {
    const program = 'examples/graceful-shutdown.mjs'
    const server = await startProgram(t, program, ['0', '0'], { LEAVE_MS: '200' })
    const [, readyPort] = await server.line(/^ready on (\d+)$/)
    const probe = await talk(t, Number(readyPort))
    await probe.ended()
    let answered = 0
    const request = '\0\0\0\x02hi'
    const clients = await Promise.all(Array.from({ length: 20 }, () => talk(t, server.port)))
    const ends = clients.map(async (client) => {
      client.socket.on(
        'data',
        (text) => (answered += text.toString().split('hi is done').length - 1),
      )
      // Each has always one request under way. Who never waits for a reply before it asks again is
      // never idle, and would be served up to the deadline.
      client.socket.on('data', (text) => {
        const replies = text.toString().split('hi is done').length - 1
        if (client.socket.writable) client.socket.write(request.repeat(replies))
      })
      client.socket.write(request)
      await client.ended()
      t.false(client.text.length % '\0\0\0\x0ahi is done'.length > 0, 'no reply is cut off')
    })
    await Promise.all(clients.map((client) => client.hear(/is done/)))
    server.child.kill('SIGTERM')
    const [, handled] = await server.line(/handled (\d+) requests$/)
    t.is(await server.end(), 0)
    await within(Promise.all(ends), 'the end of all connections')
    t.true(Number(handled) >= 20)
    t.is(answered, Number(handled))
    t.is(server.errors, '')
    await t.throwsAsync(exchange(Number(readyPort), Buffer.from('x')))
  },
)

onPosix('sharding deals connections out to all of its threads, on one port', async (t) => {
  const shards = await startProgram(t, 'examples/sharding.mjs', ['0', '2'])
  const threads = new Set<string>()
  const hash = createHash('sha256').update('x').digest('hex')
  const end = performance.now() + DEADLINE_MS
  // The kernel deals by chance: with each further connection it is less likely to be one thread.
  while (threads.size < 2 && performance.now() < end) {
    const client = await talk(t, shards.port)
    await client.say('x\n')
    const [reply, thread] = (await client.hear(/\n$/)).trim().split(' by thread ')
    t.is(reply, hash)
    threads.add(thread as string)
    client.socket.destroy()
  }
  t.is(threads.size, 2)
  await stopProgram(t, shards)
  t.regex(shards.output, /all workers have stopped\n$/)
})
