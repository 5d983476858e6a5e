// A server on nodepoll/rpc. argv[2]: the port, 0 picks one.
import { bytesCodec, serveRpc } from 'nodepoll/rpc'

const server = await serveRpc({
  host: '127.0.0.1',
  port: Number(process.argv[2]),
  codec: bytesCodec({ views: true }),
  methods: { echo: (bytes) => bytes },
})
console.log(`listening ${server.address.port}`)
