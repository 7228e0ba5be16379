/** What the supervisor dials, what a join source stands for, and what came of it. Pure. */
import type { Connection } from '@libp2p/interface'
import { STAGGER_MS } from './race.ts'

export interface Target {
  /** Join address; undefined for a peer that the directory named. */
  address: string | undefined
  source: Source | undefined
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
export interface Source {
  readonly text: string
  targets: Target[]
  /** Of the last question, where that was the last to fail. */
  unresolved: Error | undefined
}

/**
 * Of the addresses that a name brings, so many are dialled at once; the others one after the other until one of them has
 * let this node in, and are then spread over the longest backoff.
 */
const FIRST_DIALS = 3

export const peerIn = (address: string): string | undefined => /\/p2p\/([^/]+)$/.exec(address)?.[1]

export const sourceOf = (text: string): Source => ({ text, targets: [], unresolved: undefined })

/** @param nextAt when it is dialled, in milliseconds of the monotonic clock */
export const targetAt = (peer: string | undefined, nextAt: number, source?: Source, address?: string): Target => ({
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
export const resolveTo = (
  source: Source,
  addresses: readonly string[],
  { nowMs, withinMs, chance }: { nowMs: number; withinMs: number; chance(): number },
): void => {
  const known = new Map(source.targets.map((target) => [target.address, target]))
  let fresh = 0
  source.targets = addresses.map((address) => {
    const kept = known.get(address)
    if (kept !== undefined) return kept
    fresh += 1
    if (fresh <= FIRST_DIALS) return targetAt(undefined, nowMs, source, address)
    const spreadAt = nowMs + withinMs * chance()
    const nextAt = Math.min(spreadAt, nowMs + (fresh - FIRST_DIALS) * STAGGER_MS)
    return { ...targetAt(undefined, nextAt, source, address), spreadAt }
  })
}

/** What each said at last, a sentence each. @param self leaves out those that lead to this node itself */
export const problemsOf = (sources: readonly Source[], self: string): string[] =>
  sources.flatMap(({ text, targets, unresolved }) => {
    if (unresolved !== undefined) return [`${text}: ${unresolved.message}`]
    const others = targets.filter(({ peer }) => peer !== self)
    return others.map(({ address = text, lastError }) => `${address}: ${lastError?.message ?? 'no answer yet'}`)
  })
