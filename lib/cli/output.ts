import { styleText } from 'node:util'

import type { Address } from '../internal/address.ts'

type Style = Parameters<typeof styleText>[0]

/** What people and programs read of a command. Results go to stdout, all else to stderr. */
export class Output {
  readonly isJson: boolean
  #hasStatus = false

  constructor(isJson: boolean) {
    this.isJson = isJson
  }

  /** A line for people. */
  line(text = ''): void {
    if (this.isJson) return
    this.clearStatus()
    process.stdout.write(`${text}\n`)
  }

  /** An object for programs, on a line of its own. */
  json(value: object): void {
    if (this.isJson) process.stdout.write(`${JSON.stringify(value)}\n`)
  }

  /** Something that went wrong and does not end the command. */
  warn(text: string): void {
    if (this.isJson) return
    this.clearStatus()
    process.stderr.write(`${text}\n`)
  }

  /** What is going on: a line that the next one replaces. Only terminals have it. */
  status(text: string): void {
    if (this.isJson || !process.stderr.isTTY) return
    const columns = process.stderr.columns ?? 80
    process.stderr.write(`\r\x1b[K${text.slice(0, columns - 1)}`)
    this.#hasStatus = true
  }

  clearStatus(): void {
    if (!this.#hasStatus) return
    this.#hasStatus = false
    process.stderr.write('\r\x1b[K')
  }
}

/** Text in colour, where stdout is a terminal that wants it. */
export function styled(style: Style, text: string): string {
  const { NO_COLOR: none, TERM: terminal } = process.env
  if (!process.stdout.isTTY || terminal === 'dumb' || (none !== undefined && none !== '')) {
    return text
  }
  return styleText(style, text)
}

/** Rows below a heading, the first column to the left, the others to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const [heading = []] = rows
  const widths = heading.map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  )
  const lines = rows.map((row) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('   '),
  )
  const rule = '─'.repeat(Math.max(...lines.map((line) => line.length)))
  return [lines[0], rule, ...lines.slice(1)].join('\n')
}

export function formatNumber(value: number, digits = 0): string {
  return value.toLocaleString('en-US', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  })
}

/** A number of things: 1 connection, 2 connections. */
export function formatCount(count: number, thing: string): string {
  return `${formatNumber(count)} ${thing}${count === 1 ? '' : 's'}`
}

export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10))
  return `${formatNumber(bytes / 1024 ** power, power === 0 ? 0 : 1)} ${units[power] as string}`
}

export function formatAddress(address: Address): string {
  switch (address.family) {
    case 'unix':
      return address.path.replace('\0', '@')
    case 'IPv6':
      return `[${address.address}]:${address.port}`
    default:
      return `${address.address}:${address.port}`
  }
}
