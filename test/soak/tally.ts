/**
 * What the run came to so far: joins, leaves, failures by class; the first unexpected ones by name.
 *
 * A failure is judged a moment after it was told, since what explains it may come from another process. State: counts,
 * failures that wait to be judged, the first unexpected ones; all bounded.
 */
import { type Class, createLedger, type Failure } from './classify.ts'
import type { LoadCounts } from './load.ts'
import type { Note } from './messages.ts'

const JUDGED_AFTER_MS = 1_000
const MAX_WAITING = 10_000
const NAMED = 200

export interface Tally {
  readonly counts: Record<Class, number>
  joins: number
  leaves: number
  /** Calls of nodes that are gone. */
  visitorCalls: number
  /** The first unexpected failures, as text. */
  readonly named: readonly string[]
  hear(note: Note): void
  killed(peer: string, at: number): void
  cut(peer: string, at: number): void
  wrong(what: string): void
  /** Judges what is old enough, or all. */
  settle(now: number, all?: boolean): void
}

export const callsIn = (counts: LoadCounts): number =>
  counts.answered + counts.cancelled + counts['timed-out'] + counts.failed

const describe = ({ kind, code, message, between, sent, startedAt, endedAt }: Failure, sinceCutMs?: number): string => {
  const ms = Math.round(endedAt - startedAt)
  const cut = sinceCutMs === undefined ? '' : `; ${Math.round(sinceCutMs)} ms after a cut at either end`
  return `${kind} of ${between} failed after ${ms} ms with ${code}${sent ? ' (sent)' : ''}: ${message}${cut}`
}

/** `say` is told of the first unexpected failures at once. */
export const createTally = (say: (line: string) => void): Tally => {
  const ledger = createLedger()
  const counts: Record<Class, number> = { left: 0, killed: 0, cut: 0, unexpected: 0 }
  const named: string[] = []
  let waiting: Failure[] = []

  const unexpected = (what: string): void => {
    counts.unexpected += 1
    if (named.length >= NAMED) return
    named.push(what)
    say(`unexpected: ${what}`)
  }

  const judge = (failure: Failure): void => {
    const found = ledger.classify(failure)
    if (found === 'unexpected') unexpected(describe(failure, ledger.sinceCutMs(failure)))
    else counts[found] += 1
  }

  const tally: Tally = {
    counts,
    joins: 0,
    leaves: 0,
    visitorCalls: 0,
    named,
    hear(note) {
      if (note.type === 'failure') {
        if (waiting.length < MAX_WAITING) waiting.push(note.failure)
        else unexpected(`more than ${MAX_WAITING} failures at a time; ${describe(note.failure)}`)
      } else if (note.type === 'wrong') unexpected(note.what)
      else if (note.type === 'joined') tally.joins += 1
      else if (note.type === 'leaving') ledger.left(note.peer, note.at)
      else {
        tally.leaves += 1
        tally.visitorCalls += callsIn(note.counts)
      }
    },
    killed(peer, at) {
      ledger.killed(peer, at)
      tally.leaves += 1
    },
    cut: ledger.cut,
    wrong: unexpected,
    settle(now, all = false) {
      const later: Failure[] = []
      for (const failure of waiting) {
        if (all || failure.endedAt + JUDGED_AFTER_MS <= now) judge(failure)
        else later.push(failure)
      }
      waiting = later
    },
  }
  return tally
}
