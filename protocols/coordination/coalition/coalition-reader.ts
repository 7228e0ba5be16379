/** Coalitions as any node reads them from the journal, for programs and people. Keeps no state. */
import { ParleyError, stateError } from '../../errors.ts'
import type { Journal } from '../../journal/client/journal-client.ts'
import type { TableData } from '../../part.ts'
import type { Port } from '../../port.ts'
import { limitedWait } from '../../task/client/wait-limit.ts'
import type { CoalitionStatus, CoalitionWaitOptions } from './coalition-api.ts'
import { COALITION_PREFIX, type CoalitionRecord, coalitionKey, readCoalition } from './coalition-record.ts'

const READ_MS = 10_000
/** A table is for somebody who looks at it. */
const SHOW_MS = 2_000

const statusOf = (id: string, record: CoalitionRecord): CoalitionStatus => {
  const { goal, owner, leader, members, state, reason, until, madeAt, changedAt } = record
  return { id, goal, owner, leader, members, state, reason, until, madeAt, changedAt }
}

const notFound = (id: string): ParleyError =>
  new ParleyError('STA001', `there is no coalition ${id}`, {
    hint: 'it was never proposed, or was dissolved a while ago',
    details: { coalition: id },
  })

const notRead = (): ParleyError =>
  new ParleyError('COM001', 'coalitions were not read in time', { hint: 'is there a node that coordinates?' })

const notFormed = (id: string, why: string): ParleyError =>
  stateError('not-formed', `the coalition ${id} was not formed: ${why}`, 'propose another one, of other agents', {
    ...{ coalition: id, why },
  })

/** @returns undefined while it is forming @throws STA003 `not-formed`, STA001 */
const settledStatus = (id: string, value: unknown): CoalitionStatus | undefined => {
  const record = readCoalition(value)
  if (record === undefined) throw notFound(id)
  if (record.state === 'active') return statusOf(id, record)
  if (record.state === 'dissolved') throw notFormed(id, record.reason ?? 'it was dissolved')
  return undefined
}

export class CoalitionReader {
  readonly #journal: Pick<Journal, 'get' | 'list' | 'watch'>
  readonly #port: Pick<Port, 'timers'>
  /** Ends all that waits. */
  readonly #end: AbortSignal

  constructor(journal: Pick<Journal, 'get' | 'list' | 'watch'>, port: Pick<Port, 'timers'>, end: AbortSignal) {
    this.#journal = journal
    this.#port = port
    this.#end = end
  }

  /** @throws STA001, COM001 */
  get(id: string, options: CoalitionWaitOptions = {}): Promise<CoalitionStatus> {
    return this.within({ timeoutMs: READ_MS, ...options }, notRead, async (signal) => {
      const record = readCoalition((await this.#journal.get(coalitionKey(id), { signal }))?.value)
      if (record === undefined) throw notFound(id)
      return statusOf(id, record)
    })
  }

  /** @throws COM001 */
  list(options: CoalitionWaitOptions = {}): Promise<CoalitionStatus[]> {
    return this.within({ timeoutMs: READ_MS, ...options }, notRead, async (signal) => {
      const { records } = await this.#journal.list(COALITION_PREFIX, { signal })
      return records.flatMap(({ key, value }) => {
        const record = readCoalition(value)
        return record === undefined ? [] : [statusOf(key.slice(COALITION_PREFIX.length), record)]
      })
    })
  }

  async table(): Promise<TableData> {
    const all = await this.list({ timeoutMs: SHOW_MS })
    return {
      columns: ['coalition', 'state', 'goal', 'leader', 'members', 'joined', 'until', 'reason'],
      rows: all.map(({ id, state, goal, leader, members, until, reason }) => [
        ...[id, state, goal.slice(0, 80), leader, members.length, members.filter(({ accepted }) => accepted).length],
        ...[new Date(until).toISOString(), reason ?? ''],
      ]),
    }
  }

  /** Once it is active. @throws STA003 `not-formed`, STA001, the signal's reason */
  async formed(id: string, signal: AbortSignal): Promise<CoalitionStatus> {
    const key = coalitionKey(id)
    const first = await this.#journal.get(key, { signal })
    const settled = settledStatus(id, first?.value)
    if (settled !== undefined) return settled
    for await (const news of this.#journal.watch({ prefix: key, from: first?.version ?? 0, signal })) {
      // Others may begin with the same letters.
      if (news.type === 'change' && news.key !== key) continue
      const value = news.type === 'change' ? news.value : news.records.find((one) => one.key === key)?.value
      const status = settledStatus(id, value)
      if (status !== undefined) return status
    }
    signal.throwIfAborted()
    throw notRead()
  }

  /** @param late what it ends with where the time is over first */
  async within<T>(
    options: CoalitionWaitOptions,
    late: () => Error,
    run: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const { signal, stop } = limitedWait(this.#port, options, late)
    try {
      return await run(AbortSignal.any([this.#end, ...(signal === undefined ? [] : [signal])]))
    } finally {
      stop()
    }
  }
}
