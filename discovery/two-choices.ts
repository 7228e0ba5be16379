/**
 * Which of several agents gets the next piece of work: the less loaded of two random ones.
 *
 * Two choices keep the longest queue near log log n, where one choice gives log n, and unlike "the least loaded of all"
 * they do not send everybody to the same peer when load figures are a little old (M. Mitzenmacher, The Power of Two
 * Choices in Randomized Load Balancing, IEEE TPDS 12(10), 2001). Pure: no state, randomness comes in.
 */

export interface Choosable {
  readonly peer: string
  /** A suspect gets work only when nobody else is left. */
  readonly state: 'alive' | 'suspect'
  /** It does not get on with the work that it has: others come first. */
  readonly isStuck?: boolean | undefined
}

/** A number in [0, 1) from random bytes, of which the first four count. */
export const fraction = (bytes: Uint8Array): number =>
  bytes.subarray(0, 4).reduce((sum, byte) => sum * 256 + byte, 0) / 2 ** 32

const orBusiest = (load: number): number => (Number.isNaN(load) ? Number.POSITIVE_INFINITY : load)

/** Who works, else who is there, else whoever is left. */
const bestOf = <C extends Choosable>(left: readonly C[]): readonly C[] => {
  const well = left.filter(({ state, isStuck }) => state === 'alive' && isStuck !== true)
  if (well.length > 0) return well
  const alive = left.filter(({ state }) => state === 'alive')
  return alive.length > 0 ? alive : left
}

/**
 * @param load how busy a peer is, in any unit; what is not a number counts as the busiest
 * @param random gives numbers in [0, 1)
 * @param exclude peers that were tried already
 * @returns undefined when nobody is left
 */
export const pick = <C extends Choosable>(
  candidates: readonly C[],
  load: (peer: string) => number,
  random: () => number,
  exclude: ReadonlySet<string> = new Set(),
): C | undefined => {
  const left = exclude.size === 0 ? candidates : candidates.filter(({ peer }) => !exclude.has(peer))
  const eligible = bestOf(left)
  const first = Math.floor(random() * eligible.length)
  // Drawn from one place less and moved past the first, so that the two always differ.
  const other = Math.floor(random() * (eligible.length - 1))
  const second = other < first ? other : other + 1
  const a = eligible[first]
  const b = eligible[second]
  if (a === undefined || b === undefined) return a
  return orBusiest(load(b.peer)) < orBusiest(load(a.peer)) ? b : a
}
