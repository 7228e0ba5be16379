/**
 * Programs that use a journal all the time, one on each node: records with keys of their own, and a counter that all of
 * them raise by compare-and-set. What each was told is kept, to be compared with what is there.
 *
 * State: the writes and the history of the counter, by the clock of the test alone.
 */
import assert from 'node:assert/strict'
import { setTimeout } from 'node:timers/promises'
import type { JournalPeer } from './journal-peers.ts'
import { checkLinearizable, type Operation } from './linearizability.ts'
import { type RecordInput, type RecordOutput, recordModel } from './linearizability-models.ts'
import { explainHistory } from './linearizability-text.ts'
import { RemoteFailure } from './processes.ts'

export const COUNTER = 'counter'
const WRITES = 'write/'
/** Between two rounds of one program. */
const PACE_MS = 250

export interface Write {
  readonly node: string
  readonly key: string
  readonly callAt: number
  readonly endAt: number
  /** `refused`: it was told that nothing was decided. `unknown`: that nobody knows. */
  readonly outcome: 'acknowledged' | 'refused' | 'unknown'
  /** Of one that was acknowledged. */
  readonly version: number
  readonly term: number
  /** Code and reason otherwise. */
  readonly why: string
}

export interface Load {
  readonly writes: readonly Write[]
  readonly counter: readonly Operation<RecordInput, RecordOutput>[]
  /** Resolves once nothing is asked any more. @throws what a program failed with, if that is no answer of the journal */
  pause(): Promise<void>
  resume(): void
}

/** What an error of the journal tells of its decision, as its documentation says. */
const outcomeOf = (error: unknown): { outcome: 'refused' | 'unknown'; why: string; details: object } => {
  if (!(error instanceof RemoteFailure) || error.code === undefined) throw error
  const details = typeof error.details === 'object' && error.details !== null ? error.details : {}
  const reason = String(Reflect.get(details, 'reason') ?? '')
  return { outcome: reason === 'unknown' ? 'unknown' : 'refused', why: `${error.code} ${reason}`.trim(), details }
}

export const startLoad = (peers: readonly JournalPeer[], timeoutMs: number): Load => {
  const writes: Write[] = []
  const counter: Operation<RecordInput, RecordOutput>[] = []
  let serial = 0
  let pausing = new AbortController()
  let running: Promise<void>[] = []

  const write = async (peer: JournalPeer): Promise<void> => {
    serial += 1
    const key = `${WRITES}${peer.name}/${serial}`
    const callAt = performance.now()
    const end = (told: Pick<Write, 'outcome' | 'version' | 'term' | 'why'>): void =>
      void writes.push({ node: peer.name, key, callAt, endAt: performance.now(), ...told })
    try {
      end({ outcome: 'acknowledged', why: '', ...(await peer.ask('put', { key, value: key, timeoutMs })) })
    } catch (error) {
      end({ ...outcomeOf(error), version: 0, term: 0 })
    }
  }

  const raise = async (peer: JournalPeer): Promise<void> => {
    const process = peer.name
    const readAt = performance.now()
    const found = await peer.ask('get', { key: COUNTER, timeoutMs }).catch((error: unknown) => {
      outcomeOf(error)
      return null
    })
    if (found === null) return
    const { value = '0', version = 0 } = found ?? {}
    const output: RecordOutput =
      found === undefined ? { type: 'absent' } : { type: 'found', value: String(value), version }
    counter.push({ process, input: { key: COUNTER, type: 'get' }, output, callAt: readAt, returnAt: performance.now() })

    serial += 1
    const next = `${Number.parseInt(String(value), 10) + 1} ${serial}`
    const input: RecordInput = { key: COUNTER, type: 'put', value: next, ifVersion: version }
    const callAt = performance.now()
    const end = (told: RecordOutput | undefined): void =>
      void counter.push({ process, input, output: told, callAt, returnAt: told && performance.now() })
    try {
      const done = await peer.ask('put', { key: COUNTER, value: next, ifVersion: version, timeoutMs })
      end({ type: 'written', version: done.version })
    } catch (error) {
      const { outcome, why, details } = outcomeOf(error)
      if (why === 'STA003 version') end({ type: 'conflict', version: Number(Reflect.get(details, 'version')) })
      // One that was refused has no part in the history: its value must never be found.
      else if (outcome === 'unknown') end(undefined)
    }
  }

  const run = async (peer: JournalPeer, signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      await write(peer)
      await raise(peer)
      await setTimeout(PACE_MS, undefined, { signal }).catch(() => {})
    }
  }
  const resume = (): void => {
    pausing = new AbortController()
    running = peers.map((peer) => run(peer, pausing.signal))
    for (const one of running) one.catch(() => {})
  }
  resume()

  return {
    writes,
    counter,
    resume,
    async pause() {
      pausing.abort()
      await Promise.all(running)
    },
  }
}

/** What was acknowledged is there once, what was refused is not, and nothing else is but what nobody knows of. */
export const checkWrites = async (writes: readonly Write[], peer: JournalPeer): Promise<void> => {
  const records = await peer.ask('list', { prefix: WRITES, consistency: 'local' })
  const found = new Map(records.map((record) => [record.key, record]))
  for (const { key, outcome, version, term, why } of writes) {
    const record = found.get(key)
    found.delete(key)
    if (outcome === 'acknowledged') {
      assert.ok(record !== undefined, `${key} was acknowledged at ${version} in term ${term} and is lost`)
      // Applied again it would have a higher version.
      assert.deepEqual([record.version, record.term, record.value], [version, term, key], `${key} is as acknowledged`)
    } else if (outcome === 'refused') assert.equal(record, undefined, `${key} was refused (${why}) and is there`)
  }
  assert.deepEqual([...found.keys()], [], 'nothing is there that nobody wrote')
  const acknowledged = writes.filter(({ outcome }) => outcome === 'acknowledged')
  const inOrder = acknowledged.toSorted((a, b) => a.version - b.version)
  for (const [i, { version, term }] of inOrder.entries()) {
    const before = inOrder[i - 1] ?? { version: 0, term: 0 }
    assert.ok(version > before.version && term >= before.term, `fences rise: ${before.version} ${version}`)
  }
}

/** One object could have answered so; and as many raises were done as the counter says. */
export const checkCounter = (history: readonly Operation<RecordInput, RecordOutput>[], last: string): void => {
  const verdict = checkLinearizable(recordModel, history)
  if (verdict.verdict === 'not') assert.fail(explainHistory(recordModel, verdict))
  assert.equal(verdict.verdict, 'linearizable', `${verdict.steps} steps did not decide it`)
  const raises = history.filter(({ input }) => input.type === 'put')
  const done = raises.filter(({ output }) => output?.type === 'written').length
  const open = raises.filter(({ output }) => output === undefined).length
  const count = Number.parseInt(last, 10)
  assert.ok(count >= done && count <= done + open, `${count} raises; ${done} were acknowledged, ${open} are unknown`)
}
