// Calls from a shell: a method, and its parameters as JSON.
//
//   node call.mjs add 2 3
import { Client } from './client.mjs'

const [method, ...params] = process.argv.slice(2)
const { HOST: host = '127.0.0.1', PORT: port = '7000' } = process.env
const client = await Client.connect({ host, port: Number(port) })
console.log(
  await client.call(
    method,
    params.map((text) => JSON.parse(text)),
  ),
)
await client.close()
