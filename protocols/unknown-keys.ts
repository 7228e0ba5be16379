/** Names that nobody knows: refused, with the one that was most likely meant. Pure. */
import { ParleyError } from './errors.ts'

/** Optimal string alignment distance: insertions, deletions, replacements and swaps of neighbours, each one step. */
const distance = (a: string, b: string): number => {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, at) => at)
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1]
      let steps = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        steps = Math.min(steps, (beforeLast[j - 2] ?? 0) + 1)
      }
      row.push(steps)
    }
    beforeLast = last
    last = row
  }
  return last[b.length] ?? 0
}

/** Longer than any option's name; comparing costs the product of both lengths. */
const MAX_LENGTH = 64

/** The closest of `known`, compared without case; undefined where more than a third of the letters differ. */
export const nearestName = (name: string, known: readonly string[]): string | undefined => {
  if (name.length > MAX_LENGTH) return undefined
  const ranked = known
    .map((candidate) => ({ candidate, steps: distance(name.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ candidate, steps }) => steps <= Math.max(name.length, candidate.length) / 3)
    .sort((a, b) => a.steps - b.steps)
  return ranked[0]?.candidate
}

/** The keys of a type, all of them: the compiler says where one is missing. */
export const keysOf = <T>(keys: { readonly [K in keyof Required<T>]: true }): ReadonlySet<string> =>
  new Set(Object.keys(keys))

const refuseKey = (key: string, known: ReadonlySet<string>, what: string): never => {
  const meant = nearestName(key, [...known])
  throw new ParleyError('MSG001', `${what}: ${JSON.stringify(key.slice(0, MAX_LENGTH))} is unknown`, {
    hint: meant === undefined ? `known are ${[...known].join(', ')}` : `did you mean ${meant}?`,
    details: { key: key.slice(0, MAX_LENGTH), ...(meant !== undefined && { meant }) },
  })
}

/**
 * Refuses options with a key that nobody knows: one that is mistyped would have no effect. A look into a set for each key,
 * since it is done for each call.
 * @param what whose keys they are, as it stands in the error: `the options of a call`
 * @throws MSG001 with the name that was most likely meant; for what is no object
 */
export const checkKeys = (given: object, known: ReadonlySet<string>, what: string): void => {
  if (typeof given !== 'object' || given === null)
    throw new ParleyError('MSG001', `${what}: ${given === null ? 'null' : typeof given} was given`, {
      hint: `give an object with some of ${[...known].join(', ')}`,
    })
  for (const key in given) if (!known.has(key) && Object.hasOwn(given, key)) refuseKey(key, known, what)
}
