// Options of the command line: declared once, for reading and for --help.
import util from 'node:util'

import { PlainError } from '../scripts/requirements.mjs'

/** Where explanations begin. */
const HELP_COLUMN = 23

/**
 * Reads process.argv by `declarations`, an object of
 * `{ help, value?, default?, multiple?, read? }`: `value` names the argument (a switch has none),
 * `read` turns its text into what is returned. Prints the help, or one line and exit code 2,
 * and ends the process where the command line asks for the one or deserves the other.
 */
export function readOptions(command, purpose, declarations) {
  const entries = Object.entries(declarations)
  try {
    const { values } = util.parseArgs({
      options: {
        help: { type: 'boolean' },
        ...Object.fromEntries(entries.map(([name, one]) => [name, toParseArgs(one)])),
      },
    })
    if (values.help) {
      console.log(usage(command, purpose, entries))
      process.exit(0)
    }
    return Object.fromEntries(
      entries.map(([name, one]) => [name, readOne(name, one, values[name])]),
    )
  } catch (error) {
    if (!(error instanceof PlainError) && !String(error.code).startsWith('ERR_PARSE_ARGS')) {
      throw error
    }
    const [sentence] = error.message.split(/\.? To specify|\.?\n/)
    console.error(`${sentence}. \`npm run ${command} -- --help\` lists the options.`)
    process.exit(2)
  }
}

/** For `read`: one of `names`. */
export function oneOf(names) {
  return (text) => {
    if (names.includes(text)) return text
    throw new PlainError(`'${text}' is none of ${names.join(', ')}`)
  }
}

/** For `read`: a number from `min` to `max`. */
export function number(min, max) {
  return (text) => {
    const value = text.trim() === '' ? NaN : Number(text)
    if (value >= min && value <= max) return value
    throw new PlainError(`expected a number from ${min} to ${max}, not '${text}'`)
  }
}

/** For `read`: a whole number from `min` to `max`. */
export function integer(min, max) {
  return (text) => {
    const value = text.trim() === '' ? NaN : Number(text)
    if (Number.isInteger(value) && value >= min && value <= max) return value
    throw new PlainError(`expected a whole number from ${min} to ${max}, not '${text}'`)
  }
}

function toParseArgs({ value, multiple = false }) {
  return { type: value === undefined ? 'boolean' : 'string', multiple }
}

function readOne(name, { read, multiple, default: fallback }, given) {
  if (given === undefined) return fallback
  if (read === undefined) return given
  try {
    return multiple ? given.map(read) : read(given)
  } catch (error) {
    if (!(error instanceof PlainError)) throw error
    throw new PlainError(`--${name}: ${error.message}`)
  }
}

function usage(command, purpose, entries) {
  const lines = [...entries, ['help', { help: 'print this' }]].map(([name, one]) => {
    const left = one.value === undefined ? `--${name}` : `--${name} ${one.value}`
    const shown = one.value !== undefined && one.default !== undefined
    const help = `${one.help}${shown ? ` (default ${one.default})` : ''}`
    const aligned = help.replaceAll('\n', `\n${' '.repeat(HELP_COLUMN)}`)
    return `  ${left.padEnd(HELP_COLUMN - 3)} ${aligned}`
  })
  return `${purpose}\n\nUsage: npm run ${command} -- [options]\n\n${lines.join('\n')}`
}
