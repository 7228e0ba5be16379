/**
 * The search for nodes that give all parts of an allocation. A part goes where the least is left over of what it asks for, so that
 * large nodes stay free for large parts; the largest parts are placed first. Where that comes to nothing, other ways are tried, a
 * bounded number of them. State: what each node would have left.
 */
import type { AllocationPlace, Ask } from '../resource-record.ts'
import { amountOf, fits, NONE, type Units } from '../units.ts'
import { type GivingNode, isGiving } from './feasibility.ts'

/** Of one search: nodes that parts are placed at, before it is given up. */
const MAX_ATTEMPTS = 2_000
/** Of one search: nodes that are looked at. One that finds at once looks at each node once for each part. */
const MAX_STEPS = 100_000

/** Steps that it takes to have a part given. */
const GIVEN = 100

/** What planning costs, as nodes that were looked at: counted and not timed, so that it is the same on each machine. */
export class Steps {
  #taken = 0

  get taken(): number {
    return this.#taken
  }

  take(count: number): void {
    this.#taken += count
  }

  /** @param parts that are asked for where they were found */
  give(parts: number): void {
    this.#taken += parts * GIVEN
  }
}

/** One part, by the numbers of the names that it asks for. */
export interface Need {
  readonly part: number
  readonly owner: string | undefined
  readonly amounts: readonly (readonly [name: number, amount: number])[]
}

/** So many parts that ask for the same. */
export interface Kind {
  readonly need: Need
  readonly count: number
}

/** One node: of each name that is asked for, by its number. */
export interface Room {
  readonly peer: string
  readonly registration: number
  readonly capacity: readonly number[]
  /** What is free now. */
  readonly now: readonly number[]
  /** What is free as it would be. */
  readonly free: number[]
  /** Parts that it would give. */
  parts: number
}

/** What is asked for, and the nodes that could give any of it. */
export interface Field {
  /** Those that have no choice first, then the largest. */
  readonly needs: readonly Need[]
  readonly kinds: readonly Kind[]
  readonly rooms: readonly Room[]
  readonly byPeer: ReadonlyMap<string, Room>
  /** Numbers of the names that are asked for. */
  readonly names: ReadonlyMap<string, number>
  readonly isSpread: boolean
  readonly steps: Steps
}

export const fitsIn = (free: readonly number[], { amounts }: Need): boolean =>
  amounts.every(([name, amount]) => amount <= (free[name] ?? 0))

const isSame = (one: Need, other: Need): boolean =>
  one.owner === other.owner &&
  one.amounts.length === other.amounts.length &&
  one.amounts.every(([name, amount], i) => other.amounts[i]?.[0] === name && other.amounts[i]?.[1] === amount)

/** Parts that ask for the same are one kind, where they stand side by side. */
const kindsOf = (needs: readonly Need[]): Kind[] => {
  const kinds: { need: Need; count: number }[] = []
  for (const need of needs) {
    const last = kinds.at(-1)
    if (last !== undefined && isSame(last.need, need)) last.count += 1
    else kinds.push({ need, count: 1 })
  }
  return kinds
}

const needOf = ({ units, owner }: Ask['parts'][number], part: number, names: Map<string, number>): Need => {
  const amounts: [number, number][] = []
  for (const name of Object.keys(units)) {
    const amount = amountOf(units, name)
    if (amount <= 0) continue
    const number = names.get(name) ?? names.size
    names.set(name, number)
    amounts.push([number, amount])
  }
  return { part, owner, amounts }
}

const roomOf = (peer: string, { registration, capacity, used }: GivingNode, names: readonly string[]): Room => {
  const all = names.map((name) => amountOf(capacity, name))
  const now = all.map((amount, i) => amount - amountOf(used, names[i] ?? ''))
  return { peer, registration, capacity: all, now, free: [...now], parts: 0 }
}

const inOrder = (needs: readonly Need[], rooms: readonly Room[]): readonly Need[] => {
  if (needs.length === 1) return needs
  // Of all nodes together, so that amounts of different names can be compared.
  const totals: number[] = []
  for (const { capacity } of rooms) for (const [i, amount] of capacity.entries()) totals[i] = (totals[i] ?? 0) + amount
  const sizeOf = ({ amounts }: Need): number =>
    amounts.reduce((sum, [name, amount]) => sum + amount / Math.max(1, totals[name] ?? 0), 0)
  const sized = needs.map((need) => ({ need, size: sizeOf(need), isBound: need.owner !== undefined }))
  sized.sort((a, b) => Number(b.isBound) - Number(a.isBound) || b.size - a.size || a.need.part - b.need.part)
  return sized.map(({ need }) => need)
}

/** @param isWhole also nodes that could give a part only if they had given less so far */
export const fieldOf = (
  { parts, spread }: Pick<Ask, 'parts' | 'spread'>,
  nodes: ReadonlyMap<string, GivingNode>,
  steps: Steps,
  isWhole = false,
): Field => {
  const names = new Map<string, number>()
  const needs = parts.map((part, i) => needOf(part, i, names))
  const kinds = kindsOf(needs)
  const list = [...names.keys()]
  const rooms: Room[] = []
  for (const [peer, node] of nodes) {
    const used = isWhole ? NONE : node.used
    const couldGive = ({ need }: Kind): boolean => {
      steps.take(1)
      return fits(node.capacity, used, parts[need.part]?.units ?? NONE)
    }
    if (isGiving(node) && kinds.some(couldGive)) rooms.push(roomOf(peer, node, list))
  }
  steps.take(nodes.size + parts.length * 4)
  const byPeer = new Map(rooms.map((room) => [room.peer, room] as const))
  return { needs: inOrder(needs, rooms), kinds, rooms, byPeer, names, isSpread: spread === true, steps }
}

