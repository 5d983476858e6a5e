// A server of node:http on a nodepoll listener, and its end: requests under way are answered, idle
// connections are closed, and what takes longer than five seconds is cut off.
//
//   node examples/http.mjs [port]     0 picks a free one
//   curl -d 'hello' http://127.0.0.1:7000/loud
import { createServer } from 'node:http'
import { attach } from 'nodepoll/stream'

const server = createServer(async (request, response) => {
  if (request.url !== '/loud' || request.method !== 'POST') {
    response.writeHead(404).end()
    return
  }
  response.setHeader('content-type', 'text/plain; charset=utf-8')
  request.setEncoding('utf8')
  for await (const text of request) response.write(text.toUpperCase())
  response.end()
})

const port = Number(process.argv[2] ?? 7000)
const attached = await attach(server, { host: '127.0.0.1', port })
console.log('listening on', attached.address.port)

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await attached.shutdown({ deadlineMs: 5000, force: true }).catch((error) => {
      console.error(error.message)
    })
  })
}
