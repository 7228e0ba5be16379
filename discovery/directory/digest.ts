/**
 * What two directories tell each other to find out who is behind: pure, no state.
 *
 * Source: anti-entropy after Demers et al., Epidemic Algorithms for Replicated Database Maintenance (PODC 1987).
 */
import { compareVersions, type SignedRecord, type Version } from '../record.ts'

/** `ageMs`: since the writer was last known to be alive; of what ended, since it ended. */
export type Entry = [peer: string, incarnation: number, version: number, ageMs: number]
export type Digest = Entry[]

/** A record on its way, with the milliseconds since its writer was last known to be alive. */
export interface Travelling extends SignedRecord {
  readonly ageMs: number
}

/**
 * The most that an age may lack of the truth when it arrives: it ages on its way, at most as long as a comparison takes.
 */
export const TRANSIT_MS = 2_000
/** Ages that differ by less are the same. */
const LEAST_GAIN_MS = 1_000

/** What the other node said of its tables. */
export interface Theirs {
  /** What it has and can pass on. */
  readonly digest: Digest
  /** What it knows of, does not have, and does not want to be told again. */
  readonly ended: Digest
  /** How many agents it can still take that it has never heard of. */
  readonly room: number
}

export const toEntry = (peer: string, { incarnation, version }: Version, ageMs: number): Entry => [
  peer,
  incarnation,
  version,
  ageMs,
]
const toVersion = ([, incarnation, version]: Entry): Version => ({ incarnation, version })
const toTable = (digest: Digest): Map<string, Entry> => new Map(digest.map((entry) => [entry[0], entry]))

const order = (entry: Entry, than: Entry): number => compareVersions(toVersion(entry), toVersion(than))

/** Someone heard of the agent after the other node gave it up. */
export const outlives = (ageMs: number, endedAgeMs: number): boolean => ageMs + TRANSIT_MS < endedAgeMs

/**
 * Peers whose record here is newer than what the other node knows.
 * @param takesRoom true for a peer that would take a place in the other node's table
 */
export const surplus = (mine: Digest, theirs: Theirs, takesRoom: (peer: string) => boolean): string[] => {
  const has = toTable(theirs.digest)
  const ended = toTable(theirs.ended)
  let room = theirs.room
  return mine
    .filter((entry) => {
      const [peer] = entry
      const held = has.get(peer)
      if (held !== undefined && order(entry, held) <= 0) return false
      const end = ended.get(peer)
      const difference = end === undefined ? 1 : order(entry, end)
      if (difference < 0 || (difference === 0 && !outlives(entry[3], end?.[3] ?? 0))) return false
      if (has.has(peer) || !takesRoom(peer)) return true
      room -= 1
      return room >= 0
    })
    .map(([peer]) => peer)
}

/** Peers whose record there is newer than what is known here. */
export const shortage = (
  theirs: Digest,
  isNews: (version: Version, entry: Entry) => boolean,
  hasPlace: (peer: string) => boolean,
): string[] => theirs.filter((entry) => isNews(toVersion(entry), entry) && hasPlace(entry[0])).map(([peer]) => peer)

/**
 * Agents that were heard of here well after the other node heard of them, which has the same record.
 * @param worthMs ages below it are young enough
 */
export const fresher = (mine: Digest, theirs: Digest, worthMs: (peer: string) => number): [string, number][] => {
  const table = toTable(mine)
  return theirs.flatMap((entry): [string, number][] => {
    const [peer, , , ageMs] = entry
    const held = table.get(peer)
    if (held === undefined || order(held, entry) !== 0 || ageMs < worthMs(peer)) return []
    return held[3] + LEAST_GAIN_MS < ageMs ? [[peer, held[3]]] : []
  })
}
