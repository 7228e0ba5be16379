/** What the supervisor dials, what a join source stands for, and what came of it. Pure. */
import type { Connection } from '@libp2p/interface'
import { STAGGER_MS } from './happy-eyeballs.ts'

export interface DialTarget {
  /** Join address; undefined for a peer that the directory named. */
  address: string | undefined
  source: JoinSource | undefined
  peer: string | undefined
  failures: number
  nextAt: number
  dialling: Promise<Connection> | undefined
  lastError: Error | undefined
  /** Kept, since the directory forgets who is gone. */
  addresses: string[]
  /** Not needed any more once its name has led into the mesh: it may then wait until here for its first dial. */
  spreadAt: number
}

/** One entry of `join`: an address, or a name and what it stands for now. */
export interface JoinSource {
  readonly text: string
  targets: DialTarget[]
  /** Of the last question, where that was the last to fail. */
  unresolved: Error | undefined
}

/**
 * Of the addresses that a name brings, so many are dialled at once; the others one after the other until one of them has
 * let this node in, and are then spread over the longest backoff.
 */
const FIRST_DIALS = 3

export const peerIn = (address: string): string | undefined => /\/p2p\/([^/]+)$/.exec(address)?.[1]

/** How long a target rests that failed so many times in a row: twice as long each time, with jitter. */
export const backoffMs = (
  failures: number,
  limits: { readonly backoffMinMs: number; readonly backoffMaxMs: number; chance(): number },
): number => {
  const top = Math.min(limits.backoffMaxMs, limits.backoffMinMs * 2 ** Math.min(failures, 16))
  return top / 2 + (top / 2) * limits.chance()
}

export const joinSource = (text: string): JoinSource => ({ text, targets: [], unresolved: undefined })

/** @param nextAt when it is dialled, in milliseconds of the monotonic clock */
export const dialTarget = (
  peer: string | undefined,
  nextAt: number,
  source?: JoinSource,
  address?: string,
): DialTarget => ({
  address,
  source,
  peer,
  failures: 0,
  nextAt,
  dialling: undefined,
  lastError: undefined,
  addresses: address === undefined ? [] : [address],
  spreadAt: nextAt,
})

/**
 * Makes targets of what a name stands for now; those that it stood for before stay as they are, and all others go.
 * @param withinMs milliseconds over which first dials that nobody waits for are spread
 */
export const resolveSource = (
  source: JoinSource,
  addresses: readonly string[],
  { nowMs, withinMs, chance }: { nowMs: number; withinMs: number; chance(): number },
): void => {
  const known = new Map(source.targets.map((target) => [target.address, target]))
  let fresh = 0
  source.targets = addresses.map((address) => {
    const kept = known.get(address)
    if (kept !== undefined) return kept
    fresh += 1
    if (fresh <= FIRST_DIALS) return dialTarget(undefined, nowMs, source, address)
    const spreadAt = nowMs + withinMs * chance()
    const nextAt = Math.min(spreadAt, nowMs + (fresh - FIRST_DIALS) * STAGGER_MS)
    return { ...dialTarget(undefined, nextAt, source, address), spreadAt }
  })
}

/** What each said at last, a sentence each. @param self leaves out those that lead to this node itself */
export const joinProblemsOf = (sources: readonly JoinSource[], self: string): string[] =>
  sources.flatMap(({ text, targets, unresolved }) => {
    if (unresolved !== undefined) return [`${text}: ${unresolved.message}`]
    const others = targets.filter(({ peer }) => peer !== self)
    return others.map(({ address = text, lastError }) => `${address}: ${lastError?.message ?? 'no answer yet'}`)
  })
