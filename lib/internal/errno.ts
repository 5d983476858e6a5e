import { getSystemErrorMap } from 'node:util'

/** An error number of the operating system as Node tells it. */
export interface SystemErrno {
  /** Negative. On Windows it is libuv's number, as everywhere in Node. */
  readonly errno: number
  readonly name: string
  readonly description: string
}

/** The errors of Windows' sockets, and of what carries them, by the names that libuv gives them. */
const WINDOWS_NAMES: Readonly<Record<number, string>> = {
  5: 'EACCES',
  64: 'ECONNRESET',
  109: 'EPIPE',
  121: 'ETIMEDOUT',
  232: 'EPIPE',
  995: 'ECANCELED',
  1225: 'ECONNREFUSED',
  1231: 'ENETUNREACH',
  1232: 'EHOSTUNREACH',
  1236: 'ECONNABORTED',
  10004: 'EINTR',
  10009: 'EBADF',
  10013: 'EACCES',
  10014: 'EFAULT',
  10022: 'EINVAL',
  10024: 'EMFILE',
  10035: 'EAGAIN',
  10037: 'EALREADY',
  10038: 'ENOTSOCK',
  10040: 'EMSGSIZE',
  10043: 'EPROTONOSUPPORT',
  10045: 'ENOTSUP',
  10047: 'EAFNOSUPPORT',
  10048: 'EADDRINUSE',
  10049: 'EADDRNOTAVAIL',
  10050: 'ENETDOWN',
  10051: 'ENETUNREACH',
  10053: 'ECONNABORTED',
  10054: 'ECONNRESET',
  10055: 'ENOBUFS',
  10056: 'EISCONN',
  10057: 'ENOTCONN',
  10058: 'EPIPE',
  10060: 'ETIMEDOUT',
  10061: 'ECONNREFUSED',
  10065: 'EHOSTUNREACH',
}

/** The map that Node makes is new for each call. */
let known: ReturnType<typeof getSystemErrorMap> | undefined

/** What Node says of an error number of the kernel. */
export function describeErrno(errno: number, platform: string = process.platform): SystemErrno {
  known ??= getSystemErrorMap()
  // On Windows numbers of sockets are not those of libuv, which names them alike.
  const name = platform === 'win32' ? WINDOWS_NAMES[errno] : known.get(-errno)?.[0]
  if (name === undefined) return { errno: -errno, name: `E${errno}`, description: 'unknown error' }
  const number = (platform === 'win32' ? numberOf(name, known) : undefined) ?? -errno
  const description = known.get(number)?.[1] ?? 'unknown error'
  return { errno: number, name, description }
}

function numberOf(name: string, names: ReturnType<typeof getSystemErrorMap>): number | undefined {
  for (const [number, [each]] of names) if (each === name) return number
  return undefined
}
