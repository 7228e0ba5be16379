/**
 * Who is connected to whom: everyone to everyone up to the node's limit, above it what the overlay picks. A cheap hash in
 * the place of SHA-256: a thousand nodes rank a thousand others each.
 */
import { createOverlay } from '../../../discovery/overlay.ts'

export const FULL_MESH = 64

/** FNV-1a with the finalizer of MurmurHash3, twice, as eight bytes. */
const hash = (bytes: Uint8Array): Uint8Array => {
  const mix = (from: number): number => {
    let h = from >>> 0
    for (const byte of bytes) h = Math.imul(h ^ byte, 0x01000193)
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
    return (h ^ (h >>> 16)) >>> 0
  }
  const out = new DataView(new ArrayBuffer(8))
  out.setUint32(0, mix(0x811c9dc5))
  out.setUint32(4, mix(0x9e3779b9))
  return new Uint8Array(out.buffer)
}

/** Whom `self` picks among these. */
export const picksOf = (self: string, ids: readonly string[]): ReadonlySet<string> => {
  const overlay = createOverlay({ self, hash }, FULL_MESH)
  for (const id of ids) overlay.add(id)
  return overlay.picks()
}

/** Each pair once. */
export const edgesOf = (ids: readonly string[]): [string, string][] => {
  const edges = new Map<string, [string, string]>()
  for (const self of ids) {
    for (const other of picksOf(self, ids)) {
      const [low, high] = self < other ? [self, other] : [other, self]
      edges.set(`${low} ${high}`, [low, high])
    }
  }
  return [...edges.values()]
}
