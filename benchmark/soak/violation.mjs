// What ends the soak: the first violation is reported, by whatever the process has for it.

let report = (message) => console.error(message)
let isOver = false

export class Violation extends Error {}

/** `handler` gets the message of the first violation, and none after it. */
export function onViolation(handler) {
  report = handler
}

/** Reports, and throws so that the caller does not go on. */
export function violate(message) {
  if (!isOver) {
    isOver = true
    report(message)
  }
  throw new Violation(message)
}

/** Errors that nobody has caught are violations, too. */
export function watchProcess(name) {
  for (const event of ['uncaughtException', 'unhandledRejection']) {
    process.on(event, (error) => {
      if (error instanceof Violation) return
      tryViolate(`${event} in the ${name}: ${error?.stack ?? error}`)
    })
  }
  process.on('warning', (warning) => tryViolate(`warning in the ${name}: ${warning.stack}`))
}

function tryViolate(message) {
  try {
    violate(message)
  } catch {
    // It has been reported.
  }
}
