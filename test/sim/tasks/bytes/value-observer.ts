/**
 * What holds of large values of tasks, read from the journal and the stores of the nodes: who is named as a holder has held it; a
 * while after everything healed each value has three holders that are there and have it, and nobody holds anything else.
 * State: where each value is, as the journal was read last; for how long each could not be had.
 */
import type { Json } from '../../../../protocols/journal/state/command-kind.ts'
import type { JournalMachine } from '../../../../protocols/journal/state/journal-machine.ts'
import { COPIES } from '../../../../protocols/task/bytes/holder-requests.ts'
import { readStored, type StoredBytes } from '../../../../protocols/task/bytes/stored-bytes.ts'
import { DONE, type DoneTask, INPUT_ROW, type TaskInput, workOf } from '../../../../protocols/task/task-record.ts'
import { type HeldCopies, type Holder, valueKey } from './held-copies.ts'

const ROWS = 100
const ROWS_BYTES = 1024 * 1024

const storedOf = (values: readonly (Json | undefined)[]): StoredBytes[] =>
  values.flatMap((value) => readStored(value) ?? [])

export class ValueObserver {
  readonly #copies: HeldCopies
  /** Holders of each value, by task. */
  readonly #holders = new Map<string, Map<string, readonly string[]>>()
  /** Milliseconds that a value of a task could not be had: all that hold it had lost it, or were away. */
  readonly #lostMs = new Map<string, number>()
  #lookedAt = 0

  constructor(copies: HeldCopies) {
    this.#copies = copies
  }

  /** @param reachable peers @returns what is wrong */
  async look(
    ids: readonly string[],
    { records: { collections } }: JournalMachine,
    reachable: ReadonlySet<string>,
    nowMs: number,
  ): Promise<string[]> {
    const passedMs = nowMs - this.#lookedAt
    this.#lookedAt = nowMs
    const problems: string[] = []
    for (const id of ids) {
      const rows = await collections.list(workOf(id), '', ROWS, ROWS_BYTES)
      // This part wrote them.
      const done = (await collections.read(DONE, id)) as DoneTask | undefined
      const open = rows.map(({ key, value }) => (key === INPUT_ROW ? (value as unknown as TaskInput).input : value))
      const found = new Map<string, readonly string[]>()
      for (const { hash, holders } of storedOf([...open, done?.input, done?.result])) {
        const key = valueKey({ task: id, hash })
        found.set(key, holders)
        const never = holders.filter((peer) => !this.#copies.hasHeld(peer, key))
        if (never.length > 0) problems.push(`${key} is said to be held by ${never}, which never held it`)
        const isHad = holders.some((peer) => reachable.has(peer) && this.#copies.isWhole(peer, key))
        if (!isHad) this.#lostMs.set(id, this.lostMs(id) + passedMs)
      }
      this.#holders.set(id, found)
    }
    return problems
  }

  lostMs(id: string): number {
    return this.#lostMs.get(id) ?? 0
  }

  /** Nobody who holds a value of it has it now. */
  isLost(id: string): boolean {
    return [...(this.#holders.get(id) ?? [])].some(
      ([key, holders]) => !holders.some((peer) => this.#copies.isWhole(peer, key)),
    )
  }

  /** How many values tasks have. */
  count(): number {
    return [...this.#holders.values()].reduce((sum, { size }) => sum + size, 0)
  }

  /** All that can be had has as many holders as may be, who have it. @param nodes that are there @returns what is wrong */
  wrongHolders(nodes: readonly Holder[]): string[] {
    const there = new Set(nodes.map(({ peer }) => peer))
    const most = Math.min(COPIES, nodes.length)
    const problems: string[] = []
    for (const held of this.#holders.values())
      for (const [key, holders] of held) {
        const removed = holders.filter((peer) => this.#copies.hasRemoved(peer, key))
        if (removed.length > 0) problems.push(`${key} is said to be held by ${removed}, and was removed there`)
        if (!holders.some((peer) => there.has(peer) && this.#copies.isWhole(peer, key))) continue
        const having = holders.filter((peer) => there.has(peer) && this.#copies.of(peer).has(key))
        if (having.length < most) problems.push(`${key} is held by ${having} of ${holders}, and not by ${most}`)
        if (having.length < holders.length && nodes.length >= COPIES)
          problems.push(`${key} is said to be held by ${holders}, and is by ${having}`)
      }
    return problems
  }

  /** @returns what is held that no task refers to */
  needless(nodes: readonly Holder[]): string[] {
    const named = new Set<string>()
    for (const held of this.#holders.values())
      for (const [key, holders] of held) for (const peer of holders) named.add(`${peer} ${key}`)
    return nodes.flatMap(({ name, peer }) =>
      [...this.#copies.of(peer).keys()].flatMap((key) =>
        named.has(`${peer} ${key}`) ? [] : [`${name} still holds ${key}, which no task refers to`],
      ),
    )
  }
}
