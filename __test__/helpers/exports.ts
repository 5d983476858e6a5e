import { readFileSync } from 'node:fs'

/** What an entry of the package exports. */
export interface Exports {
  readonly values: readonly string[]
  readonly types: readonly string[]
}

/** By the name that is imported. Adding to it is a decision: see `docs/api.md`. */
export const exportsOf: Readonly<Record<string, Exports>> = {
  nodepoll: {
    values: [
      'LinkBuffer',
      'NodepollError',
      'configure',
      'createEventLoop',
      'createListener',
      'delimited',
      'dial',
      'fixedSize',
      'isNodepollError',
      'lengthPrefixed',
      'serve',
      'stats',
    ],
    types: [
      'Address',
      'CloseCallback',
      'CloseReason',
      'Connection',
      'ConnectionOptions',
      'DialOptions',
      'ErrorCode',
      'EventLoop',
      'EventLoopOptions',
      'Framing',
      'InetAddress',
      'KeepAlive',
      'LengthPrefixedOptions',
      'ListenOptions',
      'Listener',
      'OnDisconnect',
      'OnError',
      'OnFrame',
      'OnPrepare',
      'OnRequest',
      'Reader',
      'RuntimeOptions',
      'RuntimeStats',
      'Server',
      'ShutdownOptions',
      'UnixAddress',
      'Writer',
    ],
  },
  'nodepoll/rpc': {
    values: ['RpcError', 'bytesCodec', 'connectRpc', 'jsonCodec', 'messagePackCodec', 'serveRpc'],
    types: [
      'BytesCodecOptions',
      'MessagePack',
      'RpcCall',
      'RpcCallOptions',
      'RpcClient',
      'RpcClientOptions',
      'RpcCodec',
      'RpcErrorCode',
      'RpcHandler',
      'RpcMethods',
      'RpcServer',
      'RpcServerOptions',
      'RpcTarget',
    ],
  },
  'nodepoll/stream': {
    values: [
      'Server',
      'Socket',
      'attach',
      'connect',
      'createConnection',
      'createServer',
      'toDuplex',
      'toWeb',
    ],
    types: [
      'AttachOptions',
      'Attached',
      'ConnectOptions',
      'ReadyState',
      'ServerListenOptions',
      'ServerOptions',
      'SocketConnectOptions',
      'SocketOptions',
      'WebStreams',
    ],
  },
}

/** The entries that package.json has, by the name that is imported. */
export function entries(): string[] {
  const path = new URL('../../package.json', import.meta.url)
  const manifest = JSON.parse(readFileSync(path, 'utf8')) as { exports: Record<string, unknown> }
  const paths = Object.keys(manifest.exports).filter((each) => each !== './package.json')
  return paths.map((each) => each.replace('.', 'nodepoll'))
}

/** The source of an entry. */
export function indexOf(entry: string): string {
  return `${entry.replace('nodepoll', 'lib')}/index.ts`
}
