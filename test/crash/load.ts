/**
 * Programs that use the journal all the time, from the driver's node, which has no seat: records with keys of their own, a
 * command that must be applied once, a counter that several raise by compare-and-set, and reads of it through the nodes.
 * What each was told is kept, to be compared with what is there.
 *
 * State: the decisions and the history of the counter, by the clock of the driver alone.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { Mesh } from '../../node/index.ts'
import { isParleyError } from '../../protocols/errors.ts'
import type { Operation } from '../support/linearizability.ts'
import type { RecordInput, RecordOutput } from '../support/linearizability-models.ts'
import { COUNTER, NOTES, noteCommand, WRITES } from './commands.ts'

/** Programs of each kind. */
const LANES = 2
const TIMEOUT_MS = 30_000

export interface Decision {
  readonly kind: 'write' | 'note'
  readonly key: string
  readonly callAt: number
  readonly endAt: number
  /** `refused`: it was told that nothing was decided. `unknown`: that nobody knows. */
  readonly outcome: 'acknowledged' | 'refused' | 'unknown'
  /** Of one that was acknowledged. */
  readonly version: number
  readonly term: number
  /** How often it was applied by then, as it was told; 1 of a record. */
  readonly times: number
  /** Code and reason otherwise. */
  readonly why: string
}

export type Found = { readonly value: string; readonly version: number } | 'absent'
export type History = readonly Operation<RecordInput, RecordOutput>[]

export interface Load {
  readonly decisions: readonly Decision[]
  readonly history: History
  /** What went wrong and is no answer of the journal. */
  readonly trouble: readonly string[]
  /** Highest version that was told. */
  version(): number
  /** Decides something now, beside what runs. @returns milliseconds; what it was told is kept too. @throws where it is not acknowledged */
  probe(): Promise<number>
  /** A read of the counter that somebody else did. */
  noteRead(process: string, found: Found, callAt: number): void
  /** Resolves once nothing is asked any more. */
  pause(): Promise<void>
  resume(): void
}

export interface LoadDeps {
  readonly mesh: Mesh
  /** Reads the counter through one of the nodes; undefined where that one did not answer. */
  readThrough(): Promise<{ name: string; found: Found } | undefined>
  /** Milliseconds between two questions of one program. */
  readonly paceMs: number
}

type Told = Pick<Decision, 'outcome' | 'version' | 'term' | 'times' | 'why'>

const outputOf = (found: Found): RecordOutput =>
  found === 'absent' ? { type: 'absent' } : { type: 'found', value: found.value, version: found.version }

export const startLoad = ({ mesh, readThrough, paceMs }: LoadDeps): Load => {
  const decisions: Decision[] = []
  const history: Operation<RecordInput, RecordOutput>[] = []
  const trouble: string[] = []
  let serial = 0
  let version = 0
  let pausing = new AbortController()
  let running: Promise<unknown> = Promise.resolve()

  const next = (): number => {
    serial += 1
    return serial
  }

  /** What an error of the journal tells of its decision, as its documentation says. */
  const outcomeOf = (error: unknown): Told & { readonly details: object } => {
    const nothing = { version: 0, term: 0, times: 0 }
    if (!isParleyError(error)) {
      trouble.push(error instanceof Error ? (error.stack ?? error.message) : String(error))
      return { ...nothing, outcome: 'unknown', why: 'not of the journal', details: {} }
    }
    const reason = String(error.details.reason ?? '')
    const outcome = reason === 'unknown' ? 'unknown' : 'refused'
    return { ...nothing, outcome, why: `${error.code} ${reason}`.trim(), details: error.details }
  }

  const decide = async (kind: Decision['kind']): Promise<Decision> => {
    const id = String(next())
    const key = kind === 'write' ? `${WRITES}${id}` : `${NOTES}${id}`
    const callAt = performance.now()
    const ask = async (): Promise<Told> => {
      const options = { timeoutMs: TIMEOUT_MS }
      if (kind === 'write') {
        const done = await mesh.journal.put(key, key, options)
        return { outcome: 'acknowledged', version: done.version, term: done.fence.term, times: 1, why: '' }
      }
      const { result, fence } = await mesh.journal.submit(noteCommand, { id }, options)
      return { outcome: 'acknowledged', version: fence.index, term: fence.term, times: result.times, why: '' }
    }
    const { outcome, version: at, term, times, why } = await ask().catch(outcomeOf)
    version = Math.max(version, at)
    const decision = { kind, key, callAt, endAt: performance.now(), outcome, version: at, term, times, why }
    decisions.push(decision)
    return decision
  }

  const noteRead = (process: string, found: Found, callAt: number): void => {
    const input: RecordInput = { key: COUNTER, type: 'get' }
    history.push({ process, input, output: outputOf(found), callAt, returnAt: performance.now() })
  }

  const read = async (process: string): Promise<Found | undefined> => {
    const callAt = performance.now()
    try {
      const record = await mesh.journal.get(COUNTER, { timeoutMs: TIMEOUT_MS })
      const found = record === undefined ? 'absent' : { value: String(record.value), version: record.version }
      noteRead(process, found, callAt)
      return found
    } catch (error) {
      outcomeOf(error)
      return undefined
    }
  }

  const raise = async (process: string): Promise<void> => {
    const found = await read(process)
    if (found === undefined) return
    const { value: before, version: ifVersion } = found === 'absent' ? { value: '0', version: 0 } : found
    const value = `${Number.parseInt(before, 10) + 1} ${next()}`
    const input: RecordInput = { key: COUNTER, type: 'put', value, ifVersion }
    const callAt = performance.now()
    const end = (output: RecordOutput | undefined): void =>
      void history.push({ process, input, output, callAt, returnAt: output && performance.now() })
    try {
      const done = await mesh.journal.put(COUNTER, value, { ifVersion, timeoutMs: TIMEOUT_MS })
      version = Math.max(version, done.version)
      end({ type: 'written', version: done.version })
    } catch (error) {
      const { outcome, why, details } = outcomeOf(error)
      if (why === 'STA003 version') end({ type: 'conflict', version: Number(Reflect.get(details, 'version')) })
      // One that was refused has no part in the history: its value must never be found.
      else if (outcome === 'unknown') end(undefined)
    }
  }

  const look = async (): Promise<void> => {
    const callAt = performance.now()
    const seen = await readThrough()
    if (seen !== undefined) noteRead(seen.name, seen.found, callAt)
  }

  const run = async (step: () => Promise<unknown>, signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      await step()
      await delay(paceMs, undefined, { signal }).catch(() => {})
    }
  }
  const resume = (): void => {
    pausing = new AbortController()
    const lanes = Array.from({ length: LANES }, (_, i) => [
      () => decide('write'),
      () => decide('note'),
      () => raise(`raiser ${i}`),
    ]).flat()
    running = Promise.all([...lanes, look].map((step) => run(step, pausing.signal)))
  }

  return {
    decisions,
    history,
    trouble,
    version: () => version,
    async probe() {
      const { outcome, why, callAt, endAt } = await decide('note')
      if (outcome !== 'acknowledged') throw new Error(`nothing could be decided: ${outcome} ${why}`)
      return endAt - callAt
    },
    noteRead,
    resume,
    async pause() {
      pausing.abort()
      await running
    },
  }
}
