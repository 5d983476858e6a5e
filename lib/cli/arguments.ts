import { parseArgs, type ParseArgsConfig } from 'node:util'

/** What fits into a line of a help, up to a space or the end. */
const LINE = /(?!$).{1,80}(?: |$)/g

/** What is wrong with a command line: told in one sentence, with exit code 2. */
export class UsageError extends Error {}

/** One option of a command: a switch, or with `value` one that takes a value. */
export interface Option<T> {
  readonly help: string
  /** What stands for the value in the help. */
  readonly value?: string
  readonly short?: string
  readonly fallback: T
  /** Makes the value of its text; throws a `UsageError` if it is none. */
  read(text: string): T
}

export type Options = Readonly<Record<string, Option<unknown>>>

/** The values of options. */
export type Values<O extends Options> = { readonly [N in keyof O]: ReturnType<O[N]['read']> }

/** One command of the program. */
export interface Command {
  readonly name: string
  readonly summary: string
  /** What it does, in some sentences. */
  readonly help: string
  /** What stands behind its name: `<target>`. All of them are required. */
  readonly operands: readonly string[]
  readonly options: Options
  /** Runs it and gives the exit code. */
  run(values: Values<Options>, operands: readonly string[]): Promise<number>
}

/** Makes a command, whose `run` knows the types of its options. */
export function command<O extends Options>(
  it: Omit<Command, 'options' | 'run'> & {
    readonly options: O
    run(values: Values<O>, operands: readonly string[]): Promise<number>
  },
): Command {
  return it as unknown as Command
}

export function switchOption(help: string): Option<boolean> {
  return { help, fallback: false, read: () => true }
}

export function textOption<T extends string | undefined>(
  value: string,
  help: string,
  fallback: T,
): Option<string | T> {
  return { help, value, fallback, read: (given) => given }
}

/** A number between `min` and `max`; a whole one unless `isWhole` says otherwise. */
export function numberOption<T extends number | undefined>(
  value: string,
  help: string,
  {
    min,
    max,
    fallback,
    isWhole = true,
  }: { min: number; max: number; fallback: T; isWhole?: boolean },
): Option<number | T> {
  const kind = isWhole ? 'a whole number' : 'a number'
  const read = (given: string): number => {
    const result = given.trim() === '' ? Number.NaN : Number(given)
    if (result >= min && result <= max && (!isWhole || Number.isInteger(result))) return result
    throw new UsageError(`expected ${kind} from ${min} to ${max}, not '${given}'`)
  }
  return { help, value, fallback, read }
}

/** What a command line asks of a command; `undefined` is its help. */
export function readArguments(
  { options, operands }: Command,
  args: readonly string[],
): { values: Values<Options>; operands: readonly string[] } | undefined {
  const { values, positionals } = parse(options, args)
  if (values['help'] === true) return undefined
  const [excess] = positionals.slice(operands.length)
  if (excess !== undefined) throw new UsageError(`'${excess}' is one argument too many`)
  const missing = operands[positionals.length]
  if (missing !== undefined) throw new UsageError(`${missing} is missing`)
  const entries = Object.entries(options)
  const read = entries.map(([name, option]) => [name, readOne(name, option, values[name])])
  return { values: Object.fromEntries(read) as Values<Options>, operands: positionals }
}

function parse(
  options: Options,
  args: readonly string[],
): { values: Record<string, unknown>; positionals: string[] } {
  const declared: NonNullable<ParseArgsConfig['options']> = {}
  for (const [name, { value, short }] of Object.entries(options)) {
    declared[name] = { type: value === undefined ? 'boolean' : 'string', ...(short && { short }) }
  }
  declared['help'] = { type: 'boolean', short: 'h' }
  try {
    return parseArgs({ args: [...args], options: declared, allowPositionals: true })
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (!code?.startsWith('ERR_PARSE_ARGS')) throw error
    // What follows is about other ways to write it.
    throw new UsageError(message.split(/\. To specify|\.?\n/)[0])
  }
}

function readOne(name: string, option: Option<unknown>, given: unknown): unknown {
  if (given === undefined) return option.fallback
  try {
    return option.read(String(given))
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    throw new UsageError(`--${name}: ${error.message}`)
  }
}

/** The help of a command. */
export function helpOf({ name, help, operands, options }: Command): string {
  const rows = Object.entries(options).map(([each, option]) => {
    const { short, value, fallback } = option
    const left = `${short ? `-${short}, ` : '    '}--${each}${value ? ` <${value}>` : ''}`
    const shown = value !== undefined && fallback !== undefined
    return [left, `${option.help}${shown ? ` (default: ${String(fallback)})` : ''}`] as const
  })
  rows.push(['-h, --help', 'print this'])
  const width = Math.max(...rows.map(([left]) => left.length))
  const lines = rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`)
  const usage = ['nodepoll', name, ...operands, '[options]'].join(' ')
  return [`Usage: ${usage}`, '', wrap(help), '', 'Options:', ...lines, ''].join('\n')
}

/** Breaks a text into lines. */
function wrap(text: string): string {
  return text.replaceAll(LINE, '$&\n').replaceAll(/ ?\n/g, '\n').trimEnd()
}
