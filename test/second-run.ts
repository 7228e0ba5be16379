/**
 * Which files of tests run a second time, by themselves, because a test in them failed: on a machine with two cores that
 * other processes fill, a wait can be too short once in thousands of tests. A fault that is there each time fails again, and
 * what failed first is told in any case. More files than are allowed at once are no accident: none of them runs again.
 * State: failures that are not reported yet.
 */
import { inspect } from 'node:util'

export interface TestEvent {
  readonly type: string
  readonly data: Readonly<Record<string, unknown>>
}

/** Inside of something, so that it does not look like one of the figures. */
const REMARK = { nesting: 1, level: 'error' }

const isFailure = ({ type, data }: TestEvent): boolean =>
  type === 'test:fail' && (data.todo === undefined || data.todo === false)

export class SecondRun {
  readonly #most: number
  readonly #fileOf: (event: TestEvent) => string
  readonly #files = new Set<string>()
  #held: TestEvent[] = []

  /** @param most files that may run again @param fileOf the file that a failed test stands in */
  constructor(most: number, fileOf: (event: TestEvent) => string) {
    this.#most = most
    this.#fileOf = fileOf
  }

  /** @returns what is reported at once: a failure that may not be the last word, as a remark */
  take(event: TestEvent): TestEvent {
    if (this.#most === 0 || !isFailure(event)) return event
    this.#held.push(event)
    const file = this.#fileOf(event)
    if (event.data.nesting === 0) this.#files.add(file)
    const { error } = event.data.details as { error?: { failureType?: string } }
    // Told already, by what failed in it.
    if (error?.failureType === 'subtestsFailed')
      return { type: 'test:diagnostic', data: { ...REMARK, message: `failed at first: ${file}` } }
    const message = `failed at first: ${file}: ${event.data.name}\n${inspect(error)}`
    return { type: 'test:diagnostic', data: { ...REMARK, message } }
  }

  /** Called once all have run. @returns files to run again; failures that stay are in `rest` */
  files(): string[] {
    if (this.#files.size > this.#most) return []
    this.#held = []
    return [...this.#files]
  }

  /** Failures that no second run can take back. */
  rest(): readonly TestEvent[] {
    return this.#held
  }
}

/**
 * The figures of all, once the files that failed have run again: what counts is how they ended then.
 * @param first of all files @param second of those that ran again
 */
export const figuresAfter = (
  first: ReadonlyMap<string, number>,
  second: ReadonlyMap<string, number>,
): Map<string, number> => {
  const of = (figures: ReadonlyMap<string, number>, name: string): number => figures.get(name) ?? 0
  const [fail, cancelled] = [of(second, 'fail'), of(second, 'cancelled')]
  const others = of(first, 'skipped') + of(first, 'todo')
  const pass = of(first, 'tests') - fail - cancelled - others
  return new Map([...first, ['pass', pass], ['fail', fail], ['cancelled', cancelled]])
}
