/**
 * Who votes, as of each place in the log: a configuration counts as soon as it is in the log, committed or not
 * (dissertation, section 4.1), and no more once it is cut off again.
 *
 * State: the configuration at the log's base, and those after it.
 */
import { type Configuration, decodeConfiguration, type Entry } from './raft-messages.ts'

interface Placed {
  readonly index: number
  readonly configuration: Configuration
}

export class ConfigurationHistory {
  /** By index, ascending; the first one is that of the base. */
  #all: Placed[]

  constructor(base: Placed, entries: readonly Entry[] = []) {
    this.#all = [base]
    this.push(entries)
  }

  get current(): Configuration {
    return this.#last.configuration
  }
  /** Where the current one stands; it is pending until that is committed. */
  get index(): number {
    return this.#last.index
  }
  get #last(): Placed {
    const last = this.#all.at(-1)
    if (last === undefined) throw new Error('a log without a configuration')
    return last
  }

  /** The one that counts at `index`, at or after the base. */
  at(index: number): Configuration {
    return (this.#all.findLast((placed) => placed.index <= index) ?? this.#last).configuration
  }

  /** What it is in the one that counts at `index`, or in a later one: a place that it had before is over. */
  roleSince(index: number, id: string): 'voter' | 'learner' | undefined {
    let isLearner = false
    for (let at = this.#all.length - 1; at >= 0; at -= 1) {
      const placed = this.#all[at]
      if (placed === undefined) break
      if (placed.configuration.voters.includes(id)) return 'voter'
      isLearner ||= placed.configuration.learners.includes(id)
      if (placed.index <= index) break
    }
    return isLearner ? 'learner' : undefined
  }

  push(entries: readonly Entry[]): void {
    for (const { kind, index, data } of entries) {
      if (kind === 'configuration') this.#all.push({ index, configuration: decodeConfiguration(data) })
    }
  }

  /** `index` and all after it is cut off. */
  truncate(index: number): void {
    while (this.#all.length > 1 && this.index >= index) this.#all.pop()
  }

  /** What is at or before `index` is in a snapshot. */
  compact(index: number): void {
    const configuration = this.at(index)
    this.#all = [{ index, configuration }, ...this.#all.filter((placed) => placed.index > index)]
  }

  restore(base: Placed): void {
    this.#all = [base]
  }
}

export const isMember = ({ voters, learners }: Configuration, id: string): boolean =>
  voters.includes(id) || learners.includes(id)

/** How many voters one has and the other has not, both ways. */
export const countVoterChanges = (one: Configuration, other: Configuration): number =>
  one.voters.filter((id) => !other.voters.includes(id)).length +
  other.voters.filter((id) => !one.voters.includes(id)).length
