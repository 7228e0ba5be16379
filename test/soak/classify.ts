/**
 * Which failures were to be expected, from what the soak itself did to the peers. Pure.
 *
 * Callers report what failed; whoever kills, stops and cuts keeps this ledger. A failure counts as expected only where
 * the call touched a peer that was taken away, and its code says that. All times are of the shared clock (clock.ts).
 * State: departures and cuts of the last minutes, bounded.
 */
import type { CallKind } from './mix.ts'

export interface Failure {
  /** Peer ids. `target` is undefined for a call that the mesh addressed (any). */
  readonly caller: string
  readonly target: string | undefined
  /** Names of both, for people. */
  readonly between: string
  readonly kind: CallKind
  readonly code: string
  readonly message: string
  /** The request may have reached a handler. */
  readonly sent: boolean
  readonly startedAt: number
  readonly endedAt: number
}

export type Class = 'left' | 'killed' | 'cut' | 'unexpected'

/** Its connections come back within this; longer is a fault. */
export const RECOVERY_MS = 3_000
/** Nobody may still be told of a peer this long after it went. */
export const FORGOTTEN_MS = 15_000
/** Calls may notice before whoever did it has noted the time. */
const EARLY_MS = 100
const REMEMBERED = 2_000

export interface Ledger {
  left(peer: string, at: number): void
  killed(peer: string, at: number): void
  /** All connections that others dialled to this peer were cut. */
  cut(peer: string, at: number): void
  classify(failure: Failure): Class
  /** Milliseconds from the last cut at either end to the failure; undefined: there was none. */
  sinceCutMs(failure: Failure): number | undefined
}

export const createLedger = (): Ledger => {
  const gone = new Map<string, { at: number; how: 'left' | 'killed' }>()
  let cuts: { peer: string; at: number }[] = []

  const depart = (peer: string, at: number, how: 'left' | 'killed'): void => {
    gone.set(peer, { at, how })
    const [oldest] = gone.keys()
    if (gone.size > REMEMBERED && oldest !== undefined) gone.delete(oldest)
  }

  /** What was done to this peer while the call ran, or shortly before. */
  const touched = (peer: string, { startedAt, endedAt }: Failure): Exclude<Class, 'unexpected'> | undefined => {
    const departure = gone.get(peer)
    if (departure !== undefined && departure.at <= endedAt + EARLY_MS && startedAt <= departure.at + FORGOTTEN_MS) {
      return departure.how
    }
    const overlaps = cuts.some(
      (cut) => cut.peer === peer && cut.at <= endedAt + EARLY_MS && startedAt <= cut.at + RECOVERY_MS,
    )
    return overlaps ? 'cut' : undefined
  }

  return {
    left: (peer, at) => depart(peer, at, 'left'),
    killed: (peer, at) => depart(peer, at, 'killed'),
    cut(peer, at) {
      cuts.push({ peer, at })
      if (cuts.length > REMEMBERED) cuts = cuts.slice(-REMEMBERED / 2)
    },
    sinceCutMs({ caller, target, endedAt }) {
      const last = cuts.findLast(({ peer }) => peer === caller || peer === target)
      return last === undefined ? undefined : endedAt - last.at
    },
    classify(failure) {
      // Nothing but a lost connection follows from a peer that is taken away.
      if (failure.code !== 'COM002') return 'unexpected'
      if (failure.target !== undefined) {
        return touched(failure.target, failure) ?? touched(failure.caller, failure) ?? 'unexpected'
      }
      // The mesh had others to ask; only what may have been done already must not be done again.
      if (failure.kind !== 'once-any' || !failure.sent) return touched(failure.caller, failure) ?? 'unexpected'
      const anyone = [...gone.keys(), ...cuts.map(({ peer }) => peer)]
      for (const peer of anyone) {
        const how = touched(peer, failure)
        if (how !== undefined) return how
      }
      return 'unexpected'
    },
  }
}
