/**
 * Which allocations are ended for one that does not fit otherwise: as few of them as it takes, the least urgent first, and of
 * those the ones that were granted last. Those that give back nothing that is lacking where it could be given do not count. Pure.
 */
import type { Fence } from '../../journal/fencing/fence.ts'
import type { AllocationPlace } from '../resource-record.ts'
import { amountOf, NONE } from '../units.ts'
import type { Victim } from './feasibility.ts'
import { type Field, fitsIn, type Room, search, shortAt } from './search.ts'

/** Of one allocation, as many as one decision may end (journal/resource-changes.ts). */
const MAX_VICTIMS = 64
/** From there on no fewer are looked for than were found. */
const MAX_STEPS = 200_000

export interface PlannedVictim extends Victim {
  readonly id: string
  readonly fence: Fence
  /** When it was granted. */
  readonly changedAt: number
}

/** What of one name a node would have back. */
interface Freed {
  readonly room: Room
  readonly name: number
  readonly amount: number
}

interface Candidate {
  readonly victim: PlannedVictim
  readonly frees: readonly Freed[]
}

export interface Ended {
  readonly places: AllocationPlace[]
  readonly victims: readonly PlannedVictim[]
}

/** Of what is asked for, where it could be given. */
const freesOf = ({ parts, places = [] }: Victim, { byPeer, names }: Field): Freed[] => {
  const found: Freed[] = []
  for (const [i, { owner }] of places.entries()) {
    const room = byPeer.get(owner)
    if (room === undefined) continue
    const units = parts[i]?.units ?? NONE
    for (const key of Object.keys(units)) {
      const [name, amount] = [names.get(key), amountOf(units, key)]
      if (name !== undefined && amount > 0) found.push({ room, name, amount })
    }
  }
  return found
}

const giveBack = ({ frees }: Candidate, sign: 1 | -1 = 1): void => {
  for (const { room, name, amount } of frees) room.free[name] = (room.free[name] ?? 0) + sign * amount
}

/** Where all candidates are ended: of which names a node has too little now for the parts that it could give then. */
const scarceAt = ({ kinds, rooms, steps }: Field): ReadonlyMap<Room, ReadonlySet<number>> => {
  const lacking = new Map<Room, ReadonlySet<number>>()
  for (const room of rooms) {
    const asked: number[] = []
    for (const { need, count } of kinds)
      if ((need.owner ?? room.peer) === room.peer && fitsIn(room.free, need))
        for (const [name, amount] of need.amounts) asked[name] = (asked[name] ?? 0) + amount * count
    const names = [...asked.keys()].filter((name) => (asked[name] ?? 0) > (room.now[name] ?? 0))
    if (names.length > 0) lacking.set(room, new Set(names))
  }
  steps.take(rooms.length * kinds.length)
  return lacking
}

/** The least urgent first, and of those the ones that were granted last: they lose least. */
const byLoss = ({ victim: a }: Candidate, { victim: b }: Candidate): number =>
  a.priority - b.priority || b.changedAt - a.changedAt

/** As few of the first ones as it takes, and where it fits then; what nodes have left is afterwards what it was. */
const fewest = (field: Field, line: readonly Candidate[]): { places: AllocationPlace[]; count: number } | undefined => {
  let ended = 0
  const end = (count: number): void => {
    for (const one of line.slice(ended, count)) giveBack(one)
    for (const one of line.slice(count, ended)) giveBack(one, -1)
    field.steps.take(Math.abs(count - ended))
    ended = count
  }
  end(line.length)
  let places = search(field)
  let [few, count] = [0, line.length]
  const lastStep = field.steps.taken + MAX_STEPS
  while (places !== undefined && count - few > 1 && field.steps.taken < lastStep) {
    const half = Math.floor((few + count) / 2)
    end(half)
    const found = search(field)
    if (found === undefined) few = half
    else {
      places = found
      count = half
    }
  }
  end(0)
  return places && { places, count }
}

/** @param candidates that come to enough; those that are to be spared rather than others come first @returns those it takes */
const withoutUseless = (short: ReadonlyMap<Room, readonly number[]>, candidates: readonly Candidate[]): Candidate[] => {
  /** What comes back beyond what has to. */
  const beyond = new Map([...short].map(([room, lacks]) => [room, lacks.map((amount) => -amount)] as const))
  const add = ({ frees }: Candidate, sign: 1 | -1): void => {
    for (const { room, name, amount } of frees) {
      const more = beyond.get(room)
      if (more !== undefined) more[name] = (more[name] ?? 0) + sign * amount
    }
  }
  for (const one of candidates) add(one, 1)
  return candidates.filter((one) => {
    add(one, -1)
    const isNeeded = one.frees.some(({ room, name }) => (beyond.get(room)?.[name] ?? 0) < 0)
    if (isNeeded) add(one, 1)
    return isNeeded
  })
}

/** How much of what has to come back one brings. */
const shareOf = ({ frees }: Candidate, short: ReadonlyMap<Room, readonly number[]>): number =>
  frees.reduce((sum, { room, name, amount }) => {
    const lacks = short.get(room)?.[name] ?? 0
    return lacks > 0 ? sum + amount / lacks : sum
  }, 0)

/**
 * @param granted allocations that may be ended for it
 * @returns undefined: it does not fit, whoever is ended
 */
export const planByEnding = (field: Field, granted: Iterable<PlannedVictim>): Ended | undefined => {
  const all: Candidate[] = []
  for (const victim of granted) {
    field.steps.take(2 + 2 * victim.parts.length)
    const frees = freesOf(victim, field)
    if (frees.length > 0) all.push({ victim, frees })
  }
  for (const one of all) giveBack(one)
  const scarce = scarceAt(field)
  for (const one of all) giveBack(one, -1)
  const line = all.filter(({ frees }) => frees.some(({ room, name }) => scarce.get(room)?.has(name))).sort(byLoss)
  const found = fewest(field, line)
  if (found === undefined) return undefined
  const { places, count } = found
  const short = shortAt(field, places)
  // The most urgent ones are spared first, or where too many are ended so, those that bring least.
  let chosen = withoutUseless(short, line.slice(0, count).toReversed())
  if (chosen.length > MAX_VICTIMS) {
    const shares = new Map(line.map((one) => [one, shareOf(one, short)] as const))
    chosen = withoutUseless(
      short,
      line.toSorted((a, b) => (shares.get(a) ?? 0) - (shares.get(b) ?? 0)),
    )
  }
  return chosen.length > MAX_VICTIMS ? undefined : { places, victims: chosen.map(({ victim }) => victim) }
}
