/** What a node that has a copy of the journal reads of the records of a part, without asking anybody. */
import type { JournalMember } from '../journal-server.ts'

const CHANGES_AT_ONCE = 4_096
const CHANGES_BYTES = 8 * 1024 * 1024

/** @returns undefined for a record that is not of interest */
export type ReadChange<Change> = (key: string, version: number, value: unknown) => Change | undefined

export class JournalView<Change> {
  readonly member: Pick<JournalMember, 'machine'>
  readonly #read: ReadChange<Change>
  #version: number

  /** Begins with what there is: `all`, then `changes`. */
  constructor(member: Pick<JournalMember, 'machine'>, read: ReadChange<Change>) {
    this.member = member
    this.#read = read
    this.#version = member.machine.version()
  }

  /** Up to which version it was read. */
  get version(): number {
    return this.#version
  }

  /** All of it, as of now; what comes after is told as changes. */
  all(): Change[] {
    const { records, version } = this.member.machine
    this.#version = version()
    const found: Change[] = []
    for (const { key, version: at, value } of records.all()) this.#add(found, key, at, value)
    return found
  }

  /** Goes on behind another version. */
  from(version: number): void {
    this.#version = version
  }

  /** What changed since, in the order of the journal; undefined: too much, read all of it. */
  changes(): Change[] | undefined {
    const found: Change[] = []
    const { records, version } = this.member.machine
    for (;;) {
      const changes = records.since(this.#version, CHANGES_AT_ONCE, CHANGES_BYTES)
      if (changes === undefined) return undefined
      const last = changes.at(-1)
      if (last === undefined) {
        this.#version = Math.max(this.#version, version())
        return found
      }
      this.#version = last.fence.index
      for (const { key, fence, value } of changes) this.#add(found, key, fence.index, value)
    }
  }

  #add(found: Change[], key: string, version: number, value: unknown): void {
    const change = this.#read(key, version, value)
    if (change !== undefined) found.push(change)
  }
}
