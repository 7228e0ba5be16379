/**
 * Whom a node keeps a connection to.
 *
 * Up to `fullMesh` others, all of them. In a larger mesh each node picks a few: the next one on the ring of ids, so that
 * nobody is left out, and those that a hash of both ids puts first, so that everyone is picked equally often and a
 * newcomer changes little (rendezvous hashing: Thaler and Ravishankar, IEEE/ACM TON 6(1), 1998). Random graphs of three
 * or more picks each are connected and few hops wide; everybody else is dialled when called. Pure but for its table.
 */
import type { Port } from '../protocols/port.ts'

/** In a mesh that is too large for all. The picks of others come on top: twice as many connections on average. */
const MOST_PICKS = 8
const LEAST_PICKS = 3
/** Of the limit: with the picks of others most nodes stay below it. */
const SHARE = 3 / 8
/** A mesh that shrinks below this share of `fullMesh` is full again; between the two it stays as it is. */
const FULL_AGAIN = 0.75

export interface Overlay {
  /** A peer that can be dialled. @returns whether that is news */
  add(peer: string): boolean
  delete(peer: string): void
  has(peer: string): boolean
  /** There are too many peers to be connected to all. */
  sparse(): boolean
  picks(): ReadonlySet<string>
}

/** @param fullMesh others up to which everyone is picked */
export const createOverlay = (port: { self: string; hash: Port['hash'] }, fullMesh: number): Overlay => {
  const { self } = port
  /** With a number that is as good as random, and the same each time. */
  const known = new Map<string, number>()
  const count = Math.max(LEAST_PICKS, Math.min(MOST_PICKS, Math.ceil(fullMesh * SHARE)))
  let isSparse = false
  let picks: Set<string> | undefined

  const scoreOf = (peer: string): number => {
    const digest = port.hash(new TextEncoder().encode(`${self} ${peer}`))
    return digest.subarray(0, 6).reduce((sum, byte) => sum * 256 + byte, 0)
  }

  const changed = (): void => {
    picks = undefined
    if (known.size > fullMesh) isSparse = true
    else if (known.size <= fullMesh * FULL_AGAIN) isSparse = false
  }

  const next = (): string[] => {
    let after: string | undefined
    let least: string | undefined
    for (const peer of known.keys()) {
      if (peer > self && (after === undefined || peer < after)) after = peer
      if (least === undefined || peer < least) least = peer
    }
    const found = after ?? least
    return found === undefined ? [] : [found]
  }

  const choose = (): Set<string> => {
    if (!isSparse) return new Set(known.keys())
    const ranked = [...known].sort(([, a], [, b]) => a - b).map(([peer]) => peer)
    const chosen = new Set(next())
    for (const peer of ranked) {
      if (chosen.size >= count) break
      chosen.add(peer)
    }
    return chosen
  }

  return {
    add(peer) {
      if (peer === self || known.has(peer)) return false
      known.set(peer, scoreOf(peer))
      changed()
      return true
    },
    delete(peer) {
      if (known.delete(peer)) changed()
    },
    has: (peer) => known.has(peer),
    sparse: () => isSparse,
    picks() {
      picks ??= choose()
      return picks
    },
  }
}
