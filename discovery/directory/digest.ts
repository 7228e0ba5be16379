/**
 * What two directories tell each other to find out who is behind: pure, no state.
 *
 * Source: anti-entropy after Demers et al., Epidemic Algorithms for Replicated Database Maintenance (PODC 1987).
 */
import { compareVersions, type SignedRecord, type Version } from '../record.ts'

export type Entry = [peer: string, incarnation: number, version: number]
export type Digest = Entry[]

/** A record on its way, with the milliseconds since its writer was last known to be alive. */
export interface Travelling extends SignedRecord {
  readonly ageMs: number
}

/** What the other node said of its tables. */
export interface Theirs {
  /** What it has and can pass on. */
  readonly digest: Digest
  /** What it knows of, does not have, and does not want to be told again. */
  readonly ended: Digest
  /** How many agents it can still take that it has never heard of. */
  readonly room: number
}

export const toEntry = (peer: string, { incarnation, version }: Version): Entry => [peer, incarnation, version]
const toVersion = ([, incarnation, version]: Entry): Version => ({ incarnation, version })
const toTable = (digest: Digest): Map<string, Version> => new Map(digest.map((entry) => [entry[0], toVersion(entry)]))

const isNewer = (version: Version, than: Version | undefined): boolean =>
  than === undefined || compareVersions(version, than) > 0

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
      if (!isNewer(toVersion(entry), has.get(peer)) || !isNewer(toVersion(entry), ended.get(peer))) return false
      if (has.has(peer) || !takesRoom(peer)) return true
      room -= 1
      return room >= 0
    })
    .map(([peer]) => peer)
}

/** Peers whose record there is newer than what is known here. */
export const shortage = (
  theirs: Digest,
  known: (peer: string) => Version | undefined,
  hasPlace: (peer: string) => boolean,
): string[] =>
  theirs.filter((entry) => isNewer(toVersion(entry), known(entry[0])) && hasPlace(entry[0])).map(([peer]) => peer)
