/**
 * Equal and nearly equal documents, from what the `links` skill told of each. Pure and deterministic.
 *
 * Equal: the same digest. Nearly equal: an estimated Jaccard similarity of the word shingles of at least 0.8. Not every
 * pair is compared: signatures are cut into 32 bands of 4 rows, and only documents that agree in a whole band meet
 * (locality-sensitive hashing, Leskovec, Rajaraman, Ullman: "Mining of Massive Datasets", section 3.4). A pair at 0.8
 * meets with a probability above 0.9999999, one at 0.3 with 0.23.
 */
import { similarity } from './minhash.ts'

export const MIN_SIMILARITY = 0.8
const BAND_ROWS = 4
/** Documents of one bucket that a further one is compared with. */
export const MAX_BUCKET = 64
export const MAX_COMPARISONS = 5_000_000

export interface Fingerprint {
  path: string
  digest: string
  /** Empty for a document that is too short to compare. */
  signature: readonly number[]
  /** Set where the digest covers the head only: equal heads are not equal documents. */
  truncatedFrom?: number
}

export interface NearGroup {
  /** In order; of documents that are equal, the first only. */
  paths: string[]
  /** The lowest similarity that joined two of the group, 0.8 to 1. */
  similarity: number
}

export interface Duplicates {
  /** Groups of two and more equal documents, largest first. */
  equal: string[][]
  near: NearGroup[]
  /** Pairs that met and were not compared, because a limit was reached. */
  notCompared: number
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** Groups that only ever merge (Tarjan's union-find), with the lowest similarity in each. */
const createGroups = (size: number) => {
  const parent = Array.from({ length: size }, (_, at) => at)
  const lowest = new Array<number>(size).fill(1)
  const root = (of: number): number => {
    let at = of
    for (let next = parent[at] ?? at; next !== at; next = parent[at] ?? at) {
      parent[at] = parent[next] ?? next
      at = next
    }
    return at
  }
  return {
    root,
    lowest: (of: number): number => lowest[root(of)] ?? 1,
    join: (a: number, b: number, value: number): void => {
      const [into, from] = [Math.min(root(a), root(b)), Math.max(root(a), root(b))]
      parent[from] = into
      lowest[into] = Math.min(lowest[into] ?? 1, lowest[from] ?? 1, value)
    },
  }
}

const bandKey = (signature: readonly number[], from: number): string =>
  signature.slice(from, from + BAND_ROWS).join(',')

const nearGroups = (documents: Fingerprint[], maxComparisons: number): { near: NearGroup[]; notCompared: number } => {
  const groups = createGroups(documents.length)
  let comparisons = 0
  let notCompared = 0
  const meet = (a: number, b: number): void => {
    if (groups.root(a) === groups.root(b)) return
    if (comparisons >= maxComparisons) {
      notCompared += 1
      return
    }
    comparisons += 1
    const value = similarity(documents[a]?.signature ?? [], documents[b]?.signature ?? [])
    if (value >= MIN_SIMILARITY) groups.join(a, b, value)
  }
  const rows = documents[0]?.signature.length ?? 0
  for (let from = 0; from + BAND_ROWS <= rows; from += BAND_ROWS) {
    const buckets = new Map<string, number[]>()
    for (const [at, { signature }] of documents.entries()) {
      const key = bandKey(signature, from)
      const bucket = buckets.get(key)
      if (bucket === undefined) buckets.set(key, [at])
      else {
        for (const other of bucket) meet(other, at)
        if (bucket.length < MAX_BUCKET) bucket.push(at)
        else notCompared += 1
      }
    }
  }
  const members = new Map<number, number[]>()
  for (const at of documents.keys()) {
    const root = groups.root(at)
    const group = members.get(root)
    if (group === undefined) members.set(root, [at])
    else group.push(at)
  }
  const near = [...members.values()]
    .filter((group) => group.length > 1)
    .map((group) => ({
      paths: group.map((at) => documents[at]?.path ?? '').sort(compareText),
      similarity: groups.lowest(group[0] ?? 0),
    }))
  return { near, notCompared }
}

/** Same order whatever the order of `documents`. */
export const findDuplicates = (documents: Iterable<Fingerprint>, maxComparisons = MAX_COMPARISONS): Duplicates => {
  const byDigest = new Map<string, Fingerprint[]>()
  for (const document of [...documents].sort((a, b) => compareText(a.path, b.path))) {
    const key = document.truncatedFrom === undefined ? document.digest : `head of ${document.path}`
    const group = byDigest.get(key)
    if (group === undefined) byDigest.set(key, [document])
    else group.push(document)
  }
  const groups = [...byDigest.values()]
  const equal = groups.filter((group) => group.length > 1).map((group) => group.map(({ path }) => path))
  const first = groups.flatMap((group) => group.slice(0, 1)).filter(({ signature }) => signature.length > 0)
  const { near, notCompared } = nearGroups(first, maxComparisons)
  return {
    equal: equal.sort((a, b) => b.length - a.length || compareText(a[0] ?? '', b[0] ?? '')),
    near: near.sort((a, b) => b.similarity - a.similarity || compareText(a.paths[0] ?? '', b.paths[0] ?? '')),
    notCompared,
  }
}
