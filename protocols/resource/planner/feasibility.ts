/**
 * Whether an allocation can be granted just so: the one question that the planner asks before it proposes and the applier
 * before it grants. Pure.
 */
import type { Allocation, AllocationPlace, Ask, NodeRecord } from '../resource-record.ts'
import { fits, lackOf, NONE, plus, type Units } from '../units.ts'

export type GivingNode = Pick<NodeRecord, 'registration' | 'capacity' | 'used' | 'draining' | 'isOver'>
export type NodeOf = (peer: string) => GivingNode | undefined

/** Another allocation that would be ended for it. */
export type Victim = Pick<Allocation, 'status' | 'priority' | 'preemptible' | 'parts' | 'places'>

export const isGiving = (node: GivingNode | undefined): node is GivingNode =>
  node !== undefined && node.isOver !== true && node.draining !== true

/** What these allocations would give back, by node. */
const freedBy = (victims: readonly Victim[]): ReadonlyMap<string, Units> => {
  const freed = new Map<string, Units>()
  for (const { parts, places = [] } of victims)
    for (const [i, { owner }] of places.entries())
      freed.set(owner, plus(freed.get(owner) ?? NONE, parts[i]?.units ?? NONE))
  return freed
}

const lack = (
  { parts, spread }: Pick<Ask, 'parts' | 'spread'>,
  places: readonly AllocationPlace[],
  nodeOf: NodeOf,
  victims: readonly Victim[],
): string | undefined => {
  if (places.length !== parts.length) return 'one place is needed for each part'
  const freed = freedBy(victims)
  const asked = new Map<string, Units>()
  for (const [i, { owner, registration }] of places.entries()) {
    const part = parts[i]
    const node = nodeOf(owner)
    if (part === undefined || !isGiving(node)) return `${owner} gives nothing`
    if (node.registration !== registration) return `${owner} is in another life`
    if (part.owner !== undefined && part.owner !== owner) return `part ${i} is wanted of ${part.owner}`
    if (spread === true && asked.has(owner)) return `${owner} is to give only one part`
    const all = plus(asked.get(owner) ?? NONE, part.units)
    const used = plus(node.used, freed.get(owner) ?? NONE, -1)
    if (!fits(node.capacity, used, all)) return `${owner} has too little ${lackOf(node.capacity, used, all)}`
    asked.set(owner, all)
  }
  return undefined
}

const isBelow = (victim: Victim, { priority }: Pick<Ask, 'priority'>): boolean =>
  victim.status === 'allocated' && victim.preemptible === true && victim.priority < priority

/**
 * @param victims ended for it: each of them has to be of use, so that nobody loses anything for nothing
 * @returns why not, in words; undefined: it can be granted so
 */
export const obstacle = (
  ask: Pick<Ask, 'parts' | 'spread' | 'priority' | 'preempts'>,
  places: readonly AllocationPlace[],
  nodeOf: NodeOf,
  victims: readonly Victim[] = [],
): string | undefined => {
  if (victims.length > 0 && ask.preempts !== true) return 'it ends no others'
  if (victims.some((victim) => !isBelow(victim, ask))) return 'one of those that would be ended may not be'
  const found = lack(ask, places, nodeOf, victims)
  if (found !== undefined) return found
  const isUseless = victims.some((_, i) => lack(ask, places, nodeOf, victims.toSpliced(i, 1)) === undefined)
  return isUseless ? 'one of those that would be ended is not in the way' : undefined
}