/** As if nothing had been given so far. */
export const idleFieldOf = (
  wanted: Pick<Ask, 'parts' | 'spread'>,
  nodes: ReadonlyMap<string, GivingNode>,
  steps: Steps,
): Field => {
  const field = fieldOf(wanted, nodes, steps, true)
  for (const { free, capacity } of field.rooms) free.splice(0, free.length, ...capacity)
  return field
}

/** Of what nodes have left: there is as much as all parts ask for, and each has room somewhere, if it were alone. */
const couldFit = ({ kinds, rooms, byPeer, names, steps }: Field): boolean => {
  steps.take(rooms.length * (1 + kinds.length))
  const left = Array.from(names, () => 0)
  for (const { free } of rooms) for (const [name, amount] of free.entries()) left[name] = (left[name] ?? 0) + amount
  const asked = Array.from(names, () => 0)
  for (const { need, count } of kinds)
    for (const [name, amount] of need.amounts) asked[name] = (asked[name] ?? 0) + amount * count
  // Sums of many nodes may be more than a number holds exactly.
  if (asked.some((amount, name) => amount > (left[name] ?? 0) * (1 + 1e-9))) return false
  return kinds.every(({ need }) => {
    if (need.owner === undefined) return rooms.some(({ free }) => fitsIn(free, need))
    const own = byPeer.get(need.owner)
    return own !== undefined && fitsIn(own.free, need)
  })
}

/** The better a node is for a part the lower; of the same rank the one that is first by its id. */
export type Rank = (room: Room, need: Need) => number

/** What of a node would be left, at most, of what the part asks for: 0 where it takes all of it. */
const leftOver: Rank = ({ capacity, free }, { amounts }) => {
  let most = 0
  for (const [name, amount] of amounts) most = Math.max(most, ((free[name] ?? 0) - amount) / (capacity[name] ?? 1))
  return most
}

interface Ranked {
  readonly room: Room
  readonly rank: number
}
const isBefore = (one: Ranked, other: Ranked): boolean =>
  one.rank < other.rank || (one.rank === other.rank && one.room.peer < other.room.peer)

class Search {
  readonly #field: Field
  readonly #rank: Rank
  readonly #lastStep: number
  /** By part. */
  readonly #taken: Room[] = []
  #attempts = 0

  constructor(field: Field, rank: Rank) {
    this.#field = field
    this.#rank = rank
    this.#lastStep = field.steps.taken + MAX_STEPS
  }

  run(): AllocationPlace[] | undefined {
    if (!this.#place(0)) return undefined
    return this.#field.needs.map((_, part) => {
      const { peer: owner = '', registration = 0 } = this.#taken[part] ?? {}
      return { owner, registration }
    })
  }

  /** What nodes have left is afterwards what it was. */
  #place(depth: number): boolean {
    const need = this.#field.needs[depth]
    if (need === undefined) return true
    for (let next = this.#next(need); next !== undefined; next = this.#next(need, next)) {
      const { room } = next
      this.#attempts += 1
      this.#taken[need.part] = room
      take(room, need, 1)
      const isPlaced = this.#place(depth + 1)
      take(room, need, -1)
      if (isPlaced) return true
      if (this.#attempts >= MAX_ATTEMPTS || this.#field.steps.taken >= this.#lastStep) return false
    }
    return false
  }

  /** The best one that could give the part; @param after of those that are behind this one */
  #next(need: Need, after?: Ranked): Ranked | undefined {
    const { rooms, byPeer, isSpread, steps } = this.#field
    const own = need.owner === undefined ? undefined : byPeer.get(need.owner)
    const among = need.owner === undefined ? rooms : own === undefined ? [] : [own]
    let best: Ranked | undefined
    for (const room of among) {
      if ((isSpread && room.parts > 0) || !fitsIn(room.free, need)) continue
      const found = { room, rank: this.#rank(room, need) }
      if (after !== undefined && !isBefore(after, found)) continue
      if (best === undefined || isBefore(found, best)) best = found
    }
    steps.take(among.length + 4)
    return best
  }
}

const take = (room: Room, { amounts }: Need, sign: 1 | -1): void => {
  for (const [name, amount] of amounts) room.free[name] = (room.free[name] ?? 0) - sign * amount
  room.parts += sign
}

/** @returns one place for each part; undefined: none were found */
export const search = (field: Field, rank: Rank = leftOver): AllocationPlace[] | undefined =>
  field.needs.length === 1 || couldFit(field) ? new Search(field, rank).run() : undefined

/** What has to come free at each of these places. */
export const shortAt = ({ needs, byPeer }: Field, places: readonly AllocationPlace[]): ReadonlyMap<Room, number[]> => {
  const short = new Map<Room, number[]>()
  for (const { part, amounts } of needs) {
    const room = byPeer.get(places[part]?.owner ?? '')
    if (room === undefined) continue
    const lacks = short.get(room) ?? room.now.map((amount) => -amount)
    short.set(room, lacks)
    for (const [name, amount] of amounts) lacks[name] = (lacks[name] ?? 0) + amount
  }
  return short
}

/** Of units of a node that are of no part: the same as among parts. */
export const leftOverOf = ({ capacity, used }: Pick<GivingNode, 'capacity' | 'used'>, asked: Units): number => {
  let most = 0
  for (const name of Object.keys(asked)) {
    const all = amountOf(capacity, name)
    if (all > 0) most = Math.max(most, (all - amountOf(used, name) - amountOf(asked, name)) / all)
  }
  return most
}
