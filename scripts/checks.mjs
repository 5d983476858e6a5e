// Named checks, one after the other, in the manner of the tests: a line for each, and at the end
// the counts that scripts/test.mjs adds up.
export class Checks {
  #passed = 0
  #failed = 0

  /** `check` fails by throwing; what it returns is shown beside its name, if it is a string. */
  async that(name, check) {
    try {
      const note = await check()
      this.#passed += 1
      console.log(`  ✔ ${name}${typeof note === 'string' ? ` (${note})` : ''}`)
    } catch (error) {
      this.#failed += 1
      console.log(`  ✘ ${name}\n${indented(error.message ?? error)}`)
    }
  }

  /** Sums up, and decides how the process ends. */
  end() {
    console.log(`\n${counted(this.#passed)} passed`)
    if (this.#failed > 0) console.log(`${counted(this.#failed)} failed`)
    process.exitCode = this.#failed === 0 ? 0 : 1
  }
}

function counted(count) {
  return `${count} ${count === 1 ? 'test' : 'tests'}`
}

function indented(text) {
  return String(text).trimEnd().replaceAll(/^/gm, '      ')
}
